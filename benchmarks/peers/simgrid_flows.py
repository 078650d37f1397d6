"""The flows in SimGrid: `python -m benchmarks.peers.simgrid_flows COUNT PATHS [OPTIM]`. Prints CPU seconds and ends.

The ends are in seconds. The plain max-min model: no latency, no TCP effects, no factors on bandwidth. `OPTIM` is how
SimGrid looks for the next end, its `network/optim`: Lazy is its default.
"""

from __future__ import annotations

import json
import sys
import time

from simgrid import Comm, Engine, this_actor

from benchmarks.flow_cases import CORE, TARGET, TARGETS, UPLINK, UPLINKS, flow_cases

OPTIONS = [
    "--log=root.thres:critical",
    "--cfg=network/model:CM02",
    "--cfg=network/TCP-gamma:0",
    "--cfg=network/crosstraffic:0",
    "--cfg=network/bandwidth-factor:1",
    "--cfg=network/latency-factor:1",
]


def main() -> None:
    """Run it."""
    count, paths = int(sys.argv[1]), int(sys.argv[2])
    cases = flow_cases(count, paths)
    options = [*OPTIONS, *(f"--cfg=network/optim:{optim}" for optim in sys.argv[3:])]
    engine = Engine(["flows", *options])
    zone = engine.netzone_root.add_netzone_full("zone")
    started = time.process_time()
    uplinks = [zone.add_link(f"uplink {n}", UPLINK) for n in range(UPLINKS)]
    targets = [zone.add_link(f"target {n}", TARGET) for n in range(TARGETS)]
    core = zone.add_link("core", CORE)
    sinks = [zone.add_host(f"sink {n}", "1Gf") for n in range(TARGETS)]
    if paths:
        sources = [zone.add_host(f"source {n}", "1Gf") for n in range(UPLINKS)]
        for n, source in enumerate(sources):
            for m, sink in enumerate(sinks):
                zone.add_route(source, sink, [uplinks[n], core, targets[m]])
        senders = [sources[case.uplink] for case in cases]
    else:
        senders = []
        for n, case in enumerate(cases):
            source = zone.add_host(f"source {n}", "1Gf")
            own = zone.add_link(f"own {n}", case.own)
            zone.add_route(source, sinks[case.target], [own, uplinks[case.uplink], core, targets[case.target]])
            senders.append(source)
    zone.seal()
    ends: list[float] = []

    def transfers() -> None:
        under_way = []
        for case, sender in zip(cases, senders, strict=True):
            if case.start_ns / 1e9 > engine.clock:
                this_actor.sleep_until(case.start_ns / 1e9)
            under_way.append(Comm.sendto_async(sender, sinks[case.target], case.size))
        for transfer in under_way:
            transfer.wait()
        ends.extend(transfer.finish_time for transfer in under_way)

    sinks[0].add_actor("transfers", transfers)
    engine.run()
    print(json.dumps({"cpu": time.process_time() - started, "ends": ends}))


if __name__ == "__main__":
    main()
