"""A publication without code: what a vendor writes down of a driver, as a TOML or JSON file.

[publication]                          # optional, as is every key in it
name = "Thin driver"
product = "Example Array 9"
version = "4.2"
testbeds = ["iscsi-sim"]
sources = ["https://example.org/manual, page 12"]
notes = "…"

[backend_activity_attributes]          # required; may be empty
stateless_activities = ["create_snapshot"]
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract import ATTRIBUTE
from harness.input_file import MAX_NESTING, InputFileError, nested_too_deeply, parse_toml, read_text, unique_keys
from harness.names import did_you_mean

MAX_BYTES = 1 << 20
"""The largest publication file, in bytes; it is a few lines."""

_TEXTS = ("name", "product", "version", "notes")
_LISTS = ("testbeds", "sources")


class PublicationFileError(ValueError):
    """A publication file can't be used. The text names the file, what is wrong, and what to do."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path}: {what}; {remedy}")
        self.path = path
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class PublicationFile:
    """A publication file as it was read. `attributes` is not judged yet; `name` is the file's stem if it gives none."""

    path: str
    attributes: dict[str, Any]
    name: str
    product: str = ""
    version: str = ""
    testbeds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    notes: str = ""


def read_publication_file(path: str | Path) -> PublicationFile:
    """Read a publication from a `.toml` or `.json` file. Raises `PublicationFileError`."""
    path = Path(path)
    tables = read_table(path)
    known = ("publication", ATTRIBUTE)
    for key in tables:
        if key not in known:
            raise PublicationFileError(path, f"unknown top-level key {key[:60]!r}", did_you_mean(key, known))
    if ATTRIBUTE not in tables:
        raise PublicationFileError(path, f"it has no table {ATTRIBUTE}", f"add [{ATTRIBUTE}]; it may be empty")
    attributes = tables[ATTRIBUTE]
    if not isinstance(attributes, dict):
        raise PublicationFileError(path, f"{ATTRIBUTE} is no table", "make it a table of keys and values")
    about = tables.get("publication", {})
    if not isinstance(about, dict):
        raise PublicationFileError(path, "publication is no table", "make it a table of keys and values")
    fields: dict[str, Any] = {}
    for key, value in about.items():
        if key in _TEXTS:
            if not isinstance(value, str):
                raise PublicationFileError(path, f"publication.{key} is no string", "put it in quotes")
            fields[key] = value
        elif key in _LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise PublicationFileError(path, f"publication.{key} is no list of strings", 'write it as ["…", "…"]')
            fields[key] = tuple(value)
        else:
            remedy = did_you_mean(key, (*_TEXTS, *_LISTS))
            raise PublicationFileError(path, f"unknown key {key[:60]!r} in publication", remedy)
    return PublicationFile(str(path), attributes, fields.pop("name", "") or path.stem, **fields)


def read_table(path: Path, content: str = "publication") -> dict[str, Any]:
    """The top-level table of a TOML or JSON file, of values that JSON can carry. Raises `PublicationFileError`.

    `content` is what the file is to hold, for messages.
    """
    if path.suffix.lower() not in (".toml", ".json"):
        raise PublicationFileError(path, "its name ends in neither .toml nor .json", "name it by its format")
    try:
        text = read_text(path, MAX_BYTES, "a .toml or .json file")
        if path.suffix.lower() == ".toml":
            tables: Any = parse_toml(text)
        else:
            tables = json.loads(text, object_pairs_hook=unique_keys)
    except InputFileError as error:
        raise _refused(path, error) from None
    except RecursionError:
        raise _refused(path, nested_too_deeply()) from None
    except ValueError as error:
        raise PublicationFileError(path, f"it is not well-formed JSON: {error}", "mend it there") from None
    if not isinstance(tables, dict):
        remedy = f"write an object that holds the {content}'s keys"
        raise PublicationFileError(path, "its top level is no table", remedy)
    _look_through(path, tables, content)
    return tables


def _look_through(path: Path, tables: dict[str, Any], content: str) -> None:
    """Refuse what JSON can't carry, and deep nesting; without recursion."""
    level: list[Any] = [tables]
    for _ in range(MAX_NESTING):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise PublicationFileError(path, f"{value} is no value of a {content}", "use a finite number")
            elif not (value is None or isinstance(value, (str, int, float))):
                what = f"a {type(value).__name__} ({value}) is no value of a {content}"
                raise PublicationFileError(path, what, "put it in quotes")
        if not below:
            return
        level = below
    raise _refused(path, nested_too_deeply())


def _refused(path: Path, error: InputFileError) -> PublicationFileError:
    return PublicationFileError(path, error.what, error.remedy)
