"""The library: golden results at a small size, and the law that each scenario shows."""

from __future__ import annotations

import json
import math

import pytest

from harness.study_results import RunMeasures
from scenarios.reading import library
from scenarios.vary import with_values
from tests.studies.small import GOLDEN, SEED, SMALL, Simulate, golden_text, small

GIB = 1 << 30
DISK = 1e9
"""Bytes a second of the disks that the library assumes, reading and writing."""


@pytest.fixture(scope="module")
def played() -> dict[str, dict[str, RunMeasures]]:
    """What was run already."""
    return {}


@pytest.fixture
def variants(
    request: pytest.FixtureRequest, run: Simulate, played: dict[str, dict[str, RunMeasures]]
) -> dict[str, RunMeasures]:
    """Every variant of the scenario that the test names, at its small size."""
    name = request.param
    if name not in played:
        plan = small(name)
        played[name] = {variant: run(plan, variant, SEED) for variant in plan.variants}
    return played[name]


def of(name: str) -> pytest.MarkDecorator:
    """Let a test have all variants of a scenario of the library."""
    return pytest.mark.parametrize("variants", [name], indirect=True)


def figure(run: RunMeasures, name: str, owner: str = "") -> float:
    """A measure that has a value."""
    value = run.value(name, owner)
    assert value is not None, f"{run.variant} has no {name}"
    return value


@pytest.mark.parametrize("variants", sorted(SMALL), indirect=True)
def test_measures_are_those_of_the_golden_file(
    variants: dict[str, RunMeasures], request: pytest.FixtureRequest
) -> None:
    """Each scenario of the library measures what its golden file says; how to write it anew stands in `small.py`."""
    name = request.node.callspec.params["variants"]
    golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    found = json.loads(golden_text(list(variants.values())))
    assert list(found) == list(golden)
    for variant, expected in golden.items():
        assert found[variant]["failures"] == expected["failures"], variant
        assert found[variant]["measures"] == pytest.approx(expected["measures"], rel=1e-9), variant


def test_every_scenario_has_a_golden_file_and_says_its_question() -> None:
    """Each file of the library has a small size and a golden file, is named as its file, and begins with comments."""
    for name, path in library().items():
        assert (GOLDEN / f"{name}.json").exists()
        assert small(name).name == name
        assert path.read_text(encoding="utf-8").startswith("# ")
    assert set(library()) == set(SMALL)


@of("native-or-fallback")
def test_the_fallback_costs_one_more_copy_within_the_source(variants: dict[str, RunMeasures]) -> None:
    """Native replication takes S / slowest part; the fallback adds S / disk for the clone, as much space, and twice the
    bytes read, and polls are all that is left over."""
    size, poll = 8 * GIB, 8 * GIB / DISK / 200
    native, fallback = variants["native"], variants["fallback"]
    alone = figure(native, "completion", "replicate")
    assert size / DISK <= alone <= size / DISK + 2 * poll
    more = figure(fallback, "completion", "replicate") - alone
    polls_and_commits = 0.025 + 12 * poll
    assert size / DISK <= more <= size / DISK + polls_and_commits
    assert figure(native, "link_bytes", "primary disk read") == size
    assert figure(fallback, "link_bytes", "primary disk read") == 2 * size
    assert figure(fallback, "temporary_space") == 2 * size
    assert figure(native, "temporary_space") == 0


@of("quiesced-or-stateless-backup")
def test_a_quiesced_backup_stalls_writers_for_its_whole_length(variants: dict[str, RunMeasures]) -> None:
    """Without the claim there is one window as long as the backup and a write waits nearly as long; with it, no window
    and no stall; reads are held in neither."""
    quiesced, stateless = variants["quiesced"], variants["stateless"]
    took = figure(quiesced, "completion", "backup")
    assert figure(quiesced, "quiesce_count") == 1
    assert figure(quiesced, "quiesce_total") == pytest.approx(took, rel=0.02)
    assert figure(quiesced, "longest_stall", "oltp") == pytest.approx(took, rel=0.02)
    assert figure(stateless, "quiesce_count") == figure(stateless, "quiesce_total") == 0
    assert figure(stateless, "longest_stall", "oltp") < 0.001
    assert figure(quiesced, "read_p999", "oltp") == pytest.approx(figure(stateless, "read_p999", "oltp"), rel=0.05)
    # the workload arrives whatever happens: the share of writes that were held is that of the time
    assert figure(quiesced, "write_p50", "oltp") > 0.1 * took * (2 * took / (took + 4) - 1)


