"""Limits of a virtual run: each ends the run, says why, and can't be swallowed by the code that ran into it."""

from __future__ import annotations

import pytest

from harness.runtime import SECOND, Deadlock, HorizonExceeded, Limits, Livelock
from harness.runtime.virtual import VirtualRuntime


def test_a_deadlock_lists_who_waits_for_what(virtual: VirtualRuntime) -> None:
    """Every task that waits is named, with the signal, lock or task that it waits for."""
    held = virtual.lock("held")

    def main() -> None:
        with held:
            virtual.spawn("one", virtual.signal("reply of the target").wait)
            virtual.spawn("two", held.__enter__)
            virtual.spawn("three", virtual.spawn("four", virtual.signal("login").wait).wait)
            virtual.signal("never").wait()

    with pytest.raises(Deadlock) as caught:
        virtual.run(main, Limits())
    for part in (
        "'main' waits for signal 'never'",
        "'one' waits for signal 'reply of the target'",
        "'two' waits for lock 'held', held by task 'main'",
        "'three' waits for task 'four'",
        "'four' waits for signal 'login'",
    ):
        assert part in str(caught.value)


def test_the_horizon_is_not_passed(virtual: VirtualRuntime) -> None:
    """What is due at the horizon still happens; what is due later ends the run, at a time within it."""
    limits = Limits(horizon_ns=10 * SECOND)
    slept: list[int] = []

    def main() -> None:
        virtual.sleep(10 * SECOND)
        slept.append(virtual.now())
        virtual.sleep(1)

    with pytest.raises(HorizonExceeded, match="10 s; task 'main' waits for time to pass"):
        virtual.run(main, limits)
    assert slept == [10 * SECOND] == [virtual.now()]


def test_steps_without_time_are_a_livelock(virtual: VirtualRuntime) -> None:
    """Timers that start each other at one instant do not go on for ever."""

    def again() -> None:
        virtual.call_later(0, again)

    def main() -> None:
        again()
        virtual.sleep(1)

    with pytest.raises(Livelock, match="more than 1000 steps"):
        virtual.run(main, Limits(steps_at_one_instant=1000))


def test_steps_count_anew_at_each_instant(virtual: VirtualRuntime) -> None:
    """A long run that lets time pass is no livelock."""

    def main() -> int:
        for _ in range(500):
            virtual.sleep(1)
        return virtual.now()

    assert virtual.run(main, Limits(steps_at_one_instant=10)) == 500


def test_clock_reads_count_anew_at_each_instant(virtual: VirtualRuntime) -> None:
    """Reading the clock often is fine while time passes."""

    def main() -> None:
        for _ in range(100):
            virtual.note_clock_read()
            virtual.sleep(1)

    virtual.run(main, Limits(clock_reads_at_one_instant=10))


@pytest.mark.parametrize("spin", ["clock", "sleep(0)", "wait(0)", "after its end"])
def test_spinning_is_a_livelock_that_nothing_swallows(virtual: VirtualRuntime, spin: str) -> None:
    """A task that asks for ever without waiting ends the run, even if it catches everything."""
    signal = virtual.signal("never")

    def body() -> None:
        task = virtual.current()
        assert task is not None
        if spin == "after its end":
            task.abandon()
        while True:
            try:
                if spin == "clock":
                    virtual.note_clock_read()
                elif spin == "sleep(0)":
                    virtual.sleep(0)
                elif spin == "wait(0)":
                    signal.wait(0)
                else:
                    virtual.checkpoint()
            except BaseException:  # the worst that a driver can do
                continue

    def main() -> None:
        virtual.spawn("spinning", body).wait()

    with pytest.raises(Livelock, match=r"'spinning' read the clock.*more than 1000 times at 0 s"):
        virtual.run(main, Limits(clock_reads_at_one_instant=1000))


def test_an_interrupt_from_the_keyboard_ends_the_run(virtual: VirtualRuntime) -> None:
    """Ctrl-C in whichever task is running comes out of run."""

    def body() -> None:
        raise KeyboardInterrupt

    def main() -> None:
        virtual.spawn("busy", body)
        virtual.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        virtual.run(main, Limits())
