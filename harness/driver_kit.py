"""What a driver for the harness's backends may use so as not to write it again; using it proves nothing."""

from __future__ import annotations

import time

from harness.activity import ActivityState, ActivityStatus
from harness.contract import ActivityFailed, NotSupported, VolumeIsBusy
from harness.testbed import Connection, Job

IGNORED_WHEN_DELETING = "unknown-object"
"""The error code that a delete may ignore: what is not there need not be deleted."""


def run_job(connection: Connection, job: Job, request_id: str) -> object:
    """Start a job, wait for its end by polling, and return its result.

    Raises what `raise_for` raises, and `ConnectionLost` if the connection went.
    """
    handle = connection.start(job, request_id)
    while True:
        status = connection.status(handle)
        if status.state.is_terminal:
            raise_for(status)
            return status.result
        time.sleep(status.poll_after)


def raise_for(status: ActivityStatus) -> None:
    """Raise the contract's exception for an activity that ended badly; nothing for one that is done.

    `VolumeIsBusy` where another object depends on the one to be deleted, `NotSupported` where the backend can't do
    it and has done nothing, else `ActivityFailed`.
    """
    if status.state is ActivityState.DONE:
        return
    message = f"{status.state.value}: {status.error or 'no reason given'}"
    match status.error_code:
        case "busy":
            raise VolumeIsBusy(message)
        case "unsupported":
            raise NotSupported(message)
        case _:
            raise ActivityFailed(message, status.error_code)


def delete_if_there(connection: Connection, object_id: str, request_id: str) -> None:
    """Delete a volume or snapshot; that it is not there is no error."""
    try:
        run_job(connection, Job("delete", source=object_id), request_id)
    except ActivityFailed as error:
        if error.code != IGNORED_WHEN_DELETING:
            raise
