"""The invariants find taskflows that are broken, make what they find small, and hold where nothing is broken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.schedules import oracle
from conformance.schedules.markers import MARKERS
from conformance.schedules.plan import Plan, deed_block, draw_blocks, from_text, strike_block, to_text
from conformance.schedules.single_faults import FLOWS, REQUIRED
from harness.cell import Cell, Kind
from harness.contract import METHODS
from harness.loading import CandidateSpec
from tests.proof.support import cell

NOTHING: dict[str, Any] = {}
EVERYTHING = {
    "stateless_activities": sorted(METHODS),
    "snapshot_replication": True,
    "backup_compression_techniques": ["zstd", "zlib"],
    "handle_scope": "user-specific",
}


def ask(where: Cell, texts: list[str], publication: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Let a cell run schedules."""
    arguments = {"texts": texts, "publication": publication, **more}
    outcome = where.call("tests.schedules.worlds:judged", arguments, "schedules", 60.0)
    assert outcome.kind is Kind.RETURNED, outcome
    found: dict[str, Any] = outcome.value
    return found


class Drawn:
    """The choices of Hypothesis, behind the port that the generator asks."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        """See `conformance.schedules.choices.Choices.integer`."""
        return self._data.draw(st.integers(low, high))


@pytest.fixture(scope="module")
def here() -> Any:
    """A cell for the whole module."""
    with cell() as where:
        yield where


@pytest.mark.parametrize("publication", [NOTHING, EVERYTHING], ids=["nothing", "everything"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), testbed=st.sampled_from(["iscsi-sim", "nfs-sim"]))
def test_invariants_hold_after_any_schedule(
    here: Cell, publication: dict[str, Any], data: st.DataObject, testbed: str
) -> None:
    """Whatever schedule Hypothesis draws, the reference driver and the taskflow keep every invariant."""
    text = to_text(draw_blocks(Drawn(data)))
    found = ask(here, [text], publication, testbed=testbed)
    assert not found["failed"], found["failed"]


def test_a_schedule_repeats_itself(here: Cell) -> None:
    """One schedule gives one digest, in the same process and in another with another hash seed."""
    text = to_text(
        [
            (1, 1),
            deed_block("replicate"),
            deed_block("backup_volume", caller=1),
            strike_block("backend.restart", "step.started", 2, 0, 5),
        ]
    )
    first = ask(here, [text], NOTHING)
    with cell(hash_seed=4) as other:
        assert ask(other, [text], NOTHING)["digest"] == first["digest"] == ask(here, [text], NOTHING)["digest"]


FLAWS = {
    "forgets_the_release": ("Q-3", "Q-4"),
    "undoes_nothing": ("R-9",),
    "believes_its_record": ("R-12",),
    "cleans_up_both_ends": ("R-12", "R-9"),
    "never_quiesces": ("Q-1",),
    "marks_the_volume": ("Q-2",),
    "lets_users_pay": ("R-6", "R-9"),
    "forgets_the_anchor": ("R-9",),
}
"""Faulty taskflows, and the clauses of which schedules have to find at least one."""


@pytest.mark.parametrize("flaw", FLAWS)
def test_schedules_find_a_faulty_taskflow_and_make_it_small(flaw: str) -> None:
    """Single faults and drawn schedules break an invariant; the schedule that is left is small, and fails again."""
    testbed = "nfs-sim" if flaw in ("forgets_the_anchor", "lets_users_pay") else "iscsi-sim"  # where anchors are kept
    spec = CandidateSpec.for_driver("reference").to_dict() | {
        "config": {"publication": {"handle_scope": "user-specific"}}
    }
    base = {"module": "conformance.test_schedules", "candidate": spec, "testbed": testbed, "seed": 1, "flaw": flaw}
    cases = [("test_every_single_fault_at_every_step", {"flow": flow}) for flow in FLOWS]
    cases += [("test_drawn_schedules", {"batch": f"batch {number}"}) for number in range(4)]
    with cell() as where:

        def run(function: str, parameters: dict[str, str], saved: str = "") -> dict[str, Any]:
            arguments = {**base, "function": function, "parameters": parameters, "saved": saved}
            outcome = where.call("tests.schedules.worlds:check_once", arguments, function, 60.0)
            assert outcome.kind is Kind.RETURNED, outcome
            value: dict[str, Any] = outcome.value
            return value

        for function, parameters in cases:
            result = run(function, parameters)
            assert result["outcome"] != "error", result["message"]
            broken = [c["clause"] for c in result["clauses"] if c["outcome"] == "failed"]
            if set(broken) & set(FLAWS[flaw]):
                break
        else:
            pytest.fail(f"{flaw} was not found")
        saved = result["schedule"]["choices"]["blocks"]
        plan = Plan.of(from_text(saved))
        assert len(plan.deeds) <= 3 and len(plan.strikes) <= 2, plan.in_words()
        again = run(function, parameters, saved)
        assert set(broken) & {c["clause"] for c in again["clauses"] if c["outcome"] == "failed"}


@pytest.mark.parametrize(
    ("flaw", "flow", "testbed", "clause"),
    [
        ("forgets_why_it_released", "reattachment", "iscsi-sim", "Q-3"),
        ("releases_what_moves", "migration in use", "iscsi-sim", "R-12"),
        ("forgets_what_has_grown", "extension", "nfs-sim", "R-6"),
    ],
)
def test_single_faults_find_what_they_once_found(flaw: str, flow: str, testbed: str, clause: str) -> None:
    """A flaw of the taskflow that schedules brought to light is found by the flow that it concerns."""
    spec = CandidateSpec.for_driver("reference").to_dict() | {
        "config": {"publication": {"handle_scope": "user-specific"}}
    }
    arguments = {
        "module": "conformance.test_schedules",
        "function": "test_every_single_fault_at_every_step",
        "parameters": {"flow": flow},
        "candidate": spec,
        "testbed": testbed,
        "seed": 1,
        "flaw": flaw,
        "saved": "",
    }
    with cell() as where:
        outcome = where.call("tests.schedules.worlds:check_once", arguments, flaw, 60.0)
    assert outcome.kind is Kind.RETURNED, outcome
    assert clause in [c["clause"] for c in outcome.value["clauses"] if c["outcome"] == "failed"], outcome.value


def test_required_markers_exist_and_clauses_are_judged(here: Cell) -> None:
    """Each required marker is one, and a few schedules together judge every clause that the oracle names but H-2."""
    assert {marker for needed in REQUIRED.values() for marker in needed} <= set(MARKERS)
    deeds = [deed_block(kind) for kind in ("create_cloned_volume", "replicate")]
    death = strike_block("caller.crash", "activity.ended", 1, 0, 1)
    unlisted = ask(here, [to_text([(1, 1), *deeds]), to_text([(1, 1), deed_block("migrate_volume"), death])], NOTHING)
    listed = ask(here, [to_text([(1, 1), *deeds])], EVERYTHING)
    assert not unlisted["failed"] and not listed["failed"]
    assert set(unlisted["judged"]) | set(listed["judged"]) >= set(oracle.CLAUSES) - {"H-2"}
