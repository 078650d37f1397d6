"""Runs: that they repeat, what their workloads do, what their details hold, and studies of several."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.study_results import Measure, RunMeasures, Study
from scenarios.frames import differences_frame, estimates_frame, runs_frame
from scenarios.model import Scenario
from scenarios.reading import ScenarioError, load_scenario, parse_scenario
from scenarios.study import RunMany, differences, estimates, run_study
from scenarios.vary import with_value, with_values
from tests.studies.small import SEED, Simulate, small

PLAIN = """
[scenario]
name = "plain"
question = "What do hosts feel?"
[backend.array]
family = "alpha"
[backend.other]
family = "alpha"
[driver.reference.publication]
stateless_activities = ["create_snapshot"]
handle_scope = "user-specific"
[host.compute]
[volume.data]
backend = "array"
size = "1 GiB"
host = "compute"
[workload.load]
volume = "data"
streams = 2
think = "5 ms"
area = "64 MiB"
[operation.copy]
do = "create_cloned_volume"
volume = "data"
at = "2 s"
"""


def plain(**values: Any) -> Scenario:
    """A scenario with one volume, one workload and one clone, with other values."""
    return with_values(
        parse_scenario(tomllib.loads(PLAIN), "plain"), {k.replace("__", "."): v for k, v in values.items()}
    )


@pytest.mark.parametrize("first", ["nfs-sim", "iscsi-sim"])
def test_a_fault_of_a_protocol_finds_its_backends(run: Simulate, first: str) -> None:
    """A session's fault of a host hits its iSCSI sessions whichever backend the scenario names first."""
    second = {"nfs-sim": "iscsi-sim", "iscsi-sim": "nfs-sim"}[first]
    profiles = {"backend__array__profile": first, "backend__other__profile": second, "backend__other__family": "beta"}
    result = run(plain(**profiles, fault__out={"kind": "session.logout", "caller": "compute", "at": "1 s"}))
    assert result.failures == ()


def test_a_run_repeats_in_another_process(run: Simulate) -> None:
    """Equal arguments give equal measures, details and digests under another hash seed; another seed does not."""
    scenario = small("quiesced-or-stateless-backup")
    code = (
        "from scenarios.run import simulate; from tests.studies.small import small;"
        "print(simulate(small('quiesced-or-stateless-backup'), 'quiesced', 7, True).model_dump_json())"
    )
    environment, root = os.environ | {"PYTHONHASHSEED": "4242"}, Path(__file__).parents[2]
    program = [sys.executable, "-c", code]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True, cwd=root)
    assert run(scenario, "quiesced", 7, True).model_dump_json() == done.stdout.strip()
    assert run(scenario, "quiesced", 8, True).digest != run(scenario, "quiesced", 7).digest


def test_arguments_and_results_can_be_pickled(run: Simulate) -> None:
    """A scenario and a result with details are the same after pickling."""
    scenario = small("native-or-fallback")
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    result = run(scenario, "native", SEED, True)
    assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # two streams, each with a cycle of 5 ms, a round trip of 0.2 ms and 0.16 ms at the disk
        ({}, 2 / 5.36e-3),
        ({"workload__read_share": 0.4}, 2 / 5.36e-3),
        ({"workload__rate": "300 /s"}, 300),
        ({"workload__burst": {"on": "100 ms", "off": "100 ms"}}, 1 / 5.36e-3),
        ({"workload__block": "64 KiB"}, 2 / 5.41e-3),
    ],
    ids=["closed loops", "reads", "arrivals", "bursts", "large blocks"],
)
def test_workloads_have_the_rate_that_was_asked_for(values: dict[str, Any], expected: float, run: Simulate) -> None:
    """I/Os a second are those of the closed loops or of the arrivals, within what chance explains, reads among them."""
    stateless = {"driver__reference__publication__stateless_activities": ["create_cloned_volume"]}
    result = run(plain(**values, **stateless))
    done, end = result.value("io_done", "load"), result.value("end")
    assert done is not None
    assert end is not None
    assert abs(done - expected * end) < 4 * math.sqrt(expected * end) + 2
    assert (result.value("read_p50", "load") is not None) == ("workload__read_share" in values)


