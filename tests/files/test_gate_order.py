"""The record of a gate under the wall clock, where writers are threads."""

from __future__ import annotations

from harness.gate import WriteGate
from harness.recorder import Recorder
from harness.runtime import SECOND, Limits
from harness.runtime.factory import open_runtime


def test_release_is_recorded_before_any_write_goes_on() -> None:
    """No write passes a gate before its release is in the record, neither a held one nor one that just arrives."""
    runtime = open_runtime(virtual=False)
    recorder = Recorder(runtime.now)
    gate = WriteGate(runtime, recorder, "volume", "host")
    early: list[int] = []

    def look(event: object) -> None:
        if getattr(event, "kind", "") == "gate.release" and not gate.holding:
            early.append(recorder.tick())

    def main() -> None:
        recorder.listen(look)
        for owner in ("one", "other"):
            gate.hold(owner, SECOND, SECOND)
            gate.release(owner)
        assert not gate.holding

    try:
        runtime.run(main, Limits(wall_s=10.0))
    finally:
        runtime.close()
    assert len(recorder.find("gate.release")) == 2
    assert early == []
