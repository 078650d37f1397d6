"""How true the timing model is: `python -m benchmarks.fidelity`.

Compares the model with measurements that others published (`benchmarks/data/`) and with cases that theory answers. For
each series: the mean and the largest relative error over the rows that set no parameter, the target, and what other
simulators reached on the whole series. Ends with status 1 if a target is missed, a fair share is not exact, or an
interval of theory fails at more seeds than 95 % intervals explain. With `--testbed`: calibrates a real target and
predicts operations that were not used for that.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks import analytic, backup_durations, calibrated, nfs_instances
from benchmarks.published import Published, Row

PEERS = ("WRENCH", "WRENCH-cache")


@dataclass(frozen=True)
class Comparison:
    """One figure: what was measured and what the model says, in seconds."""

    case: str
    role: str
    measured: float
    model: float

    @property
    def error(self) -> float:
        """The relative error, negative where the model is too fast."""
        return self.model / self.measured - 1


@dataclass(frozen=True)
class Series:
    """The comparisons of one quantity; errors count the rows with the role `check` only.

    `target` is the mean absolute relative error to reach, None where none is set; `peers` is what others reached.
    """

    name: str
    comparisons: tuple[Comparison, ...]
    target: float | None
    peers: dict[str, float]

    @property
    def mean(self) -> float:
        """The mean absolute relative error."""
        errors = [abs(c.error) for c in self._checked]
        return sum(errors) / len(errors)

    @property
    def largest(self) -> Comparison:
        """The comparison with the largest absolute relative error."""
        return max(self._checked, key=lambda c: abs(c.error))

    @property
    def is_missed(self) -> bool:
        """Whether there is a target and the mean error is above it."""
        return self.target is not None and self.mean > self.target

    @cached_property
    def _checked(self) -> list[Comparison]:
        return [c for c in self.comparisons if c.role == "check"]


def measured_series(published: Published) -> list[Series]:
    """All series that were measured."""
    peers: dict[str, dict[str, float]] = {}
    for row in published.peers():
        peers.setdefault(row.text["series"], {})[row.text["simulator"]] = row.number("mean_error_percent") / 100

    nfs = nfs_instances.parameters(published)
    instances = _compared(published, nfs_instances.TABLE, "n", lambda n: nfs_instances.predict(nfs, int(n)))
    backups = backup_durations.parameters(published)
    codecs = _compared(
        published, backup_durations.TABLE, "algorithm", lambda name: backup_durations.predict(backups, name)
    )
    return [
        Series("NFS instances, write", _comparisons(instances, "write", "write_mean"), 0.10, peers["write"]),
        Series("NFS instances, read", _comparisons(instances, "read", "read_mean"), 0.15, peers["read"]),
        Series(
            "NFS instances, makespan", _comparisons(instances, "makespan", "makespan_mean"), 0.10, peers["makespan"]
        ),
        Series("backup by codec", _comparisons(codecs, "backup", "backup_s"), 0.15, {}),
        Series("restore by codec", _comparisons(codecs, "restore", "restore_s"), None, {}),
    ]


_Pairs = list[tuple[str, Row, object]]
"""For each row: what names it, the row itself, and the model's times."""


def _compared(published: Published, table: str, key: str, predict: Callable[[str], object]) -> _Pairs:
    rows = [*published.calibration(table), *published.checks(table)]
    return [(f"{key} = {row.text[key]}", row, predict(row.text[key])) for row in rows]


def _comparisons(pairs: _Pairs, attribute: str, column: str) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(case, row.role, measured=row.number(column), model=float(getattr(times, attribute)))
        for case, row, times in pairs
    )


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f} %"


def series_lines(series: Sequence[Series]) -> Iterator[str]:
    """The table of the measured series, and each row of each."""
    heads = "".join(f"{peer:>14}" for peer in PEERS)
    yield f"{'series':26}{'mean error':>11}{'largest':>9}  {'at':18}{'target':>9}  {'':8}{heads}"
    for one in series:
        target = "none set" if one.target is None else f"{100 * one.target:.0f} %"
        verdict = "" if one.target is None else "missed" if one.is_missed else "met"
        others = "".join(f"{percent(one.peers[peer]) if peer in one.peers else '-':>14}" for peer in PEERS)
        largest = one.largest
        yield (
            f"{one.name:26}{percent(one.mean):>11}{percent(abs(largest.error)):>9}  {largest.case:18}{target:>9}  "
            f"{verdict:8}{others}"
        )
    yield "Errors: mean absolute relative, rows with the role check; the other simulators': over the whole series."
    yield ""
    yield f"{'series':26}{'case':18}{'role':13}{'measured/s':>11}{'model/s':>10}{'error':>9}"
    for one in series:
        for row in one.comparisons:
            yield (
                f"{one.name:26}{row.case:18}{row.role:13}{row.measured:11.2f}{row.model:10.2f}{100 * row.error:+7.1f} %"
            )


def main() -> int:
    """Print the report; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    analytic.add_options(parser)
    parser.add_argument("--testbed", help="predict a real target instead, tgt or lio, from a calibration made now")
    options = parser.parse_args()
    if options.testbed is not None:
        return calibrated.report(options.testbed)
    series = measured_series(Published())
    failures = [f"{one.name}: mean error {percent(one.mean)}" for one in series if one.is_missed]
    for line in series_lines(series):
        print(line)
    print()
    return analytic.print_cases(options, failures)


if __name__ == "__main__":
    raise SystemExit(main())
