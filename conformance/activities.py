"""How checks start activities, look at them as one caller or another, and judge what comes of it (clauses H)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance.expected_handles import Answer
from conformance.lab import Lab
from harness.activity import ActivityState, ActivityStatus, HandleScope
from harness.backup_store import MemorySink
from harness.contract import (
    ACTIVITY_HOOKS,
    ActivityNotAbortable,
    ActivityUnknown,
    BackendActivityError,
    ConnectionLost,
    NotSupported,
)
from harness.model import GIB, Caller, Context, Snapshot, Volume
from harness.taskflow.errors import DriverError

METHOD = "create_cloned_volume"
OTHERS = ("create_snapshot", "create_volume_from_snapshot", "replicate_snapshot", "backup_volume", "migrate_volume")
"""What else may be started as an activity."""
LASTING = ("create_cloned_volume", "create_volume_from_snapshot", "backup_volume")
"""The activities that take a while, in the order in which checks would have them."""
METHODS_MAKING = {"create_cloned_volume": "copy", "create_volume_from_snapshot": "copy", "create_snapshot": "snapshot"}
"""The methods that make an object on the backend on which they run, with the verb of their job."""
CONTEXT = Context()
USES = ("status", "wait", "abort")
"""What a caller does with a handle."""


@dataclass
class Running:
    """An activity under way; `verb` is that of its backend job, `repeated` the handle of the same request again."""

    driver: Any
    handle: str
    source: Volume
    target: Volume
    verb: str
    repeated: str

    @property
    def makes(self) -> bool:
        """Whether the activity makes an object on its backend, `target`; else `target` is its source."""
        return self.target is not self.source


def start(lab: Lab, driver: Any = None, name: str = "clone") -> Running:
    """Start an activity that takes a while: a clone, or what else the driver starts.

    Ends the check for a driver without the hooks, or that starts nothing that takes a while.
    """
    driver = driver or lab.open_driver()
    for method in LASTING:
        running = start_method(lab, driver, method, name)
        if running is not None:
            lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
            return running
    no_handle(lab, f"the driver starts none of {', '.join(LASTING)} as an activity")
    raise LookupError


def start_method(lab: Lab, driver: Any, method: str, name: str) -> Running | None:
    """Start any method as an activity; None if the driver refuses to, or lacks it."""
    primary, sibling = lab.taskflow.core.ends["primary"], lab.taskflow.core.ends["sibling"]
    if not all(lab.implements(hook) for hook in ACTIVITY_HOOKS):
        no_handle(lab, "the driver has no activity hooks")
    if not lab.implements(method):
        return None
    source = lab.catalog.volumes.get(lab.identifier("volume")) or lab.volume()
    new = lab.identifier(name)
    target = Volume(new, source.size, primary.host, status="creating", source_volid=source.id)
    snapshot = Snapshot(new, source.id, source.size, source, status="creating")
    arguments: dict[str, Any]
    match method:
        case "create_cloned_volume":
            arguments = {"volume": target, "src_vref": source}
        case "create_snapshot":
            arguments = {"snapshot": snapshot}
        case "create_volume_from_snapshot" | "replicate_snapshot":
            if not lab.implements("create_snapshot"):
                return None
            old = lab.taskflow.methods.create_snapshot(source.id, lab.identifier(f"source of {name}"))
            arguments = {"volume": target, "snapshot": old}
            if method == "replicate_snapshot":
                arguments = {"snapshot": old, "destination": sibling.destination, "new_snapshot": snapshot}
        case "backup_volume":
            arguments = {"source": source, "technique": "none", "sink": MemorySink(source.size * GIB)}
        case "migrate_volume":
            arguments = {"volume": source, "host": sibling.destination}
        case _:
            raise LookupError(method)
    request = lab.identifier(f"rq {name}")
    try:
        handle = lab.call(driver, "start_activity", CONTEXT, method, arguments, request_id=request)
    except NotSupported:
        return None
    again = lab.call(driver, "start_activity", CONTEXT, method, arguments, request_id=request)
    made = target if METHODS_MAKING.get(method) else source
    return Running(driver, handle, source, made, METHODS_MAKING.get(method, "read"), again)


def no_handle(lab: Lab, reason: str) -> None:
    """A scope that is published, but of which no handle is to be had, can't be verified; else nothing is claimed."""
    if lab.publication.is_default("handle_scope"):
        lab.not_applicable(f"{reason}, so there are no handles")
    lab.unverifiable(f"{reason}, so there is no handle of the published scope to look at")


