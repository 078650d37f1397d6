"""Coverage of the window, exact content, comparison, and writes lost in a move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.point_in_time import compare_images, coverage, exact_image, lost_writes
from harness.recorder import WriteLog


def log_of(writes: list[tuple[int, int, int | None]]) -> WriteLog:
    """A log of (block, place of issue, place of acknowledgement); stamps count from 1."""
    log = WriteLog("volume", lambda: 0, lambda: 0)
    for stamp, (block, issued, acknowledged) in enumerate(writes, 1):
        row = log.issue(block, stamp)
        log.issued[row] = issued
        if acknowledged is not None:
            log.acknowledged[row] = acknowledged
    return log


WINDOW = (100, 200)
FULL = [(0, 10, 11), (1, 110, 111), (8, 120, 121), (1, 160, 161), (8, 170, 171), (0, 210, 211)]
"""Before, early low, early high, late low, late high, after."""


def test_writes_on_all_sides_suffice() -> None:
    """Writes before, during and after, early and late, low and high, can tell images apart."""
    found = coverage(log_of(FULL), *WINDOW, blocks=range(9))
    assert found.sufficient, found.reason
    assert (found.before, found.during, found.after) == (1, 4, 1)


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (0, "before the method"),
        (1, "lower half of the blocks in the first half"),
        (2, "upper half of the blocks in the first half"),
        (3, "lower half of the blocks in the second half"),
        (4, "upper half of the blocks in the second half"),
        (5, "after the method"),
    ],
)
def test_coverage_says_what_is_missing(left_out: int, reason: str) -> None:
    """Each part of the window and of the blocks is needed, and the one without writes is named."""
    writes = [write for number, write in enumerate(FULL) if number != left_out]
    found = coverage(log_of(writes), *WINDOW, blocks=range(9))
    assert not found.sufficient
    assert reason in found.reason


def test_instant_method_has_no_coverage() -> None:
    """A method during which no write was issued can't be judged."""
    assert "during" in coverage(log_of(FULL), 100, 101).reason
    assert not coverage(log_of([]), 100, 200).sufficient


def test_exact_image_holds_what_was_acknowledged() -> None:
    """Writes acknowledged before the place are applied over the initial content, others not."""
    log = log_of([(1, 1, 2), (1, 3, 4), (2, 5, None), (3, 6, 9)])
    assert exact_image(log, 9, initial={7: 70, 1: 10}) == {1: 2, 7: 70}
    assert exact_image(log, 4) == {1: 1}


images = st.dictionaries(st.integers(0, 5), st.integers(0, 3))


@given(images, images)
def test_comparison_finds_exactly_the_differences(expected: dict[int, int], found: dict[int, int]) -> None:
    """Images are equal where every block shows the same stamp, absent blocks counting as zeros."""
    witness = compare_images(expected, found)
    differing = [b for b in range(6) if expected.get(b, 0) != found.get(b, 0)]
    assert (witness is None) == (not differing)
    if witness is not None:
        assert witness["block"] == differing[0]
        assert witness["differing"] == len(differing)
        assert witness["expected"] != witness["found"]


def test_comparison_can_be_restricted() -> None:
    """Blocks that are not compared do not count."""
    assert compare_images({1: 1, 2: 2}, {1: 1}, blocks=range(2)) is None


def test_moved_volume_may_show_the_last_acknowledged_write_or_a_later_one() -> None:
    """An acknowledged write is lost only where the block shows something older or foreign."""
    log = log_of([(1, 1, 2), (1, 3, 4), (1, 8, None)])
    assert [shown for shown in (0, 1, 2, 3, 99) if lost_writes(log, {1: shown}, until=6)] == [0, 1, 99]
    (entry,) = lost_writes(log, {1: 1}, until=6)
    assert (entry["stamp"], entry["acknowledged_place"], entry["found"]) == (2, 4, 1)


def test_stamp_that_can_not_be_is_found_where_nothing_was_owed() -> None:
    """A block that was never written must show its initial content after a move."""
    log = log_of([(1, 1, 2)])
    assert lost_writes(log, {1: 1, 5: 50}, until=9, initial={5: 50}) == []
    assert lost_writes(log, {1: 1, 5: 1}, until=9, initial={5: 50}) == [{"block": 5, "stamp": 50, "found": 1}]
    assert [w["block"] for w in lost_writes(log, {1: 1}, until=9, initial={5: 50})] == [5]
