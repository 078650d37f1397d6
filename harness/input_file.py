"""Reading a file that a user named: whatever it is, in bounded time and memory, with an error that says what to do."""

from __future__ import annotations

import os
import stat
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

MAX_DOTS = 1000
"""Dots in one line of TOML."""
MAX_NESTING = 20
"""The deepest nesting of tables and lists."""

_CHUNK = 1 << 20


class InputFileError(ValueError):
    """A file can't be read. `what` says why and `remedy` what to do; the caller names the file."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


def read_text(path: Path, max_bytes: int, kinds: str) -> str:
    """The text of a file in UTF-8, with line feeds for line ends; else as `read_file`."""
    data = read_file(path, max_bytes, kinds)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        what = f"it is not UTF-8: byte {error.start} is {data[error.start]:#04x}"
        raise InputFileError(what, "save it as UTF-8") from None


def read_file(path: Path, max_bytes: int, kinds: str) -> bytes:
    """The bytes of a regular file of at most `max_bytes`.

    `kinds` is what the file may be ("a .toml or .json file"), for messages. Raises `InputFileError`: also for a pipe, a
    device or a directory, which are not read from.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device may already do something
            raise InputFileError("it is not a regular file", f"give the path of {kinds}")
        # should it have become a pipe just now, it is not waited for
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        data = bytearray()
        with open(descriptor, "rb") as file:
            while len(data) <= max_bytes and (chunk := file.read(_CHUNK)):
                data += chunk
    except FileNotFoundError:
        raise InputFileError("there is no such file", f"give an existing {kinds.partition(' ')[2]}") from None
    except OSError as error:
        what = f"it can't be read: {error.strerror or error}"
        raise InputFileError(what, "let it be readable by the user who runs this") from None
    except ValueError as error:  # a NUL in the name
        if isinstance(error, InputFileError):
            raise
        raise InputFileError(f"its name can't be used: {error}", "give another path") from None
    if len(data) > max_bytes:
        raise InputFileError(f"it is larger than {max_bytes >> 20} MiB", f"give {kinds} of an ordinary size")
    return bytes(data)


def nested_too_deeply() -> InputFileError:
    """The error of a document that nests deeper than `MAX_NESTING`."""
    return InputFileError(f"it nests deeper than {MAX_NESTING} levels", "keep it flat")


def parse_toml(text: str) -> dict[str, Any]:
    """The top-level table of a TOML document. Raises `InputFileError`, in time that the text's length bounds."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS:  # dotted keys nest, and tomllib takes time by the square of their parts
            what = f"line {number} has more than {MAX_DOTS} dots"
            raise InputFileError(what, "keep keys flat, and break long texts into lines")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise nested_too_deeply() from None
    except ValueError as error:
        raise InputFileError(f"it is not well-formed TOML: {error}", "mend it there") from None


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads` as `object_pairs_hook`: readers differ in which of two equal keys counts. Raises ValueError."""
    table = dict(pairs)
    if len(table) != len(pairs):
        count = Counter(key for key, _ in pairs)
        twice = next(key for key, _ in pairs if count[key] > 1)
        raise ValueError(f"key {twice[:60]!r} stands twice in one object")
    return table
