"""Foreground I/O with its history, and background I/O in batches, against SimPy, salabim and Cimba."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Missing, Row, cpu, in_turns, peer_process
from benchmarks.peers.simpy_storage import StorageFigures, history
from harness.recorder import WriteLog
from harness.runtime import SECOND, Limits
from harness.runtime.agenda import Agenda
from harness.schedule import random_source
from harness.storage import BLOCK
from harness.testbed import LoadSpec
from simulated_backends.background import BackgroundFigures, BackgroundLoad, Tally
from simulated_backends.fabric import Fabric, Link
from simulated_backends.iscsi.testbed import IscsiTestbed

SEED = 5
_NEVER_BIND = "link and disk have room for all streams, so that the Resources decide nothing; "
STREAMS = 32
THINK_NS = 1_000_000
BLOCKS = tuple(range(0, 1 << 18, 64))
OTHER_NS = 5_000_000
OPEN = BackgroundFigures(gap_ns=SECOND // 7000, block_bytes=BLOCK, service_ns=60_000, jitter_ns=80_000)


def on_testbed(until_ns: int, other_ns: int = 0) -> tuple[float, WriteLog]:
    """CPU seconds and record of a load through target, fabric and disk of a testbed.

    With `other_ns` something else happens that often (ns), so that writes can be worked out together only up to there.
    """
    bed = IscsiTestbed(seed=SEED)

    def body() -> None:
        backend = bed.backend("primary")
        backend.store.create_volume("volume", 1)
        attachment = backend.attach("volume", "host")
        load = attachment.load(LoadSpec(BLOCKS, STREAMS, THINK_NS))
        for _ in range(until_ns // other_ns if other_ns else 0):
            bed.runtime.sleep(other_ns)
        bed.runtime.sleep(until_ns % other_ns if other_ns else until_ns)
        load.stop()

    try:
        spent, _ = cpu(lambda: bed.runtime.run(body, Limits()))
    finally:
        bed.close()
    return spent, bed.recorder.writes("volume")


def in_simpy(until_ns: int, resources: bool = True) -> tuple[float, list[Any]]:
    """CPU seconds and record of the same model, with the same draws, as plain processes and, as a rule, Resources."""
    loads = random_source(SEED, "load", "volume", "host", "0")
    sources = [random.Random(loads.getrandbits(64)) for _ in range(STREAMS)]
    jitter = random_source(SEED, "jitter", "volume", "host", "0")
    return cpu(lambda: history(figures(), sources, jitter, until_ns, resources))


def figures() -> StorageFigures:
    """The testbed's figures."""
    its = IscsiTestbed(seed=SEED)._figures
    return StorageFigures(
        link_ns=BLOCK * SECOND // min(its.link_bytes_per_s, its.disk_write_bytes_per_s),
        round_trip_ns=its.round_trip_ns,
        service_ns=its.service_ns,
        jitter_ns=its.service_jitter_ns,
        think_ns=THINK_NS,
        streams=STREAMS,
        blocks=BLOCKS,
    )


def same_history(log: WriteLog, writes: list[Any]) -> bool:
    """Whether both recorded the same writes, places and latencies (the testbed's clock starts before the load)."""
    if not len(log) or len(log) != len(writes):
        return False
    start, place = log.issued_ns[0], log.issued[0] - 1
    ours = zip(
        log.blocks,
        log.stamps,
        (p - place for p in log.issued),
        (at - start for at in log.issued_ns),
        (p - place for p in log.acknowledged),
        (at - start for at in log.acknowledged_ns),
        strict=True,
    )
    return all(list(mine) == theirs for mine, theirs in zip(ours, writes, strict=True))


