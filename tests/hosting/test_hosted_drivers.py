"""Unmodified Cinder drivers on simulated machines: what they make, and what is said where a machine knows no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.cell import Cell, CellLimits, CellOutcome, Kind
from harness.loading import CandidateError, CandidateSpec
from harness.results import Outcome
from tests.hosting.conftest import Deed
from tests.hosting.deeds import CONFIGURATIONS, LVM

NFS = "cinder.volume.drivers.nfs.NfsDriver"
SOLIDFIRE = "cinder.volume.drivers.solidfire.SolidFireDriver"


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("attached", [False, True], ids=["unattached", "in use"])
@pytest.mark.parametrize(
    ("driver", "configuration"),
    [(LVM, "lvm_thin"), (LVM, "lvm_thick"), (NFS, "nfs"), (SOLIDFIRE, "solidfire")],
    ids=["thin", "thick", "nfs", "solidfire"],
)
def test_whatever_is_made_and_deleted_the_rest_keeps_its_content(
    do: Deed, driver: str, configuration: str, attached: bool, number: int
) -> None:
    """After snapshots, clones, writes and deletions in any order the backend holds what is left, each as it was."""
    seen = do("random_life", driver=driver, configuration=configuration, number=number, steps=25, attached=attached)
    assert seen["there"] == seen["expected"]
    assert seen["wrong"] == []
    assert (seen["refused"] > 0) == (driver == NFS and attached), "the NFS driver clones no volume in use"


def test_overlay_that_was_merged_already_has_nothing_to_merge(do: Deed) -> None:
    """A second commit of one overlay changes nothing of what the volume and its snapshots hold."""
    seen = do("random_life", driver="tests.hosting.drivers:CommitsTwice", configuration="nfs", steps=25, attached=False)
    assert seen["there"] == seen["expected"]
    assert seen["wrong"] == []


def test_refusal_to_extend_a_volume_in_use_ends_the_flow(cell: Cell) -> None:
    """A crash before an extension that the driver refuses for a volume in use leaves nothing that can't be ended."""
    spec = CandidateSpec.for_driver(NFS, CONFIGURATIONS / "nfs.toml")
    arguments: dict[str, Any] = {
        "module": "conformance.test_schedules",
        "function": "test_every_single_fault_at_every_step",
        "parameters": {"flow": "extension"},
        "candidate": spec.to_dict(),
        "testbed": "nfs-sim",
        "seed": 1,
    }
    outcome = cell.call("conformance.runner:run_check", arguments, "check", 120.0)
    assert outcome.kind is Kind.RETURNED, outcome
    assert outcome.value["outcome"] == Outcome.PASSED.value, outcome.value["message"]


def test_command_that_outlives_its_caller_is_known_to_the_next(do: Deed) -> None:
    """After a crash in mid-snapshot the logical volumes that LVM reports are those that the backend has."""
    seen = do("table_and_backend")
    assert seen["table"] == seen["backend"]


def test_thick_clones_take_the_time_of_a_copy_and_thin_ones_do_not(do: Deed) -> None:
    """A thick clone copies the whole volume at the disk's speed; a thin one is a snapshot."""
    thin, thick = do("durations"), do("durations", configuration="lvm_thick")
    assert thick["clone"] > thick["whole copy"] / 4 > thin["clone"]
    assert thin["clone"] < 2 * thin["snapshot"]


@pytest.mark.parametrize("driver", ["LooksForItsDevice", "LooksElsewhere"])
def test_vendor_s_modules_see_the_machine_s_files(do: Deed, driver: str) -> None:
    """A base class in a module of the vendor's, a function of another, and one that was imported by name find the
    volume's device, which is on the simulated machine only."""
    assert do("one_call", driver=f"tests.hosting.drivers:{driver}", method="create_snapshot")["raised"] is None