def caller_in(lab: Lab, relation: str) -> Caller:
    """A caller who stands in that relation to this deployment's own."""
    other_host, other_user = f"other-{lab.node}", f"other-{lab.user}"
    return {
        "new connection": lab.caller(),
        "same host, other user": lab.caller(user=other_user),
        "other host, same user": lab.caller(host=other_host, address="192.0.2.77"),
        "other host, other user": lab.caller(host=other_host, user=other_user, address="192.0.2.77"),
    }[relation]


def takes_clones(lab: Lab) -> bool:
    """Whether the driver, asked once more, starts a clone as an activity."""
    return start_method(lab, lab.open_driver(caller=lab.caller(host="aside")), METHOD, "probe") is not None


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


def wait_until_over(lab: Lab, driver: Any, handle: str) -> ActivityState | None:
    """Poll until the activity is over; None if it can't be followed or takes far too long."""
    for _ in range(400):
        found = look(lab, driver, handle)
        if not isinstance(found, ActivityStatus):
            return None
        if found.state.is_terminal:
            return found.state
        lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
    return None


def judge(
    lab: Lab, running: Running, driver: Any, answer: Answer, yes: str, no: str, where: str, use: str = "abort"
) -> None:
    """Judge one use of a handle by one caller against the table; `yes` and `no` are the clauses that it touches.

    `use` is one of `USES`: look the status up, wait for the end by polling, abort.
    """
    scope = lab.publication.handle_scope.value
    before = lab.testbed.backend("primary").inspect()
    if not any(a.target == running.target.id and a.state in ("queued", "running") for a in before.activities):
        lab.unverifiable("the activity was over before anybody looked")
    where = f"{scope}, {where}, {use}"
    found = look(lab, driver, running.handle)
    if answer in ("may", "gone"):
        _judge_either(lab, running, driver, found, answer, yes, where, use)
        return
    if answer == "no":
        _judge_refusal(lab, running, driver, found, no, where, use)
        return
    fine = isinstance(found, ActivityStatus) and not found.state.is_terminal
    message = f"{where}: status of the running activity gave {tell(found)}"
    if not lab.expect(yes, fine, message, {"where": where, "scope": scope, "got": tell(found)}):
        return
    if use == "abort":
        _judge_abort(lab, running, driver, yes, where)
    if use == "wait":
        ended = wait_until_over(lab, driver, running.handle)
        lab.expect(yes, ended is ActivityState.DONE, f"{where}: waited for, the activity ended as {ended}")
        made = lab.testbed.backend("primary").inspect().find(running.target.id)
        lab.expect(
            yes, made is not None and made.complete, f"{where}: it counts as done, but what it made is not whole"
        )


def _judge_either(
    lab: Lab, running: Running, driver: Any, found: object, answer: Answer, clause: str, where: str, use: str
) -> None:
    """ "may": a status or a refusal; "gone": a refusal or the loss of the connection, and nothing comes of an abort."""
    allowed: tuple[type, ...] = (ActivityStatus, ActivityUnknown)
    if answer == "gone":
        allowed = (ActivityUnknown, ConnectionLost)
    names = " nor ".join(kind.__name__ for kind in allowed)
    lab.expect(clause, isinstance(found, allowed), f"{where}: status gave {tell(found)}, neither {names}")
    if use == "abort" and answer == "gone":
        try:
            lab.call(driver, "abort_activity", CONTEXT, running.handle)
        except (ActivityUnknown, ConnectionLost):
            return
        except (BackendActivityError, DriverError) as error:
            lab.expect(clause, False, f"{where}: abort gave {tell(error)}, neither {names}")
            return
        lab.expect(clause, False, f"{where}: abort went well over a connection that is gone")


def _judge_abort(lab: Lab, running: Running, driver: Any, clause: str, where: str) -> None:
    try:
        lab.call(driver, "abort_activity", CONTEXT, running.handle)
    except ActivityNotAbortable:
        ended = wait_until_over(lab, driver, running.handle)
        stored = lab.testbed.backend("primary").inspect().find(running.target.id)
        lab.expect(
            clause,
            ended is ActivityState.DONE and stored is not None and stored.complete,
            f"{where}: abort was refused as not abortable, yet the activity did not go on to its end undisturbed",
            {"ended as": str(ended)},
        )
        return
    except (BackendActivityError, DriverError) as error:
        lab.expect(clause, False, f"{where}: abort gave {tell(error)}", {"got": tell(error)})
        return
    now = lab.testbed.backend("primary").inspect()
    still = [a for a in now.activities if a.target == running.target.id and a.state in ("queued", "running")]
    lab.expect(clause, not still, f"{where}: abort has returned, yet the activity still runs")
    used = now.used_bytes
    lab.settled()
    grown = lab.testbed.backend("primary").inspect().used_bytes - used
    lab.expect(clause, grown <= 0, f"{where}: abort has returned, yet {grown} bytes were written afterwards")


