"""Published scopes against what an NFS server really does with leases, courtesy and the scope of its own copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.activity import HandleScope
from harness.loading import CandidateSpec
from harness.results import CheckResult
from tests.proof.support import failed_clauses, not_good, run_all


def run_on_native_server(scope: str, folder: Path) -> list[CheckResult]:
    """Run H-1 to H-3 with the reference driver that publishes `scope`, configured by a file."""
    config = folder / "driver.toml"
    config.write_text(f'[publication]\nhandle_scope = "{scope}"\n\n[testbed]\nnative_copy_scope = true\n')
    return run_all(CandidateSpec.for_driver("reference", config), "nfs-sim", 1, "H-1", "H-2", "H-3")


def test_source_specific_passes(tmp_path: Path) -> None:
    """Host and user at once is source-specific by the ruling that the same host's other users may be refused."""
    results = run_on_native_server("source-specific", tmp_path)
    assert results and not not_good(results), not_good(results)


def test_user_specific_is_found_out_on_the_other_host(tmp_path: Path) -> None:
    """The same user's handle does not work on the other host, which fails H-1, and H-3, and nothing else."""
    failed = failed_clauses(run_on_native_server("user-specific", tmp_path))
    assert set(failed) == {"H-1", "H-3"}
    assert failed["H-1"].startswith("test_handle_works_exactly_where_its_scope_says[other host, same user,status]")
    assert "other host, same user" in failed["H-3"]


@pytest.mark.parametrize("scope", [scope.value for scope in HandleScope])
def test_courtesy_clients_break_no_clause(scope: str, tmp_path: Path) -> None:
    """On a server that keeps the state of silent clients as a courtesy every H clause holds, the bound of H-4 too."""
    config = tmp_path / "driver.toml"
    config.write_text(f'[publication]\nhandle_scope = "{scope}"\n\n[testbed]\ncourtesy_ns = 200_000_000_000\n')
    clauses = [f"H-{number}" for number in range(1, 10)]
    results = run_all(CandidateSpec.for_driver("reference", config), "nfs-sim", 1, *clauses)
    assert not not_good(results), not_good(results)


@pytest.mark.parametrize(
    ("scope", "clause", "relation"),
    [("unrestricted", "H-1", "same host, other user"), ("connection-specific", "H-2", "new connection")],
)
def test_no_other_scope_passes(scope: str, clause: str, relation: str, tmp_path: Path) -> None:
    """Wider than host and user fails where the handle is refused, narrower where it works."""
    failed = failed_clauses(run_on_native_server(scope, tmp_path))
    assert set(failed) == {clause, "H-3"} and f"[{relation},status]" in failed[clause]
