"""Randomness of the operating system, replaced inside virtual tasks by a seeded stream."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.runtime.virtual_task import current_task

_stream = random.Random(0)
_real_urandom = os.urandom
_real_seed = random.Random.seed
_real_uuid1 = uuid.uuid1
_real_getnode = uuid.getnode

_NODE = 0x02_00_00_00_00_01
"""The hardware address that `uuid` sees: a locally administered one."""


def seed(value: int) -> None:
    """Start the stream again."""
    _real_seed(_stream, f"entropy {value}")
    setattr(uuid, "_last_timestamp", None)  # noqa: B010 - uuid1 must not remember an earlier run's time


@contextmanager
def aside(name: str) -> Iterator[None]:
    """Let the body draw from a stream of its own. It must not switch to another task."""
    global _stream
    kept, _stream = _stream, random.Random(0)
    _real_seed(_stream, f"entropy aside {name}")
    try:
        yield
    finally:
        _stream = kept


def install() -> None:
    """Replace the sources of randomness, for good."""
    os.urandom = _urandom
    setattr(random, "_urandom", _urandom)  # noqa: B010 - SystemRandom, hence secrets
    setattr(random.Random, "seed", _seed_generator)  # noqa: B010
    random.seed = random._inst.seed
    uuid.uuid1 = _uuid1
    uuid.getnode = _getnode


def _urandom(size: int, /) -> bytes:
    return _real_urandom(size) if current_task() is None else _stream.randbytes(size)


def _seed_generator(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and current_task() is not None:
        a = _stream.getrandbits(256)
    _real_seed(self, a, version)


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    if current_task() is not None:  # both given: uuid then asks `time`, not the operating system
        node = _NODE if node is None else node
        clock_seq = _stream.getrandbits(14) if clock_seq is None else clock_seq
    return _real_uuid1(node, clock_seq)


def _getnode() -> int:
    return _real_getnode() if current_task() is None else _NODE
