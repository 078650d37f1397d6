"""Section 1 of the specification: the publication (clauses A)."""

from __future__ import annotations

import pytest

from conformance.checks import check
from conformance.lab import Lab
from harness.activity import HandleScope
from harness.attributes import ABSENT, published_object, read_publication
from harness.compression import canonical, negotiate
from harness.contract import implements
from harness.results import Evidence, Severity

_CLAIMS = {
    "A-1": None,
    "A-3": None,
    "A-5": None,
    "A-6": "stateless_activities",
    "A-7": None,
    "A-9": "handle_scope",
}


@check("A-1", "A-3", "A-5", "A-6", "A-7", "A-9")
def test_publication_is_well_formed(lab: Lab) -> None:
    """What the driver publishes has the form that the specification gives, clause by clause."""
    driver = lab.open_driver()
    published = published_object(driver)
    if published is ABSENT:
        lab.not_applicable("nothing is published, so the defaults apply")
    publication, findings = read_publication(published, lambda name: implements(driver, name))
    lab.ledger.findings.extend(f for f in findings if f.clause in _CLAIMS)
    for clause, claim in _CLAIMS.items():
        if claim is not None and claim not in publication.published:
            lab.ledger.set_aside(clause, f"{claim} is not published")
            continue
        violations = [f for f in findings if f.clause == clause and f.severity is Severity.VIOLATION]
        lab.expect(
            clause,
            not violations,
            "; ".join(f"{f.found} ({f.remedy})" for f in violations),
            {"published": violations[0].found} if violations else None,
            Evidence.DECLARED,
        )


@check("A-2")
def test_publication_stays_as_it_was(lab: Lab) -> None:
    """Read again after activities, and from another instance, the publication equals what was read first."""
    end = lab.taskflow.core.ends["primary"]
    if published_object(end.driver) is ABSENT:
        lab.not_applicable("nothing is published")
    first = end.publication
    volume = lab.volume()
    snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
    lab.taskflow.methods.delete_snapshot(snapshot.id)
    lab.taskflow.methods.delete_volume(volume.id)
    for driver, which in ((end.driver, "after activities"), (lab.open_driver(), "from another instance")):
        again, _ = read_publication(published_object(driver), lambda name, d=driver: implements(d, name))  # type: ignore[misc]
        lab.expect(
            "A-2",
            again.raw == first.raw,
            f"read again {which}, the publication differs from what was read first; publish a constant",
            {"first": repr(first.raw)[:300], "again": repr(again.raw)[:300]},
        )


@pytest.mark.parametrize(
    "key", ["stateless_activities", "snapshot_replication", "backup_compression_techniques", "handle_scope"]
)
@check("A-4")
def test_what_is_not_published_means_the_safest_choice(lab: Lab, key: str) -> None:
    """With a key taken out of the driver's publication, the taskflow goes by the safest choice for it."""
    driver = lab.open_driver()
    whole, _ = read_publication(published_object(driver), lambda name: implements(driver, name))
    rest = {k: v for k, v in whole.raw.items() if k != key}
    publication, _ = read_publication(rest, lambda name: implements(driver, name))
    safest = {
        "stateless_activities": (),
        "snapshot_replication": False,
        "backup_compression_techniques": (),
        "handle_scope": HandleScope.CONNECTION,
    }[key]
    found = getattr(publication, key)
    lab.expect("A-4", found == safest, f"without {key} the taskflow takes {found!r}, not {safest!r}")


@check("A-8")
def test_unknown_technique_is_never_selected(lab: Lab) -> None:
    """A technique that the harness does not know is not selected, even where the caller asks for it by name."""
    driver = lab.open_driver()
    published = published_object(driver)
    publication, findings = read_publication(published, lambda name: implements(driver, name))
    if "backup_compression_techniques" not in publication.published:
        lab.not_applicable("no compression technique is published")
    lab.ledger.findings.extend(f for f in findings if f.clause == "A-8")
    raw = publication.raw.get("backup_compression_techniques", ())
    unknown = [name for name in raw if isinstance(name, str) and canonical(name) is None]
    made_up = lab.identifier("technique")
    decision = negotiate([*unknown, made_up, "zlib"], [*raw, made_up], lab.profile.codecs)
    chosen = decision.technique if decision.where == "driver" else decision.taskflow_technique
    lab.expect(
        "A-8",
        chosen is not None and canonical(chosen) is not None,
        f"{chosen!r} was selected, which is no known technique",
        {"published": [str(name)[:40] for name in raw][:20]},
    )


@check("A-10")
def test_publication_is_judged_per_configuration(lab: Lab) -> None:
    """Each instance's own publication decides what the taskflow does with it, not what another one published."""
    ends = lab.taskflow.core.ends
    for name, end in ends.items():
        own, _ = read_publication(published_object(end.driver), lambda m, e=end: implements(e.driver, m))  # type: ignore[misc]
        lab.expect("A-10", own.raw == end.publication.raw, f"the publication used for {name} is not its own")
