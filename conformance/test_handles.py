"""Section 4 of the specification: handles to running activities (clauses H)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from conformance.checks import check
from conformance.expected_handles import RELATIONS, Answer, expected, expected_afterwards
from conformance.lab import Lab
from harness.activity import ActivityState, ActivityStatus
from harness.contract import (
    ACTIVITY_HOOKS,
    ActivityNotAbortable,
    ActivityUnknown,
    BackendActivityError,
    NotSupported,
)
from harness.model import Caller, Context, Volume
from harness.point_in_time import compare_images
from harness.taskflow.errors import DriverError, TaskflowError
from harness.testbed import Capability

METHOD = "create_cloned_volume"
CONTEXT = Context()


@dataclass
class Running:
    """An activity under way: a clone that takes a while."""

    driver: Any
    handle: str
    source: Volume
    target: Volume


def start(lab: Lab, driver: Any = None, name: str = "clone") -> Running:
    """Start a clone as an activity; not applicable for a driver without the hooks or that does not start clones."""
    primary = lab.taskflow.core.ends["primary"]
    if not all(lab.implements(hook) for hook in ACTIVITY_HOOKS):
        lab.not_applicable("the driver has no activity hooks, so there are no handles")
    source = lab.catalog.volumes.get(lab.identifier("volume")) or lab.volume()
    target = Volume(lab.identifier(name), source.size, primary.host, status="creating", source_volid=source.id)
    driver = driver or lab.open_driver()
    arguments = {"volume": target, "src_vref": source}
    try:
        handle = lab.call(driver, "start_activity", CONTEXT, METHOD, arguments, request_id=lab.identifier(f"rq {name}"))
    except NotSupported:
        lab.not_applicable(f"the driver does not start {METHOD} as an activity")
    lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
    return Running(driver, handle, source, target)


def caller_in(lab: Lab, relation: str) -> Caller:
    """A caller who stands in that relation to this deployment's own."""
    other_host, other_user = f"other-{lab.node}", f"other-{lab.user}"
    return {
        "new connection": lab.caller(),
        "same host, other user": lab.caller(user=other_user),
        "other host, same user": lab.caller(host=other_host, address="192.0.2.77"),
        "other host, other user": lab.caller(host=other_host, user=other_user, address="192.0.2.77"),
    }[relation]


def unknown_like(handle: str) -> str:
    """A handle of the same make that nobody was given."""
    turned = [chr((ord(c) - 48 + 3) % 10 + 48) if c.isdigit() else c for c in handle]
    made = "".join(turned)
    return made if made != handle else handle + "0"


def look(lab: Lab, driver: Any, handle: str) -> ActivityStatus | BackendActivityError | DriverError:
    """The status, or the error that came instead."""
    try:
        found = lab.call(driver, "get_activity", CONTEXT, handle)
    except (BackendActivityError, DriverError) as error:
        return error
    return found  # type: ignore[no-any-return]


def state(lab: Lab, driver: Any, handle: str) -> ActivityState | None:
    """The state as the driver sees it, or None where it sees none."""
    found = look(lab, driver, handle)
    return found.state if isinstance(found, ActivityStatus) else None


def judge(lab: Lab, running: Running, driver: Any, answer: Answer, yes: str, no: str, where: str) -> None:
    """Judge look-up and abort by one caller against the table; `yes` and `no` are the clauses that it touches."""
    scope = lab.publication.handle_scope.value
    before = lab.testbed.backend("primary").inspect()
    if not any(a.target == running.target.id and a.state in ("queued", "running") for a in before.activities):
        lab.unverifiable("the activity was over before anybody looked")
    found = look(lab, driver, running.handle)
    if answer == "may":
        lab.expect(
            yes,
            isinstance(found, (ActivityStatus, ActivityUnknown)),
            f"{scope}, {where}: status gave {_name(found)}, neither a status nor ActivityUnknown",
        )
        return
    if answer == "yes":
        if lab.expect(
            yes,
            isinstance(found, ActivityStatus) and not found.state.is_terminal,
            f"{scope}, {where}: status of the running activity gave {_name(found)}",
            {"relation": where, "scope": scope, "got": _name(found)},
        ):
            _judge_abort(lab, running, driver, yes, f"{scope}, {where}")
        return
    _judge_refusal(lab, running, driver, found, no, f"{scope}, {where}")


def _judge_abort(lab: Lab, running: Running, driver: Any, clause: str, where: str) -> None:
    try:
        lab.call(driver, "abort_activity", CONTEXT, running.handle)
    except ActivityNotAbortable:
        lab.expect(
            clause,
            state(lab, driver, running.handle) is not None,
            f"{where}: abort was refused as not abortable, and then the activity was gone",
        )
        return
    except (BackendActivityError, DriverError) as error:
        lab.expect(clause, False, f"{where}: abort gave {_name(error)}", {"got": _name(error)})
        return
    now = lab.testbed.backend("primary").inspect()
    still = [a for a in now.activities if a.target == running.target.id and a.state in ("queued", "running")]
    lab.expect(clause, not still, f"{where}: abort has returned, yet the activity still runs")
    used = now.used_bytes
    lab.settled()
    grown = lab.testbed.backend("primary").inspect().used_bytes - used
    lab.expect(clause, grown <= 0, f"{where}: abort has returned, yet {grown} bytes were written afterwards")


