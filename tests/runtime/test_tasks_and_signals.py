"""Tasks and signals, under both clocks."""

from __future__ import annotations

import contextvars
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from harness.runtime import Expired, HorizonExceeded, Limits, Runtime, Task
from harness.runtime.factory import open_runtime

MS = 1_000_000
LONG = 3_600_000 * MS

Run = Callable[[Callable[[], Any]], Any]


class UnusualError(Exception):
    """An error that can't be built from its `args`."""

    def __init__(self, code: int, *, lun: int) -> None:
        super().__init__(f"{code} on {lun}")
        self.lun = lun


def test_run_returns_the_value_of_main(run: Run) -> None:
    """The value of the main task is the value of the run."""
    assert run(lambda: 42) == 42


def test_run_raises_the_very_error_of_main(run: Run) -> None:
    """The error object that main raised comes out of run, not a copy of it."""
    error = UnusualError(5, lun=3)

    def main() -> None:
        raise error

    with pytest.raises(UnusualError) as caught:
        run(main)
    assert caught.value is error


def test_run_ends_with_main_whatever_other_tasks_do(runtime: Runtime, run: Run) -> None:
    """A task that would go on for an hour does not keep the run from ending."""
    went_on = []

    def main() -> str:
        runtime.spawn("long", lambda: (runtime.sleep(LONG), went_on.append(1)))
        runtime.sleep(MS)
        return "over"

    assert run(main) == "over"
    assert went_on == []


def test_a_runtime_runs_once(run: Run) -> None:
    """A second run is refused, as its time would not begin at zero."""
    run(lambda: None)
    with pytest.raises(RuntimeError, match="runs once"):
        run(lambda: None)


def test_waiting_for_a_task_gives_its_value(runtime: Runtime, run: Run) -> None:
    """A task is a signal that is over when its body is, with the body's value."""

    def main() -> tuple[int, bool, int]:
        task = runtime.spawn("worker", lambda: (runtime.sleep(MS), 7)[1])
        value = task.wait()
        return value, task.is_over, task.wait()

    assert run(main) == (7, True, 7)


def test_waiting_for_a_task_raises_its_error(runtime: Runtime, run: Run) -> None:
    """Each wait on a failed task raises the task's own error."""
    error = UnusualError(5, lun=3)

    def fail() -> None:
        raise error

    def main() -> list[BaseException]:
        task = runtime.spawn("worker", fail)
        met: list[BaseException] = []
        for _ in range(2):
            with pytest.raises(UnusualError) as caught:
                task.wait()
            met.append(caught.value)
        return met

    assert run(main) == [error, error]


def test_an_error_that_nobody_waits_for_ends_nothing(runtime: Runtime, run: Run) -> None:
    """The error of a task is kept until somebody waits; the run goes on."""

    def fail() -> None:
        raise ValueError("kept")

    def main() -> Task[None]:
        task = runtime.spawn("worker", fail)
        runtime.sleep(MS)
        while not task.is_over:
            runtime.sleep(MS)
        return task

    with pytest.raises(ValueError, match="kept"):
        run(main).wait()


def test_a_signal_wakes_all_who_wait_with_its_value(runtime: Runtime, run: Run) -> None:
    """Every waiter, early or late, gets the value that was set."""
    signal = runtime.signal("go")

    def main() -> list[str]:
        tasks = [runtime.spawn(f"waiter {i}", signal.wait) for i in range(5)]
        runtime.sleep(MS)
        signal.set("value")
        return [task.wait() for task in tasks] + [signal.wait()]

    assert run(main) == ["value"] * 6


def test_a_failed_signal_raises_in_all_who_wait(runtime: Runtime, run: Run) -> None:
    """`fail` makes present and future waits raise its error."""
    signal = runtime.signal("go")

    def main() -> None:
        task = runtime.spawn("waiter", signal.wait)
        runtime.sleep(MS)
        signal.fail(UnusualError(5, lun=3))
        for waiting in (task, signal):
            with pytest.raises(UnusualError):
                waiting.wait()

    run(main)


def test_only_the_first_outcome_of_a_signal_counts(runtime: Runtime) -> None:
    """Setting or failing a signal that is over changes nothing."""
    signal = runtime.signal("once")
    signal.set(1)
    signal.set(2)
    signal.fail(ValueError("late"))
    assert signal.is_over
    assert signal.wait() == 1


def test_a_wait_expires(runtime: Runtime, run: Run) -> None:
    """A wait that is not over in time raises Expired and names the signal; the signal can still be waited for."""
    signal = runtime.signal("late reply")

    def main() -> int:
        with pytest.raises(Expired, match="late reply"):
            signal.wait(MS)
        runtime.call_later(MS, lambda: signal.set(3))
        return signal.wait()  # type: ignore[no-any-return]

    assert run(main) == 3