def test_ios_wait_for_each_other_where_the_backend_has_a_queue(run: Simulate) -> None:
    """With `disk_queue` among a backend's figures reads and writes wait for those before them; by default none do."""
    stateless = {"driver__reference__publication__stateless_activities": ["create_cloned_volume"]}
    busy = {"workload__rate": "3000 /s", "workload__read_share": 0.5, **stateless}
    alone, queued = (run(plain(**busy, backend__array__figures=on)) for on in ({}, {"disk_queue": True}))
    for key in ("read_p99", "write_p99"):
        before, after = alone.value(key, "load"), queued.value(key, "load")
        assert before is not None and after is not None
        assert before < 4.2e-4  # a round trip of 0.2 ms, at most 0.2 ms at the disk, and the bytes
        assert after > 6e-4
    assert abs((queued.value("io_done", "load") or 0) - (alone.value("io_done", "load") or 0)) < 100


def test_reads_move_with_their_volume(run: Simulate) -> None:
    """Once a volume has been migrated its reads cross the links of its new backend, and no others."""
    moving = {"do": "migrate_volume", "volume": "data", "to": "other"}
    result = run(
        plain(operation__copy=moving, workload__read_share=1.0, workload__block="64 KiB", scenario__settle="9 s")
    )
    links = ("other port out", "array port out", "compute port in")
    after, before, together = (result.value("link_bytes", link) or 0 for link in links)
    assert before + after - (1 << 30) == together
    assert after > 0.8 * together


def test_a_part_that_is_worked_on_most_may_be_full(tmp_path: Path) -> None:
    """Where I/Os are outstanding at all of a locality's blocks, the next one goes elsewhere: the run has an end."""
    few = 'area = "128 KiB"\nlocality = { accesses = 1.0, area = 0.01 }\nread_share = 0.5\nstreams = 8'
    (tmp_path / "mine.toml").write_text(PLAIN.replace('streams = 2\nthink = "5 ms"\narea = "64 MiB"', few))
    code = (
        "import sys; from scenarios.reading import load_scenario; from scenarios.run import simulate; "
        "print(simulate(load_scenario(sys.argv[1]), 'as-it-stands', 1).value('io_done', 'load'))"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "mine.toml")]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    assert float(ended.stdout) > 1000


def test_reads_go_on_while_writes_are_held(run: Simulate) -> None:
    """During a quiesced clone writes wait for its end, and reads take what they take otherwise."""
    result = run(plain(workload__read_share=0.5, workload__rate="300 /s"), details=True)
    window, stall, reads = (
        result.value("quiesce_total"),
        result.value("longest_stall", "load"),
        result.value("read_p999", "load"),
    )
    assert window is not None and stall is not None and reads is not None
    assert window > 1
    assert stall == pytest.approx(window, rel=0.05)
    assert reads < 0.001


def test_details_agree_with_measures(run: Simulate) -> None:
    """Windows, latencies and bars of a run's details add up to its measures."""
    result = run(plain(), details=True)
    details = result.details
    assert details is not None
    total = sum(window.end_ns - window.start_ns for window in details.windows) / 1e9
    assert total == pytest.approx(result.value("quiesce_total"))
    latencies = details.latencies
    under_way = latencies.inside_count + latencies.outside_count - (result.value("io_done", "load") or 0)
    assert 1 <= under_way <= 2  # when the run ends; they are not done
    assert max(latencies.inside_ns) / 1e9 == result.value("longest_stall", "load")
    (flow,) = details.timelines
    bars = {bar.kind: bar for bar in flow.bars}
    assert flow.volume == "data-0"
    assert (bars["operation"].end_ns - bars["operation"].start_ns) / 1e9 == result.value("completion", "copy")
    assert bars["operation"].start_ns <= bars["quiesce"].start_ns < bars["activity"].start_ns
    assert bars["activity"].end_ns <= bars["quiesce"].end_ns <= bars["operation"].end_ns
    assert bars["quiesce"].start_ns == details.windows[0].start_ns == 2 * 10**9


