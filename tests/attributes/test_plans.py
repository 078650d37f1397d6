"""What a taskflow does before a method, given the publication."""

import pytest

from harness.attributes import read_publication
from harness.contract import METHODS
from harness.plans import plan_for


@pytest.mark.parametrize(
    ("published", "method", "implemented", "plan", "reason"),
    [
        ({"stateless_activities": ["retype"]}, "retype", True, "invoke without quiescing", "listed"),
        ({"stateless_activities": []}, "retype", True, "quiesce, then invoke", "not in stateless_activities"),
        ({}, "create_snapshot", True, "quiesce, then invoke", "not published"),
        ({}, "migrate_volume", False, "host copy", "does not implement"),
        ({}, "create_snapshot", False, "not called", "does not implement"),
        ({}, "revert_to_snapshot", True, "invoke without quiescing", "unattached"),
        ({"snapshot_replication": True}, "replicate_snapshot", True, "invoke without quiescing", "R-1"),
        ({"snapshot_replication": True}, "replicate_snapshot", False, "fallback in four steps", "R-2"),
        ({}, "replicate_snapshot", True, "fallback in four steps", "not published"),
        ({"snapshot_replication": 1}, "replicate_snapshot", True, "fallback in four steps", "without a valid claim"),
        ({"backup_compression_techniques": ["gzip"]}, "backup_volume", True, "quiesce, then invoke", "with zlib"),
        ({}, "backup_volume", True, "quiesce, then invoke", "taskflow compresses"),
        ({}, "backup_volume", False, "backup through a host", "C-2"),
        ({}, "restore_backup", False, "restore through a host", "writes the volume"),
    ],
)
def test_plan_follows_from_the_publication(
    published: dict[str, object], method: str, implemented: bool, plan: str, reason: str
) -> None:
    """Each claim changes the plan of its methods, and the reason names what decided."""
    publication, _ = read_publication(published)
    found = plan_for(publication, method, implemented)
    assert found[0] == plan
    assert reason in found[1]


def test_every_method_has_a_plan() -> None:
    """There is a plan and a reason for each method of the contract, and for nothing else."""
    publication, _ = read_publication({})
    for method in METHODS:
        for implemented in (True, False):
            assert all(plan_for(publication, method, implemented))
    with pytest.raises(ValueError, match="did you mean 'retype'"):
        plan_for(publication, "retyp", True)
