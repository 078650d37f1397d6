"""How well a calibrated model predicts a real target: `python -m benchmarks.fidelity --testbed tgt`."""

from __future__ import annotations

import statistics

from harness.real_targets.iscsi.calibration import calibrate, unseen
from harness.real_targets.iscsi.commands import open_testbed, surroundings
from harness.real_targets.iscsi.measure import Bench

TARGET = 0.15
"""The median absolute relative error to reach, on a machine that is idle otherwise."""


def report(testbed: str) -> int:
    """Calibrate, predict, print each error and the median; returns 1 if the target is missed."""
    bed = open_testbed(testbed)
    try:
        bench = Bench(bed)
        model = calibrate(bench)
        print(f"{testbed}: {surroundings()}")
        print(f"{'not used for calibration':28}{'measured/ms':>12}{'model/ms':>10}{'error':>9}")
        errors = []
        for one in unseen(bench, model):
            errors.append(abs(one.error))
            print(f"{one.name:28}{1e3 * one.measured_s:12.3f}{1e3 * one.predicted_s:10.3f}{100 * one.error:+8.1f} %")
    finally:
        bed.close()
    median = statistics.median(errors)
    verdict = "met" if median <= TARGET else "missed"
    print(
        f"median error {100 * median:.1f} %, largest {100 * max(errors):.1f} %; target {100 * TARGET:.0f} %: {verdict}"
    )
    return 0 if median <= TARGET else 1