def test_a_replayed_log_is_carried_out_in_its_own_time(run: Simulate, tmp_path: Path) -> None:
    """The I/Os of a log of fio are done at their times, reads and writes apart, and no others; a write of 64 KiB counts
    as one I/O with one latency, as a write of a block does."""
    large = [n % 8 == 1 for n in range(100)]
    sizes = [65536 if each else 4096 for each in large]
    lines = [f"{n * 10_000} /dev/sdb {'read' if n % 4 == 0 else 'write'} {n * 65536} {sizes[n]}" for n in range(100)]
    (tmp_path / "fio.log").write_text("fio version 3 iolog\n" + "\n".join(lines) + "\n")
    (tmp_path / "mine.toml").write_text(PLAIN.replace('streams = 2\nthink = "5 ms"', 'replay = "fio.log"'))
    result = run(load_scenario(tmp_path / "mine.toml"))
    assert result.value("io_done", "load") == 100  # all over before the operation begins
    written = [size for n, size in enumerate(sizes) if n % 4]
    assert result.value("link_bytes", "compute port in") == 25 * 4096
    assert result.value("link_bytes", "compute port out") == sum(written)
    # 13 of 75 writes are large, which take longer by 60 KiB over the disk: fewer than half, more than one in a hundred
    median, tail = result.value("write_p50", "load"), result.value("write_p99", "load")
    assert median is not None and tail is not None
    assert median < 0.0004 < 0.00042 < tail < 0.0005


def test_a_failure_is_a_result(run: Simulate) -> None:
    """An operation that can't succeed is counted and explained, and its completion has no value."""
    result = run(plain(backend__array__pool="1 GiB", operation__copy__retry=1))
    assert result.value("failed", "copy") == 1
    assert result.value("completion", "copy") is None
    (sentence,) = result.failures
    assert sentence.startswith("operation copy, data-0: ")
    assert "bytes left" in sentence


def test_snapshots_of_before_the_beginning_cost_nothing(run: Simulate) -> None:
    """A snapshot that operations begin with is just there, also where taking it from a host would take too long."""
    copying = {"driver__reference__publication": {"snapshot_replication": True}, "volume__size": "100 GiB"}
    result = run(plain(**copying, operation__copy={"do": "replicate_snapshot", "volume": "data", "to": "other"}))
    assert (result.failures, result.value("quiesce_count")) == ((), 0)


def test_a_fault_that_can_not_be_made_is_told(run: Simulate) -> None:
    """A fault that lacks what its kind needs is refused by its key path when the run begins."""
    with pytest.raises(ScenarioError, match=r"fault\.cut: partition needs a time"):
        run(plain(fault__cut={"kind": "partition", "backend": "array", "at": "1 s"}))


@pytest.mark.parametrize(("profile", "family"), [("iscsi-sim", "alpha"), ("nfs-sim", "beta")])
def test_a_line_between_backends_is_crossed_once(profile: str, family: str, run: Simulate) -> None:
    """What goes from one backend to the other crosses the line between them, moved by the driver or through a host, and
    at the line's pace."""
    text = PLAIN.replace('"create_cloned_volume"', '"migrate_volume"\nto = "other"').replace(
        '[backend.other]\nfamily = "alpha"', f'[backend.other]\nfamily = "{family}"\nprofile = "{profile}"'
    )
    text = (
        text.replace('host = "compute"', "").partition("[workload")[0] + "[operation" + text.partition("[operation")[2]
    )
    text += '[line.wan]\nbetween = ["other", "array"]\nbandwidth = "800 Mb/s"\n'
    result = run(parse_scenario(tomllib.loads(text), "plain"))
    assert result.value("link_bytes", "wan to other") == 1 << 30
    assert result.value("link_bytes", "wan to array") == 0
    assert result.value("completion", "copy") == pytest.approx((1 << 30) / 1e8, rel=0.02)


