"""How a check keeps its findings about clauses, and how it ends early."""

from __future__ import annotations

from typing import Any

from conformance.clauses import CLAUSES
from harness.results import ClauseResult, Evidence, Finding, Outcome, RarePaths, Timeline


class CheckEnded(Exception):
    """The check ends here; what it knows is in the ledger."""


class Ledger:
    """What a check found out about each of its clauses.

    A clause that the check names but never came to judge is unverifiable: a check that asserts nothing proves nothing.
    """

    def __init__(self, clauses: tuple[str, ...], evidence: Evidence) -> None:
        self._clauses = clauses
        self.evidence = evidence
        self._results: dict[str, ClauseResult] = {}
        self.findings: list[Finding] = []
        self.timeline: Timeline | None = None
        self.rare_paths: RarePaths | None = None

    def expect(
        self,
        clause: str,
        condition: bool,
        message: str,
        witness: dict[str, Any] | None = None,
        evidence: Evidence | None = None,
    ) -> bool:
        """Note that `clause` holds (`condition`) or is broken, which `message` then explains; returns `condition`.

        The first failure of a clause stands, whatever comes later.
        """
        if clause not in self._clauses:
            raise LookupError(f"this check does not declare clause {clause}; it declares {', '.join(self._clauses)}")
        if condition:
            self._put(clause, Outcome.PASSED, "", evidence=evidence)
        else:
            self._put(clause, Outcome.FAILED, message, witness, evidence)
        return condition

    def set_aside(self, clause: str, reason: str) -> None:
        """Note that one clause is not applicable, and go on with the others."""
        self._put(clause, Outcome.NOT_APPLICABLE, reason)

    def leave_open(self, clause: str, reason: str) -> None:
        """Note that one clause could not be exercised, and go on with the others."""
        self._put(clause, Outcome.UNVERIFIABLE, reason)

    def not_applicable(self, reason: str, *clauses: str) -> None:
        """End the check: the publication makes no claim that these clauses (default: the rest) test."""
        self._close(Outcome.NOT_APPLICABLE, reason, clauses)

    def unverifiable(self, reason: str, *clauses: str) -> None:
        """End the check: these clauses (default: the rest) could not be exercised."""
        self._close(Outcome.UNVERIFIABLE, reason, clauses)

    def _close(self, outcome: Outcome, reason: str, clauses: tuple[str, ...]) -> None:
        for clause in clauses or self._clauses:
            if clause not in self._results or (clauses and self._results[clause].outcome is Outcome.PASSED):
                self._put(clause, outcome, reason)
        raise CheckEnded

    def fail_rest(self, message: str) -> None:
        """The driver broke the check off: clauses that bind drivers are failed, others that were not judged are open.

        A pass so far does not stand: the check had not come to its end.
        """
        for clause in self._clauses:
            known = self._results.get(clause)
            if CLAUSES[clause].binds_driver and (known is None or known.outcome is Outcome.PASSED):
                self._put(clause, Outcome.FAILED, message)
            elif known is None:
                self._put(clause, Outcome.UNVERIFIABLE, message)

    def results(self) -> list[ClauseResult]:
        """One result for each clause of the check, in its order."""
        for clause in self._clauses:
            if clause not in self._results:
                self._put(clause, Outcome.UNVERIFIABLE, "the check came to no judgement of it")
        return [self._results[clause] for clause in self._clauses]

    def _put(
        self,
        clause: str,
        outcome: Outcome,
        message: str,
        witness: dict[str, Any] | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        known = self._results.get(clause)
        if known is not None and known.outcome is Outcome.FAILED:
            return  # whatever else is found out, a failure stands
        by = evidence or self.evidence
        if known is not None and outcome is Outcome.PASSED is known.outcome and by is known.evidence:
            return  # it holds still
        judged = outcome in (Outcome.PASSED, Outcome.FAILED)
        self._results[clause] = ClauseResult(
            clause=clause,
            outcome=outcome,
            message=message,
            evidence=by if judged else None,
            witness=witness,
        )
