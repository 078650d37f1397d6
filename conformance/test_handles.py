"""Section 4 of the specification: where handles to running activities work (clauses H-1 to H-5, H-8 and H-9)."""

from __future__ import annotations

import contextlib

import pytest

from conformance.activities import (
    METHOD,
    OTHERS,
    USES,
    blocked,
    caller_in,
    start,
    start_method,
    takes_clones,
    tell,
    tell_blocked,
    timed_look,
)
from conformance.checks import check
from conformance.expected_handles import RELATIONS, expected, expected_afterwards
from conformance.handle_uses import judge
from conformance.lab import Lab
from harness.activity import ActivityStatus
from harness.contract import ACTIVITY_HOOKS
from harness.point_in_time import compare_images
from harness.runtime import SECOND
from harness.taskflow.errors import OutcomeUnknown, TaskflowError
from harness.testbed import Capability


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("relation", RELATIONS)
@check("H-1", "H-2")
def test_handle_works_exactly_where_its_scope_says(lab: Lab, relation: str, use: str) -> None:
    """While the first connection is open, each caller reaches the activity exactly where the table says so."""
    running = start(lab)
    answer = expected(lab.publication.handle_scope.value, relation)
    driver = running.driver if relation == "same connection" else lab.open_driver(caller=caller_in(lab, relation))
    lab.ledger.set_aside("H-2" if answer != "no" else "H-1", f"the table says {answer!r} for {relation}")
    judge(lab, running, driver, answer, "H-1", "H-2", relation, use)


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("method", OTHERS)
@check("H-1", "H-2")
def test_scope_holds_for_whatever_is_started(lab: Lab, method: str, relation: str) -> None:
    """The published scope is that of every activity that the driver starts: it is looked up, aborted and waited for."""
    starter = lab.open_driver()
    running = start_method(lab, starter, method, f"made by {method}")
    if running is None:
        lab.not_applicable(f"the driver does not start {method} as an activity")
        return
    answer = expected(lab.publication.handle_scope.value, relation)
    lab.ledger.set_aside("H-2" if answer != "no" else "H-1", f"the table says {answer!r} for {relation}")
    driver = starter if relation == "same connection" else lab.open_driver(caller=caller_in(lab, relation))
    where = f"{method}, {relation}"
    judge(lab, running, driver, answer, "H-1", "H-2", where, "abort", may_be_over=True)
    if not lab.testbed.virtual or answer == "may":  # a real clock's time is spent on waiting for clones alone
        return
    if answer == "yes":
        another = start_method(lab, starter, method, f"made by {method} again", lab.volume("another volume"))
        if another is None:
            lab.expect("H-1", False, f"{method} was started as an activity once, and then refused as not supported")
            return
        running = another
    judge(lab, running, driver, answer, "H-1", "H-2", where, "wait", may_be_over=True)


