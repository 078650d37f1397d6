"""Results as plain JSON values, whatever a driver put into them, and back.

A publication or a witness may hold anything: sets, objects whose `repr` fails, a dictionary that contains itself. None
of it may keep a report from being written.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.input_file import InputFileError, read_file, unique_keys
from harness.results import SCHEMA, Report
from reports.text import one_line

MAX_BYTES = 256 << 20
"""The largest report that is read, in bytes."""

_DEPTH = 40
_INTEGER_BITS = 1024
_SHOWN_ERRORS = 5

Model = TypeVar("Model", bound=BaseModel)


class ReportError(Exception):
    """A report can't be read or written; the message says which one, why, and what to do."""


def plain(value: object, _around: tuple[int, ...] = ()) -> Any:
    """`value` in JSON's own types; what has no such form becomes text, what is endless or nested too deeply "…"."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str.__str__(value.value if isinstance(value, enum.Enum) else value)
        return text.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        bits = int.bit_length(value)
        return int.__int__(value) if bits <= _INTEGER_BITS else f"an integer of {bits} bits"
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else repr(number)
    if id(value) in _around or len(_around) > _DEPTH:
        return "…"
    around = (*_around, id(value))
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name), around) for name in type(value).model_fields}
    try:
        if isinstance(value, Mapping):
            return {_key(key): plain(item, around) for key, item in value.items()}
        if isinstance(value, AbstractSet):
            return sorted((plain(item, around) for item in value), key=repr)
        if isinstance(value, list | tuple):
            return [plain(item, around) for item in value]
        return plain(repr(value))
    except Exception as error:  # a driver's object, so anything may go wrong in it
        return f"<{type(value).__name__}, not shown: {type(error).__name__}>"


def _key(key: object) -> str:
    shown = plain(key if isinstance(key, str) else repr(key))
    return str(shown)


def to_json(report: Report) -> str:
    """The text of `report.json`; the same report gives the same text."""
    return json.dumps(plain(report), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _bounded(text: str) -> int:
    number = int(text)
    if number.bit_length() > _INTEGER_BITS:  # `plain` writes none, so that reading and writing would not agree
        raise ValueError(f"{text[:40]}… is too large a number")
    return number


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "report"


def read_json(data: bytes, where: str) -> Any:
    """The JSON document in `data`; a `ReportError` that begins with `where` if it is none, or ambiguous."""
    try:
        return json.loads(
            data.decode("utf-8-sig"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_bounded,
            object_pairs_hook=unique_keys,
        )
    except json.JSONDecodeError as error:
        raise ReportError(
            f"{where}: is not complete JSON (line {error.lineno}, column {error.colno}: {error.msg}); "
            "it was cut off or edited. Run the suites again to write it anew"
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, NaN, a key twice, nested without end
        raise ReportError(f"{where}: is not JSON: {one_line(error, 200)}") from error


def read_bytes(path: Path, kind: str = "report") -> bytes:
    """What a file holds; a `ReportError` if it can't be read, or is no file of that kind."""
    try:
        return read_file(path, MAX_BYTES, f"a {kind}.json")
    except InputFileError as error:
        raise ReportError(f"{path}: {error.what}; {error.remedy}") from error


def parse_model(model: type[Model], schema: str, kind: str, data: bytes, where: str) -> Model:
    """The document of that schema in `data`; a `ReportError` that says what is wrong with it."""
    document = read_json(data, where)
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version is None:
        raise ReportError(f"{where}: has no schema_version, so it is not a {kind} of this harness")
    if version != schema:
        raise ReportError(
            f"{where}: has schema {one_line(version, 80)!r}, this version reads {schema!r}; "
            "read it with the version of the harness that wrote it, or run the suites again"
        )
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"  {one_line(_place(fault['loc']), 200)}: {one_line(fault['msg'], 200)}" for fault in faults]
        more = len(lines) - _SHOWN_ERRORS
        shown = [*lines[:_SHOWN_ERRORS], *([f"  and {more} more"] if more > 0 else [])]
        raise ReportError("\n".join([f"{where}: does not follow {schema}:", *shown])) from error


def load_report(path: str | Path) -> Report:
    """The report that `write_report` wrote to `path`; a `ReportError` if it isn't one that this version reads."""
    return parse_model(Report, SCHEMA, "report", read_bytes(Path(path)), str(path))
