"""The source of drivers that a scenario names by their class: part of what identifies a sweep.

Of a driver in a package all Python files of its top-level package count, else its module; and in either case the
modules in the same folder that these import. What they import from elsewhere, such as installed libraries, does not
count.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterable
from modulefinder import ModuleFinder
from pathlib import Path

from harness.loading import REFERENCE_DRIVER, CandidateSpec
from scenarios.model import Scenario

_INSTALLED = tuple(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib"))
"""Folders in which modules that have nothing to do with each other stand side by side."""


def driver_digests(scenarios: Iterable[Scenario]) -> dict[str, str]:
    """The SHA-256 of the source of each class that the scenarios' drivers name, by its reference `module:Class`.

    The reference driver is left out: it has the harness's version. A module that is not found here has "", as it may be
    had where the runs are made; who makes runs here is told when they begin. Raises `CandidateError` for a target that
    names no class.
    """
    targets = dict.fromkeys(driver.target for scenario in scenarios for driver in scenario.driver.values())
    references = dict.fromkeys(CandidateSpec.for_driver(target).reference for target in targets)
    return {reference: source_digest(reference) for reference in references if reference != REFERENCE_DRIVER}


def source_digest(reference: str) -> str:
    """The SHA-256 of the source behind a class `module:Class`, "" where there is none. Executes nothing of it."""
    top = reference.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return ""
    packages = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [file for package in packages for file in package.rglob("*.py")]
    if not packages and spec.origin is not None and Path(spec.origin).is_file():
        files = [Path(spec.origin)]
    beside = dict.fromkeys(place.parent for place in packages or files)
    found = dict.fromkeys(files)
    for folder in beside:
        if folder not in _INSTALLED:
            found.update(dict.fromkeys(_imported(files, folder)))
    digest = hashlib.sha256()
    for file in sorted(found):
        digest.update(f"{file.name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest() if found else ""


def _imported(files: list[Path], folder: Path) -> list[Path]:
    """The modules of a folder that those files import, and what these import there."""
    finder = ModuleFinder(path=[str(folder)])
    for file in files:
        try:
            finder.run_script(str(file))
        except (SyntaxError, OSError, ImportError):
            continue  # told when it is imported
    names = [getattr(module, "__file__", None) for module in finder.modules.values()]
    return [Path(name) for name in names if name]
