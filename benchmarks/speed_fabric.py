"""Many flows on the fabric against SimGrid: the cost of each start or end, and the finish times."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks.flow_cases import CORE, TARGET, TARGETS, UPLINK, UPLINKS, FlowCase, flow_cases
from benchmarks.measure import Missing, Row, cpu, peer_process
from harness.runtime.agenda import Agenda
from simulated_backends.fabric import Fabric, Link

CASES = ((10_000, 8, 20.0), (10_000, 320, 1.0), (1_000, 0, 1.0))
"""Flows, distinct paths (0: every one), and how many times cheaper than SimGrid a change has to be."""

TINY = ((60, 8, 20.0), (60, 320, 1.0), (30, 0, 1.0))


def finish_times(cases: list[FlowCase], distinct: bool) -> list[int]:
    """The end (ns) of each flow."""
    env = Agenda()
    fabric = Fabric(env)
    uplinks = [Link(f"uplink {n}", UPLINK) for n in range(UPLINKS)]
    targets = [Link(f"target {n}", TARGET) for n in range(TARGETS)]
    core = Link("core", CORE)
    ends = [0] * len(cases)

    def begin(number: int, case: FlowCase) -> None:
        path = [uplinks[case.uplink], core, targets[case.target]]
        if distinct:
            path.append(Link(f"own {number}", case.own))

        def end() -> None:
            ends[number] = int(env.now)

        fabric.start(path, case.size, end)

    for number, case in enumerate(cases):
        env.alarm(case.start_ns, lambda n=number, c=case: begin(n, c))  # type: ignore[misc]
    while env.next_at() is not None:
        env.step()
    return ends


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    for count, paths, wanted in TINY if tiny else CASES:
        yield _row(runs, count, paths, wanted)
        yield _row(runs, count, paths, None, "Full")


def _row(runs: int, count: int, paths: int, wanted: float | None, *optim: str) -> Row:
    """Against SimGrid as it is installed, or with another `network/optim`, for which there is no target."""
    cases = flow_cases(count, paths)
    ours, theirs, ratios, apart = [], [], [], 0.0
    what = " ".join([f"{count:,} flows, {paths or 'all'} distinct paths: a start or end", *optim])
    target = "" if wanted is None else f">= {wanted:g} x, 1e-6"
    for _ in range(runs):
        spent, ends = cpu(lambda: finish_times(cases, not paths))
        ours.append(spent / count / 2 * 1e6)
        peer = peer_process("benchmarks.peers.simgrid_flows", count, paths, *optim)
        if isinstance(peer, Missing):
            return Row(what, f"{ours[0]:.1f} us", "SimGrid", "", target, None, f"SimGrid can't be run: {peer.reason}")
        theirs.append(peer["cpu"] / count / 2 * 1e6)
        ratios.append(theirs[-1] / ours[-1])
        apart = max(abs(end / 1e9 - other) / other for end, other in zip(ends, peer["ends"], strict=True))
    ratio = statistics.median(ratios)
    return Row(
        what,
        f"{statistics.median(ours):.1f} us",
        f"SimGrid {statistics.median(theirs):.1f} us",
        f"{ratio:.1f} x",
        target,
        None if wanted is None else ratio >= wanted and apart <= 1e-6,
        f"finish times at most {apart:.1e} apart, relative",
    )