def _judge_refusal(lab: Lab, running: Running, driver: Any, found: object, clause: str, where: str) -> None:
    published = lab.publication.raw.get("handle_scope") == lab.publication.handle_scope.value  # and not the default
    fake = unknown_like(running.handle)
    unknown = look(lab, driver, fake)
    if isinstance(found, ActivityStatus) and not published:
        lab.note(f"{where}: the handle works beyond the default scope; publish a wider handle_scope", clause)
        lab.expect(clause, True, "")
        return
    refused = isinstance(found, ActivityUnknown) and isinstance(unknown, ActivityUnknown)
    lab.expect(
        clause,
        refused,
        f"{where}: the look-up gave {_name(found)} (and {_name(unknown)} for a handle that does not exist); both are "
        f"to raise ActivityUnknown",
        {"refused": _name(found), "unknown": _name(unknown)},
    )
    if refused:
        texts = (str(found).replace(running.handle, "*"), str(unknown).replace(fake, "*"))
        lab.expect(
            clause,
            texts[0] == texts[1],
            f"{where}: the refusal tells more than an unknown handle would",
            {"refused": texts[0], "unknown": texts[1]},
        )
    try:
        lab.call(driver, "abort_activity", CONTEXT, running.handle)
        lab.expect(clause, not published, f"{where}: abort was carried out instead of refused")
        return
    except ActivityUnknown:
        pass
    except (BackendActivityError, DriverError) as error:
        lab.expect(clause, False, f"{where}: abort gave {_name(error)}, not ActivityUnknown")
    now = lab.testbed.backend("primary").inspect()
    alive = [a for a in now.activities if a.target == running.target.id and a.state in ("running", "done")]
    whole = now.find(running.target.id)
    lab.expect(
        clause, bool(alive) or (whole is not None and whole.complete), f"{where}: the refused look-up disturbed it"
    )


def _name(found: object) -> str:
    if isinstance(found, ActivityStatus):
        return f"the status {found.state.value!r}"
    return f"{type(found).__name__}: {found}"[:200]


@pytest.mark.parametrize("relation", RELATIONS)
@check("H-1", "H-2")
def test_handle_works_exactly_where_its_scope_says(lab: Lab, relation: str) -> None:
    """While the first connection is open, each caller reaches the activity exactly where the table says so."""
    running = start(lab)
    answer = expected(lab.publication.handle_scope.value, relation)
    driver = running.driver if relation == "same connection" else lab.open_driver(caller=caller_in(lab, relation))
    lab.ledger.set_aside("H-2" if answer != "no" else "H-1", f"the table says {answer!r} for {relation}")
    judge(lab, running, driver, answer, "H-1", "H-2", relation)


@pytest.mark.parametrize("relation", [r for r in RELATIONS if r != "same connection"])
@pytest.mark.parametrize("gone", ["closed", "broken", "restarted"])
@check("H-3", needs=(Capability.CONNECTION_BREAK,))
def test_scope_holds_after_the_first_connection_is_gone(lab: Lab, gone: str, relation: str) -> None:
    """After the first connection was closed or broke, or the taskflow restarted, the table still holds."""
    running = start(lab)
    if gone == "closed":
        lab.close_connection(running.driver)
    else:
        lab.inject("connection.break", caller=lab.node)
    lab.runtime.sleep(lab.profile.whole_copy_ns // 50)
    driver = lab.open_driver(caller=caller_in(lab, relation), fresh=gone == "restarted")
    answer = expected_afterwards(lab.publication.handle_scope.value, relation)
    judge(lab, running, driver, answer, "H-3", "H-3", f"{relation}, the first connection being {gone}")


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
    judge(lab, running, lab.open_driver(caller=caller), answer, "H-5", "H-5", case)


@check("H-6")
def test_handles_are_unique(lab: Lab) -> None:
    """Two activities have two handles, whoever started them; one request has one."""
    driver = lab.open_driver()
    first, second = start(lab, driver), start(lab, driver, "second clone")
    third = start(lab, lab.open_driver(caller=caller_in(lab, "other host, other user")), "third clone")
    handles = [first.handle, second.handle, third.handle]
    lab.expect("H-6", len(set(handles)) == len(handles), "two activities share a handle", {"handles": handles})
    lab.expect("H-6", all(isinstance(h, str) and h for h in handles), f"a handle is a str, not {handles!r}")
    if all(h.isdigit() for h in handles):
        lab.note("handles are plain numbers, which can be guessed", "H-6", "draw them at random")


@check("H-7")
def test_progress_and_outcome_are_kept(lab: Lab) -> None:
    """Progress never goes back; a finished activity's outcome stays readable, and the same, for the retention time."""
    running = start(lab)
    seen: list[float] = []
    final: ActivityStatus | None = None
    for _ in range(400):
        found = look(lab, running.driver, running.handle)
        if not isinstance(found, ActivityStatus):
            lab.expect("H-7", False, f"polling gave {_name(found)} before the activity was over")
            return
        if found.progress is not None:
            seen.append(found.progress)
        if found.state.is_terminal:
            final = found
            break
        lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
    back = [(a, b) for a, b in pairwise(seen) if b < a]
    lab.expect("H-7", not back, f"progress went back from {back[0][0]} to {back[0][1]}" if back else "", {"seen": seen})
    lab.expect("H-7", all(0 <= p <= 1 for p in seen), "progress is outside 0…1", {"seen": seen})
    if final is None:
        lab.unverifiable("the activity did not end")
        return
    for _ in range(3):
        lab.runtime.sleep(lab.profile.retention_ns * 3 // 10)
        again = look(lab, running.driver, running.handle)
        same = isinstance(again, ActivityStatus) and again.state is final.state and again.result == final.result
        lab.expect("H-7", same, f"the outcome {final.state.value!r} became {_name(again)} within the retention time")


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
    if not lab.recorder.find("fault"):
        lab.unverifiable("the driver started no activity")
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
