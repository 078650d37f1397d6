"""The timing models: what they may know, and what they say in cases that can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks import backup_durations, nfs_instances
from benchmarks.fidelity import measured_series
from benchmarks.published import Published

Altered = Callable[[str, str, float], Published]

TABLES = [nfs_instances.TABLE, backup_durations.TABLE]


def predictions(published: Published) -> dict[tuple[str, str], float]:
    """The model's seconds by series and case."""
    return {(one.name, row.case): row.model for one in measured_series(published) for row in one.comparisons}


@pytest.mark.parametrize("table", TABLES)
def test_checked_measurements_set_no_parameter(table: str, published: Published, altered: Altered) -> None:
    """With every checked measurement of a table tripled, all predictions stay what they were, and the errors change."""
    changed = altered(table, "check", 3.0)
    assert predictions(changed) == predictions(published)
    means = [one.mean for one in measured_series(published)]
    assert [one.mean for one in measured_series(changed)] != means


@pytest.mark.parametrize("table", TABLES)
def test_calibration_is_used(table: str, published: Published, altered: Altered) -> None:
    """A calibration row with other measurements gives other predictions; so the test above can fail."""
    assert predictions(altered(table, "calibration", 1.1)) != predictions(published)


def test_predictions_repeat_exactly(published: Published) -> None:
    """The same figures give the same predictions, to the last digit."""
    assert predictions(published) == predictions(published)


def test_a_calibration_row_is_met_by_what_it_sets(published: Published) -> None:
    """The read time of one instance, and the durations without a codec, come out as they went in."""
    for one in measured_series(published):
        for row in one.comparisons:
            if row.role == "calibration" and one.name not in {"NFS instances, write", "NFS instances, makespan"}:
                assert row.model == pytest.approx(row.measured, rel=1e-6), one.name


def test_instances_share_the_slowest_stage(published: Published) -> None:
    """Sixteen writers share the SSD's write bandwidth; cold reads share its read bandwidth, others the network.

    16 times 3000 MB at 375 MB/s, three times; once at 515 MB/s and twice at 3000 MB/s.
    """
    times = nfs_instances.predict(nfs_instances.parameters(published), 16)
    assert times.write == pytest.approx(3 * 16 * 3000 / 375, rel=1e-6)
    assert times.read == pytest.approx(16 * 3000 / 515 + 2 * 16 * 3000 / 3000, rel=1e-6)


def test_one_stream_of_writes_passes_the_stages_one_after_the_other(published: Published) -> None:
    """Alone, an instance writes each byte to the network, the server's memory and its SSD in turn."""
    times = nfs_instances.predict(nfs_instances.parameters(published), 1)
    assert times.write == pytest.approx(9000 / 3000 + 9000 / 2764 + 9000 / 375, rel=1e-6)


def test_makespan_is_reading_computing_and_writing(published: Published) -> None:
    """An instance does one thing after the other: its makespan is the sum of its parts."""
    times = nfs_instances.predict(nfs_instances.parameters(published), 4)
    assert times.makespan == pytest.approx(times.read + 3 * 4.4 + times.write, rel=1e-9)


def test_files_that_the_server_can_not_keep_are_read_from_its_disk(published: Published) -> None:
    """Where the page cache has room for less than a file, all three reads are cold; with room for one, the first is."""
    figures = nfs_instances.parameters(published)
    small = nfs_instances.predict(replace(figures, server_memory=figures.file - 1), 1)
    enough = nfs_instances.predict(replace(figures, server_memory=figures.file), 1)
    assert small.read == pytest.approx(3 * 3000 / 515, rel=1e-6)
    assert enough.read == pytest.approx(3000 / 515 + 6e9 / figures.one_cached_read, rel=1e-6)


def test_stages_of_a_backup_add_up(published: Published) -> None:
    """A backup reads, hashes, compresses and writes in turn, and stores its data by the published ratio."""
    figures = backup_durations.parameters(published)
    volume, data = 16 * 2**30, 12_001_017_856
    read_s, hash_s = volume / figures.disk, volume / figures.hashing
    expected = read_s + hash_s + data / 20e6 + data / 3.11 / figures.disk
    assert backup_durations.predict(figures, "gzip").backup == pytest.approx(expected, rel=1e-6)


def test_stages_of_a_restore_add_up(published: Published) -> None:
    """A restore reads what is stored, decompresses and writes the whole volume, and hashes nothing."""
    figures = backup_durations.parameters(published)
    volume, data = 16 * 2**30, 12_001_017_856
    expected = data / 2.896 / figures.disk + data / 1550e6 + volume / figures.disk
    assert backup_durations.predict(figures, "zstd").restore == pytest.approx(expected, rel=1e-6)


def test_an_algorithm_without_a_published_speed_is_refused(published: Published) -> None:
    """A prediction for an algorithm that no published speed stands for is an error, not a guess."""
    with pytest.raises(ValueError, match="no published speed stands for 'bz2'"):
        backup_durations.predict(backup_durations.parameters(published), "bz2")
