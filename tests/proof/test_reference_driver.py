"""The suites can pass: the reference driver is honest for any publication."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.activity import HandleScope
from harness.contract import METHODS
from harness.loading import CandidateSpec
from harness.results import Outcome
from tests.proof.support import SIMULATED, not_good, run_all, run_schedules

SCOPES = [scope.value for scope in HandleScope]


def acted_out(name: str, publication: dict[str, Any]) -> CandidateSpec:
    """The reference driver with that publication."""
    spec = CandidateSpec.for_driver("reference")
    return replace(spec, name=name, config={"publication": publication})


def publications() -> Iterator[tuple[str, dict[str, Any]]]:
    """2 × 2 × 2 × 4: stateless list empty or full, replication, no techniques or two, scopes."""
    for full, replication, two, scope in itertools.product((False, True), (False, True), (False, True), SCOPES):
        name = "-".join(
            ("full" if full else "empty", "native" if replication else "fallback", "two" if two else "none", scope)
        )
        yield (
            name,
            {
                "stateless_activities": sorted(METHODS) if full else [],
                "snapshot_replication": replication,
                "backup_compression_techniques": ["zstd", "zlib"] if two else [],
                "handle_scope": scope,
            },
        )


def pairwise_subsets() -> list[tuple[str, list[str]]]:
    """Subsets of the methods in which each pair of methods occurs listed and not listed in all four combinations.

    Method number n is listed in subset k if bit k of a code word of its own is set; words are distinct and of equal
    weight, so that any two differ both ways, and an empty and a full subset add the rest.
    """
    methods = sorted(METHODS)
    words = [word for word in range(1 << 6) if bin(word).count("1") == 3][: len(methods)]
    subsets = [
        (f"subset-{bit}", [method for method, word in zip(methods, words, strict=True) if word >> bit & 1])
        for bit in range(6)
    ]
    return [*subsets, ("subset-none", []), ("subset-all", methods)]


PUBLICATIONS = dict(publications())
SUBSETS = dict(pairwise_subsets())


def expect_clean(spec: CandidateSpec, testbed: str, seed: int) -> None:
    """Run every check; none may fail or be left unverifiable."""
    results = run_all(spec, testbed, seed)
    assert any(result.outcome is Outcome.PASSED for result in results)
    assert not not_good(results), "\n".join(not_good(results))


@pytest.mark.parametrize("other", [False, pytest.param(True, marks=pytest.mark.long)], ids=["one", "the other"])
@pytest.mark.parametrize("name", PUBLICATIONS)
def test_reference_driver_passes_for_any_publication(other: bool, name: str) -> None:
    """For each of the 32 publications every check passes or is not applicable; testbeds take turns."""
    testbed = SIMULATED[(list(PUBLICATIONS).index(name) + other) % 2]
    expect_clean(acted_out(name, PUBLICATIONS[name]), testbed, seed=1)


@pytest.mark.parametrize(
    ("testbed", "name"),
    [
        ("iscsi-sim", "empty-fallback-none-connection-specific"),
        pytest.param("nfs-sim", "full-native-two-user-specific", marks=pytest.mark.long),
    ],
)
def test_reference_driver_passes_whatever_goes_wrong(testbed: str, name: str) -> None:
    """No schedule, single faults at every step among them, breaks what has to hold; every rare path is reached."""
    results = run_schedules(acted_out(name, PUBLICATIONS[name]), testbed, seed=1)
    assert not not_good(results), "\n".join(not_good(results))
    assert not [result.findings for result in results if result.findings]


WITHOUT_TECHNIQUES = [name for name in PUBLICATIONS if "two" not in name]


@pytest.mark.long
@pytest.mark.parametrize("name", WITHOUT_TECHNIQUES)
def test_reference_driver_passes_whatever_goes_wrong_for_any_publication(name: str) -> None:
    """The same for the publications without techniques, which make no difference here; testbeds take turns."""
    testbed = SIMULATED[WITHOUT_TECHNIQUES.index(name) % 2]
    results = run_schedules(acted_out(name, PUBLICATIONS[name]), testbed, seed=2)
    assert not not_good(results), "\n".join(not_good(results))


@pytest.mark.parametrize("name", SUBSETS)
def test_reference_driver_passes_for_any_pair_of_listed_methods(name: str) -> None:
    """Whichever of two methods are listed, every check passes or is not applicable."""
    publication = {"stateless_activities": SUBSETS[name], "snapshot_replication": True, "handle_scope": "user-specific"}
    expect_clean(acted_out(name, publication), "iscsi-sim", seed=2)


def test_subsets_are_pairwise() -> None:
    """The subsets of methods hold each pair of methods in all four combinations of listed and not listed."""
    subsets = [set(listed) for listed in SUBSETS.values()]
    for one, other in itertools.combinations(sorted(METHODS), 2):
        seen = {(one in subset, other in subset) for subset in subsets}
        assert len(seen) == 4, (one, other, seen)


@pytest.mark.long
def test_reference_driver_passes_on_real_files() -> None:
    """On real files every check passes or is not applicable as well, publishing nothing."""
    expect_clean(acted_out("nothing", {}), "files", seed=2)
