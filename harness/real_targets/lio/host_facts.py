"""Whether LIO of this host can be had: what is asked of the host, without changing it, and what the answers mean."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.real_targets.missing import NotInstalled, need_program

MODULES = ("target_core_mod", "iscsi_target_mod", "target_core_file")
CAP_SYS_ADMIN = 21
"""The capability's number in <linux/capability.h>."""
DEBIAN_PYTHON = "/usr/bin/python3"
_IMPORT = "import sys; sys.path.append('/usr/lib/python3/dist-packages'); import rtslib_fb"


@dataclass(frozen=True)
class HostFacts:
    """What a host has.

    `is_root`: this user is root, and may administrate, which root in a container may not (CAP_SYS_ADMIN). `configfs` is
    "mounted", "read-only", "mountable" or ""; `lacking_modules` are those of LIO's modules that are neither loaded nor
    to be had; `interpreter` finds a Python that has rtslib-fb, None where there is none.
    """

    is_root: bool
    configfs: str
    lacking_modules: tuple[str, ...]
    interpreter: Callable[[], str | None]

    def lacks(self) -> str | None:
        """What keeps LIO of this host from being used, None if nothing does; what costs most is looked at last."""
        if not self.is_root:
            return "LIO of this host is for root alone, with CAP_SYS_ADMIN, and that is not who this is"
        if not self.configfs:
            return "this host's kernel has no configfs, by which LIO is configured"
        if self.configfs == "read-only":
            return "this host's configfs, by which LIO is configured, is mounted read-only here"
        if self.lacking_modules:
            return f"this host has no kernel module {self.lacking_modules[0]}, which is a part of LIO"
        if self.interpreter() is None:
            return (
                "rtslib-fb is not installed; install Debian's package python3-rtslib-fb, or"
                " pip install 'backend-activity-harness[lio]'"
            )
        return None


def host_facts(root: Path = Path("/")) -> HostFacts:
    """The facts of this host; `root` is where its /proc, /sys and /lib/modules are."""
    return HostFacts(
        is_root=os.geteuid() == 0 and _may_administrate(root),
        configfs=_configfs(root),
        lacking_modules=tuple(name for name in MODULES if not _is_module_there(root, name)),
        interpreter=_interpreter,
    )


def need_host() -> None:
    """Raises `NotInstalled` where LIO of this host can't be had."""
    reason = host_facts().lacks()
    if reason is not None:
        raise NotInstalled(reason)


def need_interpreter() -> str:
    """A Python that has rtslib-fb. Raises `NotInstalled` where LIO of this host can't be had for that or another
    reason."""
    need_host()
    found = _interpreter()
    assert found is not None
    return found


def _may_administrate(root: Path) -> bool:
    """Whether this process has CAP_SYS_ADMIN (capabilities(7))."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", _text(root / "proc/self/status"), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> CAP_SYS_ADMIN & 1)


def _configfs(root: Path) -> str:
    mounts = [line.split() for line in _text(root / "proc/self/mounts").splitlines()]
    for fields in mounts:
        if fields[1:3] == ["/sys/kernel/config", "configfs"]:
            return "mounted" if "rw" in fields[3].split(",") else "read-only"
    known = "configfs" in _text(root / "proc/filesystems").split()
    return "mountable" if known or _is_module_there(root, "configfs") else ""


def _is_module_there(root: Path, name: str) -> bool:
    """Whether a module is loaded, or built in, or can be loaded."""
    if (root / "sys/module" / name).is_dir():
        return True
    try:
        modprobe = need_program("modprobe", "kmod")
    except NotInstalled:
        return False
    # --dry-run resolves the name, also that of a module which is built in, and loads nothing
    asked = [modprobe, "--dry-run", "--quiet", "--dirname", str(root), name]
    return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


@cache
def _interpreter() -> str | None:
    """This Python, or Debian's own, if it has rtslib-fb; installed for it, or as Debian's package."""
    for path in dict.fromkeys((sys.executable, DEBIAN_PYTHON)):
        if os.access(path, os.X_OK):
            done = subprocess.run([path, "-I", "-c", _IMPORT], stdin=subprocess.DEVNULL, capture_output=True)
            if done.returncode == 0:
                return path
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
