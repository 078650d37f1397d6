"""The digest of a run's record: equal for equal runs, and for no others as long as events hold plain data."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from harness.recorder import Recorder

FIELDS: dict[str, Any] = {"volume": "volume-1", "size": 1, "list": [1, {"a": None}], "share": 0.5, "big": 1 << 70}


def digest(
    fields: dict[str, Any], kind: str = "activity.started", at_ns: int = 7, blocks: tuple[int, ...] = (3,)
) -> str:
    """The digest of one event and some writes."""
    recorder = Recorder(lambda: at_ns)
    recorder.emit(kind, **fields)
    log = recorder.writes("volume-1")
    for block in blocks:
        log.acknowledge(log.issue(block, recorder.next_stamp()))
    return recorder.digest()


def test_equal_runs_have_equal_digests() -> None:
    """It does not matter which objects hold the values, nor whether texts share their memory."""
    copied = {"".join(name): [*value] if isinstance(value, list) else value for name, value in FIELDS.items()}
    copied["volume"] = "-".join(["volume", "1"])
    assert digest(FIELDS) == digest(copied) == digest(FIELDS)


@pytest.mark.parametrize(
    "other",
    [
        {"volume": "volume-2"},
        {"size": 2},
        {"size": True},
        {"size": 1.0},
        {"size": "1"},
        {"list": (1, {"a": None})},
        {"list": [1, {"a": 0}]},
        {"share": 0.5000000000000001},
        {"more": None},
    ],
    ids=str,
)
def test_any_other_value_has_another_digest(other: dict[str, Any]) -> None:
    """One value or type that differs, however little, shows."""
    assert digest(FIELDS | other) != digest(FIELDS)


def test_kind_time_and_writes_count() -> None:
    """So do the kind of an event, its time, and the writes, which blocks and how many."""
    found = [
        digest(FIELDS),
        digest(FIELDS, kind="activity.ended"),
        digest(FIELDS, at_ns=8),
        digest(FIELDS, blocks=(4,)),
        digest(FIELDS, blocks=(3, 3)),
        digest(FIELDS, blocks=()),
    ]
    assert len(set(found)) == len(found)


def test_what_is_no_plain_data_goes_by_how_it_shows() -> None:
    """A value that is not JSON-like is no error, and is told from another one."""
    halves = [digest(FIELDS | {"share": Fraction(1, 2)}) for _ in range(2)]
    assert halves[0] == halves[1] != digest(FIELDS | {"share": Fraction(1, 3)})
