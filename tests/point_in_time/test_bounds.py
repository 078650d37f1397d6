"""The bounds of the checker's comparisons, on columns written by hand: which side each place falls on."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.point_in_time import Flaw, HistoryError, check_image, coverage, exact_image, lost_writes
from harness.recorder import UNACKNOWLEDGED


@dataclass
class Columns:
    """Columns of a log as they are, right or wrong."""

    blocks: list[int]
    stamps: list[int]
    issued: list[int]
    acknowledged: list[int]

    @property
    def issued_ns(self) -> list[int]:
        return self.issued

    @property
    def acknowledged_ns(self) -> list[int]:
        return self.acknowledged


def columns(*writes: tuple[int, int, int]) -> Columns:
    """A log of (block, place of issue, place of acknowledgement); stamps are 101, 102 …"""
    return Columns([w[0] for w in writes], [101 + i for i in range(len(writes))], [w[1] for w in writes], [w[2] for w in writes])  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(("acknowledged", "flaw"), [(9, Flaw.STALE), (10, None)])
def test_a_hidden_write_is_stale_if_acknowledged_before_the_invocation(acknowledged: int, flaw: Flaw | None) -> None:
    """A write that the image does not show is a flaw where it was acknowledged before the place of the invocation."""
    assert check_image(columns((0, 5, acknowledged)), {}, invoked=10, returned=20).flaw is flaw


@pytest.mark.parametrize(("issued", "flaw"), [(21, Flaw.LATE), (20, None)])
def test_a_shown_write_is_late_if_issued_after_the_return(issued: int, flaw: Flaw | None) -> None:
    """A write that the image shows is a flaw where it was issued after the place of the return."""
    assert check_image(columns((0, issued, 30)), {0: 101}, invoked=10, returned=20).flaw is flaw


@pytest.mark.parametrize(("acknowledged", "flaw"), [(13, Flaw.TORN), (14, None)])
def test_an_image_is_torn_if_the_hidden_write_came_before_the_shown_one(acknowledged: int, flaw: Flaw | None) -> None:
    """An image is torn where the write that it hides was acknowledged before the one that it shows was issued."""
    log = columns((0, 11, acknowledged), (1, 14, 15))
    assert check_image(log, {1: 102}, invoked=10, returned=20).flaw is flaw


def test_of_two_hidden_writes_the_one_acknowledged_first_is_the_witness() -> None:
    """The witness is the hidden write that was acknowledged first, and of two at one place the earlier row."""
    log = columns((0, 11, 13), (2, 12, 13), (1, 14, 15))
    verdict = check_image(log, {1: 103}, invoked=10, returned=20)
    assert verdict.flaw is Flaw.TORN
    assert verdict.witness is not None
    assert verdict.witness["hidden"]["block"] == 0


def test_a_method_may_return_where_it_was_invoked() -> None:
    """A method that takes no time is judged, not refused."""
    assert check_image(columns(), {}, invoked=5, returned=5).flaw is None


def test_blocks_that_are_not_judged_hide_none_that_are() -> None:
    """Blocks outside the judged ones are passed over, whatever they show and whenever they were written."""
    log = columns((0, 1, 2), (1, 11, 12), (0, 13, 14), (2, 15, 16))
    torn = {0: 999, 2: 104}
    assert check_image(log, torn, invoked=10, returned=20, blocks={1, 2}).flaw is Flaw.TORN


def test_a_block_that_shows_its_initial_content_hides_its_writes() -> None:
    """What a block held before the log is older than all its writes, the first ones too."""
    log = columns((0, 1, 2), (0, 3, 4))
    assert check_image(log, {0: 7}, invoked=10, initial={0: 7}).flaw is Flaw.STALE
    assert check_image(columns((0, 1, 2)), {0: 7}, invoked=10, initial={0: 7}).flaw is Flaw.STALE


def test_initial_content_in_one_block_ends_no_look_at_the_next() -> None:
    """Blocks after one that shows its initial content are judged, too."""
    log = columns((0, 11, 12), (1, 13, 14))
    assert check_image(log, {0: 7, 1: 102}, invoked=10, returned=20, initial={0: 7}).flaw is Flaw.TORN


@pytest.mark.parametrize("second", [5, 4])
def test_places_of_issue_ascend(second: int) -> None:
    """A log whose places of issue do not ascend is refused, and the message names both rows."""
    message = f"row 1 was issued at place {second}, not after row 0 at 5"
    with pytest.raises(HistoryError, match=message):
        check_image(columns((0, 5, 6), (1, second, 9)), {}, invoked=10)


@pytest.mark.parametrize("acknowledged", [7, 8, UNACKNOWLEDGED])
def test_a_block_has_one_write_under_way(acknowledged: int) -> None:
    """A write issued to a block before the last one there was acknowledged, or at that very place, is refused."""
    with pytest.raises(HistoryError, match="stamp 102 was issued to block 0 with another write to it under way"):
        check_image(columns((0, 5, acknowledged), (0, 7, 9)), {}, invoked=10)


@pytest.mark.parametrize("name", ["blocks", "issued", "acknowledged"])
def test_columns_are_of_one_length(name: str) -> None:
    """A log of which one column is shorter is refused by whoever reads that column, not read in part."""
    log = columns((0, 1, 2), (1, 3, 4))
    getattr(log, name).pop()
    with pytest.raises((ValueError, IndexError)):
        check_image(log, {}, invoked=10)
    if name != "acknowledged":
        with pytest.raises(ValueError, match=r"shorter|longer"):
            coverage(log, 1, 4)
    if name != "issued":
        with pytest.raises(ValueError, match=r"shorter|longer"):
            exact_image(log, 10)
        with pytest.raises(ValueError, match=r"shorter|longer"):
            lost_writes(log, {}, 10)


def test_a_missing_stamp_is_noticed() -> None:
    """A log that lacks a stamp can't be told from another one, so its content is not made up."""
    log = columns((0, 1, 2), (1, 3, 4))
    log.stamps.pop()
    with pytest.raises(ValueError, match=r"shorter|longer"):
        exact_image(log, 10)


