"""The published figures in `benchmarks/data/`, kept apart by role: what may set parameters, and what may not."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.model import GIB
from harness.runtime import SECOND

DATA = Path(__file__).with_name("data")

ROLES = ("calibration", "check", "peer")

MB = 1_000_000

_UNITS: Mapping[str, int] = {"MB/s": MB, "MB": MB, "GiB": GIB, "s": SECOND, "": 1}
"""What one of each unit is in bytes a second, bytes, nanoseconds, or pieces."""


@dataclass(frozen=True)
class Row:
    """One row of a file: its role, its source (an id of `sources.csv`), and all columns as text."""

    role: str
    source: str
    text: Mapping[str, str]

    def number(self, column: str) -> float:
        """The value of a column, in the unit of the file."""
        return float(self.text[column])


class Published:
    """The files of a directory. `calibration` and `checks` are the only ways to the measured rows."""

    def __init__(self, directory: Path = DATA) -> None:
        self._directory = directory

    def calibration(self, table: str) -> list[Row]:
        """The rows that may set parameters."""
        return self._rows(table, "calibration")

    def checks(self, table: str) -> list[Row]:
        """The rows that the model is compared with and that nothing else may read."""
        return self._rows(table, "check")

    def peers(self) -> list[Row]:
        """What other simulators reached."""
        return self._rows("other_simulators", "peer")

    def setup(self, series: str) -> dict[str, int]:
        """The stated hardware and workload of a series, in bytes, bytes a second, nanoseconds or pieces."""
        return {
            row.text["name"]: round(row.number("value") * _UNITS[row.text["unit"]])
            for row in self._rows("setup", "calibration")
            if row.text["series"] == series
        }

    def sources(self) -> dict[str, str]:
        """The title of each source by its id."""
        return {line["id"]: line["title"] for line in self._lines("sources")}

    def tables(self) -> dict[str, list[Row]]:
        """All rows of all files but `sources.csv`. Raises ValueError for an unknown role."""
        names = sorted(path.stem for path in self._directory.glob("*.csv") if path.stem != "sources")
        return {name: self._rows(name) for name in names}

    def _rows(self, table: str, role: str | None = None) -> list[Row]:
        rows = []
        for line in self._lines(table):
            if line["role"] not in ROLES:
                raise ValueError(f"{table}.csv: {line['role']!r} is no role; known are {', '.join(ROLES)}")
            if role is None or line["role"] == role:
                rows.append(Row(line["role"], line["source"], line))
        return rows

    def _lines(self, table: str) -> list[dict[str, str]]:
        with (self._directory / f"{table}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, strict=True))
