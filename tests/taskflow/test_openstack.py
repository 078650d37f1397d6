"""Our flows as flows of OpenStack's taskflow, run by its serial engine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cell import Cell, CellLimits, Kind
from tests.taskflow.exports import FLOWS

Run = Callable[..., dict[str, Any]]

NATIVE = {"snapshot_replication": True, "backup_compression_techniques": ["zstd"], "handle_scope": "unrestricted"}
LISTED = {"stateless_activities": ["create_snapshot", "create_cloned_volume", "migrate_volume"]}
SEVEN = ("replicate_snapshot", "clone", "migrate", "snapshot", "delete_copy", "delete_clone", "finish")


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    """A warm cell under the virtual clock; there is no such test without OpenStack's taskflow."""
    pytest.importorskip("taskflow", reason="OpenStack's taskflow is not installed (extra `cinder`)")
    cell = Cell(CellLimits(), virtual=True, hash_seed=0)
    yield cell
    cell.close()


@pytest.fixture
def call(cell: Cell) -> Run:
    """Calls a function of `exports` in the cell."""

    def call(function: str, testbed: str = "iscsi-sim", **more: Any) -> dict[str, Any]:
        target = f"tests.taskflow.exports:{function}"
        outcome = cell.call(target, {"testbed": testbed, **more}, function, 60.0)
        assert outcome.kind is Kind.RETURNED, outcome
        assert isinstance(outcome.value, dict)
        return outcome.value

    return call


@pytest.fixture
def both(call: Run) -> Run:
    """Runs a flow by itself and by the engine, asserts that nothing differs, and returns what came of it."""

    def both(name: str, testbed: str = "iscsi-sim", **more: Any) -> dict[str, Any]:
        by_itself = call("run", testbed, name=name, **more)
        by_engine = call("run", testbed, name=name, engine="serial", **more)
        by_itself["tasks"] = by_engine["tasks"]
        assert by_engine == by_itself
        assert by_itself["writes"] > 40
        return by_engine

    return both


ON_NFS = ("replicate", "delete_replica")
"""Flows whose way is another one there: snapshots that need their volume, and so anchors."""


@pytest.mark.parametrize(
    ("name", "testbed"), [*((name, "iscsi-sim") for name in FLOWS), *((name, "nfs-sim") for name in ON_NFS)]
)
def test_engine_leaves_the_same_record(both: Run, name: str, testbed: str) -> None:
    """Each flow run by the engine leaves the same events, writes, objects, records and digest as by itself."""
    seen = both(name, testbed)
    assert seen["journal"][-1][0] in ("done", "undone")


@pytest.mark.parametrize("name", ["create_snapshot", "migrate", "replicate", "backup"])
@pytest.mark.parametrize("publication", [NATIVE, LISTED], ids=["native", "listed"])
def test_same_record_whatever_is_published(both: Run, name: str, publication: dict[str, Any]) -> None:
    """The record is the same where the driver replicates natively, compresses, or need not be quiesced."""
    seen = both(name, publication=publication)
    if name == "replicate" and publication is NATIVE:
        assert seen["journal"][-1] == ["done", "replicate_snapshot"]


STEPS = [
    ("replicate_to_stranger", "clone", {"backend": "primary", "verb": "copy"}),
    ("replicate_to_stranger", "migrate", {"backend": "stranger", "verb": "create_volume"}),
    ("replicate_to_stranger", "snapshot", {"backend": "stranger", "verb": "snapshot"}),
    ("replicate_to_stranger", "delete_copy", {"backend": "stranger", "verb": "delete"}),
    ("replicate_to_stranger", "delete_clone", {"backend": "primary", "verb": "delete"}),
    ("migrate_through_host", "delete_source", {"backend": "primary", "verb": "delete"}),
    ("migrate", "migrate_volume", {"backend": "primary", "verb": "move"}),
    ("create_snapshot", "create_snapshot", {"backend": "primary", "verb": "snapshot"}),
    ("backup", "backup_volume", {"backend": "primary", "verb": "read"}),
]


