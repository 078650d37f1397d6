"""Foreground I/O in Cimba, compiled: `python -m benchmarks.peers.cimba_storage closed|open CONFIG-JSON`.

Prints the CPU seconds of one run (compilation not counted), the I/Os in it and their mean latency in nanoseconds.
Cimba keeps no history of single writes, so the comparison is to its advantage.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import cimba as cb
import numpy as np
from cimba import inputs


def closed(figures: dict[str, Any]) -> type[cb.Model]:
    """Streams with one write outstanding each: think, half a round trip, link, disk, and back.

    Link and disk are Resources with room for all streams, or, without `resources`, nothing but the time they take.
    """
    link_ns, half_ns, service_ns = float(figures["link_ns"]), float(figures["half_ns"]), float(figures["service_ns"])
    think_ns, jitter_ns, streams = float(figures["think_ns"]), float(figures["jitter_ns"]), int(figures["streams"])
    resources = bool(figures["resources"])

    class Closed(cb.Model):  # type: ignore[misc]
        think: cb.Input[float] = inputs.dist.exponential(mean=think_ns)
        service: cb.Input[float] = inputs.dist.uniform(low=service_ns, high=service_ns + jitter_ns)
        link: cb.Resource = cb.Resource(capacity=streams)
        disk: cb.Resource = cb.Resource(capacity=streams)
        waited: float = 0.0
        done: float = 0.0
        total: cb.Output[float]
        count: cb.Output[float]

        @cb.on_end
        def finish(self):  # type: ignore[no-untyped-def]
            self.total = self.waited
            self.count = self.done

        @cb.process(copies=streams)
        def stream(self):  # type: ignore[no-untyped-def]
            while True:
                cb.hold(self.think.next())
                issued = cb.now()
                if resources:
                    self.link.acquire()
                cb.hold(half_ns + link_ns)
                if resources:
                    self.link.release()
                    self.disk.acquire()
                cb.hold(self.service.next())
                if resources:
                    self.disk.release()
                cb.hold(half_ns)
                self.waited += cb.now() - issued
                self.done += 1.0

    return Closed


def open_loop(figures: dict[str, Any]) -> type[cb.Model]:
    """Poisson arrivals through a link and a disk, one after the other, each first come, first served."""
    link_ns, service_ns, jitter_ns = (
        float(figures["link_ns"]),
        float(figures["service_ns"]),
        float(figures["jitter_ns"]),
    )
    gap_ns = float(figures["gap_ns"])

    class Open(cb.Model):  # type: ignore[misc]
        gap: cb.Input[float] = inputs.dist.exponential(mean=gap_ns)
        service: cb.Input[float] = inputs.dist.uniform(low=service_ns, high=service_ns + jitter_ns)
        at_link: cb.Store[float]
        at_disk: cb.Store[float]
        waited: float = 0.0
        done: float = 0.0
        total: cb.Output[float]
        count: cb.Output[float]

        @cb.on_end
        def finish(self):  # type: ignore[no-untyped-def]
            self.total = self.waited
            self.count = self.done

        @cb.process
        def arrivals(self):  # type: ignore[no-untyped-def]
            while True:
                cb.hold(self.gap.next())
                self.at_link.put(cb.now())

        @cb.process
        def link(self):  # type: ignore[no-untyped-def]
            while True:
                arrived = self.at_link.get()
                cb.hold(link_ns)
                self.at_disk.put(arrived)

        @cb.process
        def disk(self):  # type: ignore[no-untyped-def]
            while True:
                arrived = self.at_disk.get()
                cb.hold(self.service.next())
                self.waited += cb.now() - arrived
                self.done += 1.0

    return Open


def main() -> None:
    """Run it once to compile, once to measure."""
    figures = json.loads(sys.argv[2])
    kind = {"closed": closed, "open": open_loop}[sys.argv[1]](figures)

    def run(duration_ns: float) -> tuple[float, float, float]:
        model = kind()
        started = time.process_time()
        experiment = cb.Experiment(model, replications=1, window=cb.Window(duration=duration_ns), seed=1)
        results = experiment.run(workers=1)
        spent = time.process_time() - started
        return spent, float(np.ravel(results[model].total)[0]), float(np.ravel(results[model].count)[0])

    run(1e6)
    spent, total, count = run(float(figures["duration_ns"]))
    print(json.dumps({"cpu": spent, "ios": count, "latency_ns": total / max(count, 1.0)}))


if __name__ == "__main__":
    main()
