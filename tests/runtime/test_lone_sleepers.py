"""Sleeps that pass at once because nothing else is due: no order, limit or fence is different for it."""

from __future__ import annotations

import random

import pytest

from harness.runtime import SECOND, Abandoned, HorizonExceeded, Limits, Livelock
from harness.runtime.virtual import VirtualRuntime


@pytest.mark.parametrize("seed", range(5))
def test_sleepers_wake_in_the_order_of_their_times(virtual: VirtualRuntime, seed: int) -> None:
    """Tasks and calls come at their times, and at a tie in the order in which they were asked for."""
    source = random.Random(seed)
    asked: list[tuple[int, int]] = []
    came: list[tuple[int, int]] = []

    def note(due: int, number: int) -> None:
        assert virtual.now() == due
        came.append((due, number))

    def ask(ns: int) -> tuple[int, int]:
        asked.append((virtual.now() + ns, len(asked)))
        return asked[-1]

    def sleeper() -> None:
        for _ in range(20):
            due = ask(source.randint(1, 4))
            virtual.sleep(due[0] - virtual.now())
            note(*due)
            if source.random() < 0.3:
                later = ask(source.randint(0, 4))
                virtual.call_later(later[0] - virtual.now(), lambda later=later: note(*later))  # type: ignore[misc]
            if source.random() < 0.2:
                virtual.call_later(source.randint(1, 4), lambda: None).cancel()

    def main() -> None:
        for task in [virtual.spawn(f"sleeper {number}", sleeper) for number in range(source.randint(1, 3))]:
            task.wait()
        virtual.sleep(10)

    virtual.run(main, Limits())
    assert came == sorted(asked)


def test_a_call_due_when_the_sleep_ends_comes_first(virtual: VirtualRuntime) -> None:
    """What was to happen at the end of a sleep before the sleep began happens before the sleeper goes on."""
    order: list[str] = []

    def main() -> None:
        virtual.call_later(5, lambda: order.append("call"))
        virtual.sleep(5)
        order.append("sleeper")

    virtual.run(main, Limits())
    assert order == ["call", "sleeper"]


def test_a_lone_sleeper_does_not_pass_the_horizon(virtual: VirtualRuntime) -> None:
    """A task that sleeps for ever, alone and swallowing what it can, ends at the horizon."""

    def main() -> None:
        while True:
            try:
                virtual.sleep(SECOND)
            except Exception:
                continue

    with pytest.raises(HorizonExceeded):
        virtual.run(main, Limits(horizon_ns=10 * SECOND))
    assert virtual.now() == 10 * SECOND


def test_sleeping_begins_a_new_count_of_clock_reads(virtual: VirtualRuntime) -> None:
    """A lone task may read the clock as often as allowed between sleeps, and no more often than that."""

    def reads(times: int) -> None:
        for _ in range(times):
            virtual.note_clock_read()

    def main() -> None:
        for _ in range(5):
            reads(10)
            virtual.sleep(1)
        reads(11)

    with pytest.raises(Livelock):
        virtual.run(main, Limits(clock_reads_at_one_instant=10))
    assert virtual.now() == 5


def test_an_abandoned_task_sleeps_no_more(virtual: VirtualRuntime) -> None:
    """A task that is abandoned by itself meets the fence at its next sleep, though nothing else is due."""
    slept: list[int] = []

    def doomed() -> None:
        virtual.sleep(1)
        task = virtual.current()
        assert task is not None
        task.abandon()
        virtual.sleep(1)
        slept.append(virtual.now())

    def main() -> None:
        with pytest.raises(Abandoned):
            virtual.spawn("doomed", doomed).wait()

    virtual.run(main, Limits())
    assert slept == []
