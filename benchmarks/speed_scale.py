"""100,000 volumes on 100 backends with 1,000 concurrent activities: time and memory, at three sizes."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import Missing, Row, peer_process
from harness.model import Caller
from harness.runtime import SECOND, Limits
from harness.testbed import Job
from simulated_backends.iscsi.testbed import IscsiTestbed

SIZES = ((1, 1_000, 10), (10, 10_000, 100), (100, 100_000, 1_000))
"""Backends, volumes, concurrent activities."""

TINY = ((1, 20, 2), (2, 40, 4))


def run(backends: int, volumes: int, activities: int) -> dict[str, float]:
    """Make the volumes, start the activities at one time, wait for all; returns what it took."""
    names = [f"backend-{number}" for number in range(backends)]

    class Wide(IscsiTestbed):
        families: Mapping[str, str] = dict.fromkeys(names, "wide")

    bed = Wide(seed=1, options={"pool_bytes": 1 << 60})
    runtime = bed.runtime
    spent = {}

    def fill(name: str) -> None:
        store = bed.backend(name).store
        for number in range(volumes // backends):
            store.create_volume(f"{name}-volume-{number}", 1)

    def work(name: str) -> None:
        connection = bed.backend(name).connect(Caller("host", "user", "192.0.2.1"))
        handles = [
            connection.start(Job("copy", source=f"{name}-volume-{number}", target=f"{name}-copy-{number}"), str(number))
            for number in range(activities // backends)
        ]
        while any(not connection.status(handle).state.is_terminal for handle in handles):
            runtime.sleep(10 * SECOND)
        connection.close()

    def body() -> None:
        for step in (fill, work):
            began = time.process_time()
            tasks = [runtime.spawn(name, lambda n=name, s=step: s(n)) for name in names]  # type: ignore[misc]
            for task in tasks:
                task.wait()
            spent[step.__name__] = time.process_time() - began

    runtime.run(body, Limits(horizon_ns=10**15, steps_at_one_instant=10**7))
    bed.close()
    status = Path("/proc/self/status").read_text()  # getrusage would count the process that started this one, too
    spent["mib"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return spent


def rows(runs: int, tiny: bool = False) -> Iterator[Row]:
    """The rows of the table; each run in a process of its own, so that its memory is its own."""
    for size in TINY if tiny else SIZES:
        answers = [peer_process("benchmarks.speed_scale", *size) for _ in range(runs)]
        what = "{:,} backends, {:,} volumes, {:,} activities".format(*size)
        found = [answer for answer in answers if not isinstance(answer, Missing)]
        if len(found) < runs:
            yield Row(what, "does not run", met=False, note=str(answers[-1]))
            continue
        fill, work, mib = (statistics.median(answer[key] for answer in found) for key in ("fill", "work", "mib"))
        note = f"{fill:.2f} s to make the volumes, {work:.2f} s for the activities"
        yield Row(what, f"{fill + work:.2f} s {mib:.0f} MiB", target="runs", met=True, note=note)


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:]))))