def test_unknown_command_is_the_harness_own_fault(outcome_of: Callable[..., CellOutcome]) -> None:
    """A command that the machine does not know ends the call as a harness error, though the driver swallows it."""
    outcome = outcome_of("one_call", driver="tests.hosting.drivers:AsksForMore", method="create_snapshot")
    assert outcome.kind is Kind.RAISED
    assert outcome.error_type == "HostingError"
    assert "`lvscan --mapper`" in outcome.message


@pytest.mark.parametrize(
    ("driver", "error", "says"),
    [
        ("CountsInMebibytes", "HostingError", "only sizes in GiB are known"),
        ("LooksInMebibytes", "HostingError", "`lvs --unit=m -o size cinder-volumes`: 'm' of its option --unit"),
        ("SaysTooLittle", "HostingError", "`qemu-img`: that use of qemu-img is not known"),
        ("ClonesAnotherWay", "HostingError", "its option '--ignoremonitoring' is not known"),
        ("FeedsItsCommand", "HostingError", "`lvs -o name cinder-volumes`: it was run with process_input"),
        ("AsksTheClusterForMore", "HostingError", "its parameter 'internalSnapshotUUID' is not known"),
        ("CallsWhatIsNotThere", "HostingError", "ListDrives"),
        ("CallsAnotherCluster", "HostingError", "https://192.0.2.99:443/json-rpc/1.0/"),
        ("LooksByPathlib", "HostingError", "the real file system by os.stat /etc/hostname"),
        ("ReadsByPathlib", "HostingError", "the real file system by open /etc/hostname"),
        ("CallsHome", "HostingError", "the real network"),
        ("AsksTheDatabase", "HostingError", "volume_glance_metadata_copy_to_snapshot"),
        ("ReadsItsDevice", "NotPlayed", "reads or writes /dev/mapper/"),
    ],
)
def test_what_is_not_played_counts_though_the_driver_swallows_it(
    outcome_of: Callable[..., CellOutcome], driver: str, error: str, says: str
) -> None:
    """What the machine and the stand-ins can't answer ends the call, though the driver takes no notice."""
    cluster = driver in ("AsksTheClusterForMore", "CallsWhatIsNotThere", "CallsAnotherCluster")
    configuration = "nfs" if driver == "SaysTooLittle" else "solidfire" if cluster else "lvm_thin"
    outcome = outcome_of(
        "one_call", driver=f"tests.hosting.drivers:{driver}", configuration=configuration, method="create_snapshot"
    )
    assert outcome.kind is Kind.RAISED
    assert outcome.error_type == error
    assert says in outcome.message


def test_unknown_command_never_passes_nor_fails_a_driver(cell: Cell) -> None:
    """In a check such a command makes the outcome an error, with the command in its message."""
    spec = CandidateSpec.for_driver("tests.hosting.drivers:AsksForMore", CONFIGURATIONS / "lvm_thin.toml")
    arguments: dict[str, Any] = {
        "module": "conformance.test_quiescing",
        "function": "test_unlisted_method_works_on_a_quiesced_volume",
        "parameters": {"method": "create_snapshot", "way": "blocking"},
        "candidate": spec.to_dict(),
        "testbed": "iscsi-sim",
        "seed": 1,
    }
    outcome = cell.call("conformance.runner:run_check", arguments, "check", 120.0)
    assert outcome.kind is Kind.RETURNED, outcome
    assert outcome.value["outcome"] == Outcome.ERROR.value
    assert "lvscan" in outcome.value["message"]
    assert all(each["outcome"] != Outcome.FAILED.value for each in outcome.value["clauses"])


