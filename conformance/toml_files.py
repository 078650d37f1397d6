"""Reads the small TOML files that a certification is given beside its driver: tables of texts, with clear refusals."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from conformance.session import UsageProblem
from harness.input_file import InputFileError, parse_toml, read_text
from harness.names import did_you_mean

MAX_BYTES = 1 << 20
"""The largest file, in bytes."""
MAX_TEXT = 500
"""The longest text in it, in characters."""


def read_toml(option: str, path: str) -> dict[str, Any]:
    """What a TOML file holds. Raises `UsageProblem` that names the option, the file and what to do."""
    where = f"{option} {path}"
    try:
        return parse_toml(read_text(Path(path), MAX_BYTES, "a .toml file"))
    except InputFileError as error:
        raise UsageProblem(f"{where}: {error.what}; {error.remedy}") from None


def texts(where: str, table: object, required: Collection[str], optional: Collection[str] = ()) -> dict[str, str]:
    """The texts of a table: all of `required`, none but those and `optional`; a date is read as its ISO 8601 text.

    Raises `UsageProblem` that begins with `where`.
    """
    if not isinstance(table, Mapping):
        raise UsageProblem(f"{where} is no table; write keys with values in it")
    known = [*required, *optional]
    for key in table:
        if key not in known:
            raise UsageProblem(f"{where}: the key {key!r} is not known; {did_you_mean(key, known)}")
    for key in required:
        if key not in table:
            raise UsageProblem(f"{where}: {key!r} is missing; add it")
    return {key: _text(f"{where}: {key!r}", value) for key, value in table.items()}


def _text(where: str, value: object) -> str:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if not isinstance(value, str):
        raise UsageProblem(f"{where} is {value!r:.60}; write it as a text in quotes")
    if not value.strip() or not value.isprintable():
        raise UsageProblem(f"{where} is {value!r:.60}; write one line of text, without control characters")
    if len(value) > MAX_TEXT:
        raise UsageProblem(f"{where} has {len(value)} characters; make do with {MAX_TEXT}")
    return value
