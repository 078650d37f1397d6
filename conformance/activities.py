"""How checks start activities and look at them, as one caller or another (clauses H)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from conformance.lab import Lab
from harness.activity import ActivityState, ActivityStatus
from harness.backup_store import MemorySink
from harness.contract import ACTIVITY_HOOKS, ActivityUnknown, BackendActivityError, NotSupported
from harness.model import GIB, Caller, Context, Snapshot, Volume
from harness.recorder import Event
from harness.runtime import SECOND
from harness.taskflow.errors import DriverError
from harness.testbed import ActivityView

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
ROUND_TRIPS = 50
"""How many round trips to the backend a look-up may take under virtual time; a driver may ask several times."""
PROMPT_NS = SECOND // 100
"""What counts as at once on however fast a network."""


@dataclass(frozen=True)
class Request:
    """A method as it is to be started: the arguments of `start_activity`, what is read, and what is made of it.

    `target` is the object that is made on the method's own backend, else the source; `made_at` is the backend and id
    at which the result is found, None where it is no object.
    """

    method: str
    arguments: dict[str, Any]
    request_id: str
    source: Volume
    target: Volume
    made_at: tuple[str, str] | None


@dataclass
class Running:
    """An activity under way; `verb` is that of its backend job, `repeated` the handle of the same request again.

    Its backend jobs began between the places `began` and `started` of the record.
    """

    driver: Any
    handle: str
    source: Volume
    target: Volume
    verb: str
    repeated: str
    request: Request | None = None
    began: int = 0
    started: int = 0

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


def start_method(lab: Lab, driver: Any, method: str, name: str, source: Volume | None = None) -> Running | None:
    """Start any method as an activity, of `source` or the check's volume; None if the driver refuses, or lacks it."""
    request = prepare(lab, method, name, source)
    return None if request is None else launch(lab, driver, request)


def prepare(lab: Lab, method: str, name: str, source: Volume | None = None) -> Request | None:
    """What it takes to start a method as an activity; None if the driver lacks the method."""
    primary, sibling = lab.taskflow.core.ends["primary"], lab.taskflow.core.ends["sibling"]
    if not all(lab.implements(hook) for hook in ACTIVITY_HOOKS):
        no_handle(lab, "the driver has no activity hooks")
    if not lab.implements(method):
        return None
    source = source or lab.catalog.volumes.get(lab.identifier("volume")) or lab.volume()
    new = lab.identifier(name)
    target = Volume(new, source.size, primary.host, status="creating", source_volid=source.id)
    snapshot = Snapshot(new, source.id, source.size, source, status="creating")
    made_at: tuple[str, str] | None = ("primary", new)
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
                made_at = ("sibling", new)
        case "backup_volume":
            arguments = {"source": source, "technique": "none", "sink": MemorySink(source.size * GIB)}
            made_at = None
        case "migrate_volume":
            arguments = {"volume": source, "host": sibling.destination}
            made_at = ("sibling", source.id)
        case _:
            raise LookupError(method)
    made = target if METHODS_MAKING.get(method) else source
    return Request(method, arguments, lab.identifier(f"rq {name}"), source, made, made_at)


def launch(lab: Lab, driver: Any, request: Request) -> Running | None:
    """Start what was prepared, and once more under the same request id; None if the driver refuses to."""
    began = lab.recorder.tick()
    try:
        handle = ask_for(lab, driver, request)
    except NotSupported:
        return None
    started = lab.recorder.tick()
    again = ask_for(lab, driver, request)
    verb = METHODS_MAKING.get(request.method, "read")
    return Running(driver, handle, request.source, request.target, verb, again, request, began, started)


def ask_for(lab: Lab, driver: Any, request: Request) -> str:
    """One call of `start_activity`; returns the handle."""
    handle = lab.call(
        driver, "start_activity", CONTEXT, request.method, request.arguments, request_id=request.request_id
    )
    return handle  # type: ignore[no-any-return]


def jobs(lab: Lab, running: Running) -> list[Event]:
    """The starts of the backend jobs that starting the activity has begun, by the record."""
    return [e for e in lab.recorder.find("activity.started") if running.began < e.place <= running.started]


def outlasting(lab: Lab, running: Running) -> list[Event]:
    """The starts of the jobs that were not over when the driver's start returned: the work, not what it takes to begin
    it."""
    ended = [e for e in lab.recorder.find("activity.ended") if e.place <= running.started]
    over = [(e.fields["backend"], e.fields["handle"]) for e in ended]
    return [e for e in jobs(lab, running) if (e.fields["backend"], e.fields["handle"]) not in over]


def views(lab: Lab, running: Running) -> list[ActivityView]:
    """The activity's jobs as its backends see them now; for one that makes an object, whatever makes that."""
    begun = {(e.fields["backend"], e.fields["handle"]) for e in jobs(lab, running)}
    names = [name for name in ("primary", "sibling") if name == "primary" or name in {backend for backend, _ in begun}]
    return [
        view
        for name in names
        for view in lab.testbed.backend(name).inspect().activities
        if (name, view.handle) in begun or (running.makes and view.target == running.target.id)
    ]


def at_work(lab: Lab, running: Running) -> bool:
    """Whether any of the activity's jobs is not over yet."""
    return any(view.state in ("queued", "running") for view in views(lab, running))


def is_whole(lab: Lab, running: Running) -> bool:
    """Whether what the activity was to make is there, complete; True for one that makes no object."""
    if running.request is None or running.request.made_at is None:
        return True
    backend, made = running.request.made_at
    found = lab.testbed.backend(backend).inspect().find(made)
    return found is not None and found.complete


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


def timed_look(lab: Lab, driver: Any, handle: str) -> tuple[ActivityStatus | BackendActivityError | DriverError, int]:
    """What `look` gives, and how long it took (ns)."""
    begun = lab.runtime.now()
    found = look(lab, driver, handle)
    return found, lab.runtime.now() - begun


def blocked(lab: Lab, took_ns: int) -> bool:
    """Whether a look-up took longer than looking does: more than `ROUND_TRIPS` round trips and `PROMPT_NS`.

    A round trip is what a look-up of an unknown handle takes on a connection of the testbed itself. On a real clock,
    where any call may meet a busy machine, the bound is three quarters of a whole copy.
    """
    if not lab.testbed.virtual:
        return took_ns > lab.profile.whole_copy_ns * 3 // 4
    if took_ns <= PROMPT_NS:
        return False
    connection = lab.testbed.backend("primary").connect(lab.caller(host="aside"))
    begun = lab.runtime.now()
    with contextlib.suppress(ActivityUnknown):
        connection.status("nobody's handle")
    round_trip_ns = lab.runtime.now() - begun
    connection.close()
    return took_ns > ROUND_TRIPS * round_trip_ns


def tell_blocked(took_ns: int) -> str:
    """What is wrong with a look-up that took so long (ns)."""
    return f"get_activity blocked for {took_ns / SECOND:.3g} s; it is to return at once, and waiting is the taskflow's"


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


def tell(found: object) -> str:
    """A look-up's answer or error in words; at most 200 characters of it."""
    if isinstance(found, ActivityStatus):
        return f"the status {found.state.value!r}"
    return f"{type(found).__name__}: {found}"[:200]
