"""What only the virtual clock can promise: exact instants, one order, nothing left behind."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from harness.runtime import SECOND, Expired, Limits
from harness.runtime.virtual import VirtualRuntime

HOUR = 3600 * SECOND


def test_time_is_exact_and_an_integer(virtual: VirtualRuntime) -> None:
    """Ten naps of a tenth are one second, to the nanosecond."""

    def main() -> int:
        for _ in range(10):
            virtual.sleep(SECOND // 10)
        return virtual.now()

    now = virtual.run(main, Limits())
    assert type(now) is int
    assert now == SECOND


def test_a_time_that_is_no_integer_is_refused(virtual: VirtualRuntime) -> None:
    """A model that schedules in floats is told so before its event happens."""

    def main() -> None:
        simpy.Timeout(virtual.env, 0.5)
        virtual.sleep(SECOND)

    with pytest.raises(TypeError, match="integer nanoseconds"):
        virtual.run(main, Limits())


def test_sleeping_for_no_time_does_not_switch(virtual: VirtualRuntime) -> None:
    """Code that yields inside a transaction is not interrupted there."""
    trace: list[str] = []

    def main() -> None:
        other = virtual.spawn("other", lambda: trace.append("other"))
        virtual.sleep(0)
        trace.append("main")
        other.wait()

    virtual.run(main, Limits())
    assert trace == ["main", "other"]


def test_setting_a_signal_does_not_switch(virtual: VirtualRuntime) -> None:
    """Waiters run once the one who set the signal waits; not inside `set`."""
    trace: list[str] = []
    signal = virtual.signal("go")

    def main() -> None:
        waiter = virtual.spawn("waiter", lambda: (signal.wait(), trace.append("woken")))
        virtual.sleep(1)
        signal.set(None)
        trace.append("set")
        waiter.wait()

    virtual.run(main, Limits())
    assert trace == ["set", "woken"]


def test_five_hundred_flows_end_at_the_same_instant(virtual: VirtualRuntime) -> None:
    """Tasks that do the same for the same time end at the same nanosecond, in the order in which they began."""
    ends: list[tuple[int, int]] = []

    def flow(number: int) -> None:
        for _ in range(10):
            virtual.sleep(123_456_789)
        ends.append((virtual.now(), number))

    def main() -> None:
        for task in [virtual.spawn(f"flow {n}", lambda n=n: flow(n)) for n in range(500)]:  # type: ignore[misc]
            task.wait()

    virtual.run(main, Limits())
    assert ends == [(1_234_567_890, n) for n in range(500)]


def test_events_of_a_model_resume_tasks_in_turn(virtual: VirtualRuntime) -> None:
    """A SimPy callback that sets a signal wakes the task at that event's instant."""
    signal = virtual.signal("from the model")

    def main() -> tuple[int, int]:
        simpy.Timeout(virtual.env, 500).callbacks.append(lambda _: signal.set(1))
        return signal.wait(), virtual.now()

    assert virtual.run(main, Limits()) == (1, 500)


def test_a_failed_event_of_a_model_raises_its_own_error(virtual: VirtualRuntime) -> None:
    """An error in a model is not rebuilt from its arguments, which would hide it."""

    class LunError(Exception):
        def __init__(self, *, lun: int) -> None:
            super().__init__("lun")

    error = LunError(lun=3)

    def main() -> None:
        virtual.env.event().fail(error)
        virtual.sleep(1)

    with pytest.raises(LunError) as caught:
        virtual.run(main, Limits())
    assert caught.value is error


def test_guards_of_answered_waits_do_not_pile_up(virtual: VirtualRuntime) -> None:
    """Thousands of waits guarded by long time-outs leave a short queue and no hour that has to pass."""
    lengths: list[int] = []

    def main() -> int:
        for _ in range(5000):
            reply = virtual.signal("reply")
            virtual.call_later(1, lambda reply=reply: reply.set(None))  # type: ignore[misc]
            reply.wait(HOUR)
            lengths.append(len(virtual.env._queue))
        return virtual.now()

    assert virtual.run(main, Limits()) == 5000
    assert max(lengths) < 300


def test_a_guard_that_is_over_passes_no_time(virtual: VirtualRuntime) -> None:
    """With only cancelled alarms left, waiting is a deadlock now, not in an hour."""
    from harness.runtime import Deadlock

    def main() -> None:
        virtual.call_later(HOUR, lambda: None).cancel()
        virtual.signal("never").wait()

    with pytest.raises(Deadlock):
        virtual.run(main, Limits())
    assert virtual.now() == 0


def test_a_task_abandoned_before_it_began_does_not_begin(virtual: VirtualRuntime) -> None:
    """A caller that crashed in the instant of its start has done nothing."""
    ran: list[int] = []

    def main() -> None:
        virtual.spawn("never", lambda: ran.append(1)).abandon()
        virtual.sleep(1)

    virtual.run(main, Limits())
    assert ran == []


