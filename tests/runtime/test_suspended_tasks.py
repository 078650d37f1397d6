"""Tasks whose machine stands still for a while."""

from __future__ import annotations

import pytest

from harness.runtime import SECOND, Expired, Limits
from harness.runtime.virtual import VirtualRuntime
from harness.runtime.virtual_task import VirtualTask


def pause(runtime: VirtualRuntime, task: VirtualTask[object], at_s: int, for_s: int) -> None:
    """Suspend a task at an instant, for a while."""
    runtime.call_later(at_s * SECOND, task.suspend)
    runtime.call_later((at_s + for_s) * SECOND, task.resume)


def test_a_sleep_keeps_what_it_has_left() -> None:
    """A sleep goes on after the pause for as long as it had left, and the task's clock shows no more than that."""
    runtime = VirtualRuntime()

    def sleeper() -> tuple[int, int]:
        runtime.sleep(10 * SECOND)
        return runtime.now(), runtime.clock()

    def main() -> tuple[int, int]:
        task = runtime.spawn("sleeper", sleeper)
        pause(runtime, task, 4, 100)
        runtime.sleep(50 * SECOND)
        assert runtime.clock() == runtime.now() == 50 * SECOND
        return task.wait()

    assert runtime.run(main, Limits()) == (110 * SECOND, 10 * SECOND)
    runtime.close()


def test_what_happens_meanwhile_is_met_afterwards() -> None:
    """A signal that is set during the pause wakes the task at its end; a time-out does not run out meanwhile."""
    runtime = VirtualRuntime()
    signal = runtime.signal("set meanwhile")

    def waiter() -> tuple[str, int]:
        return signal.wait(5 * SECOND), runtime.now()

    def patient() -> int:
        with pytest.raises(Expired):
            runtime.signal("never").wait(5 * SECOND)
        return runtime.now()

    def main() -> tuple[tuple[str, int], int]:
        tasks = runtime.spawn("waiter", waiter), runtime.spawn("patient", patient)
        for task in tasks:
            pause(runtime, task, 1, 60)
        runtime.sleep(30 * SECOND)
        signal.set("value")
        return tasks[0].wait(), tasks[1].wait()

    assert runtime.run(main, Limits()) == (("value", 61 * SECOND), 65 * SECOND)
    runtime.close()


def test_pauses_nest() -> None:
    """A task that is suspended twice goes on when both pauses are over, and its clock lags by their union."""
    runtime = VirtualRuntime()

    def sleeper() -> tuple[int, int]:
        runtime.sleep(3 * SECOND)
        return runtime.now(), runtime.clock()

    def main() -> tuple[int, int]:
        task = runtime.spawn("sleeper", sleeper)
        pause(runtime, task, 1, 10)
        pause(runtime, task, 6, 10)
        return task.wait()

    assert runtime.run(main, Limits()) == (18 * SECOND, 3 * SECOND)
    runtime.close()


def test_a_task_that_has_not_begun_begins_afterwards() -> None:
    """A task that is suspended before its first step takes it when it is resumed."""
    runtime = VirtualRuntime()

    def main() -> int:
        task = runtime.spawn("late", runtime.now)
        task.suspend()
        runtime.call_later(7 * SECOND, task.resume)
        return task.wait()

    assert runtime.run(main, Limits()) == 7 * SECOND
    runtime.close()


def test_a_suspended_task_keeps_its_lock() -> None:
    """A lock is not given up by a pause, and one that is handed over meanwhile is taken afterwards."""
    runtime = VirtualRuntime()

    def hold() -> int:
        with runtime.lock("the lock"):
            runtime.sleep(2 * SECOND)
        return runtime.now()

    def main() -> list[int]:
        first, second = runtime.spawn("first", hold), runtime.spawn("second", hold)
        pause(runtime, first, 1, 10)
        pause(runtime, second, 5, 20)
        return [first.wait(), second.wait()]

    assert runtime.run(main, Limits()) == [12 * SECOND, 27 * SECOND]
    runtime.close()


def test_no_task_suspends_itself() -> None:
    """A running task can't be suspended from inside: it would go on all the same."""
    runtime = VirtualRuntime()

    def main() -> None:
        task = runtime.current()
        assert task is not None
        with pytest.raises(RuntimeError, match="can't suspend itself"):
            task.suspend()

    runtime.run(main, Limits())
    runtime.close()
