"""Runs schedules one after the other, judges each, makes the first failure of a clause small, and counts markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.lab import Lab
from conformance.schedules import oracle
from conformance.schedules.callers import carry_out
from conformance.schedules.markers import MARKERS, Tally, count
from conformance.schedules.plan import Block, Plan, to_text
from conformance.schedules.shrink import shrink
from conformance.worlds import Worlds
from harness.contract import BackendActivityError
from harness.results import RarePaths, Reached
from harness.runtime import RuntimeLimit
from harness.storage import StorageError
from harness.taskflow.errors import TaskflowError

CHOICE = "blocks"
"""The name under which a saved schedule holds its blocks."""


class Campaign:
    """Schedules for one driver on one testbed. `judged` holds the clauses of which something was looked at,
    `failed` clause → the judgement and the smallest schedule that was found to break it."""

    def __init__(self, worlds: Worlds, name: str) -> None:
        self._worlds = worlds
        self._name = name
        self.runs = 0
        self.judged: set[str] = set()
        self.failed: dict[str, tuple[oracle.Finding, list[Block]]] = {}
        self.markers: dict[str, Tally] = {name: Tally() for name in MARKERS}

    def run(self, blocks: Sequence[Block]) -> list[oracle.Finding]:
        """Run one schedule and count it; the findings that are failures."""
        self.runs += 1
        findings = self._once(blocks, self.markers)
        self.judged.update(finding.clause for finding in findings)
        broken = [finding for finding in findings if finding.message]
        for finding in broken:
            if finding.clause not in self.failed:
                self.failed[finding.clause] = self._smallest(finding, list(blocks))
        return broken

    def run_all(self, schedules: Iterable[Sequence[Block]]) -> None:
        """Run schedules until one fails, or none is left."""
        for blocks in schedules:
            if self.run(blocks):
                return

    def _once(self, blocks: Sequence[Block], markers: Mapping[str, Tally] | None = None) -> list[oracle.Finding]:
        plan = Plan.of(blocks)

        def body(lab: Lab) -> list[oracle.Finding]:
            stage = carry_out(lab, plan)
            lab.settled()
            if markers is not None:
                count(stage, markers)
            return list(oracle.judge(stage))

        try:
            return self._worlds.run(self._name, body)
        except (TaskflowError, BackendActivityError, RuntimeLimit, StorageError) as error:
            text = f"the run broke off: {type(error).__name__}: {error}"
            return [oracle.Finding("R-9", text)]

    def _smallest(self, finding: oracle.Finding, blocks: list[Block]) -> tuple[oracle.Finding, list[Block]]:
        smallest = finding

        def fails(candidate: list[Block]) -> bool:
            nonlocal smallest
            found = next((f for f in self._once(candidate) if f.clause == finding.clause and f.message), None)
            smallest = found or smallest
            return found is not None

        small = shrink(blocks, fails)
        return smallest, small

    def report(self, clauses: Iterable[str], missing_markers: Iterable[str] = (), drawn: bool = False) -> None:
        """Put what was found into the check's ledger; `drawn` as in `harness.results.RarePaths`."""
        ledger = self._worlds.ledger
        seen = {name: tally for name, tally in self.markers.items() if tally.aimed or tally.reached}
        paths = {name: Reached(aimed=tally.aimed, reached=tally.reached) for name, tally in seen.items()}
        ledger.rare_paths = RarePaths(drawn=drawn, schedules=self.runs, paths=paths)
        lacking = sorted(missing_markers)
        for clause in clauses:
            if clause in self.failed:
                finding, blocks = self.failed[clause]
                witness: dict[str, Any] = dict(finding.witness or {})
                witness["schedule"] = Plan.of(blocks).in_words()
                self._worlds.plan.choices[CHOICE] = to_text(blocks)
                ledger.expect(clause, False, f"{finding.message} (found in run {self.runs}, made small)", witness)
            elif clause not in self.judged:
                ledger.set_aside(clause, "no schedule of this check touched it with this driver")
            elif lacking and not self.failed:
                ledger.leave_open(clause, f"none of {self.runs} runs reached: {'; '.join(lacking)}")
            else:
                ledger.expect(clause, True, "")