def test_operations_follow_the_timetable(run: Simulate) -> None:
    """An operation begins at its time after the one that it follows, and is repeated as often as it says."""
    text = PLAIN + (
        '[operation.later]\ndo = "create_snapshot"\nvolume = "data"\nafter = "copy"\nat = "3 s"\n'
        'times = 3\nevery = "10 s"\n'
    )
    result = run(parse_scenario(tomllib.loads(text), "plain"))
    copied = result.value("completion", "copy")
    assert copied is not None
    assert result.value("done", "later") == 3
    end, last = result.value("end"), result.value("volume_time_longest", "later")
    assert end is not None
    assert last is not None
    assert 2 + copied + 3 + 20 < end < 2 + copied + 3 + 20 + last + 0.01


def test_studies_pair_their_variants_by_seed(run_many: RunMany) -> None:
    """A study has every variant with the same seeds, and its estimates and differences are those of its rows."""
    scenario = with_value(small("native-or-fallback"), "volume.data.size", "2 GiB")
    study = run_study(scenario, replications=4, seed=5, run_many=run_many)
    assert study.seeds == (5, 6, 7, 8)
    assert [(row.variant, row.seed) for row in study.rows] == [
        (v, s) for v in ("native", "fallback") for s in study.seeds
    ]
    assert [row.details is not None for row in study.rows] == [True, False, False, False] * 2
    assert Study.model_validate_json(study.model_dump_json()) == study
    frame = runs_frame(study)
    means = estimates_frame(study).set_index(["variant", "measure"])["mean"]
    apart = differences_frame(study).set_index(["variant", "measure"])["mean"]
    for key in ("completion[replicate]", "write_p50[oltp]", "io_done[oltp]"):
        by_variant = frame.groupby("variant")[key].mean()
        assert means["native", key] == pytest.approx(by_variant["native"])
        assert apart["fallback", key] == pytest.approx(by_variant["fallback"] - by_variant["native"])


def rows(values: dict[str, list[float | None]]) -> list[RunMeasures]:
    """Runs with one measure, by variant; seeds count from 1."""
    return [
        RunMeasures(scenario="s", variant=variant, seed=seed, measures=(Measure(name="m", value=value),))
        for variant, column in values.items()
        for seed, value in enumerate(column, 1)
    ]


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of the 95 % intervals of means and of paired differences of normal figures about 95 in 100 hold the truth, and
    what the pairs have in common is not in the width of their difference."""
    random = np.random.default_rng(1)
    held = held_apart = narrower = 0
    for _ in range(400):
        common = random.normal(0, 10, 6)
        one, two = common + random.normal(5, 1, 6), common + random.normal(7, 1, 6)
        data = rows({"one": [float(v) for v in one], "two": [float(v) for v in two]})
        first = estimates(data)[0]
        (apart,) = differences(data, "one")
        assert first.low is not None and first.high is not None and apart.low is not None and apart.high is not None
        held += first.low <= 5 <= first.high
        held_apart += apart.low <= 2 <= apart.high
        narrower += apart.high - apart.low < (first.high - first.low) / 2
    assert 365 <= held <= 395
    assert 365 <= held_apart <= 395
    assert narrower > 350


def test_equal_differences_have_no_width() -> None:
    """Differences that are equal but for the last binary digits are one number, with an interval without width."""
    data = rows({"one": [0.1, 0.2, 0.7], "two": [0.1 + 0.2, 0.2 + 0.2, 0.7 + 0.2], "three": [0.1, 0.2, 0.1 * 7]})
    two, three = differences(data, "one")
    assert (three.mean, three.low, three.high) == (0.0, 0.0, 0.0)
    assert two.low == two.high == two.mean == pytest.approx(0.2, rel=1e-12)


def test_what_has_no_value_does_not_count() -> None:
    """Runs without a value are left out of the mean and named by the count; one value has no interval."""
    data = rows({"one": [1.0, None, 3.0], "two": [None, None, 5.0]})
    one, two = estimates(data)
    assert (one.count, one.mean) == (2, 2.0)
    assert (two.count, two.mean, two.low, two.high) == (1, 5.0, None, None)
    (apart,) = differences(data, "one")
    assert (apart.count, apart.mean, apart.low) == (1, 2.0, None)
