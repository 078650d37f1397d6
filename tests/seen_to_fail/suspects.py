"""What checks are seen to fail on: faulty drivers, faulty taskflows, and a driver with one flaw in one method."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from conformance.faulty import catalogue as drivers
from conformance.faulty_taskflows import catalogue as taskflows
from conformance.suite import CheckCase
from harness.cell import Cell, Kind
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import CheckResult, Outcome
from tests.proof.support import SIMULATED
from tests.seen_to_fail.flaws import FLAWS

PUBLICATIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "handles": {"handle_scope": "unrestricted"},
    "replication": {"snapshot_replication": True},
    "everything": {
        "stateless_activities": sorted(METHODS),
        "snapshot_replication": True,
        "backup_compression_techniques": ["zstd", "zlib"],
        "handle_scope": "unrestricted",
    },
}
ON_LISTED = {"crawls": ("Q-9",), "holds": ("Q-8",), "grows": ("Q-7",), "idles": ("Q-7", "Q-9"), "remembers": ("H-3",)}
ON_UNLISTED = {"wipes": ("Q-2",), "idles": ("Q-10",), "hurries": ("Q-10", "R-5")}
"""The flaws of `Flawed` that show where a method is listed, and where it is not; with the clauses that forbid them."""


@dataclass(frozen=True)
class Suspect:
    """Something faulty, on a testbed.

    `kind` is `driver` or `taskflow`, whose `name` is one of the catalogues (or of `flaws`), or `flaw`, that of a flaw
    of `Flawed`; `where` is the publication with which a faulty taskflow is run, or the flawed method and the
    publication.
    """

    kind: str
    name: str
    where: str
    testbed: str

    def spec(self) -> CandidateSpec:
        """What is put to the test."""
        if self.kind == "driver":
            return CandidateSpec.for_driver(next(d for d in drivers.catalogue() if d.name == self.name).reference)
        if self.kind == "taskflow":
            reference = CandidateSpec.for_driver("reference")
            return replace(reference, config={"publication": PUBLICATIONS[self.where]})
        method, publication = self.where.split(", ")
        config = {"flaw": self.name, "method": method, "publication": PUBLICATIONS[publication]}
        return replace(CandidateSpec.for_driver("tests.seen_to_fail.flawed:Flawed"), config=config)

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses that it breaks for sure."""
        if self.kind == "driver":
            return next(d for d in drivers.catalogue() if d.name == self.name).must_fail
        if self.kind == "taskflow":
            catalogue = {t.name: t.must_fail for t in taskflows.catalogue()}
            return catalogue[self.name] if self.name in catalogue else FLAWS[self.name][1]
        return (ON_LISTED if self.where.endswith("everything") else ON_UNLISTED)[self.name]

    def run(self, cell: Cell, case: CheckCase) -> CheckResult:
        """Run a check on it with seed 1, in a cell that is its own."""
        arguments = {**case.arguments(), "candidate": self.spec().to_dict(), "testbed": self.testbed, "seed": 1}
        if self.kind == "taskflow":
            module = "tests.seen_to_fail.flaws" if self.name in FLAWS else "conformance.faulty_taskflows.catalogue"
            call, arguments = f"{module}:run_check", {"flaw_name": self.name, **arguments}
        else:
            call = "conformance.runner:run_check"
        outcome = cell.call(call, arguments, case.name, 60.0)
        assert outcome.kind is Kind.RETURNED, f"{self}, {case.name}: {outcome}"
        return CheckResult.model_validate(outcome.value)

    def fails(self, cell: Cell, case: CheckCase) -> bool:
        """Whether a check fails on it for the right reason: one of the clauses that it breaks is found broken."""
        if not set(self.clauses) & set(case.clauses):
            return False
        found = [clause.clause for clause in self.run(cell, case).clauses if clause.outcome is Outcome.FAILED]
        return bool(set(self.clauses) & set(found))


def suspects() -> Iterator[Suspect]:
    """All of them; the faulty drivers, of which there are most, last."""
    for taskflow in taskflows.catalogue():
        for publication in PUBLICATIONS:
            yield Suspect("taskflow", taskflow.name, publication, taskflow.testbed)
    for name, publication in itertools.product(FLAWS, PUBLICATIONS):
        yield Suspect("taskflow", name, publication, "iscsi-sim")
    for listed, flaws in (("everything", ON_LISTED), ("handles", ON_UNLISTED)):
        for flaw, method in itertools.product(flaws, METHODS):
            yield Suspect("flaw", flaw, f"{method}, {listed}", "iscsi-sim")
    for driver, testbed in itertools.product(drivers.catalogue(), SIMULATED):
        yield Suspect("driver", driver.name, "", testbed)
