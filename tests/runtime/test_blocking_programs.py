"""Blocking code of the standard library in virtual time; each program runs in a process of its own, as patches stay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.runtime import SECOND

PROGRAMS = Path(__file__).with_name("blocking_programs.py")


def outcome(program: str, seed: int = 1) -> Any:
    """What the program returned; it returned the same both times."""
    done = subprocess.run(
        [sys.executable, str(PROGRAMS), program, str(seed)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first == second
    return first


def at(*values: float) -> list[int]:
    """Seconds as the port's nanoseconds."""
    return [round(value * SECOND) for value in values]


def test_every_clock_shows_virtual_time() -> None:
    """All clocks of `time` and `datetime` moved on by what was slept, from a fixed date."""
    assert outcome("clocks") == {
        "now": 90 * SECOND,
        "monotonic": 90.0,
        "monotonic_ns": 90 * SECOND,
        "perf_counter": 90.0,
        "time": 1767225690.0,
        "time_ns": 1767225690 * SECOND,
        "gmtime": "2026-01-01T00:01:30Z",
        "strftime": "2026",
        "datetime": "2026-01-01T00:01:30+00:00",
        "utcnow": "2026-01-01T00:01:30",
    }


def test_a_clock_that_stood_still_lags() -> None:
    """The clocks of a machine that stood still are behind by that, in threads that it starts later as well."""
    lagging = [90.0, 90.0, 90 * SECOND, 1090 * SECOND]
    assert outcome("clocks_that_stood_still") == [lagging, lagging, [1090.0, 1090.0, 1090 * SECOND, 1090 * SECOND]]


def test_a_deadline_in_calendar_time_is_met() -> None:
    """A loop over `datetime.now` ends after its five virtual minutes."""
    assert outcome("calendar_deadline") == [5, 300 * SECOND]


def test_datetimes_stay_ordinary() -> None:
    """The stand-in for the class does not show in its instances."""
    assert outcome("datetimes_are_ordinary") == [True] * 5


def test_a_lock_made_at_import_works_in_tasks() -> None:
    """It is handed on in the order of asking, and trying it takes just the time-out."""
    order, timed, tried = outcome("locks")
    assert order == [list(pair) for pair in zip(range(4), at(1, 2, 3, 4), strict=True)]
    assert timed == [False, 6 * SECOND]
    assert tried == [False, 4 * SECOND]


def test_a_reentrant_lock_belongs_to_a_task() -> None:
    """A second task waits, though it runs in the same thread."""
    assert outcome("reentrant_locks") == ["a in", "a out", "b in", "b out"]


def test_a_lock_survives_the_tasks_that_were_abandoned_with_it() -> None:
    """It goes on to the next, whether its owner was about to get it or had it."""
    assert outcome("lock_of_an_abandoned_task") == ["b", "c"]


def test_events_conditions_semaphores_and_barriers() -> None:
    """What is built on the lock takes virtual time, time-outs included."""
    trace = outcome("events_and_conditions")
    assert trace == [False, 1 * SECOND, True, 3 * SECOND, True, [True, True, False, 5 * SECOND]]


def test_queues() -> None:
    """Producers wait for room and consumers for items."""
    assert outcome("queues") == [[0, 1, 2, 3], at(0, 0, 1, 2), "done", 6 * SECOND]


def test_threads_and_timers() -> None:
    """A thread is a task with the thread's name, its own locals, and the usual handling of errors."""
    trace, raised, seen, local, name = outcome("threads")
    assert trace == [[True, 1 * SECOND], [True, True, "worker"], [False, 5 * SECOND], 7 * SECOND]
    assert raised == ["LookupError in worker"]
    assert (seen, local, name) == (False, "main", "main")


def test_thread_pools() -> None:
    """Jobs of a pool overlap in virtual time, and its workers are named alike in each run."""
    names, mapped_at, first, end = outcome("pools")
    assert names == ["ThreadPoolExecutor-0_0", "ThreadPoolExecutor-0_1", "ThreadPoolExecutor-0_0"]
    assert mapped_at == 4 * SECOND
    assert first == [True, 5 * SECOND]
    assert end == 14 * SECOND


def test_an_abandoned_caller_takes_its_threads_with_it() -> None:
    """What its threads had still to do does not happen."""
    assert outcome("threads_of_an_abandoned_task") == ["abandoned"]


def test_randomness_comes_from_the_seed() -> None:
    """One seed, one set of values, in this process and the next; another seed, none of them again."""
    values = outcome("randomness", seed=1)
    assert outcome("randomness", seed=1) == values
    assert not set(outcome("randomness", seed=2)) & set(values[:-1])


def test_processes_are_refused() -> None:
    """The message says what was called, why it can't be, and what to do."""
    said = outcome("processes")
    assert [text.split()[0] for text in said] == ["subprocess.Popen", "os.system", "os.fork", "os.popen"]
    assert all("virtual clock" in text and "use a testbed under the wall clock" in text for text in said)


def test_log_records_carry_task_and_time() -> None:
    """A log reads as if each task were a thread."""
    name, created = outcome("logs")
    assert name == "main"
    assert created == 1767225600.0


def test_waiting_for_a_clock_without_waiting_is_a_livelock() -> None:
    """The run ends and says which task spun."""
    assert outcome("clock_spin").startswith("Livelock: task 'main' read the clock")


def test_outside_of_tasks_everything_is_real() -> None:
    """The process around the runs keeps its clock, threads, processes and randomness."""
    assert outcome("outside_of_tasks") == [True, False, False, True, "ran\n", True]


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_under_the_wall_clock_only_the_seed_is_set() -> None:
    """Nothing is replaced, `random` repeats, and neither SimPy nor greenlet is imported."""
    code = """
import random, sys, time
before = time.time, time.sleep
from harness.runtime import patches
from harness.runtime.factory import open_runtime
patches.install(virtual=False)
patches.seed(3)
value = random.random()
patches.seed(3)
open_runtime(False).close()
print(value == random.random(), (time.time, time.sleep) == before, {"simpy", "greenlet"} & set(sys.modules))
"""
    assert _python(code) == "True True set()\n"


def test_a_process_is_prepared_for_one_clock() -> None:
    """Installing again is harmless; installing for the other clock is refused."""
    code = """
from harness.runtime import patches
patches.install(virtual=True)
patches.install(virtual=True)
try:
    patches.install(virtual=False)
except RuntimeError as error:
    print(error)
"""
    assert "prepared for the other clock" in _python(code)
