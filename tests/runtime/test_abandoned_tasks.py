"""Abandoning a task: fenced from every port, under both clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.runtime import Abandoned, Runtime, Task

MS = 1_000_000
LONG = 3_600_000 * MS

Run = Callable[[Callable[[], Any]], Any]


def _wait_for_end(task: Task[Any]) -> None:
    with pytest.raises(Abandoned):
        task.wait()


@pytest.mark.parametrize("waiting", ["sleep", "signal", "signal with time-out", "lock"])
def test_a_waiting_task_is_woken_to_meet_its_end(runtime: Runtime, run: Run, waiting: str) -> None:
    """Whatever a task waits for in a port call, abandoning it ends the wait at once with Abandoned."""
    held, silent, met = runtime.lock("held"), runtime.signal("silent"), []
    waits: dict[str, Callable[[], Any]] = {
        "sleep": lambda: runtime.sleep(LONG),
        "signal": silent.wait,
        "signal with time-out": lambda: silent.wait(LONG),
        "lock": held.__enter__,
    }

    def body() -> None:
        try:
            waits[waiting]()
        except BaseException as error:
            met.append(type(error))
            raise

    def main() -> int:
        with held:
            task = runtime.spawn("victim", body)
            runtime.sleep((2 if runtime.virtual else 25) * MS)
            before = runtime.now()
            task.abandon()
            _wait_for_end(task)
            assert task.is_abandoned
            return runtime.now() - before

    passed = run(main)
    assert met == [Abandoned]
    assert passed == 0 if runtime.virtual else passed < LONG


def test_every_later_port_call_is_fenced(runtime: Runtime, run: Run) -> None:
    """A task that catches Abandoned meets it again at each call that waits or starts something, in `finally` too."""
    refused = []
    lock, over = runtime.lock("free"), runtime.signal("over")
    over.set(None)

    def body() -> None:
        calls: list[Callable[[], Any]] = [
            runtime.checkpoint,
            lambda: runtime.sleep(0),
            lambda: runtime.sleep(MS),
            over.wait,
            lock.__enter__,
            lambda: runtime.spawn("child", lambda: None),
            lambda: runtime.call_later(0, lambda: None),
        ]
        try:
            runtime.sleep(LONG)
        finally:
            for call in calls:
                try:
                    call()
                except Abandoned:
                    refused.append(call)
            assert len(refused) == len(calls)

    def main() -> int:
        task = runtime.spawn("victim", body)
        runtime.sleep((1 if runtime.virtual else 25) * MS)
        task.abandon()
        _wait_for_end(task)
        return len(refused)

    assert run(main) == 7


def test_an_except_exception_does_not_swallow_the_end(runtime: Runtime, run: Run) -> None:
    """A driver's broad handler does not keep an abandoned caller alive."""
    rounds = []

    def body() -> None:
        while True:
            try:
                runtime.sleep(LONG)
            except Exception:
                rounds.append(1)

    def main() -> None:
        task = runtime.spawn("victim", body)
        runtime.sleep((1 if runtime.virtual else 25) * MS)
        task.abandon()
        _wait_for_end(task)

    run(main)
    assert rounds == []


def test_a_running_task_meets_its_end_at_its_next_call(runtime: Runtime, run: Run) -> None:
    """A task that abandons itself goes on until it calls a port."""
    reached = []

    def body() -> None:
        task = runtime.current()
        assert task is not None
        task.abandon()
        reached.append("before")
        runtime.checkpoint()
        reached.append("after")

    def main() -> None:
        _wait_for_end(runtime.spawn("victim", body))

    run(main)
    assert reached == ["before"]


def test_what_an_abandoned_task_tells_others_arrives(runtime: Runtime, run: Run) -> None:
    """Signals set and locks released while the task unwinds reach those who wait for them."""
    done = runtime.signal("done")

    def body() -> None:
        try:
            with runtime.lock("shared"):
                runtime.sleep(LONG)
        finally:
            done.set("unwound")

    def main() -> str:
        task = runtime.spawn("victim", body)
        runtime.sleep((2 if runtime.virtual else 25) * MS)
        task.abandon()
        with runtime.lock("shared"):
            return done.wait()  # type: ignore[no-any-return]

    assert run(main) == "unwound"


def test_others_who_wait_are_not_disturbed(runtime: Runtime, run: Run) -> None:
    """Abandoning one of several waiters leaves the others waiting for the signal's value."""
    signal = runtime.signal("go")

    def main() -> list[int]:
        tasks = [runtime.spawn(f"waiter {i}", signal.wait) for i in range(3)]
        runtime.sleep((2 if runtime.virtual else 25) * MS)
        tasks[1].abandon()
        _wait_for_end(tasks[1])
        signal.set(5)
        return [tasks[0].wait(), tasks[2].wait()]

    assert run(main) == [5, 5]


def test_abandoning_a_task_that_is_over_changes_nothing(runtime: Runtime, run: Run) -> None:
    """The value of a finished task stays what it was."""

    def main() -> int:
        task = runtime.spawn("worker", lambda: 4)
        task.wait()
        task.abandon()
        return task.wait()

    assert run(main) == 4


def test_close_fences_what_is_left(runtime: Runtime, run: Run) -> None:
    """Closing ends tasks that still wait; their `finally` blocks run then, reach no port, and nothing runs later."""
    trace = []

    def body() -> None:
        try:
            runtime.sleep(LONG)
            trace.append("slept")
        finally:
            trace.append("finally")
            runtime.spawn("too late", lambda: trace.append("spawned"))
            trace.append("reached a port")

    def main() -> None:
        runtime.spawn("left", body)
        runtime.sleep(5 * MS)

    run(main)
    assert trace == []
    runtime.close()
    assert trace == ["finally"]
