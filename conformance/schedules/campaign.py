"""Runs schedules one after the other, judges each, makes the first failure of a clause small, and counts markers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conformance.lab import Lab
from conformance.schedules import oracle
from conformance.schedules.callers import carry_out
from conformance.schedules.markers import MARKERS, Tally, count
from conformance.schedules.plan import Block, Plan, to_text
from conformance.schedules.saved import choice_of
from conformance.schedules.shrink import shrink
from conformance.worlds import Worlds
from harness.contract import BackendActivityError
from harness.results import RarePaths, Reached
from harness.runtime import HorizonExceeded, Livelock, RuntimeLimit
from harness.storage import StorageError
from harness.taskflow.errors import TaskflowError

SHRINKING = 400
"""Runs that a campaign may spend to make failures small. Each failure takes at most half of what is left."""
SHRINKING_ON_THE_WALL = 20
"""The same where the clock is not virtual."""
ENDLESS = 10
"""After so many runs without an end a campaign stops: each takes as long as hundreds of others."""


class Campaign:
    """Schedules for one driver on one testbed. `judged` holds the clauses of which something was looked at,
    `failed` clause → the judgement, the smallest schedule that was found to break it, and the number of the run."""

    def __init__(self, worlds: Worlds, name: str) -> None:
        self._worlds = worlds
        self._name = name
        self._shrinking = SHRINKING if worlds.digest is not None else SHRINKING_ON_THE_WALL
        self._endless = 0
        self._stopped = ""
        self.runs = 0
        self.judged: set[str] = set()
        self.failed: dict[str, tuple[oracle.Finding, list[Block], int]] = {}
        self.markers: dict[str, Tally] = {name: Tally() for name in MARKERS}

    def run(self, blocks: Sequence[Block]) -> list[oracle.Finding]:
        """Run one schedule and count it; the findings that are failures."""
        self.runs += 1
        findings = self._once(blocks, self.markers)
        self.judged.update(finding.clause for finding in findings)
        broken = [finding for finding in findings if finding.message]
        for finding in broken:
            if finding.clause not in self.failed:
                smallest, small = self._smallest(finding, list(blocks))
                self.failed[finding.clause] = smallest, small, self.runs
        return broken

    def replay(self, saved: Iterable[Sequence[Block]]) -> None:
        """Run schedules that were made small before."""
        self._shrinking = 0
        self.run_all(saved)

    def run_all(self, schedules: Iterable[Sequence[Block]]) -> None:
        """Run all schedules, whatever fails, unless too many of them have no end."""
        for blocks in schedules:
            if self._endless >= ENDLESS:
                self._stopped = f"the schedules were given up after {self.runs}, since {self._endless} runs had no end"
                return
            self.run(blocks)

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
            self._endless += isinstance(error, (Livelock, HorizonExceeded))
            text = f"the run broke off: {type(error).__name__}: {error}"
            return [oracle.Finding("R-9", text)]

    def _smallest(self, finding: oracle.Finding, blocks: list[Block]) -> tuple[oracle.Finding, list[Block]]:
        smallest = finding

        def fails(candidate: list[Block]) -> bool:
            nonlocal smallest
            if self._endless >= ENDLESS // 2:  # the rest is for the schedules that are still to come
                return False
            self._shrinking -= 1
            found = next((f for f in self._once(candidate) if f.clause == finding.clause and f.message), None)
            smallest = found or smallest
            return found is not None

        small = shrink(blocks, fails, self._shrinking // 2)
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
                finding, blocks, run = self.failed[clause]
                witness: dict[str, Any] = dict(finding.witness or {})
                witness["schedule"] = Plan.of(blocks).in_words()
                self._worlds.plan.choices[choice_of(clause)] = to_text(blocks)
                ledger.expect(clause, False, f"{finding.message} (found in run {run}, made small)", witness)
            elif self._stopped:
                ledger.leave_open(clause, self._stopped)
            elif clause not in self.judged:
                ledger.set_aside(clause, "no schedule of this check touched it with this driver")
            elif lacking:
                ledger.leave_open(clause, f"none of {self.runs} runs reached: {'; '.join(lacking)}")
            else:
                ledger.expect(clause, True, "")