def in_batches(until_ns: int) -> tuple[float, Tally]:
    """CPU seconds and I/Os of an open-loop load, with a change of the bandwidth each 100 ms."""
    env = Agenda()
    fabric = Fabric(env)
    link = Link("port", 1_250_000_000)
    tally = Tally()
    load = BackgroundLoad(fabric, [link], OPEN, SEED, tally)

    def run() -> None:
        for number, at in enumerate(range(SECOND // 10, until_ns, SECOND // 10)):
            env.alarm(at, lambda n=number: fabric.set_capacity(link, 1_250_000_000 - n % 2))  # type: ignore[misc]
        env.alarm(until_ns, load.catch_up)
        while env.next_at() is not None:
            env.step()

    return cpu(run)[0], tally


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table."""
    until_ns = SECOND // 20 if tiny else 4 * SECOND
    logs: list[Any] = []

    def ours() -> float:
        spent, log = on_testbed(until_ns)
        logs[:] = [log, *logs[1:]]
        return spent / len(log) * 1e6

    def plain() -> float:
        spent, writes = in_simpy(until_ns)
        logs[1:] = [writes]
        return spent / len(writes) * 1e6

    here, there, ratio = in_turns(runs, ours, plain)
    same = same_history(logs[0], logs[1])
    note = f"{len(logs[0]):,} writes; " + ("the same history, write for write" if same else "HISTORIES DIFFER")
    what = "foreground write with its history"
    yield Row(what, f"{here:.2f} us", f"SimPy {there:.2f} us", f"{ratio:.1f} x", ">= 5 x", same and ratio >= 5, note)

    def unlimited() -> float:
        spent, writes = in_simpy(until_ns, resources=False)
        logs[1:] = [writes]
        return spent / len(writes) * 1e6

    here, there, ratio = in_turns(runs, ours, unlimited)
    same = same_history(logs[0], logs[1])
    note = _NEVER_BIND + ("the same history without them" if same else "HISTORIES DIFFER")
    yield Row(
        f"{what}, SimPy without Resources", f"{here:.2f} us", f"SimPy {there:.2f} us", f"{ratio:.1f} x", note=note
    )

    def interrupted() -> float:
        spent, log = on_testbed(until_ns, OTHER_NS)
        return spent / len(log) * 1e6

    here, there, ratio = in_turns(runs, interrupted, plain)
    note = "as above, but the batches that writes are worked out in end there"
    yield Row(
        f"{what}, another event each 5 ms", f"{here:.2f} us", f"SimPy {there:.2f} us", f"{ratio:.1f} x", note=note
    )

    its = figures()
    arguments = {
        "link_ns": its.link_ns,
        "half_ns": its.round_trip_ns / 2,
        "service_ns": its.service_ns,
        "jitter_ns": its.jitter_ns,
        "think_ns": THINK_NS,
        "streams": STREAMS,
        "duration_ns": 10 * until_ns,
        "resources": 1,
    }
    mean = sum(a - i for a, i in zip(logs[0].acknowledged_ns, logs[0].issued_ns, strict=True)) / len(logs[0])
    yield _against(runs, what, ours, "cimba", arguments, 0.35, mean)
    without = {**arguments, "resources": 0}
    yield _against(runs, f"{what}, Cimba without Resources", ours, "cimba", without, None, mean)
    yield _against(runs, what, ours, "salabim", {**arguments, "duration_ns": until_ns / 4}, None, mean)

    found: list[Tally] = []

    def batched() -> float:
        spent, tally = in_batches(until_ns * 10)
        found[:] = [tally]
        return spent / tally.ios * 1e6

    batched()
    arguments = {
        "link_ns": BLOCK * SECOND // 1_250_000_000,
        "service_ns": OPEN.service_ns,
        "jitter_ns": OPEN.jitter_ns,
        "gap_ns": OPEN.gap_ns,
        "duration_ns": 10 * until_ns,
    }
    mean = found[0].waiting_ns / found[0].ios
    yield _against(runs, "background I/O, open loop, in batches", batched, "cimba", arguments, 3.0, mean, "open")


def _against(
    runs: int, what: str, ours: Any, peer: str, arguments: Any, wanted: float | None, mean: float, kind: str = "closed"
) -> Row:
    """The row against a peer that runs in a process of its own; mean latencies within 2 % show that both ran one model.

    The peer draws other numbers.
    """
    here, there, ratios, latency = [], [], [], 0.0
    target = f">= {wanted:g} x" if wanted else ""
    for _ in range(runs):
        here.append(ours())
        answer = peer_process(f"benchmarks.peers.{peer}_storage", kind, json.dumps(arguments))
        if isinstance(answer, Missing):
            return Row(what, f"{here[0]:.2f} us", peer, "", target, None, f"{peer} can't be run: {answer.reason}")
        there.append(answer["cpu"] / answer["ios"] * 1e6)
        ratios.append(there[-1] / here[-1])
        latency = answer["latency_ns"]
    ratio = statistics.median(ratios)
    one_model = abs(latency / mean - 1) <= 0.02
    note = f"mean latency {mean / 1000:.1f} us, {peer}'s {latency / 1000:.1f} us; {peer} keeps no history of writes"
    if not one_model:
        note += "; the means are too far apart for one model"
    return Row(
        what,
        f"{statistics.median(here):.2f} us",
        f"{peer} {statistics.median(there):.2f} us",
        f"{ratio:.2f} x",
        target,
        one_model and ratio >= wanted if wanted else None,
        note,
    )
