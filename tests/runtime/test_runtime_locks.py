"""Locks of the runtime, under both clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.runtime import Abandoned, Runtime

MS = 1_000_000

Run = Callable[[Callable[[], Any]], Any]


def _queue_up(runtime: Runtime, name: str, order: list[int], count: int) -> list[Any]:
    """Tasks that queue for a lock one after the other; each notes its number once it holds the lock."""

    def body(number: int) -> None:
        with runtime.lock(name):
            order.append(number)
            runtime.sleep(MS)

    tasks = []
    for number in range(count):
        tasks.append(runtime.spawn(f"{number}", lambda n=number: body(n)))  # type: ignore[misc]
        runtime.sleep((4 if runtime.virtual else 25) * MS)  # until it queues, under the wall clock too
    return tasks


def test_a_lock_is_handed_on_in_the_order_of_asking(runtime: Runtime, run: Run) -> None:
    """First come, first served."""
    order: list[int] = []

    def main() -> None:
        with runtime.lock("shared"):
            tasks = _queue_up(runtime, "shared", order, 4)
            assert order == []
        for task in tasks:
            task.wait()

    run(main)
    assert order == [0, 1, 2, 3]


def test_one_task_at_a_time_is_inside(runtime: Runtime, run: Run) -> None:
    """No task enters while another is between its enter and its exit."""
    inside, most = [], []

    def body() -> None:
        for _ in range(3):
            with runtime.lock("shared"):
                inside.append(1)
                most.append(len(inside))
                runtime.sleep(10_000)
                inside.pop()

    def main() -> None:
        for task in [runtime.spawn(f"{i}", body) for i in range(5)]:
            task.wait()

    run(main)
    assert set(most) == {1}


def test_locks_are_told_apart_by_name(runtime: Runtime, run: Run) -> None:
    """Two names are two locks, and one name is one lock, however often asked for."""

    def main() -> None:
        assert runtime.lock("a") is runtime.lock("a")
        with runtime.lock("a"), runtime.lock("b"):
            pass

    run(main)


def test_a_lock_is_not_reentrant_and_says_so(runtime: Runtime, run: Run) -> None:
    """A task that asks again for the lock it holds gets an error instead of waiting for itself."""

    def main() -> None:
        with runtime.lock("mine"), pytest.raises(RuntimeError, match=r"'mine'.*not reentrant"):
            runtime.lock("mine").__enter__()

    run(main)


def test_an_error_inside_releases_the_lock(runtime: Runtime, run: Run) -> None:
    """The next task gets in after an exception left the block."""

    def main() -> str:
        with pytest.raises(KeyError), runtime.lock("shared"):
            raise KeyError
        with runtime.lock("shared"):
            return "in"

    assert run(main) == "in"


def test_a_task_abandoned_in_the_queue_is_passed_over(runtime: Runtime, run: Run) -> None:
    """The lock goes to those who still want it."""
    order: list[int] = []

    def main() -> None:
        with runtime.lock("shared"):
            tasks = _queue_up(runtime, "shared", order, 3)
            tasks[1].abandon()
        tasks[2].wait()

    run(main)
    assert order == [0, 2]


def test_a_task_abandoned_as_it_is_handed_the_lock_hands_it_on(runtime: Runtime, run: Run) -> None:
    """A lock is not lost with an owner that never woke up to hold it."""
    order: list[int] = []

    def main() -> None:
        with runtime.lock("shared"):
            tasks = _queue_up(runtime, "shared", order, 2)
        tasks[0].abandon()  # under the virtual clock it owns the lock by now, but has not run
        tasks[1].wait()
        with pytest.raises(Abandoned):
            tasks[0].wait()

    run(main)
    assert order[-1] == 1