@check("H-1")
def test_look_up_returns_at_once(lab: Lab) -> None:
    """A look-up of a running activity takes a few round trips, and does not wait for anything (section 6)."""
    driver = lab.open_driver()
    looks = []
    for name in ("clone", "second clone"):
        running = start(lab, driver, name)
        found, took_ns = timed_look(lab, driver, running.handle)
        if not lab.expect("H-1", isinstance(found, ActivityStatus), f"the look-up gave {tell(found)}"):
            return
        looks.append(took_ns)
    slow = [took_ns for took_ns in looks if blocked(lab, took_ns)]
    fine = not slow if lab.testbed.virtual else len(slow) < len(looks)  # one alone may have met a busy machine
    lab.expect("H-1", fine, tell_blocked(max(looks)), {"seconds": [took_ns / SECOND for took_ns in looks]})


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("gone", ["closed", "broken", "reinstated", "restarted"])
@check("H-3", needs=(Capability.CONNECTION_BREAK,))
def test_scope_holds_after_the_first_connection_is_gone(lab: Lab, gone: str, relation: str, use: str) -> None:
    """After the first connection was closed, broke or was reinstated, or the taskflow restarted, the table holds."""
    if gone == "reinstated" and Capability.REINSTATEMENT not in lab.testbed.offers:
        lab.not_applicable("the protocol of this testbed knows no reinstatement of sessions")
    if gone == "restarted" and relation == "same connection":
        lab.not_applicable("after a restart nobody has the first connection")
    running = start(lab)
    if gone == "closed":
        lab.close_connection(running.driver)
    else:
        lab.inject("session.reinstate" if gone == "reinstated" else "connection.break", caller=lab.node)
    lab.runtime.sleep(lab.profile.whole_copy_ns // 50)
    driver = running.driver
    if relation != "same connection":
        driver = lab.open_driver(caller=caller_in(lab, relation), fresh=gone == "restarted")
    answer = expected_afterwards(lab.publication.handle_scope.value, relation)
    judge(lab, running, driver, answer, "H-3", "H-3", f"{relation}, the first connection being {gone}", use)


@check("H-4", needs=(Capability.CONNECTION_BREAK,))
def test_connection_specific_activity_ends_after_its_connection_was_lost(lab: Lab) -> None:
    """A connection-specific activity is over within its bound after the loss, writes nothing more, holds nothing."""
    if lab.publication.handle_scope.value != "connection-specific":
        lab.not_applicable(f"handles are {lab.publication.handle_scope.value}")
    running = start(lab)
    backend = lab.testbed.backend("primary")
    lab.inject("connection.break", caller=lab.node)
    lab.runtime.sleep(lab.profile.loss.bound_ns(2 * lab.profile.whole_copy_ns))
    now = backend.inspect()
    alive = [a for a in now.activities if a.target == running.target.id and a.state in ("queued", "running")]
    lab.expect("H-4", not alive, "the activity still runs after its bound", {"activities": [str(a) for a in alive]})
    made = now.find(running.target.id)
    lab.expect("H-4", made is None or made.complete, "half a volume was left behind", {"left": running.target.id})
    known = {running.target.id, *lab.catalog.volumes, *lab.catalog.snapshots}
    left = [stored.id for stored in now.objects if stored.id not in known]
    lab.expect("H-4", not left, f"the activity left {', '.join(left)} behind", {"left": left})
    if made is not None:
        difference = compare_images(
            lab.image("primary", running.source.id) or {}, now.images.get(running.target.id, {})
        )
        lab.expect("H-4", difference is None, "the activity counts as finished, but what it made differs", difference)
    lab.settled()
    later = backend.inspect()
    lab.expect(
        "H-4",
        later.used_bytes == now.used_bytes and later.objects == now.objects,
        "after its bound the activity still changed the backend",
        {"bytes before": now.used_bytes, "bytes after": later.used_bytes},
    )


@pytest.mark.parametrize("case", ["same host, other address", "other host, same address"])
@check("H-5")
def test_address_identifies_nobody(lab: Lab, case: str) -> None:
    """A changed IP address, or another host with the same address, makes no difference to who reaches a handle."""
    running = start(lab)
    if case == "same host, other address":
        caller, relation = lab.caller(address="198.51.100.9"), "new connection"
    else:
        caller, relation = lab.caller(host=f"other-{lab.node}"), "other host, same user"
    answer = expected(lab.publication.handle_scope.value, relation)
    for use in ("status", "abort"):
        judge(lab, running, lab.open_driver(caller=caller), answer, "H-5", "H-5", case, use)


@pytest.mark.parametrize("fault", ["taskflow death", "start's reply lost"])
@check("H-8", needs=(Capability.CONNECTION_BREAK,))
def test_taskflow_goes_on_where_the_scope_allows(lab: Lab, fault: str) -> None:
    """After a restart or a lost answer the taskflow reattaches where the scope allows, else starts afresh."""
    if not all(lab.implements(hook) for hook in ACTIVITY_HOOKS):
        lab.not_applicable("the driver has no activity hooks, so there are no handles")
    volume = lab.volume()
    new = lab.identifier("clone")
    reachable = lab.publication.handle_scope.value != "connection-specific"
    source = dict(lab.image("primary", volume.id) or {})
    if fault == "taskflow death":
        lab.crash(lambda: lab.taskflow.methods.clone(volume.id, new), lambda e: e.kind == "activity.accepted")
        lab.inject("connection.break", caller=lab.node)
    else:
        lab.inject("start.reply_lost", caller=lab.node)
        with contextlib.suppress(TaskflowError):
            lab.taskflow.methods.clone(volume.id, new)
    started = lab.recorder.find("activity.started", target=new)
    if not lab.recorder.find("fault") or not takes_clones(lab):
        lab.not_applicable(f"the driver does not start {METHOD} as an activity")
    if fault != "taskflow death" and not started:
        lab.unverifiable("the lost answer was that of another call")
    lab.restart()
    lab.taskflow.recover()
    started = lab.recorder.find("activity.started", target=new)
    found = lab.image("primary", new)
    record = lab.catalog.volumes.get(new)
    if reachable:
        lab.expect("H-8", len(started) == 1, f"the activity was started {len(started)} times, not once")
        whole = found is not None and compare_images(source, found) is None and record is not None
        lab.expect("H-8", whole, f"after {fault} the clone is not there, whole, although its handle was in reach")
        return
    lab.expect("H-8", record is None and found is None, "a clone whose outcome nobody knows was kept")
    fresh = lab.identifier("fresh clone")
    lab.taskflow.methods.clone(volume.id, fresh)
    again = lab.image("primary", fresh)
    lab.expect(
        "H-8", again is not None and compare_images(source, again) is None, "started afresh, the clone is not whole"
    )


@pytest.mark.parametrize("loss", ["connection", "backend restart"])
@check("H-9", needs=(Capability.CONNECTION_BREAK,))
def test_failed_look_up_is_taken_for_no_outcome(lab: Lab, loss: str) -> None:
    """A taskflow that can't look its activity up reports neither success nor failure, and waits before it cleans up."""
    if not all(lab.implements(hook) for hook in ACTIVITY_HOOKS) or not takes_clones(lab):
        lab.not_applicable(f"the driver does not start {METHOD} as an activity")
    scope = lab.publication.handle_scope.value
    if loss == "connection" and scope != "connection-specific":
        lab.not_applicable(f"handles are {scope}, so the taskflow finds its activity on a new connection (H-8)")
    if loss == "backend restart" and Capability.BACKEND_RESTART not in lab.testbed.offers:
        lab.not_applicable("the backends of this testbed do not restart, so that nothing makes them forget")
    volume = lab.catalog.volumes[lab.identifier("volume")]
    new = lab.identifier("clone")
    if loss == "connection":
        lab.inject("connection.break", on="activity.accepted", caller=lab.node)
    else:
        lab.inject("backend.restart", on="activity.accepted", backend="primary", for_ns=lab.profile.whole_copy_ns // 4)
    outcome = "success"
    try:
        lab.taskflow.methods.clone(volume.id, new)
    except OutcomeUnknown:
        outcome = "unknown"
    except TaskflowError as error:
        outcome = f"failure ({type(error).__name__}: {error})"
    if not lab.recorder.find("fault") or not lab.recorder.find("activity.accepted"):
        lab.unverifiable("the activity was over before its handle was lost")
    told = [e for e in lab.recorder.find("activity.ended", target=new) if e.fields["state"] == "failed"]
    if told and outcome.startswith("failure"):
        outcome = "unknown"  # the look-up did not fail: the backend remembers, and said so
    lab.expect("H-9", outcome == "unknown", f"the look-up failed, which the taskflow took for {outcome}")
    record = lab.catalog.volumes.get(new)
    lab.expect("H-9", record is None or record.status != "available", "a clone of unknown outcome became available")
    ended = [e.place for e in lab.recorder.find("activity.ended", target=new)]
    deleted = [e.place for e in lab.recorder.find("activity.started", verb="delete", source=new)]
    hasty = bool(deleted) and (not ended or deleted[0] < ended[0])
    lab.expect(
        "H-9", not hasty, "the clone was deleted while the activity that nobody could look up was still writing it"
    )
