"""The published figures: roles, sources, units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import backup_durations, nfs_instances
from benchmarks.published import Published

WORDS = {"role", "source", "algorithm", "codec", "simulator", "series", "name", "unit"}
"""Columns that are no numbers."""


def test_every_row_names_its_role_and_a_known_source(published: Published) -> None:
    """Each row of each file has one of the roles, and a source that sources.csv describes."""
    sources = published.sources()
    tables = published.tables()
    assert len(tables) == 5
    for table, rows in tables.items():
        assert rows, table
        for row in rows:
            assert row.source in sources, (table, row)


def test_every_figure_is_a_positive_number(published: Published) -> None:
    """Each column that is not a name reads as a number above 0, in every row."""
    for table, rows in published.tables().items():
        for row in rows:
            for column in row.text.keys() - WORDS:
                assert row.number(column) > 0, (table, row)


@pytest.mark.parametrize("table", [nfs_instances.TABLE, backup_durations.TABLE])
def test_measured_rows_are_calibration_or_check(table: str, published: Published) -> None:
    """A measured series has one calibration row, at least two to check, and none of both or of another role."""
    calibration, checks = published.calibration(table), published.checks(table)
    assert len(calibration) == 1
    assert len(checks) >= 2
    assert {row.role for row in checks} == {"check"}
    assert len(published.tables()[table]) == len(calibration) + len(checks)


def test_setup_is_in_base_units(published: Published) -> None:
    """Stated hardware is read as bytes, bytes a second and nanoseconds."""
    setup = published.setup("nfs")
    assert (setup["disk_read"], setup["file"], setup["cpu"]) == (515_000_000, 3_000_000_000, 4_400_000_000)
    assert published.setup("backup")["volume"] == 16 * 2**30


def test_an_unknown_role_is_refused(altered: Callable[[str, str, float], Published], tmp_path: Path) -> None:
    """A row whose role is misspelt is an error, so that it is neither dropped nor taken for calibration."""
    figures = altered("cinder_backup_codecs", "check", 1.0)
    (file,) = tmp_path.glob("*/cinder_backup_codecs.csv")
    file.write_text(file.read_text(encoding="utf-8").replace("check,zstd", "chekc,zstd"), encoding="utf-8")
    with pytest.raises(ValueError, match="'chekc' is no role"):
        figures.checks("cinder_backup_codecs")
