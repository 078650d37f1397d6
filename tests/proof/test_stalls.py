"""How long a listed method holds writes is judged by the record of the writes, against the profile's limit (Q-8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from conformance.faulty import catalogue as faulty_drivers
from conformance.honest import catalogue as honest_drivers
from conformance.record import longest_wait, under_way_between
from conformance.suite import CheckCase, cases
from harness.cell import Cell, Kind
from harness.loading import CandidateSpec
from harness.recorder import Recorder
from harness.results import CheckResult, Outcome
from tests.proof.support import SIMULATED, cell, run

MS = 1_000_000


def clone() -> CheckCase:
    """The check of a blocking clone."""
    return next(case for case in cases("Q-8") if case.name.endswith("[create_cloned_volume,blocking]"))


def honest(**options: Any) -> CandidateSpec:
    """An honest driver that has writes suspended for an instant, on a testbed with those options."""
    driver = next(d for d in honest_drivers.catalogue() if d.name == "FencesForAnInstant")
    return replace(driver.spec(), testbed_options=options)


def holding() -> CandidateSpec:
    """A driver that has writes suspended until its clone is complete."""
    driver = next(d for d in faulty_drivers.catalogue() if d.name == "HoldsWritesUntilCopied")
    return CandidateSpec.for_driver(driver.reference)


@pytest.fixture(scope="module")
def shared() -> Iterator[Cell]:
    """One cell for the checks that change nothing in it."""
    with cell() as where:
        yield where


@pytest.mark.parametrize("testbed", SIMULATED)
def test_the_limit_is_the_profiles(shared: Cell, testbed: str) -> None:
    """A suspension of some milliseconds is within the profile's limit, and beyond a limit of 2 ms; the witness is a
    write of the record that waited for so long."""
    within = run(shared, honest(), clone(), testbed, 1)
    beyond = run(shared, honest(stall_limit_ns=2 * MS), clone(), testbed, 1)
    assert within.outcome is Outcome.PASSED, within.message
    (clause,) = beyond.clauses
    assert clause.outcome is Outcome.FAILED and "the stall limit of 0.002 s" in clause.message
    assert clause.witness is not None and 2 * MS < clause.witness["waited_ns"] < 50 * MS
    assert clause.witness["waited_ns"] <= clause.witness["acknowledged_ns"] - clause.witness["issued_ns"]


def test_without_a_write_under_way_nothing_is_known(shared: Cell) -> None:
    """Where no write was under way while the method worked, the clause is unverifiable, and says so."""
    result = run(shared, honest(think_ns=200_000 * MS), clone(), "iscsi-sim", 1)
    assert result.outcome is Outcome.UNVERIFIABLE, result.message
    assert "no write was under way while create_cloned_volume worked" in result.message


@pytest.fixture(scope="module")
def jittery() -> Iterator[Cell]:
    """A cell for a testbed that does not time writes exactly."""
    with cell() as where:
        yield where


@pytest.mark.parametrize(
    ("jitter_ns", "outcome", "told"),
    [
        (None, Outcome.UNVERIFIABLE, "nor does its profile state the jitter"),
        (100 * MS, Outcome.FAILED, "and the testbed's own jitter of 0.1 s"),
        (3_000 * MS, Outcome.PASSED, ""),
    ],
)
def test_stated_jitter_counts(jittery: Cell, jitter_ns: int | None, outcome: Outcome, told: str) -> None:
    """A testbed that does not time writes exactly adds the jitter that it states to the limit; one that states none
    can't establish the clause."""
    arguments = {
        "jitter_ns": jitter_ns,
        **clone().arguments(),
        "candidate": holding().to_dict(),
        "testbed": "iscsi-sim",
        "seed": 1,
    }
    found = jittery.call("tests.proof.jittery:run_check", arguments, clone().name, 60.0)
    assert found.kind is Kind.RETURNED, found
    result = CheckResult.model_validate(found.value)
    assert (result.outcome, told in result.message) == (outcome, True), result.message


def test_a_write_waits_from_the_event_to_its_acknowledgement() -> None:
    """What was acknowledged before the event does not count, what was issued before it counts from it on, and what was
    never acknowledged waits until the end."""
    now = 0
    recorder = Recorder(lambda: now)
    log = recorder.writes("volume")
    rows = [log.issue(block, 100 + block) for block in range(2)]
    now = 10
    log.acknowledge(rows[0])
    event = recorder.emit("method.invoked", method="create_snapshot")
    now = 25
    log.acknowledge(rows[1])
    returned = recorder.emit("method.returned", method="create_snapshot")
    found = longest_wait(log, event, 25)
    assert found is not None and (found["block"], found["waited_ns"]) == (1, 15)
    assert under_way_between(log, event.place, returned.place) == 1
    now = 30
    log.issue(2, 102)
    found = longest_wait(log, event, 50)
    assert found is not None and (found["block"], found["waited_ns"], found["acknowledged_ns"]) == (2, 20, None)
    assert longest_wait(log, recorder.emit("later"), 50) == {**found, "waited_ns": 20}
    log.acknowledge(2)
    assert longest_wait(log, recorder.emit("later still"), 50) is None