def test_a_runtime_that_is_dropped_unclosed_runs_nothing_later() -> None:
    """Collecting garbage never runs the `finally` blocks of an earlier run."""
    trace: list[str] = []

    def left_behind() -> VirtualRuntime:
        runtime = VirtualRuntime()

        def body() -> None:
            try:
                runtime.sleep(HOUR)
            finally:
                trace.append("finally")

        def main() -> None:
            runtime.spawn("left", body)
            runtime.sleep(1)

        runtime.run(main, Limits())
        return runtime

    left_behind()
    gc.collect()
    assert trace == []


def test_a_task_that_refuses_to_end_does_not_hold_up_close(virtual: VirtualRuntime) -> None:
    """Code that swallows everything and asks again for ever is left parked."""

    def body() -> None:
        while True:
            try:
                virtual.sleep(HOUR)
            except BaseException:  # the worst that a driver can do
                continue

    def main() -> None:
        virtual.spawn("stubborn", body)
        virtual.sleep(1)

    virtual.run(main, Limits(clock_reads_at_one_instant=100))
    virtual.close()


def test_a_runtime_is_not_closed_by_its_own_tasks(virtual: VirtualRuntime) -> None:
    """A task that closes the runtime gets an error; it would have to end itself."""

    def main() -> None:
        with pytest.raises(RuntimeError, match="can't close"):
            virtual.close()

    virtual.run(main, Limits())


def _busy_program(seed: int) -> list[tuple[int, str]]:
    """A trace of tasks that sleep, signal, lock and time out; what each does depends on `seed` alone."""
    runtime = VirtualRuntime()
    rng = random.Random(seed)
    trace: list[tuple[int, str]] = []
    signals = [runtime.signal(f"signal {i}") for i in range(10)]

    def body(name: str, choices: list[tuple[int, int, int]]) -> None:
        for action, which, ns in choices:
            if action == 0:
                runtime.sleep(ns)
            elif action == 1:
                signals[which].set(name)
            elif action == 2:
                try:
                    trace.append((runtime.now(), f"{name} told by {signals[which].wait(ns)}"))
                except Expired:
                    trace.append((runtime.now(), f"{name} expired"))
            else:
                with runtime.lock(f"lock {which}"):
                    runtime.sleep(ns)
            trace.append((runtime.now(), name))

    def main() -> None:
        names = [f"task {i}" for i in range(40)]
        rng.shuffle(names)
        tasks = []
        for name in names:
            choices = [(rng.randrange(4), rng.randrange(10), rng.randrange(5)) for _ in range(20)]
            tasks.append(runtime.spawn(name, lambda n=name, c=choices: body(n, c)))  # type: ignore[misc]
        for task in tasks:
            task.wait()

    runtime.run(main, Limits())
    runtime.close()
    return trace


def test_a_busy_program_repeats_exactly() -> None:
    """The same program makes the same trace, and another order of spawning another one."""
    assert _busy_program(1) == _busy_program(1)
    assert _busy_program(1) != _busy_program(2)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.data())
def test_timers_fire_by_time_and_then_in_the_order_of_asking(delays: list[int], data: st.DataObject) -> None:
    """Whatever is cancelled, the rest fires sorted by (time, order of asking)."""
    cancelled = data.draw(st.sets(st.integers(0, len(delays) - 1)))
    runtime = VirtualRuntime()
    fired: list[tuple[int, int]] = []

    def main() -> None:
        timers = [
            runtime.call_later(ns, lambda i=i: fired.append((runtime.now(), i)))  # type: ignore[misc]
            for i, ns in enumerate(delays)
        ]
        for i in cancelled:
            timers[i].cancel()
        runtime.sleep(10)

    runtime.run(main, Limits())
    runtime.close()
    assert fired == sorted((ns, i) for i, ns in enumerate(delays) if i not in cancelled)


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(1, 12))), min_size=1, max_size=30))
def test_waiters_wake_in_the_order_in_which_they_began_to_wait(waits: list[tuple[int, int | None]]) -> None:
    """Each waiter begins and perhaps gives up at its time; the rest wake in order, all at the signal's instant."""
    runtime = VirtualRuntime()
    signal = runtime.signal("go")
    woken: list[int] = []
    expired: list[tuple[int, int]] = []

    def body(number: int, begin: int, timeout: int | None) -> None:
        runtime.sleep(begin)
        try:
            signal.wait(timeout)
            assert runtime.now() == 8
            woken.append(number)
        except Expired:
            expired.append((runtime.now(), number))

    def main() -> None:
        runtime.call_later(8, lambda: signal.set(None))  # before any time-out of the same instant
        tasks: list[Any] = [
            runtime.spawn(f"{n}", lambda n=n, b=b, t=t: body(n, b, t))  # type: ignore[misc]
            for n, (b, t) in enumerate(waits)
        ]
        for task in tasks:
            task.wait()

    runtime.run(main, Limits())
    runtime.close()
    patient = [(begin, n) for n, (begin, timeout) in enumerate(waits) if timeout is None or begin + timeout >= 8]
    assert woken == [n for _, n in sorted(patient)]
    assert sorted(expired) == sorted((b + t, n) for n, (b, t) in enumerate(waits) if t is not None and b + t < 8)
