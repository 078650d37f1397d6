"""The invariants find taskflows that are broken, make what they find small, and hold where nothing is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.schedules import oracle
from conformance.schedules.campaign import ENDLESS, SHRINKING, Campaign
from conformance.schedules.markers import MARKERS
from conformance.schedules.plan import Plan, deed_block, draw_blocks, from_text, strike_block, to_text
from conformance.schedules.saved import choice_of, for_clause, saved_blocks
from conformance.schedules.single_faults import FLOWS, REQUIRED
from conformance.test_schedules import A_BATCH
from conformance.verdicts import Ledger
from conformance.worlds import COLLECT_ALL_EVERY
from harness.cell import Cell, Kind
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import Evidence, Outcome
from harness.runtime import Livelock
from harness.schedule import Schedule
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


def test_a_world_is_given_back_before_the_next_one(here: Cell) -> None:
    """Nothing of a world is kept once it is over, though the collector is off while a check runs."""
    assert here.call("tests.schedules.worlds:kept", {}, "kept", 30.0).value == [0, 0, 0]


@pytest.mark.parametrize("how", ["raises", "keeps"])
def test_worlds_that_somebody_kept_for_a_while_do_not_pile_up(here: Cell, how: str) -> None:
    """Nor does what a driver or an error kept beyond the end of its world, however many there are."""
    arguments = {"how": how, "count": 3 * COLLECT_ALL_EVERY}
    assert max(here.call("tests.schedules.worlds:kept", arguments, "kept", 60.0).value) <= COLLECT_ALL_EVERY + 1


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
SLOWLY_FOUND = ("believes_its_record", "forgets_the_anchor")


@pytest.mark.parametrize(
    "flaw", [pytest.param(flaw, marks=[pytest.mark.long] if flaw in SLOWLY_FOUND else []) for flaw in FLAWS]
)
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
        for clause in broken:
            saved = result["schedule"]["choices"][choice_of(clause)]
            plan = Plan.of(from_text(saved))
            assert len(plan.deeds) <= 3 and len(plan.strikes) <= 2, plan.in_words()
            again = run(function, parameters, saved)
            assert clause in {c["clause"] for c in again["clauses"] if c["outcome"] == "failed"}


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


def test_a_campaign_goes_on_after_a_failure() -> None:
    """A batch whose schedules fail runs all of them, so that what passed has passed in all of them."""
    spec = CandidateSpec.for_driver("reference").to_dict() | {"config": {"publication": NOTHING}}
    arguments = {"module": "conformance.test_schedules", "function": "test_drawn_schedules",
                 "parameters": {"batch": "batch 0"}, "candidate": spec, "testbed": "iscsi-sim", "seed": 1,
                 "flaw": "never_quiesces", "saved": ""}  # fmt: skip
    with cell() as where:
        outcome = where.call("tests.schedules.worlds:check_once", arguments, "goes on", 60.0)
    assert outcome.kind is Kind.RETURNED, outcome
    assert "Q-1" in [c["clause"] for c in outcome.value["clauses"] if c["outcome"] == "failed"]
    assert outcome.value["rare_paths"]["schedules"] == A_BATCH


class Scripted:
    """Stands for worlds: each run ends as the script says, which sees the schedule's number of volumes and deeds."""

    def __init__(self, script: Callable[[], list[oracle.Finding]]) -> None:
        self.plan = Schedule(1, "test")
        self.ledger = Ledger(tuple(oracle.CLAUSES), Evidence.EXERCISED)
        self.digest = "there is one"
        self.runs = 0
        self._script = script

    def run(self, name: str, body: object) -> list[oracle.Finding]:
        """One run."""
        self.runs += 1
        return self._script()


def outcomes(worlds: Scripted) -> dict[str, Outcome]:
    """What is said of each clause."""
    return {result.clause: result.outcome for result in worlds.ledger.results()}


def test_runs_without_an_end_stop_a_campaign() -> None:
    """After a few runs without an end a campaign stops, and no clause passes that its other schedules might break."""

    def hang() -> list[oracle.Finding]:
        raise Livelock("nothing moves")

    worlds = Scripted(hang)
    campaign = Campaign(worlds, "test")  # type: ignore[arg-type]
    campaign.run_all([[(1, 1), deed_block("replicate")]] * 50)
    campaign.report(oracle.CLAUSES)
    found = outcomes(worlds)
    assert worlds.runs <= 2 * ENDLESS
    assert found.pop("R-9") is Outcome.FAILED
    assert set(found.values()) == {Outcome.UNVERIFIABLE}
    assert all("given up after" in r.message for r in worlds.ledger.results() if r.clause != "R-9")


def test_failures_of_many_clauses_are_made_small_within_bounds() -> None:
    """However many clauses fail, each is made small with runs of a bounded number, and each keeps its own schedule."""
    worlds = Scripted(lambda: [oracle.Finding(clause, "broken") for clause in oracle.CLAUSES])
    campaign = Campaign(worlds, "test")  # type: ignore[arg-type]
    campaign.run_all([[(2, 3), *[deed_block("replicate", wait=9)] * 9]] * 50)
    campaign.report(oracle.CLAUSES)
    assert worlds.runs <= 50 + SHRINKING
    assert set(outcomes(worlds).values()) == {Outcome.FAILED}
    assert {choice_of(clause) for clause in oracle.CLAUSES} <= set(worlds.plan.choices)


def test_a_saved_schedule_of_one_clause_replays_that_one() -> None:
    """Of a saved schedule that breaks several clauses, each gets the blocks that are its own, and no others."""
    saved = {"check": "c", "choices": {"blocks Q-3": "[[1]]", "blocks R-9": "[[2]]", "user": 7}}
    for clause, text in (("Q-3", "[[1]]"), ("R-9", "[[2]]")):
        own = for_clause(saved, clause)
        assert own is not None and saved_blocks(own["choices"]) == [text]
        assert own["choices"]["user"] == 7
    assert saved_blocks(saved["choices"]) == ["[[1]]", "[[2]]"]
    assert for_clause(saved, "Q-1") is None
