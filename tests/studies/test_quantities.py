"""Quantities with units."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios import quantities
from scenarios.quantities import QuantityError, parse_bandwidth, parse_rate, parse_size, parse_time


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_size, "1 TiB", 1 << 40),
        (parse_size, "1.5GiB", 3 << 29),
        (parse_size, "4096 B", 4096),
        (parse_size, "1 TB", 10**12),
        (parse_bandwidth, "10 Gb/s", 1_250_000_000),
        (parse_bandwidth, "25Gb", 3_125_000_000),
        (parse_bandwidth, "100 Mbit / s", 12_500_000),
        (parse_bandwidth, "515 MB/s", 515_000_000),
        (parse_bandwidth, "1 GiB/s", 1 << 30),
        (parse_time, "5 ms", 5_000_000),
        (parse_time, "0", 0),
        (parse_time, "1.5 h", 5400 * 10**9),
        (parse_time, "200 µs", 200_000),
        (parse_rate, "2000 /s", 2000.0),
        (parse_rate, "90/min", 1.5),
    ],
)
def test_units_mean_what_they_say(parse: Callable[[str], float], text: str, value: float) -> None:
    """Bits and bytes, powers of 1000 and of 1024, and times are read exactly."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_size, "10"),
        (parse_size, "-1 GiB"),
        (parse_size, "1 gib"),
        (parse_size, "0.3 B"),
        (parse_size, "10 Gb/s"),
        (parse_bandwidth, "0 Gb/s"),
        (parse_bandwidth, "10 Gb/min"),
        (parse_time, "1 m"),
        (parse_time, "0.1 ns"),
        (parse_time, "1e999 s"),
        (parse_rate, "fast"),
        (parse_rate, "9" * 100 + " /s"),
    ],
)
def test_what_is_no_such_quantity_is_refused(parse: Callable[[str], float], text: str) -> None:
    """A missing or another kind of unit, a sign, or a part of a byte or nanosecond is refused with a message."""
    with pytest.raises(QuantityError):
        parse(text)


@given(st.integers(1, 1 << 60))
def test_what_is_written_is_read_back_exactly(value: int) -> None:
    """Every whole number of bytes, bytes a second and nanoseconds is the same after writing and reading."""
    assert parse_size(quantities.size_text(value)) == value
    assert parse_bandwidth(quantities.bandwidth_text(value)) == value
    assert parse_time(quantities.time_text(value)) == value