@pytest.mark.parametrize(("name", "step", "where"), STEPS, ids=[f"{n}-{s}" for n, s, _ in STEPS])
def test_engine_reverts_with_the_same_record(both: Run, name: str, step: str, where: dict[str, Any]) -> None:
    """Where a step fails, the engine's revert leaves the same record, journal and error as our own undoing."""
    publication = {"backup_compression_techniques": ["zstd"]}
    seen = both(name, faults=[{"kind": "job.fail", "fraction": 0.5, **where}], publication=publication)
    assert f"step.failed {step}" in seen["events"]
    assert seen["events"][-1] == "flow.undone"
    assert seen["result"].startswith("DriverError: ")


def test_what_cannot_be_undone_stays_in_the_journal(both: Run) -> None:
    """Undos that fail under the engine are told and kept for a recovery, as they are without it."""
    failing = {"kind": "job.fail", "backend": "stranger"}
    faults = [{**failing, "verb": "snapshot"}] + [{**failing, "verb": "delete"}] * 4
    seen = both("replicate_to_stranger", faults=faults)
    assert seen["events"].count("undo.failed") == 2
    assert seen["journal"][-1][0] == "running"


@pytest.mark.parametrize(
    "step",
    [pytest.param("clone", marks=pytest.mark.long), "snapshot", pytest.param("delete_clone", marks=pytest.mark.long)],
)
def test_death_under_the_engine_is_a_death(both: Run, step: str) -> None:
    """A taskflow that dies under the engine leaves what it would leave without, and another recovers it."""
    seen = both("replicate_to_stranger", dies_in=step)
    assert seen["result"].startswith("(True, ")
    assert seen["journal"][-1][0] == "undone"
    assert seen["objects"]["stranger"] == []


def test_one_task_for_each_step(call: Run) -> None:
    """The engine's tasks are the steps of the plan; those after the failed one are not executed, and each revert undoes
    its own step, the last one first."""
    seen = call("reverting")
    assert seen["error"].endswith("on stranger failed: injected failure")
    assert [(name.removeprefix("replicate/"), *rest) for name, *rest in seen["seen"]] == [
        ("replicate_snapshot", "SUCCESS", 0, 0),  # not taken
        ("clone", "SUCCESS", 1, 0),
        ("migrate", "SUCCESS", 1, 1),
        ("snapshot", "FAILURE", 1, 1),
        ("snapshot", "REVERTED", 1, 1),
        ("migrate", "REVERTED", 1, 0),
        ("clone", "REVERTED", 0, 0),
        ("replicate_snapshot", "REVERTED", 0, 0),
    ]
    assert [t.removeprefix("replicate/") for t in call("run", name="replicate", engine="serial")["tasks"]] == list(
        SEVEN
    )


def test_parallel_engine_is_refused(call: Run) -> None:
    """Another engine is refused with the reason and the remedy, and the flow has no effect."""
    seen = call("run", name="create_volume", engine="parallel")
    assert "the parallel engine can't run" in seen["result"]
    assert "virtual time would be wrong; use the serial engine" in seen["result"]
    assert seen["events"] == []


def test_flow_is_run_alone_and_where_it_was_exported(call: Run) -> None:
    """A second flow in one export is refused, and one without a plan; one that is not run, or run in another task or in
    threads, has no effect."""
    seen = call("two_flows")
    assert "give its flow a plan" in seen["unplanned"]
    assert "export each by itself" in seen["two"]
    assert "use the serial engine, in the task that exported the flow" in seen["elsewhere"]
    assert "use the serial engine" in seen["threads"]
    assert seen["made"] == [True, False, False, False, False]


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenStack's taskflow the import says which extra brings it."""
    for name in [n for n in sys.modules if n.split(".")[0] == "taskflow" or n == "harness.taskflow.openstack"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "taskflow", None)
    with pytest.raises(ImportError, match=r"extra `cinder` installs: pip install 'backend-activity-harness\[cinder\]'"):
        importlib.import_module("harness.taskflow.openstack")