def _judge_refusal(lab: Lab, running: Running, driver: Any, found: object, clause: str, where: str, use: str) -> None:
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
        f"{where}: the look-up gave {tell(found)} (and {tell(unknown)} for a handle that does not exist); both are "
        f"to raise ActivityUnknown",
        {"refused": tell(found), "unknown": tell(unknown)},
    )
    if refused:
        texts = (str(found).replace(running.handle, "*"), str(unknown).replace(fake, "*"))
        lab.expect(
            clause,
            texts[0] == texts[1],
            f"{where}: the refusal tells more than an unknown handle would",
            {"refused": texts[0], "unknown": texts[1]},
        )
    if use == "wait":
        _judge_wait_refused(lab, running, driver, clause, where)
    if use == "abort":
        _judge_abort_refused(lab, running, driver, fake, published, clause, where)
    now = lab.testbed.backend("primary").inspect()
    alive = [a for a in now.activities if a.target == running.target.id and a.state in ("running", "done")]
    whole = now.find(running.target.id)
    undisturbed = bool(alive) or (whole is not None and whole.complete)
    if not undisturbed and lab.publication.handle_scope is HandleScope.CONNECTION:  # it may be over by H-4 by now
        undisturbed = use == "wait" if lab.testbed.virtual else ended_with_its_connection(lab, running)
    lab.expect(clause, undisturbed, f"{where}: the refused look-up disturbed it")


def ended_with_its_connection(lab: Lab, running: Running) -> bool:
    """Whether H-4 can have ended an activity, by the record: its connection went, the time for which the backend keeps
    what was begun on it passed, and then the activity was stopped without anybody's request."""
    lab.settled()  # an end is on record a moment after it can be seen
    find = lab.recorder.find
    ends = find("activity.ended", target=running.target.id)
    if not ends or ends[-1].fields["state"] != ActivityState.ABORTED.value:
        return False
    handle = ends[-1].fields["handle"]
    (started,) = find("activity.started", handle=handle)
    losses = [*find("fault", fault="connection.break", host=lab.node), *find("connection.closed", host=lab.node)]
    gone_ns = [event.at_ns for event in losses if event.place > started.place]
    kept_ns = lab.profile.loss.time2wait_ns + lab.profile.loss.time2retain_ns
    return bool(gone_ns) and ends[-1].at_ns >= min(gone_ns) + kept_ns and not find("activity.aborting", handle=handle)


def _judge_wait_refused(lab: Lab, running: Running, driver: Any, clause: str, where: str) -> None:
    """Refused while the activity runs, and after its end: the outcome is not told either."""
    over = 0
    for _ in range(40):
        lab.runtime.sleep(lab.profile.whole_copy_ns // 8)
        found = look(lab, driver, running.handle)
        fine = isinstance(found, ActivityUnknown)
        if not lab.expect(clause, fine, f"{where}: polled for longer, the look-up gave {tell(found)}"):
            return
        now = lab.testbed.backend("primary").inspect()
        over += not any(a.target == running.target.id and a.state in ("queued", "running") for a in now.activities)
        if over == 2:
            return


def _judge_abort_refused(
    lab: Lab, running: Running, driver: Any, fake: str, published: bool, clause: str, where: str
) -> None:
    refusals = []
    for handle in (running.handle, fake):
        try:
            lab.call(driver, "abort_activity", CONTEXT, handle)
            lab.expect(clause, not published, f"{where}: abort was carried out instead of refused")
            return
        except ActivityUnknown as error:
            refusals.append(str(error).replace(handle, "*"))
        except (BackendActivityError, DriverError) as error:
            lab.expect(clause, False, f"{where}: abort gave {tell(error)}, not ActivityUnknown")
            return
    lab.expect(
        clause,
        refusals[0] == refusals[1],
        f"{where}: the refusal to abort tells more than an unknown handle would",
        {"refused": refusals[0], "unknown": refusals[1]},
    )


def tell(found: object) -> str:
    """A look-up's answer or error in words; at most 200 characters of it."""
    if isinstance(found, ActivityStatus):
        return f"the status {found.state.value!r}"
    return f"{type(found).__name__}: {found}"[:200]