def test_refusal_by_status_is_no_failure_unless_something_was_done(do: Deed) -> None:
    """A refusal before anything was done means "not supported"; the same exception after an effect, on the backend
    or on the machine's files alone, is a failure."""
    refused = do("one_call", driver=NFS, configuration="nfs", method="create_cloned_volume")
    assert refused == {"raised": "NotSupported", "left": False}
    for driver, raised in (
        ("Refuses", "DriverError"),
        ("IsNotImplementedAfterAll", "DriverError"),
        ("IsNotImplementedAfterWriting", "DriverError"),
        ("IsNotImplemented", "NotSupported"),
    ):
        on = "nfs" if driver.endswith("Writing") else "lvm_thin"
        seen = do("one_call", driver=f"tests.hosting.drivers:{driver}", configuration=on, method="create_snapshot")
        assert seen["raised"] == raised, driver


def test_what_a_driver_writes_to_a_record_comes_back(do: Deed) -> None:
    """Location and metadata that the driver sets are kept and seen by a driver that was started anew."""
    seen = do("model_updates", driver=NFS, configuration="nfs")
    assert seen["first"] == {"location": "192.0.2.20:/volumes", "format": "raw"}
    assert (seen["then"], seen["status"]) == ("qcow2", "available")


def test_publications_come_from_the_class_or_from_its_sidecar(do: Deed) -> None:
    """A class that publishes is believed; for another its sidecar speaks, but not for classes derived from it."""
    assert "create_cloned_volume" in do("published")["listed"]
    assert do("published")["version"] == "29.0.0"
    assert do("published", driver="tests.hosting.drivers:Publishes")["listed"] == ["create_snapshot"]
    assert do("published", driver="tests.hosting.drivers:Refuses")["listed"] == []


def test_derived_driver_is_hosted_in_a_process_that_has_not_seen_cinder() -> None:
    """A vendor's module may be the first that imports Cinder: its host is ready before any of Cinder's modules is."""
    fresh = Cell(CellLimits(), virtual=True, hash_seed=0)
    try:
        spec = CandidateSpec.for_driver("tests.hosting.drivers:Publishes", CONFIGURATIONS / "lvm_thin.toml")
        outcome = fresh.call("conformance.runner:describe", {"candidate": spec.to_dict()}, "describe", 120.0)
    finally:
        fresh.close()
    assert outcome.kind is Kind.RETURNED, outcome


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("lvm_tipe = 'thin'", "lvm_type"),
        ("lvm_type = 'thinnish'", "thinnish"),
        ("lvm_type = 'default'\nvolume_clear = 'zero'", "volume_clear = 'none'"),
    ],
)
def test_options_that_can_not_be_used_are_refused_before_the_run(
    cell: Cell, tmp_path: Any, options: str, says: str
) -> None:
    """A misspelt option, a value that Cinder does not take and one that is not played are usage errors."""
    (tmp_path / "options.toml").write_text(options)
    spec = CandidateSpec.for_driver(LVM, tmp_path / "options.toml")
    outcome = cell.call("conformance.runner:describe", {"candidate": spec.to_dict()}, "describe", 120.0)
    assert outcome.error_type == CandidateError.__name__
    assert says in outcome.message


def test_driver_that_opened_a_real_file_when_it_was_imported_is_refused(cell: Cell) -> None:
    """A module that holds a real file open since its import is a usage error: no method could tell it from its own."""
    spec = CandidateSpec.for_driver("tests.hosting.opens_early:OpensEarly", CONFIGURATIONS / "lvm_thin.toml")
    outcome = cell.call("conformance.runner:describe", {"candidate": spec.to_dict()}, "describe", 120.0)
    assert outcome.error_type == CandidateError.__name__
    assert "opened a real file when it was imported (HERE)" in outcome.message


def test_driver_without_a_simulated_machine_is_refused(cell: Cell) -> None:
    """A class for which no machine is simulated is refused with the names of those for which one is."""
    spec = CandidateSpec.for_driver("cinder.volume.drivers.rbd.RBDDriver")
    outcome = cell.call("conformance.runner:describe", {"candidate": spec.to_dict()}, "describe", 120.0)
    assert outcome.error_type == CandidateError.__name__
    assert LVM in outcome.message