@of("compression-where")
def test_the_slowest_stage_decides_who_should_compress(variants: dict[str, RunMeasures]) -> None:
    """Each way takes S over its slowest stage and at most a segment's way more, and the processor time is S over the
    codec's speed at the machine that compresses."""
    size, link = 4 * GIB, 125e6
    codecs = {"zstd": (510e6, 2.896), "zlib": (105e6, 2.743)}
    assert figure(variants["none"], "completion", "backup") == pytest.approx(size / link, rel=0.01)
    for name, (speed, ratio) in codecs.items():
        for where, slowest, machine in (
            ("backend", min(speed, ratio * link), "array"),
            ("taskflow", min(speed, link), "taskflow"),
        ):
            run = variants[f"{where}-{name}"]
            first_and_last = size / 32 * (1 / min(speed, link) + 1 / (ratio * link))
            took = figure(run, "completion", "backup")
            assert size / slowest <= took <= size / slowest + first_and_last + 0.2
            assert figure(run, "compression_cpu", machine) == pytest.approx(size / speed)
            assert figure(run, "stored", "backup") == pytest.approx(size / ratio)
            crosses = size / ratio if where == "backend" else size
            assert figure(run, "link_bytes", "array port out") == pytest.approx(crosses)


@of("taskflow-restart")
def test_only_a_handle_that_works_again_saves_the_copy(variants: dict[str, RunMeasures]) -> None:
    """A restart loses nothing where the handle table lets the new taskflow reach the activity, and the whole copy where
    not, which is then made a second time."""
    reach = {
        "unrestricted": True,
        "user-specific": True,
        "source-specific": True,
        "connection-specific": False,
        "user-specific-elsewhere": True,
        "source-specific-elsewhere": False,
    }
    size = 8 * GIB
    assert reach.keys() == variants.keys()
    for variant, reaches in reach.items():
        run = variants[variant]
        assert figure(run, "done", "clone") == 1
        assert figure(run, "work_lost") == (0 if reaches else size)
        assert figure(run, "link_bytes", "array disk write") == (size if reaches else 2 * size)
        took = figure(run, "completion", "clone")
        if reaches:
            assert took == pytest.approx(size / DISK, rel=0.02)
        else:
            # recovery waits for the longest activity, four copies by default, and then the copy is made again
            assert took > 4 + 1 + 5 * size / DISK


@pytest.mark.parametrize("variant", ["unrestricted", "connection-specific"])
def test_a_taskflow_that_dies_before_it_knows_the_handle_loses_the_copy(variant: str, run: Simulate) -> None:
    """Where the death comes between the start and its answer no scope helps: the copy is waited out and made again."""
    size = 4 * GIB
    plan = with_values(
        small("taskflow-restart"),
        {"volume.data.size": "4 GiB", "fault.crash.at": None, "fault.crash.on": "activity.started"},
    )
    result = run(plan, variant, SEED)
    assert figure(result, "work_lost") == size
    assert figure(result, "link_bytes", "array disk write") == 2 * size
    assert figure(result, "done", "clone") == 1


