"""Ordinary blocking programs, run in a process of their own that was prepared for the virtual clock.

`python blocking_programs.py NAME SEED` runs the program of that name as a main task, twice with the same seed, and
prints as JSON what it returned each time. Nothing here uses the port, but for what the programs are compared with.
"""

from __future__ import annotations

import sys

from harness.runtime import Abandoned, Limits, patches

if __name__ == "__main__":
    patches.install(virtual=True)

import concurrent.futures
import copy
import datetime
import json
import logging
import os
import pickle
import queue
import random
import secrets
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from harness.runtime.virtual import VirtualRuntime

made_at_import = threading.Lock()
EPOCH = 1767225600


def clocks(runtime: VirtualRuntime) -> Any:
    """What each clock shows after 90 s of sleep; an integer is the port's."""
    time.sleep(90)
    return {
        "now": runtime.now(),
        "monotonic": time.monotonic(),
        "monotonic_ns": time.monotonic_ns(),
        "perf_counter": time.perf_counter(),
        "time": time.time(),
        "time_ns": time.time_ns(),
        "gmtime": time.strftime("%FT%TZ", time.gmtime()),
        "strftime": time.strftime("%Y"),
        "datetime": datetime.datetime.now(datetime.UTC).isoformat(),
        "utcnow": datetime.datetime.utcnow().isoformat(),
    }


def clocks_that_stood_still(runtime: VirtualRuntime) -> Any:
    """What a thread's clocks show after a sleep of 90 s, in which its machine stood still for 1000 s; and those of a
    thread that it starts afterwards."""

    def show() -> Any:
        return [time.monotonic(), time.time() - EPOCH, runtime.clock(), runtime.now()]

    def body() -> Any:
        time.sleep(90)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return show(), pool.submit(show).result()

    task = runtime.spawn("on a machine that stands still", body)
    runtime.call_later(10 * 10**9, task.suspend)
    runtime.call_later(1010 * 10**9, task.resume)
    return *task.wait(), show()


def calendar_deadline(runtime: VirtualRuntime) -> Any:
    """A loop that waits for a deadline in calendar time."""
    deadline = datetime.datetime.now() + datetime.timedelta(minutes=5)
    rounds = 0
    while datetime.datetime.now() < deadline:
        time.sleep(60)
        rounds += 1
    return [rounds, runtime.now()]


def datetimes_are_ordinary(runtime: VirtualRuntime) -> Any:
    """Instances survive pickle, copy and isinstance."""
    value = datetime.datetime(2026, 5, 4, 3, 2, 1)

    class Own(datetime.datetime):
        pass

    return [
        isinstance(value, datetime.datetime),
        isinstance(value, datetime.date),
        pickle.loads(pickle.dumps(value)) == value == copy.deepcopy(value),
        isinstance(Own(2026, 1, 1), Own) and not isinstance(value, Own),
        isinstance(value + datetime.timedelta(1), datetime.datetime),
    ]


def locks(runtime: VirtualRuntime) -> Any:
    """Four workers hold a lock made at import for a second each; then a timed and a non-blocking try fail."""
    order: list[tuple[int, int]] = []

    def work(number: int) -> None:
        with made_at_import:
            time.sleep(1)
            order.append((number, runtime.now()))

    workers = [runtime.spawn(f"{n}", lambda n=n: work(n)) for n in range(4)]  # type: ignore[misc]
    for worker in workers:
        worker.wait()
    with made_at_import:
        timed = runtime.spawn("timed", lambda: [made_at_import.acquire(timeout=2), runtime.now()])
        tried = runtime.spawn("tried", lambda: [made_at_import.acquire(blocking=False), runtime.now()])
        return [order, timed.wait(), tried.wait()]


def reentrant_locks(runtime: VirtualRuntime) -> Any:
    """An RLock is owned by a task, though all tasks share one thread."""
    lock = threading.RLock()
    inside: list[str] = []

    def work(name: str) -> None:
        with lock, lock:
            inside.append(f"{name} in")
            time.sleep(1)
            inside.append(f"{name} out")

    workers = [runtime.spawn(name, lambda name=name: work(name)) for name in "ab"]  # type: ignore[misc]
    for worker in workers:
        worker.wait()
    return inside


def lock_of_an_abandoned_task(runtime: VirtualRuntime) -> Any:
    """One task is abandoned as it is handed the lock, another while it holds it; a third still gets it."""
    lock, got = threading.Lock(), []

    def work(name: str) -> None:
        with lock:
            got.append(name)
            time.sleep(10)

    lock.acquire()
    tasks = [runtime.spawn(name, lambda name=name: work(name)) for name in "abc"]  # type: ignore[misc]
    time.sleep(1)
    lock.release()
    tasks[0].abandon()
    time.sleep(1)
    tasks[1].abandon()
    tasks[2].wait()
    return got


def events_and_conditions(runtime: VirtualRuntime) -> Any:
    """Event, Condition, Semaphore and Barrier, waited for in virtual time."""
    event, condition = threading.Event(), threading.Condition()
    semaphore, barrier = threading.BoundedSemaphore(2), threading.Barrier(2)
    ready: list[int] = []

    def produce() -> None:
        time.sleep(3)
        event.set()
        with condition:
            ready.append(1)
            condition.notify_all()
        barrier.wait()

    runtime.spawn("producer", produce)
    trace: list[Any] = [event.wait(1), runtime.now(), event.wait(), runtime.now()]
    with condition:
        trace.append(condition.wait_for(lambda: ready, timeout=5) == [1])
    barrier.wait()
    trace.append([semaphore.acquire(), semaphore.acquire(), semaphore.acquire(timeout=2), runtime.now()])
    return trace


