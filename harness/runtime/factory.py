"""Opens a runtime without tying its callers to a clock."""

from __future__ import annotations

from harness.runtime.port import Runtime


def open_runtime(virtual: bool) -> Runtime:
    """A new runtime under the virtual or the wall clock. SimPy and greenlet are imported for the virtual one only."""
    if virtual:
        from harness.runtime.virtual import VirtualRuntime

        return VirtualRuntime()
    from harness.runtime.wall import WallRuntime

    return WallRuntime()
