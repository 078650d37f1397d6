"""The point-in-time checker against the definition itself, and case by case."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.point_in_time import Flaw, HistoryError, check_image
from harness.recorder import UNACKNOWLEDGED, WriteLog
from harness.stamps import FOREIGN


class History:
    """A write log with a clock in hand: every call takes the next place, and 10 ns."""

    def __init__(self) -> None:
        self.place = 0
        self.log = WriteLog("volume", self.tick, lambda: 10 * (self.place + 1))
        self.rows: dict[int, int] = {}

    def tick(self) -> int:
        """The next place."""
        self.place += 1
        return self.place

    def issue(self, block: int, stamp: int) -> None:
        """Issue a write."""
        self.rows[stamp] = self.log.issue(block, stamp)

    def acknowledge(self, stamp: int) -> None:
        """Acknowledge a write."""
        self.log.acknowledge(self.rows[stamp])

    def write(self, block: int, stamp: int) -> None:
        """Issue and acknowledge a write."""
        self.issue(block, stamp)
        self.acknowledge(stamp)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, int, int]:
    """A tiny history with an invocation and a return, no block with two outstanding writes."""
    history = History()
    invoked = returned = 0
    outstanding: dict[int, int] = {}
    stamps = itertools.count(1)
    for action in draw(st.lists(st.sampled_from(["w0", "w1", "w2", "a0", "a1", "a2", "method"]), max_size=14)):
        block = int(action[1]) if action != "method" else -1
        if action == "method":
            if not invoked:
                invoked = history.tick()
            elif not returned:
                returned = history.tick()
        elif action.startswith("w") and block not in outstanding and len(history.log) < 7:
            stamp = next(stamps)
            history.issue(block, stamp)
            outstanding[block] = stamp
        elif action.startswith("a") and block in outstanding:
            history.acknowledge(outstanding.pop(block))
    invoked = invoked or history.tick()
    returned = returned or history.tick()
    return history, invoked, returned


def images_by_definition(log: WriteLog, invoked: int, returned: int) -> set[tuple[tuple[int, int], ...]]:
    """Every point-in-time image, straight from section 7: try all sets of writes."""
    rows = range(len(log))
    found = set()
    for chosen in itertools.product((False, True), repeat=len(log)):
        members = {row for row in rows if chosen[row]}
        acknowledged = {row for row in rows if log.acknowledged[row] != UNACKNOWLEDGED}
        if any(log.acknowledged[row] < invoked and row not in members for row in acknowledged):
            continue
        if any(log.issued[row] > returned for row in members):
            continue
        if any(
            log.acknowledged[earlier] < log.issued[row] and earlier not in members
            for row in members
            for earlier in acknowledged
        ):
            continue
        content = {log.blocks[row]: log.stamps[row] for row in sorted(members)}
        found.add(tuple(sorted(content.items())))
    return found


@settings(max_examples=500, deadline=None)
@given(histories())
def test_checker_agrees_with_the_definition(case: tuple[History, int, int]) -> None:
    """Over every image that could be shown, the checker accepts exactly those that the definition allows."""
    history, invoked, returned = case
    log = history.log
    allowed = images_by_definition(log, invoked, returned)
    choices = [[None] + [s for b, s in zip(log.blocks, log.stamps, strict=True) if b == block] for block in range(3)]
    for shown in itertools.product(*choices):
        image = {block: stamp for block, stamp in enumerate(shown) if stamp is not None}
        verdict = check_image(log, image, invoked, returned)
        assert verdict.ok == (tuple(sorted(image.items())) in allowed), (image, verdict)


@settings(max_examples=300, deadline=None)
@given(histories(), st.data())
def test_witness_proves_itself(case: tuple[History, int, int], data: st.DataObject) -> None:
    """The hidden half of a witness ended before the shown half began, so it can be checked by hand."""
    history, invoked, returned = case
    image = {}
    for block in range(3):
        stamps = [s for b, s in zip(history.log.blocks, history.log.stamps, strict=True) if b == block]
        stamp = data.draw(st.sampled_from([0, *stamps]))
        if stamp:
            image[block] = stamp
    verdict = check_image(history.log, image, invoked, returned)
    if verdict.ok:
        return
    assert verdict.witness is not None
    hidden, shown = verdict.witness["hidden"], verdict.witness["shown"]
    end = hidden["return"]["place"] if "return" in hidden else hidden["acknowledged_place"]
    start = shown["invocation"]["place"] if "invocation" in shown else shown["issued_place"]
    assert end < start
    if "stamp" in hidden:
        assert image.get(hidden["block"], 0) < hidden["stamp"]  # stamps ascend here, so it is not shown nor overwritten
    if "stamp" in shown:
        assert image[shown["block"]] == shown["stamp"]


def test_block_by_block_copy_of_a_live_volume_is_torn() -> None:
    """A copy that read block 0 before and block 9 after two ordered writes shows the second write without the first."""
    history = History()
    history.write(0, 1)
    history.write(9, 2)
    invoked = history.tick()
    history.write(0, 3)
    history.write(9, 4)
    returned = history.tick()
    verdict = check_image(history.log, {0: 1, 9: 4}, invoked, returned)
    assert verdict.flaw is Flaw.TORN
    assert verdict.witness is not None
    assert verdict.witness["hidden"]["stamp"] == 3
    assert verdict.witness["shown"]["stamp"] == 4
    assert "stamp 3 to block 0" in verdict.message
    assert "stamp 4 to block 9" in verdict.message


def test_write_acknowledged_before_the_invocation_must_be_shown() -> None:
    """An image without such a write is stale, and the invocation is half of the witness."""
    history = History()
    history.write(5, 1)
    verdict = check_image(history.log, {}, invoked=history.tick(), returned=history.tick())
    assert verdict.flaw is Flaw.STALE
    assert verdict.witness is not None
    assert verdict.witness["shown"] == {"invocation": {"place": 3}}


def test_write_issued_after_the_return_must_not_be_shown() -> None:
    """An image that goes on following the volume is caught, and the return is half of the witness."""
    history = History()
    invoked, returned = history.tick(), history.tick()
    history.write(5, 1)
    verdict = check_image(history.log, {5: 1}, invoked, returned)
    assert verdict.flaw is Flaw.LATE
    assert verdict.witness is not None
    assert verdict.witness["hidden"] == {"return": {"place": 2}}
    assert check_image(history.log, {5: 1}, invoked, None).ok


@pytest.mark.parametrize("applied", [True, False])
def test_unacknowledged_write_may_be_applied_or_not(applied: bool) -> None:
    """A write without an acknowledgement may be in the image, and may be missing."""
    history = History()
    history.issue(1, 1)
    image = {1: 1} if applied else {}
    assert check_image(history.log, image, history.tick(), history.tick()).ok


@pytest.mark.parametrize(
    ("image", "flaw"),
    [({1: 77}, Flaw.UNKNOWN), ({2: 1}, Flaw.MISPLACED), ({1: FOREIGN}, Flaw.FOREIGN), ({2: 50}, Flaw.MISPLACED)],
)
def test_impossible_stamp_fails_at_once(image: dict[int, int], flaw: Flaw) -> None:
    """A stamp that no write made, or that belongs elsewhere, is a flaw whatever the order of writes."""
    history = History()
    history.write(1, 1)
    verdict = check_image(history.log, image, history.tick(), history.tick(), initial={4: 50})
    assert verdict.flaw is flaw
    assert verdict.witness is not None
    assert verdict.witness["stamp"] == next(iter(image.values()))


def test_initial_content_counts_as_written_before_everything() -> None:
    """What the volume held before the log may be shown until it is overwritten, and its loss is a flaw."""
    history = History()
    invoked, returned = history.tick(), history.tick()
    assert check_image(history.log, {4: 50}, invoked, returned, initial={4: 50}).ok
    lost = check_image(history.log, {}, invoked, returned, initial={4: 50})
    assert lost.flaw is Flaw.STALE


def test_blocks_outside_the_judged_ones_do_not_matter() -> None:
    """A flaw in block 9 is not seen by a judgement of blocks 0 to 8."""
    history = History()
    history.write(9, 1)
    invoked, returned = history.tick(), history.tick()
    assert check_image(history.log, {9: FOREIGN}, invoked, returned, blocks=range(9)).ok
    assert not check_image(history.log, {9: FOREIGN}, invoked, returned).ok
    assert check_image(history.log, {}, invoked, returned, blocks=range(9)).ok


def test_two_outstanding_writes_to_a_block_are_the_harness_fault() -> None:
    """A log that breaks the rule on which the checker rests is refused instead of judged."""
    history = History()
    history.issue(1, 1)
    history.issue(1, 2)
    with pytest.raises(HistoryError, match="block 1"):
        check_image(history.log, {}, history.tick(), history.tick())


def test_stamp_used_twice_is_the_harness_fault() -> None:
    """Stamps that are not unique make every judgement worthless, so the log is refused."""
    history = History()
    history.write(1, 1)
    history.write(2, 1)
    with pytest.raises(HistoryError, match="same stamp"):
        check_image(history.log, {}, history.tick(), history.tick())


def test_return_before_the_invocation_is_refused() -> None:
    """Places in the wrong order are an error of the caller."""
    with pytest.raises(ValueError, match="before it was invoked"):
        check_image(History().log, {}, invoked=5, returned=4)


def test_a_hundred_thousand_writes_are_judged() -> None:
    """A long history is judged in one pass, and one hidden write in it is found."""
    history = History()
    image = {}
    for stamp in range(1, 100_001):
        block = stamp * 7919 % 5_000
        history.write(block, stamp)
        image[block] = stamp
    invoked, returned = history.tick(), history.tick()
    assert check_image(history.log, image, invoked, returned).ok
    victim = image[123]
    image[123] -= 5_000  # each block is written every 5,000 stamps
    verdict = check_image(history.log, image, invoked, returned)
    assert verdict.witness is not None
    assert verdict.witness["hidden"]["stamp"] == victim