def queues(runtime: VirtualRuntime) -> Any:
    """A bounded queue holds its producer back; an empty one lets its consumer go after the time-out."""
    bounded: queue.Queue[int] = queue.Queue(2)
    simple: queue.SimpleQueue[str] = queue.SimpleQueue()
    put_at: list[int] = []

    def produce() -> None:
        for number in range(4):
            bounded.put(number)
            put_at.append(runtime.now())
        simple.put("done")

    runtime.spawn("producer", produce)
    got = []
    for _ in range(4):
        time.sleep(1)
        got.append(bounded.get(timeout=1))
    trace: list[Any] = [got, put_at, simple.get()]
    try:
        bounded.get(timeout=2)
    except queue.Empty:
        trace.append(runtime.now())
    return trace


def threads(runtime: VirtualRuntime) -> Any:
    """Threads and timers are tasks: they take virtual time, have names and idents, and can be joined."""
    trace: list[Any] = []
    raised: list[str] = []
    threading.excepthook = lambda args: raised.append(f"{args.exc_type.__name__} in {args.thread.name}")  # type: ignore[union-attr]

    class Worker(threading.Thread):
        def run(self) -> None:
            time.sleep(5)
            trace.append([threading.current_thread() is self, threading.get_ident() == self.ident, self.name])
            raise LookupError

    worker = Worker(name="worker")
    worker.start()
    worker.join(1)
    trace.append([worker.is_alive(), runtime.now()])
    worker.join()
    trace.append([worker.is_alive(), runtime.now()])
    timer = threading.Timer(2, lambda: trace.append(runtime.now()))
    timer.start()
    timer.join()
    late = threading.Timer(2, lambda: trace.append("cancelled timer fired"))
    late.start()
    late.cancel()
    late.join()
    local = threading.local()
    local.value = "main"
    seen = runtime.spawn("other", lambda: hasattr(local, "value")).wait()
    return [trace, raised, seen, local.value, threading.current_thread().name]


def pools(runtime: VirtualRuntime) -> Any:
    """A thread pool runs its jobs side by side, as tasks."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        names = list(pool.map(lambda s: (time.sleep(s), threading.current_thread().name)[1], [1, 2, 3]))
        mapped_at = runtime.now()
        slow, fast = pool.submit(time.sleep, 10), pool.submit(time.sleep, 1)
        done, _ = concurrent.futures.wait([slow, fast], return_when=concurrent.futures.FIRST_COMPLETED)
        first = [fast in done, runtime.now()]
    return [names, mapped_at, first, runtime.now()]


def threads_of_an_abandoned_task(runtime: VirtualRuntime) -> Any:
    """A caller that crashes takes its threads with it; one that joins them is not told that it was abandoned."""
    trace: list[str] = []
    started: list[threading.Thread] = []

    def work() -> None:
        time.sleep(10)
        trace.append("went on")

    def caller() -> None:
        started.append(threading.Thread(target=work))
        started[0].start()
        time.sleep(100)

    task = runtime.spawn("caller", caller)
    time.sleep(1)
    task.abandon()
    started[0].join()
    try:
        task.wait()
    except Abandoned:
        trace.append("abandoned")
    time.sleep(100)
    return trace


def randomness(runtime: VirtualRuntime) -> Any:
    """All sources of randomness."""
    return [
        random.random(),
        random.Random().random(),
        random.SystemRandom().random(),
        os.urandom(8).hex(),
        secrets.token_hex(8),
        str(uuid.uuid4()),
        str(uuid.uuid1()),
        threading.Thread().name,
    ]


def processes(runtime: VirtualRuntime) -> Any:
    """What each way to start a process says."""
    said = []
    attempts: list[Callable[[], object]] = [
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),
        os.fork,
        lambda: os.popen("true"),
    ]
    for attempt in attempts:
        try:
            attempt()
            said.append("started")
        except RuntimeError as error:
            said.append(str(error))
    return said


def logs(runtime: VirtualRuntime) -> Any:
    """A log record carries the task's name and the virtual time."""
    record = logging.LogRecord("name", logging.INFO, "path", 1, "message", None, None)
    return [record.threadName, record.created]


def clock_spin(runtime: VirtualRuntime) -> Any:
    """Waits for a deadline without waiting."""
    while time.time() < 2e9:
        pass


def outside_of_tasks() -> Any:
    """The same calls where no task runs: real, as before."""
    before = time.time_ns()
    thread = threading.Thread(target=lambda: time.sleep(0.001))
    thread.start()
    thread.join()
    lock = threading.Lock()
    with lock:
        held = lock.acquire(blocking=False)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        value = pool.submit(lambda: queue.Queue[int]().empty()).result()
    out = subprocess.run(["echo", "ran"], capture_output=True, text=True, check=True).stdout
    moved = 0 < time.time_ns() - before < 600 * 10**9 and abs(time.time() - datetime.datetime.now().timestamp()) < 600
    drawn = []
    for _ in range(2):
        patches.seed(1)
        drawn.append(os.urandom(8))
    return [moved, thread.is_alive(), held, value, out, drawn[0] != drawn[1]]


def _run_once(name: str, seed: int) -> Any:
    patches.seed(seed)
    if name == "outside_of_tasks":
        return outside_of_tasks()
    runtime = VirtualRuntime()
    try:
        return runtime.run(lambda: globals()[name](runtime), Limits())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        runtime.close()


if __name__ == "__main__":
    print(json.dumps([_run_once(sys.argv[1], int(sys.argv[2])) for _ in range(2)]))
