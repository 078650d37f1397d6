"""Whether a job is well formed: what its fields hold, looked at before anything is done for it."""

from __future__ import annotations

from harness.activity import HandleScope
from harness.testbed import JOB_VERBS, Job


def check_fields(job: Job) -> None:
    """Raise `ValueError` for an unknown verb, for a field that no backend could work with, and for a job of nothing."""
    if job.verb not in JOB_VERBS:
        raise ValueError(f"unknown job verb {job.verb!r}; known are {', '.join(sorted(JOB_VERBS))}")
    if not (job.source or job.target):
        raise ValueError(f"a {job.verb} job needs a source or a target")
    if not isinstance(job.scope, HandleScope):
        raise ValueError(f"scope must be a HandleScope, not {job.scope!r}")
