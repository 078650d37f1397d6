"""How the uses of a handle are judged against the table of section 4 (clauses H)."""

from __future__ import annotations

from typing import Any

from conformance.activities import (
    CONTEXT,
    Running,
    at_work,
    blocked,
    is_whole,
    look,
    tell,
    tell_blocked,
    timed_look,
    unknown_like,
    views,
    wait_until_over,
)
from conformance.expected_handles import Answer
from conformance.lab import Lab
from harness.activity import ActivityState, ActivityStatus, HandleScope
from harness.contract import ActivityNotAbortable, ActivityUnknown, BackendActivityError, ConnectionLost
from harness.taskflow.errors import DriverError


def judge(
    lab: Lab,
    running: Running,
    driver: Any,
    answer: Answer,
    yes: str,
    no: str,
    where: str,
    use: str = "abort",
    may_be_over: bool = False,
) -> None:
    """Judge one use of a handle by one caller against the table; `yes` and `no` are the clauses that it touches.

    `use` is one of `USES`: look the status up, wait for the end by polling, abort. `may_be_over`: the activity may be
    one that is over at once; its handle is judged all the same.
    """
    scope = lab.publication.handle_scope.value
    if not may_be_over and not at_work(lab, running):
        lab.unverifiable("the activity was over before anybody looked")
    where = f"{scope}, {where}, {use}"
    found, took_ns = timed_look(lab, driver, running.handle)
    if lab.testbed.virtual and blocked(lab, took_ns):  # on a real clock, one call that took long proves nothing
        lab.expect(no if answer == "no" else yes, False, tell_blocked(took_ns), {"where": where})
        return
    if answer in ("may", "gone"):
        _judge_either(lab, running, driver, found, answer, yes, where, use)
        return
    if answer == "no":
        _judge_refusal(lab, running, driver, found, no, where, use)
        return
    fine = isinstance(found, ActivityStatus) and not found.state.is_terminal
    if may_be_over and isinstance(found, ActivityStatus):
        fine = not found.state.is_terminal or not at_work(lab, running)
    message = f"{where}: status of the running activity gave {tell(found)}"
    if not lab.expect(yes, fine, message, {"where": where, "scope": scope, "got": tell(found)}):
        return
    if use == "abort":
        _judge_abort(lab, running, driver, yes, where)
    if use == "wait":
        ended = wait_until_over(lab, driver, running.handle)
        lab.expect(yes, ended is ActivityState.DONE, f"{where}: waited for, the activity ended as {ended}")
        lab.expect(yes, is_whole(lab, running), f"{where}: it counts as done, but what it made is not whole")


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
        lab.expect(
            clause,
            ended is ActivityState.DONE and is_whole(lab, running),
            f"{where}: abort was refused as not abortable, yet the activity did not go on to its end undisturbed",
            {"ended as": str(ended)},
        )
        return
    except (BackendActivityError, DriverError) as error:
        lab.expect(clause, False, f"{where}: abort gave {tell(error)}", {"got": tell(error)})
        return
    lab.expect(clause, not at_work(lab, running), f"{where}: abort has returned, yet the activity still runs")
    names = ["primary"]
    if running.request is not None and running.request.made_at is not None and running.request.made_at[0] != "primary":
        names.append(running.request.made_at[0])
    used = [lab.testbed.backend(name).inspect().used_bytes for name in names]
    lab.settled()
    for name, before in zip(names, used, strict=True):
        grown = lab.testbed.backend(name).inspect().used_bytes - before
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
    undisturbed = _goes_on(lab, running)
    if not undisturbed and lab.publication.handle_scope is HandleScope.CONNECTION:  # it may be over by H-4 by now
        undisturbed = use == "wait" if lab.testbed.virtual else ended_with_its_connection(lab, running)
    lab.expect(clause, undisturbed, f"{where}: the refused look-up disturbed it")


def _goes_on(lab: Lab, running: Running) -> bool:
    """Whether the activity is at work or done, or, long forgotten, has left what it was to make."""
    found = views(lab, running)
    if running.makes:
        of_it = [view for view in found if view.target == running.target.id]
        return any(view.state not in ("aborted", "failed") for view in of_it) or is_whole(lab, running)
    return not found or found[-1].state not in ("aborted", "failed")


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
        over += not at_work(lab, running)
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
