"""The published figures, as they are and with changed rows."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.published import DATA, Published


@pytest.fixture
def published() -> Published:
    """The figures of the repository."""
    return Published()


@pytest.fixture
def altered(tmp_path: Path) -> Callable[[str, str, float], Published]:
    """What copies the figures with every measurement of one role in one table multiplied by a factor."""

    def alter(table: str, role: str, factor: float) -> Published:
        directory = tmp_path / f"{table} {role}"
        shutil.copytree(DATA, directory)
        file = directory / f"{table}.csv"
        with file.open(newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        for row in rows:
            for column in row.keys() - {"role", "n", "algorithm", "source"}:
                if row["role"] == role:
                    row[column] = str(float(row[column]) * factor)
        with file.open("w", newline="", encoding="utf-8") as text:
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return Published(directory)

    return alter
