"""What the timing models share: a run of blocking code in virtual time, and a transfer that blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from harness.runtime import Limits
from harness.runtime.virtual import VirtualRuntime
from simulated_backends.fabric import Fabric, Path

T = TypeVar("T")


def in_virtual_time(body: Callable[[VirtualRuntime, Fabric], T]) -> T:
    """Run `body` as the main task of a new runtime with a fabric, and return its value."""
    runtime = VirtualRuntime()
    fabric = Fabric(runtime.env)
    try:
        return runtime.run(lambda: body(runtime, fabric), Limits())
    finally:
        runtime.close()


def move(runtime: VirtualRuntime, fabric: Fabric, path: Path, size: int) -> int:
    """Block until `size` bytes have crossed `path`; returns how long that took (ns)."""
    started_ns = runtime.now()
    arrived = runtime.signal(f"{size} bytes over {path[0].name}")
    fabric.start(path, size, lambda: arrived.set(None))
    arrived.wait()
    return runtime.now() - started_ns
