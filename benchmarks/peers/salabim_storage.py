"""Foreground I/O in salabim: `python -m benchmarks.peers.salabim_storage closed CONFIG-JSON`; see Cimba's."""

from __future__ import annotations

import json
import random
import sys
import time

import salabim


def main() -> None:
    """Run it, without monitors and traces, which are on by default."""
    figures = json.loads(sys.argv[2])
    salabim.yieldless(False)
    env = salabim.Environment(trace=False, random_seed=1)
    rng = random.Random(1)
    link, disk = (salabim.Resource(name, figures["streams"], env=env) for name in ("link", "disk"))
    for resource in (link, disk):
        for monitor in (
            resource.claimed_quantity,
            resource.available_quantity,
            resource.occupancy,
            resource.capacity,
            resource.requesters().length,
            resource.requesters().length_of_stay,
            resource.claimers().length,
            resource.claimers().length_of_stay,
        ):
            monitor.monitor(False)
    done, waited = 0, 0.0

    class Stream(salabim.Component):  # type: ignore[misc]
        def process(self):  # type: ignore[no-untyped-def]
            nonlocal done, waited
            while True:
                yield self.hold(rng.expovariate(1 / figures["think_ns"]))
                issued = env.now()
                yield self.request(link)
                yield self.hold(figures["half_ns"] + figures["link_ns"])
                self.release(link)
                yield self.request(disk)
                yield self.hold(figures["service_ns"] + rng.random() * figures["jitter_ns"])
                self.release(disk)
                yield self.hold(figures["half_ns"])
                waited += env.now() - issued
                done += 1

    for _ in range(figures["streams"]):
        Stream(env=env)
    started = time.process_time()
    env.run(figures["duration_ns"])
    print(json.dumps({"cpu": time.process_time() - started, "ios": done, "latency_ns": waited / max(done, 1)}))


if __name__ == "__main__":
    main()
