"""Schedules are data: any choices make one, and what is written down is what is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.schedules.choices import RecordedChoices, SeededChoices
from conformance.schedules.plan import DEEDS, FAULTS, MOMENTS, Block, Plan, draw_blocks, from_text, to_text
from conformance.schedules.shrink import shrink
from harness.schedule import random_source

blocks_of_any_kind = st.lists(st.lists(st.integers(-5, 200), max_size=8).map(tuple), max_size=8)


@given(blocks_of_any_kind)
def test_any_blocks_are_a_schedule(blocks: list[Block]) -> None:
    """Whatever numbers blocks hold, they stand for a schedule, which can be told in words."""
    plan = Plan.of(blocks)
    assert 1 <= plan.volumes <= 2
    assert len(plan.in_words()) == 1 + len(plan.deeds) + len(plan.strikes)


@given(st.integers(0, 1 << 32))
def test_drawn_blocks_survive_being_written_down(seed: int) -> None:
    """Blocks that were drawn, written and read again are the same blocks, and draw the same schedule."""
    blocks = draw_blocks(SeededChoices(random_source(seed, "test")))
    assert from_text(to_text(blocks)) == blocks
    assert draw_blocks(SeededChoices(random_source(seed, "test"))) == blocks


@given(st.lists(st.integers(-1000, 1000)), st.integers(-50, 50), st.integers(0, 60))
def test_recorded_choices_are_brought_into_range(numbers: list[int], low: int, span: int) -> None:
    """A recorded choice lies in the range that is asked for, and one that fits stays what it is."""
    choices = RecordedChoices(numbers)
    for number in numbers:
        found = choices.integer(low, low + span)
        assert low <= found <= low + span
        assert found == number or not low <= number <= low + span
    assert choices.integer(low, low + span) == low


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[["a"]]', "[[1.5]]", "[[true]]", "nonsense"])
def test_text_that_is_no_schedule_is_refused(text: str) -> None:
    """Only lists of whole numbers are blocks."""
    with pytest.raises(ValueError):
        from_text(text)


@given(st.lists(st.lists(st.integers(0, 30), min_size=2, max_size=5).map(tuple), min_size=1, max_size=8), st.data())
def test_shrinking_keeps_the_failure_and_nothing_else(blocks: list[Block], data: st.DataObject) -> None:
    """What is left still fails, has no block that could go, and no number that could be one less."""
    wanted = data.draw(st.lists(st.sampled_from(blocks), max_size=2))
    needs = [(block[0] != 0, block[1] // 2) for block in wanted]

    def fails(found: Sequence[Block]) -> bool:
        return all(any((b[0] != 0) == tagged and b[1] >= least for b in found) for tagged, least in needs)

    small = shrink(blocks, fails, runs=5000)
    assert fails(small)
    for number in range(1, len(small)):
        assert not fails(small[:number] + small[number + 1 :])
        block = small[number]
        for place in range(1, len(block)):
            if block[place] > 0:
                lower = (*block[:place], block[place] - 1, *block[place + 1 :])
                assert not fails([*small[:number], lower, *small[number + 1 :]])


def values(plan: Plan) -> list[int]:
    """The numbers of a schedule, in one order."""
    of_deeds = [(d.caller, DEEDS.index(d.kind), d.subject, d.option, d.wait) for d in plan.deeds]
    of_strikes = [(FAULTS.index(s.kind), MOMENTS.index(s.on), s.nth, s.backend, s.size) for s in plan.strikes]
    return [plan.volumes, plan.attached, *(number for each in (*of_deeds, *of_strikes) for number in each)]


@given(st.integers(0, 1 << 32), st.data())
def test_what_is_made_small_has_no_larger_value(seed: int, data: st.DataObject) -> None:
    """No value of a shrunk schedule is larger than in the one it came from, and what does not matter is the least."""
    blocks = draw_blocks(SeededChoices(random_source(seed, "test")))
    plan = Plan.of(blocks)
    matters = data.draw(st.sets(st.integers(0, len(values(plan)) - 1), max_size=3))
    least = {place: data.draw(st.integers(0, values(plan)[place])) for place in sorted(matters)}

    def fails(found: list[Block]) -> bool:
        small = Plan.of(found)
        if (len(small.deeds), len(small.strikes)) != (len(plan.deeds), len(plan.strikes)):
            return False
        return all(values(small)[place] >= number for place, number in least.items())

    small = values(Plan.of(shrink(blocks, fails, runs=5000)))
    assert all(now <= before for now, before in zip(small, values(plan), strict=True))
    nothing = values(Plan.of([(0, 0), *((block[0], *(0 for _ in block[1:])) for block in blocks[1:])]))
    for place, number in enumerate(small):
        assert number == max(nothing[place], least.get(place, 0))
