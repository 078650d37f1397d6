"""Flows, their undoing and recovery, seen at the backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cell import Cell, CellLimits, Kind

Deed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def do() -> Iterator[Deed]:
    """Does a deed in a warm cell."""
    cell = Cell(CellLimits(), virtual=True, hash_seed=0)

    def call(name: str, testbed: str = "iscsi-sim", **more: Any) -> dict[str, Any]:
        outcome = cell.call("tests.taskflow.deeds:do", {"name": name, "testbed": testbed, **more}, name, 60.0)
        assert outcome.kind is Kind.RETURNED, outcome
        assert isinstance(outcome.value, dict)
        return outcome.value

    yield call
    cell.close()


def test_volume_moves_to_another_family_through_a_host(do: Deed) -> None:
    """Where the driver can't migrate, a host copies the whole content and the source is deleted."""
    assert do("host_copy") == {"same content": True, "source": [], "host": True}


def test_attached_volume_is_not_copied_through_a_host(do: Deed) -> None:
    """A host's copy of an attached volume is refused, nothing is made, and the status is as before."""
    assert do("host_copy_of_attached") == {"error": "Refused", "stranger": [], "status": "in-use"}


def test_failure_past_the_cut_over_keeps_the_copy(do: Deed) -> None:
    """Once the copy is the volume, what is left to delete after a failure is the source, never the copy (R-12)."""
    assert do("failure_past_the_cut_over") == {
        "error": "DriverError",
        "copy is whole": True,
        "the record names it": True,
        "source": [],
    }


def test_what_must_not_be_deleted_is_not(do: Deed) -> None:
    """A volume that is attached, has snapshots or does not exist is not deleted, and the caller is told."""
    assert do("refusals") == {"with snapshot": "Refused", "attached": "Refused", "unknown": "Refused", "left": []}


def test_what_cannot_be_undone_now_is_undone_later(do: Deed) -> None:
    """A failed clean-up stays in the journal and is finished by the next one; no record is forgotten before."""
    seen = do("undo_waits_for_the_backend")
    assert seen["error"] == "DriverError"
    assert seen["pending"] == ["running"]
    assert seen["left meanwhile"] > 0
    assert seen["recovered"] == ["undone"]
    assert seen["left"] == []
    assert seen["hidden records"] == []


@pytest.mark.parametrize("scope", ["connection-specific", "unrestricted"])
def test_death_in_a_quiesced_method_is_not_success(do: Deed, scope: str) -> None:
    """The hosts hold on for a dead taskflow, the next one releases them and undoes what nobody saw to its end."""
    seen = do("crash_in_a_quiesced_snapshot", publication={"handle_scope": scope})
    assert seen == {
        "held by the dead": True,
        "status": "creating",
        "recovered": ["undone"],
        "held": False,
        "record": False,
        "left": [],
    }


def test_anchor_goes_with_its_snapshot(do: Deed) -> None:
    """Where snapshots need their volume, it is kept hidden, and deleted with the snapshot (R-8)."""
    assert do("anchor", testbed="nfs-sim") == {"anchors": 1, "kept": True, "hidden": True, "left": []}


def test_a_start_is_not_repeated_once_the_hold_is_over(do: Deed) -> None:
    """A start that got no answer while the hosts still held the volume is not repeated after they let it go (Q-1)."""
    seen = do("start_repeated_too_late", publication={"handle_scope": "unrestricted"})
    assert seen == {
        "error": "OutcomeUnknown",
        "released by the hosts": 1,
        "begun": 0,
        "record": False,
        "left": [],
    }


def test_attaching_does_not_fail_with_a_quiesce_that_ends(do: Deed) -> None:
    """A host that joins a quiesce as its time runs out is attached; the method's result is not used."""
    seen = do("attach_when_a_hold_is_nearly_over")
    assert seen == {"errors": [None, "QuiesceLost"], "attached": 2, "held": False}
