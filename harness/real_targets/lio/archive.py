"""Writes cpio archives of the format "newc" (cpio(5)), as the Linux kernel reads an initramfs."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


def write_archive(root: Path, out: BinaryIO) -> None:
    """Write everything below `root` to `out`; owned by root, without times, in the order of names."""
    number = 0
    for path in sorted(root.rglob("*")):
        number += 1
        mode = path.lstat().st_mode
        data = b""
        if stat.S_ISLNK(mode):
            data = os.fsencode(os.readlink(path))
        elif stat.S_ISREG(mode):
            data = path.read_bytes()
        elif not stat.S_ISDIR(mode):
            continue
        _entry(out, str(path.relative_to(root)), number, mode, data)
    _entry(out, _TRAILER, 0, 0, b"")


def _entry(out: BinaryIO, name: str, number: int, mode: int, data: bytes) -> None:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
    header = _MAGIC + b"".join(b"%08X" % field for field in fields) + encoded
    out.write(header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4))
