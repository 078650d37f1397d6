"""Many small worlds for one check: each a new testbed with its own driver, taskflow and record."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from typing import TypeVar

from conformance.lab import Lab
from conformance.verdicts import CheckEnded, Ledger
from harness.loading import Candidate
from harness.runtime import Limits
from harness.runtime.patches import seed as seed_randomness
from harness.schedule import Schedule
from harness.testbed import Testbed

T = TypeVar("T")

YOUNG = 1
"""The collector's generations up to this one hold all of a world that nobody keeps beyond its end."""

COLLECT_ALL_EVERY = 50
"""After so many worlds all generations are collected: a world that was kept for a while, by a driver that keeps its
last instance or by the traceback of an error, is in the oldest one."""


class Worlds:
    """Opens worlds one after the other, in a process that has one at a time.

    `open_testbed` makes a testbed from a seed, `ledger` is the check's, `plan` its choices. The digests of all worlds
    together are the check's digest.
    """

    def __init__(
        self,
        open_testbed: Callable[[int], Testbed],
        candidate: Candidate,
        plan: Schedule,
        ledger: Ledger,
        limits: Limits,
        digests: bool,
    ) -> None:
        self._open_testbed = open_testbed
        self.candidate = candidate
        self.plan = plan
        self.ledger = ledger
        self._limits = limits
        self._digest = hashlib.sha256() if digests else None
        self.run_ns = 0
        self._opened = 0
        gc.collect()  # what an earlier check has left must not be frozen
        gc.freeze()  # what stands before the first world is looked at by no later collection

    def run(self, name: str, body: Callable[[Lab], T]) -> T:
        """Run `body` in a new world; raises what it raises. What is named alike happens alike."""
        try:
            return self._run(name, body)
        finally:
            # The collector is off while a check runs; between worlds it may run. The next world is then made of memory
            # that is still in the processor's cache, which spares more than a collection of what is young takes.
            self._opened += 1
            if self._opened % COLLECT_ALL_EVERY:
                gc.collect(YOUNG)
            else:
                gc.collect()

    def _run(self, name: str, body: Callable[[Lab], T]) -> T:
        seed_randomness(self.plan.source(f"random {name}").getrandbits(64))
        own = Schedule(self.plan.source(name).getrandbits(63), f"{self.plan.check}:{name}")
        testbed = self._open_testbed(own.source("testbed").getrandbits(32))
        lab = Lab(testbed, self.candidate, own, Ledger((), self.ledger.evidence))
        try:
            return testbed.runtime.run(lambda: body(lab), self._limits)
        except CheckEnded:
            raise RuntimeError("a world can't end its check") from None
        finally:
            self.run_ns += testbed.runtime.now()
            if self._digest is not None:
                self._digest.update(testbed.recorder.digest().encode())
            testbed.close()

    @property
    def digest(self) -> str | None:
        """The digest of all worlds so far, in their order; None where runs do not repeat exactly."""
        return None if self._digest is None else self._digest.hexdigest()
