"""What the tests of the testbed `files` share: stamped volumes, and copies that stand still where a test wants them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.model import GIB
from harness.real_targets.backing.store import FileStore
from harness.real_targets.backing.transfer import CopyTransfer
from harness.stamps import block_bytes
from harness.storage import BLOCK

FIRST, MIDDLE, LAST = 0, GIB // BLOCK // 2, GIB // BLOCK - 1
"""Blocks at the ends and in the middle of a volume of 1 GiB."""


def write(store: FileStore, volume: str, **stamps: int) -> None:
    """Write stamps to the blocks `first`, `middle`, `last`."""
    for name, stamp in stamps.items():
        block = {"first": FIRST, "middle": MIDDLE, "last": LAST}[name]
        store.write_bytes(volume, block * BLOCK, block_bytes(block, stamp))


def make_volume(store: FileStore, volume: str = "volume", **stamps: int) -> None:
    """Make a volume of 1 GiB that holds these stamps."""
    store.create_volume(volume, 1)
    write(store, volume, **stamps)


def hold(transfer: CopyTransfer) -> None:
    """Stop the copying process once it is past the first block, and far from the last."""
    transfer.wait_for(lambda: transfer.moved() > 0)
    os.kill(transfer.pid, signal.SIGSTOP)
    while process_state(transfer.pid) not in "TtZ":
        os.sched_yield()
    assert transfer.moved() < LAST * BLOCK, "the copy was over before it could be stopped"


def go_on(transfer: CopyTransfer) -> None:
    """Let a stopped process go on."""
    os.kill(transfer.pid, signal.SIGCONT)


def process_state(pid: int) -> str:
    """The state of a process as in /proc/PID/stat, "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def files_of(store: FileStore) -> list[str]:
    """The names of all files of a backend, sorted."""
    return sorted(path.name for path in store.directory.iterdir())
