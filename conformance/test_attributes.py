"""Section 1 of the specification: the publication (clauses A)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from conformance.activities import CONTEXT, LASTING, start_method
from conformance.checks import check
from conformance.invocations import COPYING, MOVING, WAYS, choose_way, first_copying, invoke
from conformance.lab import Lab
from harness.activity import HandleScope
from harness.attributes import Publication, publication_difference, read_driver, read_publication
from harness.backup_store import restore_image
from harness.compression import ALIASES, canonical
from harness.contract import BackendActivityError, implements
from harness.model import Volume
from harness.results import Evidence, Severity
from harness.taskflow.errors import DriverError, TaskflowError
from harness.testbed import Capability

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
    """Read again after activities, failed and aborted ones too, and from another instance, the publication is equal."""
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
    aborted = _abort_one(lab, end.driver) if way == "as an activity" else ""
    if aborted:
        _expect_same(lab, first, end.driver, f"after {aborted} was aborted")
    if Capability.JOB_FAULTS in lab.testbed.offers:
        source = lab.volume("source of what fails")
        failing = [method for method in COPYING if lab.implements(method)]
        for method in failing if lab.testbed.virtual else failing[:1]:  # one will do where it takes real time
            _let_fail(lab, method, source)
            _expect_same(lab, first, end.driver, f"after {method} failed")
    _expect_same(lab, first, lab.open_driver(), "from another instance")


def _abort_one(lab: Lab, driver: Any) -> str:
    """Start an activity that takes a while, and abort it; returns its method, or "" where the driver starts none."""
    for method in LASTING:
        running = start_method(lab, driver, method, f"aborted {method}")
        if running is not None:
            lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
            with contextlib.suppress(BackendActivityError, DriverError):  # what an abort has to do is for others to say
                lab.call(driver, "abort_activity", CONTEXT, running.handle)
                lab.call(driver, "get_activity", CONTEXT, running.handle)
            return method
    return ""


def _let_fail(lab: Lab, method: str, source: Volume) -> None:
    """Invoke a method whose first job fails."""
    fraction = lab.schedule.fraction(f"failing {method}", 0.1, 0.9)
    lab.inject("job.fail", backend="primary", verb="", fraction=fraction)
    with contextlib.suppress(BackendActivityError, TaskflowError):
        invoke(lab, method, source, lab.identifier(f"failing {method}"))


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
        method = first_copying(lab, listed=None)
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
    """A technique that nobody knows is not selected, though published and asked for; known ones go by any name."""
    published = lab.publication
    if "backup_compression_techniques" not in published.published:
        lab.not_applicable("no compression technique is published")
    end = lab.taskflow.core.ends["primary"]
    _, findings = read_driver(end.driver, end.implements)
    lab.ledger.findings.extend(f for f in findings if f.clause == "A-8")
    raw = published.raw["backup_compression_techniques"]
    names = [name for name in raw if isinstance(name, str)] if isinstance(raw, (tuple, frozenset)) else []
    made_up = lab.identifier("technique")
    foreign = [made_up, *(name for name in names if canonical(name) is None)]
    with_more = {**published.raw, "backup_compression_techniques": [*foreign, *names]}
    end.publication, _ = read_publication(with_more, end.implements)
    volume = lab.volume()
    for wanted in dict.fromkeys((*published.backup_compression_techniques, "none")):  # "none" may be published, too
        backup_id = lab.identifier(f"backup with {wanted}")
        backup = lab.taskflow.backups.backup(volume.id, backup_id, [*foreign, _other_name(wanted), "none"])
        calls = lab.recorder.find("method.invoked", method="backup_volume")
        given = calls[-1].fields["technique"] if calls else None
        message = (
            f"asked for {made_up} and {_other_name(wanted)}, the driver was called with {given}, not with {wanted}"
        )
        lab.expect("A-8", given == wanted, message, {"published": [str(name)[:40] for name in names][:20]})
        if wanted == "none":
            continue
        try:
            restore_image(backup.chunks)
        except ValueError as error:
            lab.expect("A-8", False, f"called with {wanted}, the driver made a backup that is not {wanted}: {error}")


def _other_name(technique: str) -> str:
    """Another name for a technique, as a caller may write it."""
    return next((alias for alias, known in ALIASES.items() if known == technique), technique).upper()


@pytest.mark.parametrize("bare", ["primary", "sibling"])
@check("A-10")
def test_publication_is_judged_per_configuration(lab: Lab, bare: str) -> None:
    """Of two instances, one of which publishes nothing, each is used by its own publication, not by the other's."""
    ends = lab.taskflow.core.ends
    for name, end in ends.items():
        own, _ = read_driver(end.driver, end.implements)
        difference = publication_difference(end.publication, own)
        lab.expect("A-10", difference is None, f"the publication used for {name} is not its own: {difference}")
    whole = lab.publication
    methods = [m for m in COPYING if lab.implements(m) and m in whole.stateless_activities]
    techniques = whole.backup_compression_techniques
    if not methods and not techniques:
        lab.not_applicable("nothing is published in which two instances could differ")
    ends[bare].publication, _ = read_publication({}, ends[bare].implements)
    for name in ("primary", "sibling"):
        claims = name != bare
        volume = lab.taskflow.methods.create_volume(lab.identifier(f"volume on {name}"), 1, name)
        if techniques:
            backup_id = lab.identifier(f"backup on {name}")
            lab.taskflow.backups.backup(volume.id, backup_id, list(techniques))
            given = lab.recorder.find("method.invoked", method="backup_volume", backend=name)[-1].fields["technique"]
            right = techniques[0] if claims else "none"
            lab.expect("A-10", given == right, f"the driver on {name} was called with {given}, not with {right}")
        lab.attach(volume, name)
        for method in methods[:1]:
            before = len(lab.recorder.find("gate.quiesced", volume=volume.id))
            invoke(lab, method, volume, lab.identifier(f"made by {method} on {name}"))
            held = len(lab.recorder.find("gate.quiesced", volume=volume.id)) > before
            does = "does not list" if held else "lists"
            message = f"{method} was invoked on {name} as if its driver {does} it"
            lab.expect("A-10", held is not claims, message, {"backend": name})
