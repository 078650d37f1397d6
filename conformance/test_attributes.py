"""Section 1 of the specification: the publication (clauses A)."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.checks import check
from conformance.invocations import COPYING, MOVING, WAYS, choose_way, invoke
from conformance.lab import Lab
from harness.activity import HandleScope
from harness.attributes import Publication, publication_difference, read_driver, read_publication
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
    publication, findings = read_driver(driver, lambda name: implements(driver, name))
    if not publication.present:
        lab.not_applicable("nothing is published, so the defaults apply")
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


@pytest.mark.parametrize("way", WAYS)
@check("A-2")
def test_publication_stays_as_it_was(lab: Lab, way: str) -> None:
    """Read again after activities, and from another instance, the publication equals what was read first."""
    choose_way(lab, way)
    end = lab.taskflow.core.ends["primary"]
    first = end.publication
    if not first.present:
        lab.not_applicable("nothing is published")
    volume = lab.volume()
    done = "create_volume"
    for method in (*COPYING, *MOVING, "delete_snapshot", "delete_volume"):
        if not lab.implements(method):
            continue
        if method == "delete_snapshot" and lab.identifier("made create_snapshot") in lab.catalog.snapshots:
            lab.taskflow.methods.delete_snapshot(lab.identifier("made create_snapshot"))
        elif method == "delete_volume":
            beside = lab.taskflow.methods.create_volume(lab.identifier("beside"), 1, "primary")
            lab.taskflow.methods.delete_volume(beside.id)
        elif method in COPYING or (method in MOVING and not lab.catalog.snapshots):
            invoke(lab, method, volume, lab.identifier(f"made {method}"))
        done = method
        _expect_same(lab, first, end.driver, f"after {done}")
    _expect_same(lab, first, end.driver, f"after {done}")
    _expect_same(lab, first, lab.open_driver(), "from another instance")


def _expect_same(lab: Lab, first: Publication, driver: Any, which: str) -> None:
    again, _ = read_driver(driver, lambda name: implements(driver, name))
    difference = publication_difference(first, again)
    lab.expect(
        "A-2",
        difference is None,
        f"read again {which}, the publication differs from what was read first; publish a constant",
        {"difference": str(difference)[:300]},
    )


@pytest.mark.parametrize(
    "key", ["stateless_activities", "snapshot_replication", "backup_compression_techniques", "handle_scope"]
)
@check("A-4")
def test_what_is_not_published_means_the_safest_choice(lab: Lab, key: str) -> None:
    """With a key taken out of the driver's publication, the taskflow goes by the safest choice for it."""
    ends = lab.taskflow.core.ends
    for name in ("primary", "sibling"):
        raw = {k: v for k, v in ends[name].publication.raw.items() if k != key}
        ends[name].publication, _ = read_publication(raw, ends[name].implements)
    reduced = lab.publication
    volume = lab.volume()
    if key == "handle_scope":
        safe = reduced.handle_scope is HandleScope.CONNECTION
        lab.expect("A-4", safe, f"without {key} the taskflow takes handles for {reduced.handle_scope.value}")
        return
    if key == "stateless_activities":
        method = next((m for m in COPYING if lab.implements(m)), None)
        if method is None:
            lab.not_applicable("the driver copies nothing")
            return
        lab.attach(volume)
        invoke(lab, method, volume)
        held = lab.recorder.find("gate.quiesced", volume=volume.id)
        lab.expect("A-4", bool(held), f"without {key} {method} was invoked on a volume that was not quiesced")
        return
    if key == "snapshot_replication":
        if not lab.implements("create_snapshot"):
            lab.not_applicable("the driver makes no snapshots")
        snapshot = lab.taskflow.methods.create_snapshot(volume.id, lab.identifier("snapshot"))
        lab.taskflow.replication.replicate(snapshot.id, "sibling", lab.identifier("replica"))
        asked = lab.recorder.find("method.invoked", method="replicate_snapshot")
        lab.expect("A-4", not asked, f"without {key} the driver was asked to replicate natively")
        return
    lab.taskflow.backups.backup(volume.id, lab.identifier("backup"), ["zlib"])
    calls = lab.recorder.find("method.invoked", method="backup_volume")
    given = {call.fields["technique"] for call in calls}
    lab.expect("A-4", given <= {"none"}, f"without {key} the driver was called with {', '.join(sorted(given))}")


@check("A-8")
def test_unknown_technique_is_never_selected(lab: Lab) -> None:
    """A technique that the harness does not know is not selected, even where the caller asks for it by name."""
    driver = lab.open_driver()
    publication, findings = read_driver(driver, lambda name: implements(driver, name))
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
        Evidence.DECLARED,
    )


@check("A-10")
def test_publication_is_judged_per_configuration(lab: Lab) -> None:
    """Each instance's own publication decides what the taskflow does with it, not what another one published."""
    ends = lab.taskflow.core.ends
    for name, end in ends.items():
        own, _ = read_driver(end.driver, lambda m, e=end: implements(e.driver, m))  # type: ignore[misc]
        difference = publication_difference(end.publication, own)
        message = f"the publication used for {name} is not its own: {difference}"
        lab.expect("A-10", difference is None, message, evidence=Evidence.DECLARED)
