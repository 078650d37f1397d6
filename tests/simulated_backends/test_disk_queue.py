"""Foreground requests queue at the disk, first come, first served."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime import Limits
from harness.runtime.virtual import VirtualRuntime
from simulated_backends.disk_queue import DiskQueue

Requests = list[tuple[int, int]]
"""For each request, the time since the one before arrived, and its service time (ns)."""


def served(requests: Requests, abandon_at: int | None = None) -> list[tuple[int, int]]:
    """For each request, when its caller went on and how long it says that it waited (ns); one task each.

    With `abandon_at`, the first caller is abandoned at that time and has no entry.
    """
    runtime = VirtualRuntime()
    queue = DiskQueue(runtime)
    ends: dict[int, tuple[int, int]] = {}

    def request(number: int, service_ns: int) -> None:
        waited_ns = queue.serve(service_ns)
        ends[number] = (runtime.now(), waited_ns)

    def main() -> None:
        tasks = []
        for number, (gap_ns, service_ns) in enumerate(requests):
            if gap_ns:
                runtime.sleep(gap_ns)
            tasks.append(runtime.spawn(f"request {number}", lambda n=number, s=service_ns: request(n, s)))
        if abandon_at is not None:
            runtime.call_later(abandon_at - runtime.now(), tasks.pop(0).abandon)
        for task in tasks:
            task.wait()

    try:
        runtime.run(main, Limits())
    finally:
        runtime.close()
    return [ends[number] for number in sorted(ends)]


def by_simpy_resource(requests: Requests) -> list[tuple[int, int]]:
    """The same by SimPy's own Resource with one place."""
    env = simpy.Environment()
    disk = simpy.Resource(env, capacity=1)
    ends: dict[int, tuple[int, int]] = {}

    def request(number: int, service_ns: int) -> simpy.events.ProcessGenerator:
        arrived = env.now
        with disk.request() as turn:
            yield turn
            waited_ns = int(env.now - arrived)
            yield env.timeout(service_ns)
        ends[number] = (int(env.now), waited_ns)

    def arrivals() -> simpy.events.ProcessGenerator:
        for number, (gap_ns, service_ns) in enumerate(requests):
            yield env.timeout(gap_ns)
            env.process(request(number, service_ns))

    env.process(arrivals())
    env.run()
    return [ends[number] for number in sorted(ends)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), min_size=1, max_size=30))
def test_requests_are_served_as_by_a_resource_with_one_place(requests: Requests) -> None:
    """Each request ends when it does at a SimPy Resource with one place, and reports the same wait."""
    assert served(requests) == by_simpy_resource(requests)


def test_an_idle_disk_serves_at_once() -> None:
    """A request that finds the disk idle, even long after the one before, does not wait."""
    assert served([(0, 10), (10, 5), (100, 5)]) == [(10, 0), (15, 0), (115, 0)]


def test_the_disk_serves_the_request_of_a_caller_that_is_gone() -> None:
    """A request whose caller is abandoned keeps its place, so the next one still waits for it."""
    assert served([(0, 100), (10, 5)], abandon_at=50) == [(105, 90)]


def test_the_backlog_shrinks_as_time_passes() -> None:
    """The backlog is what the disk has left to do, and 0 once it is idle."""
    runtime = VirtualRuntime()
    queue = DiskQueue(runtime)
    seen = []

    def main() -> None:
        queue.admit(30)
        for _ in range(3):
            seen.append(queue.backlog_ns)
            runtime.sleep(20)

    runtime.run(main, Limits())
    runtime.close()
    assert seen == [30, 10, 0]


def test_a_disk_without_power_forgets_what_it_was_sent() -> None:
    """After the power was off there is no backlog, and what arrives then is served at once."""
    runtime = VirtualRuntime()
    queue = DiskQueue(runtime)

    def main() -> int:
        queue.admit(100)
        runtime.sleep(10)
        queue.power_off()
        assert queue.backlog_ns == 0
        return queue.serve(5)

    assert runtime.run(main, Limits()) == 0
    runtime.close()


def test_a_negative_service_time_is_refused() -> None:
    """A request that would give time back is refused and leaves the queue as it was."""
    queue = DiskQueue(VirtualRuntime())
    with pytest.raises(ValueError, match="-1 ns"):
        queue.admit(-1)
    assert queue.backlog_ns == 0