@of("connection-loss")
def test_a_handle_that_outlives_its_connection_costs_a_login(variants: dict[str, RunMeasures]) -> None:
    """After the loss a user-specific handle goes on; a connection-specific one loses what was moved until the server's
    lease of 90 s ran out."""
    write = 375e6
    unbroken = figure(variants["unbroken"], "completion", "migrate")
    assert figure(variants["user-specific"], "completion", "migrate") == pytest.approx(unbroken, abs=0.01)
    assert figure(variants["user-specific"], "work_lost") == 0
    broken = variants["connection-specific"]
    assert figure(broken, "work_lost") == pytest.approx((10 + 90) * write, rel=0.01)
    assert figure(broken, "link_bytes", "primary disk read") == 64 * GIB + figure(broken, "work_lost")
    assert figure(broken, "done", "migrate") == 1
    assert figure(broken, "completion", "migrate") > 10 + 90 + unbroken


@of("two-families")
def test_another_family_costs_the_way_through_a_host(variants: dict[str, RunMeasures]) -> None:
    """Within the family the bytes go once; to the other they are cloned, copied through the host at its slowest part,
    and copied once more by a snapshot that is a full copy."""
    size, filer = 4 * GIB, 375e6
    assert figure(variants["within-the-family"], "completion", "replicate") == pytest.approx(size / DISK, rel=0.01)
    for variant, host_copy in (("to-another-family", filer), ("to-another-family-slow-host", 125e6)):
        took = figure(variants[variant], "completion", "replicate")
        assert took == pytest.approx(size / DISK + size / host_copy + size / filer, rel=0.02)
        assert figure(variants[variant], "temporary_space") == 2 * size


@of("noisy-neighbour")
def test_disks_are_shared_fairly(variants: dict[str, RunMeasures]) -> None:
    """Beside a neighbour who reads the migration takes twice its time, beside one who writes no longer than alone."""
    quiet = figure(variants["quiet"], "completion", "migrate")
    assert quiet == pytest.approx(4 * GIB / DISK, rel=0.01)
    assert figure(variants["reader"], "completion", "migrate") == pytest.approx(2 * quiet, rel=0.01)
    assert figure(variants["writer"], "completion", "migrate") == pytest.approx(quiet, rel=0.001)


@of("shared-path")
def test_a_copy_doubles_the_load_of_the_link_it_shares(variants: dict[str, RunMeasures]) -> None:
    """Background I/O waits as in M/D/1 for a link that has half of its bandwidth while a copy runs over it, and the
    whole at other times; the copy has the bandwidth that is left."""
    piece, beside = (256 << 10) / DISK, 0.0002 + 0.00012 + 0.00008 / 2  # the round trip, and the disk's service

    def expected(rate: float, link: float) -> float:
        load = rate * link
        return beside + link + load * link / (2 * (1 - load))

    for variant, rate, shares, tolerance in (
        ("readers", 1000, True, 0.05),
        ("more-readers", 1700, True, 0.2),
        ("writers", 1000, False, 0.05),
        ("writers-at-the-destination", 1000, True, 0.05),
    ):
        run = variants[variant]
        outside, inside = (figure(run, f"background_mean_{side}", "others") for side in ("outside", "inside"))
        assert outside == pytest.approx(expected(rate, piece), rel=0.03), variant
        assert inside == pytest.approx(expected(rate, (1 + shares) * piece), rel=tolerance), variant
        left = DISK - rate * (256 << 10) * shares
        assert figure(run, "completion", "migrate") == pytest.approx(4 * GIB / left, rel=0.02), variant
        ios = rate * (figure(run, "end") + 10)
        assert abs(figure(run, "background_ios", "others") - ios) < 4 * math.sqrt(ios)


@of("evacuation")
def test_the_slowest_part_empties_a_backend(variants: dict[str, RunMeasures]) -> None:
    """Within the family the fleet takes N · S / disk and a poll for each round; to the slower family it does not make
    it before the backend is switched off, and what is late is counted."""
    fleet, poll = 12 * 20 * GIB, 2.0
    many, one = variants["eight-at-a-time"], variants["one-at-a-time"]
    assert fleet / DISK <= figure(many, "completion", "evacuate") <= fleet / DISK + 2 * poll
    assert fleet / DISK <= figure(one, "completion", "evacuate") <= fleet / DISK + 12 * poll
    assert figure(many, "late", "evacuate") == figure(one, "late", "evacuate") == 0
    slow = variants["to-another-family"]
    assert figure(slow, "late", "evacuate") == 12 - math.floor(360 * 375e6 / (20 * GIB) / 8) * 8
    assert figure(slow, "done", "evacuate") == 12
    assert figure(slow, "completion", "evacuate") > 24 * 3600


