"""A realistic study: replicating natively against the fallback, with flows, quiesce windows and intervals."""

from __future__ import annotations

from harness.study_results import (
    Bar,
    Difference,
    Estimate,
    FlowTimeline,
    Latencies,
    Measure,
    QuiesceWindow,
    RunDetails,
    RunMeasures,
    Study,
)

MS = 1_000_000
SECONDS = {"native": 41.7, "fallback": 133.2}

LATENCIES = Latencies(inside_ns=(1 * MS, 2 * MS), inside_count=2)


def _details(variant: str) -> RunDetails:
    bars = (
        (Bar(label="replicate_snapshot", kind="step", start_ns=10 * MS, end_ns=41_700 * MS),)
        if variant == "native"
        else (
            Bar(label="clone", kind="step", start_ns=10 * MS, end_ns=30_000 * MS),
            Bar(label="migrate", kind="step", start_ns=30_000 * MS, end_ns=120_000 * MS),
            Bar(label="move", kind="activity", start_ns=30_500 * MS, end_ns=119_000 * MS),
            Bar(label="snapshot", kind="step", start_ns=120_000 * MS, end_ns=133_200 * MS),
        )
    )
    windows = (QuiesceWindow(volume="db", start_ns=120_500 * MS, end_ns=122_000 * MS),) if variant != "native" else ()
    flow = FlowTimeline(title=f"Replicate db by {variant}", volume="db", bars=bars)
    return RunDetails(end_ns=140_000 * MS, timelines=(flow,), windows=windows, latencies=LATENCIES)


def study(name: str = "native-against-fallback") -> Study:
    """Two variants, three replications each."""
    rows = tuple(
        RunMeasures(
            scenario=name,
            variant=variant,
            seed=seed,
            measures=(Measure(name="completion", of="copy", unit="s", value=mean + seed / 10),),
            failures=("copy: the connection was lost",) if (variant, seed) == ("fallback", 3) else (),
            digest=f"{seed}f2c41d07be6aa1543",
            details=_details(variant) if seed == 1 else None,
        )
        for variant, mean in SECONDS.items()
        for seed in (1, 2, 3)
    )
    estimates = [
        Estimate(variant=v, name="completion", of="copy", unit="s", count=3, mean=m, low=m - 1.5, high=m + 1.5)
        for v, m in SECONDS.items()
    ]
    estimates += [
        Estimate(variant=v, name="moved", of="link wan", unit="bytes", count=3, mean=m, low=m, high=m)
        for v, m in (("native", 1.5 * 2**30), ("fallback", 20.0 * 2**30))
    ]
    estimates.append(Estimate(variant="fallback", name="windows", unit="", count=3, mean=None))
    return Study(
        harness_version="0.1.0",
        scenario=name,
        question="What does it cost to replicate a snapshot by the fallback?",
        scenario_text='[backends.primary]\nfamily = "acme"\n',
        variants=tuple(SECONDS),
        baseline="native",
        seeds=(1, 2, 3),
        method="Student's t over replications with common random numbers",
        rows=rows,
        estimates=tuple(estimates),
        differences=(
            Difference(
                variant="fallback", baseline="native", name="completion", of="copy", unit="s", count=3, mean=91.5,
                low=90.1, high=92.9,
            ),
        ),
        notes=("Codec speeds are zstd's own figures.",),
    )  # fmt: skip
