"""Files that no user means to give: each option that takes one refuses it in bounded time and memory, and says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.session import ExitCode
from harness.cell import Cell, CellLimits, Kind

ROOT = Path(__file__).parents[2]
OPTIONS = ("--attributes", "--driver-config", "--schedule", "report")
DEPTH = 200_000


@pytest.fixture(scope="module")
def cell() -> Iterator[Cell]:
    """A cell in which reading may take 20 s and the process half a gigabyte."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(Path(__file__).parent))
    with Cell(CellLimits(memory_bytes=512 << 20, wall_s=20.0), virtual=False) as made:
        yield made
    patch.undo()


def told(cell: Cell, option: str, path: Path) -> str:
    """What is said of a file for an option."""
    outcome = cell.call("reading:read", {"option": option, "path": str(path)}, f"{option} {path.name}")
    assert outcome.kind is Kind.RETURNED, outcome
    assert len(outcome.value) < 3000
    return str(outcome.value)


def sparse(path: Path) -> None:
    """A gigabyte of zeros that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 30)


def link_to(target: str) -> Callable[[Path], None]:
    """A link to somewhere."""
    return lambda path: path.symlink_to(target)


def loop(path: Path) -> None:
    """Two links to each other."""
    other = path.with_name("other")
    path.symlink_to(other)
    other.symlink_to(path)


PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a gigabyte": (sparse, "larger than"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "a directory": (Path.mkdir, "not a regular file"),
    "a device": (link_to("/dev/zero"), "not a regular file"),
    "a terminal": (link_to("/dev/tty"), "not a regular file"),
    "nowhere": (link_to("nowhere"), "no such file"),
    "a loop": (loop, "can't be read: Too many levels of symbolic links"),
    "the memory of the process": (link_to("/proc/self/mem"), "can't be read"),
}
"""What may stand where a file should, how it comes there, and what is said of it."""

JSON = {
    "nothing": b"",
    "zeros": b"\0" * 1000,
    "latin-1": '{"name": "Größe"}'.encode("latin-1"),
    "utf-16": '{"seed": 1}'.encode("utf-16"),
    "half a character": b'{"name": "\xc3',
    "nested lists": b'{"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
    "nested objects": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "never closed": b"[" * DEPTH,
    "twice the same key": b'{"a": 1, "a": 2}',
    "not a number": b'{"a": NaN}',
    "infinite": b'{"a": 1e999}',
    "a huge integer": b'{"a": ' + b"9" * 5000 + b"}",
    "a list": b"[]",
    "a string": b'"' + b"x" * 100_000 + b'"',
    "two values": b"{} {}",
    "a lone surrogate": b'{"\\ud800": 1}',
}
TOML = {
    "nothing more than zeros": b"\0" * 1000,
    "latin-1": "name = 'Größe'".encode("latin-1"),
    "nested lists": b"a = " + b"[" * DEPTH,
    "nested tables": b"a = " + b"{a=" * DEPTH,
    "a dotted key": b".".join([b"a"] * DEPTH) + b" = 1",
    "dotted tables": b"".join(b"[" + b".".join([b"a"] * n) + b"]\n" for n in range(1, 600)),
    "twice the same key": b"a = 1\na = 2",
    "not a number": b"a = nan",
    "infinite": b"a = 1e999",
    "a huge integer": b"a = " + b"9" * 5000,
    "a hexadecimal integer": b"a = 0x" + b"f" * 900_000,
    "a date": b"a = 1979-05-27",
    "never closed": b'a = """' + b"x" * 500_000,
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_ordinary_file_is_refused(cell: Cell, tmp_path: Path, option: str, place: str) -> None:
    """A pipe, a device, a directory, a loop of links or a gigabyte is refused without being read through."""
    path = tmp_path / "given.json"
    make, message = PLACES[place]
    make(path)
    text = told(cell, option, path)
    assert str(path) in text
    assert message in text


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("content", JSON)
def test_hostile_json_is_refused(cell: Cell, tmp_path: Path, option: str, content: str) -> None:
    """JSON in another encoding, cut off, nested without end, ambiguous or with impossible numbers is refused."""
    path = tmp_path / "given.json"
    path.write_bytes(JSON[content])
    text = told(cell, option, path)
    if option == "--driver-config" and content == "a lone surrogate":
        assert text == "taken"  # an odd name for an option, and no more than that
        return
    assert str(path) in text
    assert text.partition(str(path))[2].strip(": ")


@pytest.mark.parametrize("option", ["--attributes", "--driver-config"])
@pytest.mark.parametrize("content", TOML)
def test_hostile_toml_is_refused(cell: Cell, tmp_path: Path, option: str, content: str) -> None:
    """The same for TOML, with its tables, dates and numbers in other bases."""
    path = tmp_path / "given.toml"
    path.write_bytes(TOML[content])
    text = told(cell, option, path)
    assert str(path) in text
    assert "did you mean" not in text or option == "--attributes"


@pytest.mark.parametrize("option", ["--attributes", "--driver-config", "--schedule"])
def test_exit_status_of_a_file_that_can_not_be_used(tmp_path: Path, option: str) -> None:
    """A run that is given a pipe does not wait for it, but ends with the status of a usage error, and names it."""
    pipe = tmp_path / "given.json"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "pytest", "conformance/", "-q", "-p", "no:cacheprovider", option, str(pipe)]
    command += ["--driver", "reference"] if option == "--driver-config" else []
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == ExitCode.USAGE_ERROR
    assert f"{pipe}: it is not a regular file" in ended.stderr + ended.stdout
