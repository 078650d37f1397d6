"""Whether a job is well formed: what its fields hold, looked at before anything is done for it."""

from __future__ import annotations

from harness.activity import HandleScope
from harness.model import BackupChunk
from harness.testbed import JOB_VERBS, Job

_NAMES = ("source", "target", "destination", "technique")

_NEEDED = {
    "create_volume": ("target", "size"),
    "extend_volume": ("source", "size"),
    "delete": ("source",),
    "snapshot": ("source", "target"),
    "copy": ("source", "target"),
    "move": ("source",),
    "replicate": ("source", "target"),
    "revert": ("source", "target"),
    "read": ("source", "sink"),
    "write": ("target",),
    "suspend": ("source",),
    "resume": ("source",),
}
"""Without these a job of that verb has nothing to work with; see `harness.testbed.Job`."""


def check_fields(job: Job) -> None:
    """Raise `ValueError` for an unknown verb, and for a field that no backend could work with or that is lacking."""
    if job.verb not in JOB_VERBS:
        raise ValueError(f"unknown job verb {job.verb!r}; known are {', '.join(sorted(JOB_VERBS))}")
    for field in _NAMES:
        if not isinstance(getattr(job, field), str):
            raise ValueError(f"{field} of a {job.verb} job must be a str, not {getattr(job, field)!r:.60}")
    for field in _NEEDED[job.verb]:
        if getattr(job, field) in ("", None):
            raise ValueError(f"a {job.verb} job needs a {field}")
    if job.size is not None and (type(job.size) is not int or job.size < 1):
        raise ValueError(f"size must be a whole number of GiB, at least 1, not {job.size!r:.60}")
    if not isinstance(job.scope, HandleScope):
        raise ValueError(f"scope must be a HandleScope, not {job.scope!r:.60}")
    if job.sink is not None and not callable(getattr(job.sink, "write", None)):
        raise ValueError(f"sink must be a BackupSink, not {job.sink!r:.60}")
    if not isinstance(job.chunks, tuple):
        raise ValueError(f"chunks must be a tuple, not a {type(job.chunks).__name__}")
    for chunk in job.chunks:
        _check_chunk(chunk)


def _check_chunk(chunk: BackupChunk) -> None:
    if not isinstance(chunk, BackupChunk):
        raise ValueError(f"chunks must hold BackupChunks, not {chunk!r:.60}")
    for name, value in (("offset", chunk.offset), ("length", chunk.length)):
        if type(value) is not int or value < 0:
            raise ValueError(f"a chunk's {name} must be an int of bytes, not {value!r:.60}")
    if not isinstance(chunk.label, str):
        raise ValueError(f"a chunk's label must be a str, the technique's name, not {chunk.label!r:.60}")
    if not isinstance(chunk.payload, (bytes, bytearray, memoryview)):
        raise ValueError(f"a chunk's payload must be bytes, not a {type(chunk.payload).__name__}")