def test_coverage_counts_on_the_bounds() -> None:
    """A write at the place of the invocation was before, one at the place of the return after."""
    found = coverage(columns((0, 100, 1), (0, 101, 1), (0, 199, 1), (0, 200, 1)), 100, 200)
    assert (found.before, found.during, found.after) == (1, 2, 1)


def test_coverage_passes_over_blocks_that_are_not_considered() -> None:
    """Writes to other blocks count nowhere, and end no counting."""
    found = coverage(columns((9, 50, 1), (0, 60, 1), (9, 150, 1), (0, 160, 1), (0, 250, 1)), 100, 200, blocks={0})
    assert (found.before, found.during, found.after) == (1, 1, 1)


def test_coverage_without_writes_counts_nothing() -> None:
    """A log that holds nothing has no counts."""
    found = coverage(columns(), 100, 200)
    assert (found.sufficient, found.before, found.during, found.after) == (False, 0, 0, 0)


@pytest.mark.parametrize(("early", "sufficient"), [(150, True), (151, False)])
def test_the_middle_of_the_run_belongs_to_its_first_half(early: int, sufficient: bool) -> None:
    """A write in the very middle of the run counts for the first half, one after it for the second."""
    log = columns((0, 1, 1), (3, 120, 1), (0, early, 1), (0, 160, 1), (3, 170, 1), (0, 201, 1))
    assert coverage(log, 100, 200, blocks=range(4)).sufficient is sufficient


@pytest.mark.parametrize(("low", "high", "sufficient"), [(1, 2, True), (1, 1, False), (2, 3, False)])
def test_the_upper_half_begins_in_the_middle(low: int, high: int, sufficient: bool) -> None:
    """Of blocks 0 to 3 the upper half begins with block 2."""
    log = columns((0, 1, 1), (low, 110, 1), (high, 120, 1), (low, 160, 1), (high, 170, 1), (0, 201, 1))
    assert coverage(log, 100, 200, blocks=range(4)).sufficient is sufficient


@pytest.mark.parametrize(("at_place", "content"), [(4, {}), (5, {0: 101})])
def test_what_was_acknowledged_before_a_place(at_place: int, content: dict[int, int]) -> None:
    """The exact image, and what a moved volume owes, hold what was acknowledged before the place, and not at it."""
    log = columns((0, 1, 4))
    assert exact_image(log, at_place) == content
    assert [lost["block"] for lost in lost_writes(log, {}, at_place)] == list(content)


def test_an_unacknowledged_write_may_be_shown_by_a_moved_volume() -> None:
    """A block of which no write was acknowledged may show the first write of the log."""
    assert lost_writes(columns((0, 1, UNACKNOWLEDGED)), {0: 101}, 10) == []