@of("backup-window")
def test_what_all_backups_share_decides_whether_they_fit(variants: dict[str, RunMeasures]) -> None:
    """The fleet takes N · S over the slowest of what is shared: the store's link for stored bytes, and for the plain
    ones the taskflow's port or the cores that compress."""
    fleet, store, port, cores, ratio = 40 * 10 * GIB, 1.25e9, 3.125e9, 8 * 510e6, 2.896
    for variant, slowest in (
        ("backend-zstd", min(cores, ratio * store)),
        ("taskflow-zstd", min(cores, port, ratio * store)),
        ("none", store),
    ):
        took = figure(variants[variant], "completion", "nightly")
        assert fleet / slowest <= took <= 1.1 * fleet / slowest
    assert figure(variants["backend-zstd"], "late", "nightly") < figure(variants["none"], "late", "nightly") == 40


@of("cinder-today")
def test_cinder_s_own_way_costs_a_copy_or_a_wait(variants: dict[str, RunMeasures]) -> None:
    """A temporary clone adds S / disk to the backup and takes S of space for as long as it lasts, a temporary snapshot
    adds next to nothing; either way the other request waits for the end of the backup, as by the specification it does
    not, and no host does; without force nothing is done at all."""
    size, link = 4 * GIB, 500e6
    specified, unlisted = variants["specification"], variants["specification-unlisted-backup"]
    alone = figure(specified, "completion", "backup")
    assert size / link <= alone <= size / link * 1.01
    assert figure(unlisted, "longest_stall", "oltp") == pytest.approx(alone, rel=0.01)
    at_once = figure(specified, "completion", "snapshot")
    assert at_once < 0.1 and figure(specified, "temporary_space") == 0
    polls = size / DISK / 200 + 0.05
    for variant, longer, space in (("cinder-clone", size / DISK, size), ("cinder-snapshot", 0, 0)):
        run = variants[variant]
        took = figure(run, "completion", "backup")
        assert alone + longer <= took <= alone + longer + polls
        assert figure(run, "temporary_space") == space
        assert figure(run, "temporary_space_time") == pytest.approx(space * took, rel=0.01)
        asked = math.ceil((took - 2) / 5)  # the snapshot is asked for from 2 s after the backup's beginning on
        assert figure(run, "refusals", "snapshot") == asked
        assert figure(run, "completion", "snapshot") == pytest.approx(5 * asked + at_once, abs=0.01)
        assert figure(run, "quiesce_count") == 0
        assert figure(run, "longest_stall", "oltp") < 0.001
    for operation in ("backup", "snapshot"):
        assert figure(variants["cinder-without-force"], "refusals", operation) == 1
        assert figure(variants["cinder-without-force"], "done", operation) == 0


def test_a_restart_leaves_nothing_of_cinder_s_temporary_clone(run: Simulate) -> None:
    """A taskflow that dies while the clone is read gives the volume its status back, deletes the clone, and makes a new
    one; the snapshot is granted in between or after."""
    plan = with_values(
        small("cinder-today"),
        {
            "volume.data.size": "2 GiB",
            "workload.oltp.area": "64 MiB",
            "fault.crash": {"kind": "taskflow.restart", "at": "6 s", "for": "1 s"},
        },
    )
    result = run(plan, "cinder-clone", SEED)
    assert result.failures == ()
    assert figure(result, "done", "backup") == figure(result, "done", "snapshot") == 1
    assert figure(result, "temporary_space") == 2 * GIB
    assert figure(result, "link_bytes", "array disk write") > 4 * GIB
