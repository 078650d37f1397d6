"""Timers, under both clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.runtime import Runtime

MS = 1_000_000


def step_of(runtime: Runtime) -> int:
    """The unit of these tests' times (ns): under the wall clock so long that no pause of the machine reorders them."""
    return MS if runtime.virtual else 40 * MS


Run = Callable[[Callable[[], Any]], Any]


def test_timers_fire_in_the_order_of_their_times(runtime: Runtime, run: Run) -> None:
    """The earlier time comes first, whichever was asked for first."""
    fired: list[str] = []
    step = step_of(runtime)
    done = runtime.signal("done")

    def main() -> None:
        runtime.call_later(6 * step, lambda: done.set(None))
        runtime.call_later(4 * step, lambda: fired.append("second"))
        runtime.call_later(2 * step, lambda: fired.append("first"))
        done.wait()

    run(main)
    assert fired == ["first", "second"]


def test_a_cancelled_timer_does_not_fire(runtime: Runtime, run: Run) -> None:
    """`cancel` prevents the call; cancelling again, or after the call, is harmless."""
    fired: list[str] = []
    step = step_of(runtime)

    def main() -> None:
        cancelled = runtime.call_later(step, lambda: fired.append("cancelled"))
        kept = runtime.call_later(2 * step, lambda: fired.append("kept"))
        cancelled.cancel()
        cancelled.cancel()
        while not fired:
            runtime.sleep(4 * step)
        kept.cancel()

    run(main)
    assert fired == ["kept"]


def test_many_cancelled_timers_are_swept_and_the_rest_fire(runtime: Runtime, run: Run) -> None:
    """Cancelling hundreds of timers leaves exactly the others, still in order."""
    fired: list[int] = []
    step = step_of(runtime)

    def main() -> None:
        timers = [runtime.call_later(2 * step + i, lambda i=i: fired.append(i)) for i in range(500)]  # type: ignore[misc]
        for i, timer in enumerate(timers):
            if i % 10:
                timer.cancel()
        while len(fired) < 50:
            runtime.sleep(4 * step)

    run(main)
    assert fired == list(range(0, 500, 10))


def test_an_action_runs_in_no_task_and_cannot_wait(runtime: Runtime, run: Run) -> None:
    """Blocking in a timer's action is refused with a message that says what to do."""
    met: list[object] = []
    done = runtime.signal("done")

    def action() -> None:
        met.append(runtime.current())
        for wait in (lambda: runtime.sleep(MS), runtime.signal("never").wait, runtime.lock("free").__enter__):
            with pytest.raises(RuntimeError, match="outside of a task"):
                wait()
        done.set(None)

    def main() -> None:
        runtime.call_later(MS, action)
        done.wait()

    run(main)
    assert met == [None]


def test_an_error_of_an_action_ends_the_run(runtime: Runtime, run: Run) -> None:
    """There is no task that could keep the error, so that run raises it."""
    error = ValueError("in a timer")

    def action() -> None:
        raise error

    def main() -> None:
        runtime.call_later(MS, action)
        runtime.signal("never").wait()

    with pytest.raises(ValueError) as caught:
        run(main)
    assert caught.value is error
