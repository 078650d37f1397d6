"""The errors of NFSv4.1 (RFC 8881 section 15.1) and NFSv4.2 (RFC 7862 section 11) that this server gives."""

from __future__ import annotations

STATUSES = (
    "NFS4ERR_ACCESS",
    "NFS4ERR_BADSESSION",
    "NFS4ERR_BAD_STATEID",
    "NFS4ERR_CLID_INUSE",
    "NFS4ERR_COMPLETE_ALREADY",
    "NFS4ERR_GRACE",
    "NFS4ERR_NOENT",
    "NFS4ERR_NOT_SAME",
    "NFS4ERR_NO_GRACE",
    "NFS4ERR_OFFLOAD_NO_REQS",
    "NFS4ERR_PERM",
    "NFS4ERR_RECLAIM_BAD",
    "NFS4ERR_STALE_CLIENTID",
    "NFS4ERR_XDEV",
)
"""The nfsstat4 values in use. What the storage refuses is raised as the storage's own error."""


class NfsError(Exception):
    """An operation failed; `status` is the nfsstat4 value, the message says more."""

    def __init__(self, status: str, text: str) -> None:
        if status not in STATUSES:
            raise ValueError(f"{status} is none of the statuses of this server")
        super().__init__(f"{status}: {text}")
        self.status = status
