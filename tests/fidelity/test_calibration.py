"""The timing model of a real iSCSI target, on targets whose law is known."""

from __future__ import annotations

import math
from typing import cast

import pytest

from harness.real_targets.iscsi.calibration import CODECS, IMMEDIATE_DATA, KIB, MIB, calibrate, unseen
from harness.real_targets.iscsi.measure import Bench

TRIP_S, R2T_S, LINK, DISK = 1e-4, 8e-5, 1.3e9, 2.5e9


class LawfulBench:
    """A stopwatch beside a target that takes a start and a rate for everything, and an R2T for larger writes."""

    def __init__(self, r2t_s: float) -> None:
        self._r2t_s = r2t_s

    def command(self, verb: str, size: int) -> float:
        """See `Bench.command`."""
        if verb == "read":
            return TRIP_S + size / LINK
        return TRIP_S if size <= IMMEDIATE_DATA else TRIP_S + self._r2t_s + size / LINK

    def sequence(self, verb: str, total: int, size: int) -> float:
        """See `Bench.sequence`."""
        verbs = ("read", "write") if verb == "copy" else (verb,)
        return total // size * math.fsum(self.command(each, size) for each in verbs)

    def round_trip(self) -> float:
        """See `Bench.round_trip`."""
        return TRIP_S

    def attach(self) -> float:
        """See `Bench.attach`."""
        return 4 * TRIP_S

    def copy(self, total: int) -> float:
        """See `Bench.copy`."""
        return 1e-2 + total / DISK

    def snapshot(self, total: int) -> float:
        """See `Bench.snapshot`."""
        return 1e-3 + total / DISK

    def compress(self, technique: str, total: int, chunk: int) -> float:
        """See `Bench.compress`."""
        return total / (MIB * (1 + CODECS.index(technique)))


@pytest.mark.parametrize("r2t_s", [0.0, R2T_S])
def test_target_of_the_models_law_is_predicted(r2t_s: float) -> None:
    """What was not measured is predicted exactly where a target takes a start and a rate, with and without R2T."""
    bench = cast(Bench, LawfulBench(r2t_s))
    found = {one.name: one.error for one in unseen(bench, calibrate(bench))}
    assert {"read 8 KiB", "write 8 KiB", "write 16 KiB", "host copy of 8 MiB", "copy of 32 MiB"} <= set(found)
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-9)


def test_small_writes_pay_for_no_r2t() -> None:
    """A write that goes with its command is predicted to take less than a larger one, by the R2T and the bytes."""
    model = calibrate(cast(Bench, LawfulBench(R2T_S)))
    small, large = (model.predict("write", size, size) for size in (IMMEDIATE_DATA, 16 * KIB))
    assert large - small == pytest.approx(R2T_S + 16 * KIB / LINK)
