"""What a testbed says when a program or library that it needs is not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


class NotInstalled(Exception):
    """Something that a real target needs is not on this machine; the message names it and the package that has it."""


def need_program(name: str, package: str) -> str:
    """The path of a program, which may be in a system directory that is not in PATH. Raises `NotInstalled`."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        raise NotInstalled(f"{name} is not installed; install Debian's package {package} (apt-get install {package})")
    return str(Path(found))


def first_missing(*needs: Callable[[], object]) -> str | None:
    """What the first of these that raises `NotInstalled` says, None if all is there."""
    for need in needs:
        try:
            need()
        except NotInstalled as lacks:
            return str(lacks)
    return None
