"""A virtual machine that stands for a host with LIO: Linux with configfs, root, Python, rtslib-fb, and this program.

The image is that of the testbed `lio` with libiscsi beside; a second archive after it brings the program and what it
imports, taken from the Python that runs the tests. So that Python has to be of the guest's version.
"""

from __future__ import annotations

import compileall
import py_compile
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import harness
from harness.real_targets.lio.archive import write_archive
from harness.real_targets.lio.image import Extras, Image, image
from harness.real_targets.lio.machine import Machine, OwnMachine
from harness.real_targets.missing import NotInstalled

PROGRAM = "backend-activity-harness"
PACKAGES = ("harness", "simulated_backends", "conformance", "scenarios", "reports")
UNUSED = ("pandas", "pyarrow", "pytest-xdist")
"""What the suites do without: it would make the archive three times as large."""
LEFT_OUT = ("__pycache__", "tests", "..")
"""Directories of distributions of which nothing is taken."""
EXTRAS = Extras(
    packages=(
        "libiscsi7", "libibverbs1", "librdmacm1", "libnl-3-200", "libnl-route-3-200", "libgcrypt20", "libgpg-error0",
        "libgcc-s1", "libstdc++6",
    ),
)  # fmt: skip
PLACE = "/program"
MEMORY_MB = 1536
COMMAND_WITHIN_S = 310.0
"""Seconds for a command in the guest, with its answer; its agent ends it after 300."""


@contextmanager
def guest_host(scratch: Path) -> Iterator[Machine]:
    """A machine that is up; `scratch` is a directory for its archive. Raises `NotInstalled`."""
    built = image(EXTRAS)
    _must_be_the_guests(built)
    root = scratch / "root"
    _fill(root / PLACE.lstrip("/"))
    (root / "tmp").mkdir()
    both = scratch / "initramfs"
    shutil.copy(built.initramfs, both)
    with open(both, "ab") as archive:
        write_archive(root, archive)
    shutil.rmtree(root)
    own = OwnMachine(Image(built.kernel, both, built.release), MEMORY_MB, COMMAND_WITHIN_S)
    try:
        must(own.machine, "mount", "-t", "tmpfs", "tmpfs", "/tmp")
        yield own.machine
    finally:
        own.close()


def python(*arguments: str) -> list[str]:
    """The command by which the guest's Python runs with the program at hand."""
    return ["env", f"PYTHONPATH={PLACE}", "HOME=/tmp", "python3", *arguments]


def must(machine: Machine, *argv: str) -> str:
    """Run a command in the guest that has to succeed; returns what it printed."""
    status, printed, complaints = machine.ask("run", argv=list(argv))
    assert status == 0, f"{argv}: status {status}\n{printed[-8000:]}\n{complaints[-8000:]}"
    return str(printed)


def begin(machine: Machine, name: str, argv: list[str]) -> None:
    """Let a command begin in the guest.

    What it prints goes to /tmp/NAME.out, its process id to /tmp/NAME.pid, and its status, once it ends, to
    /tmp/NAME.status.
    """
    script = f'"$@" > /tmp/{name}.out 2>&1 & echo $! > /tmp/{name}.pid; wait $!; echo $? > /tmp/{name}.status'
    must(machine, "sh", "-c", f"( {script} ) > /tmp/{name}.sh 2>&1 < /dev/null &", "sh", *argv)


def await_file(machine: Machine, path: str, within_s: int) -> str:
    """What a file in the guest says once it says anything."""
    waiting = 'n=0; while ! [ -s "$1" ] && [ $n -lt 60 ]; do sleep 0.5; n=$((n+1)); done; cat "$1"'
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        status, said, _ = machine.ask("run", argv=["sh", "-c", waiting, "sh", path])
        if status == 0 and said:
            return str(said)
    raise AssertionError(f"{path} says nothing within {within_s} s")


def _must_be_the_guests(built: Image) -> None:
    (version,) = re.findall(r"^python(3\.\d+)-minimal=", (built.kernel.parent / "packages").read_text(), re.MULTILINE)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version != here:
        raise NotInstalled(f"the guest has Python {version}; what is installed here is for Python {here}")


def _fill(place: Path) -> None:
    """Put the program, and the distributions that it needs, below `place`."""
    place.mkdir(parents=True)
    sources = Path(next(iter(harness.__path__))).parent
    ignored = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(sources / package, place / package, ignore=ignored)
    shutil.copy(sources / "conftest.py", place)
    shutil.copy(sources / "pyproject.toml", place)
    for name in sorted(_needed(PROGRAM, {})):
        for file in metadata.distribution(name).files or ():
            unwanted = "__editable__" in file.parts[0] or any(part in LEFT_OUT for part in file.parts)
            if not unwanted and file.locate().is_file():  # type: ignore[attr-defined]
                target = place.joinpath(*file.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target)
    # the archive has no times by which what is compiled could be told from what is stale
    compileall.compile_dir(place, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def _needed(name: str, found: dict[str, None]) -> dict[str, None]:
    """The names of a distribution and of all that it requires here, but for what is unused."""
    if name not in found and name not in UNUSED:
        found[name] = None
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                _needed(wanted.name, found)
    return found