def test_a_wait_of_no_time_asks_without_blocking(runtime: Runtime, run: Run) -> None:
    """A time-out of zero expires at once, without letting anybody else run, unless the signal is over."""
    signal = runtime.signal("reply")

    def main() -> int:
        with pytest.raises(Expired):
            signal.wait(0)
        signal.set(9)
        return signal.wait(0)  # type: ignore[no-any-return]

    assert run(main) == 9


def test_a_reply_within_the_time_out_is_no_expiry(runtime: Runtime, run: Run) -> None:
    """A long time-out neither delays the reply nor disturbs the waits that follow."""
    signal, later = runtime.signal("reply"), runtime.signal("later reply")

    def main() -> list[int]:
        runtime.call_later(MS, lambda: signal.set(1))
        runtime.call_later(3 * MS, lambda: later.set(2))
        return [signal.wait(LONG), later.wait(LONG)]

    assert run(main) == [1, 2]


def test_sleeping_takes_at_least_its_time(runtime: Runtime, run: Run) -> None:
    """The clock has moved on by what was slept, or more under the wall clock."""

    def main() -> int:
        before = runtime.now()
        runtime.sleep(2 * MS)
        return runtime.now() - before

    passed = run(main)
    assert passed == 2 * MS if runtime.virtual else passed >= 2 * MS


def test_a_negative_time_is_refused(runtime: Runtime, run: Run) -> None:
    """Time does not go back, neither for sleepers nor for timers."""

    def main() -> None:
        with pytest.raises(ValueError):
            runtime.sleep(-1)
        with pytest.raises(ValueError):
            runtime.call_later(-1, lambda: None)

    run(main)


def test_each_task_knows_itself(runtime: Runtime, run: Run) -> None:
    """`current` is the running task; outside of tasks there is none."""

    def main() -> bool:
        seen: list[object] = []
        task = runtime.spawn("worker", lambda: seen.append(runtime.current()))
        task.wait()
        return seen == [task] and runtime.current() is not task and runtime.current() is not None

    assert run(main)
    assert runtime.current() is None


def test_a_task_gets_a_copy_of_its_parents_context(runtime: Runtime, run: Run) -> None:
    """Context variables are those of the moment of the spawn; what a task sets, its parent does not see."""
    variable = contextvars.ContextVar("variable", default="unset")
    seen = []

    def child() -> None:
        seen.append(variable.get())
        variable.set("child")
        runtime.sleep(MS)
        seen.append(variable.get())

    def main() -> str:
        variable.set("parent")
        task = runtime.spawn("child", child)
        variable.set("later")
        task.wait()
        return variable.get()

    assert run(main) == "later"
    assert seen == ["parent", "child"]


def test_main_past_its_horizon_ends_the_run() -> None:
    """Main that would go on for hours ends with HorizonExceeded, under either clock."""
    for virtual, limits in ((True, Limits(horizon_ns=LONG)), (False, Limits(wall_s=0.005))):
        runtime = open_runtime(virtual)

        def main(runtime: Runtime = runtime) -> None:
            while True:
                runtime.sleep(LONG // 2)

        with pytest.raises(HorizonExceeded, match="main is not over"):
            runtime.run(main, limits)
        runtime.close()


def test_end_at_the_horizon_tells_where_tasks_stand() -> None:
    """Under the wall clock HorizonExceeded names what each task waits for and, outside of the port, where it stands."""
    runtime, over = open_runtime(virtual=False), threading.Event()

    def blocks_in_code_of_its_own() -> None:
        over.wait()

    def main() -> None:
        runtime.spawn("waiting", lambda: runtime.signal("never").wait())
        blocks_in_code_of_its_own()

    with pytest.raises(HorizonExceeded, match="over after") as raised:
        runtime.run(main, Limits(wall_s=1.0))
    over.set()
    runtime.close()
    stands = (
        r"task 'main' is outside of the port, in wait .*blocks_in_code_of_its_own \(runtime/test_tasks_and_signals.py"
    )
    assert re.search(stands, str(raised.value))
    assert "task 'waiting' waits for signal 'never'" in str(raised.value)


def test_a_closed_runtime_starts_nothing(runtime: Runtime, run: Run) -> None:
    """After `close`, which may be repeated, a spawn is refused and a timer never fires."""
    run(lambda: None)
    runtime.close()
    runtime.close()
    with pytest.raises(RuntimeError, match="closed"):
        runtime.spawn("late", lambda: None)
    runtime.call_later(0, lambda: pytest.fail("fired")).cancel()
