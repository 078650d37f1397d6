"""What a taskflow does before and instead of a method, given what the driver publishes."""

from __future__ import annotations

from harness.attributes import REPLICATION, STATELESS, TECHNIQUES_KEY, Publication
from harness.contract import METHODS
from harness.names import did_you_mean

INVOKE = "invoke without quiescing"
QUIESCE = "quiesce, then invoke"
HOST_COPY = "host copy"
FALLBACK = "fallback in four steps"
HOST_BACKUP = "backup through a host"
HOST_RESTORE = "restore through a host"
NOT_CALLED = "not called"


def plan_for(publication: Publication, method: str, implemented: bool) -> tuple[str, str]:
    """The plan for a method of the contract and its reason (Q-1, Q-11, R-1, R-2, C-2).

    Raises ValueError for a name that is no method of the contract.
    """
    spec = METHODS.get(method)
    if spec is None:
        raise ValueError(f"{method!r} is no method of the contract; {did_you_mean(method, METHODS)}")
    listed = method in publication.stateless_activities
    if method == "replicate_snapshot" and not (implemented and publication.snapshot_replication):
        if implemented:
            return FALLBACK, f"{REPLICATION} is {_not_claimed(publication, REPLICATION)} (R-2)"
        return FALLBACK, "the driver does not implement replicate_snapshot (R-2)"
    if not implemented:
        match method:
            case "migrate_volume" | "retype":
                return HOST_COPY, f"the driver does not implement {method}; a host copies the volume"
            case "backup_volume":
                return HOST_BACKUP, "the driver does not implement backup_volume; the taskflow reads the volume (C-2)"
            case "restore_backup":
                return HOST_RESTORE, "the driver does not implement restore_backup; the taskflow writes the volume"
        return NOT_CALLED, f"the driver does not implement {method}"
    if method == "replicate_snapshot":
        return INVOKE, "published; used where both ends publish it and are of one family (R-1)"
    if not spec.allowed_on_attached:
        return INVOKE, "it is called for unattached volumes and snapshots only, which are quiescent already (Q-11)"
    plan, reason = QUIESCE, f"it is not in {STATELESS} (Q-1)"
    if listed:
        plan, reason = INVOKE, f"it is listed in {STATELESS} (Q-7 to Q-9 bind the driver)"
    elif publication.is_default(STATELESS):
        reason = f"{STATELESS} is not published, so nothing is listed (A-4, Q-1)"
    if method == "backup_volume":
        techniques = publication.backup_compression_techniques
        who = f"the driver compresses with {' or '.join(techniques)} where that is acceptable (C-1)"
        if not techniques:
            who = f"the taskflow compresses, as {TECHNIQUES_KEY} is {_not_claimed(publication, TECHNIQUES_KEY)} (C-7)"
        reason = f"{reason}; {who}"
    return plan, reason


def _not_claimed(publication: Publication, key: str) -> str:
    return "not published" if publication.is_default(key) else "published without a valid claim"
