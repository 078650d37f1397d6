"""Section 4 of the specification: what a handle stands for, and what becomes of an activity (clauses H-6 and H-7)."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Any

import pytest

from conformance.activities import (
    CONTEXT,
    OTHERS,
    Running,
    ask_for,
    caller_in,
    jobs,
    launch,
    look,
    outlasting,
    prepare,
    start,
    tell,
)
from conformance.checks import check
from conformance.expected_handles import expected
from conformance.lab import Lab
from harness.activity import ActivityState, ActivityStatus
from harness.contract import ActivityNotAbortable, NotSupported
from harness.testbed import Capability


@check("H-6")
def test_handles_are_unique(lab: Lab) -> None:
    """Activities have handles of their own, whoever started them, also once others are over; one request has one."""
    driver = lab.open_driver()
    first, second = start(lab, driver), start(lab, driver, "second clone")
    third = start(lab, lab.open_driver(caller=caller_in(lab, "other host, other user")), "third clone")
    handles = [first.handle, second.handle, third.handle]
    lab.expect("H-6", len(set(handles)) == len(handles), "two activities share a handle", {"handles": handles})
    lab.expect(
        "H-6",
        first.repeated == first.handle,
        "the same request was given two handles, so that a start whose answer was lost would be carried out twice",
        {"first": first.handle, "again": first.repeated},
    )
    if all(h.isdigit() for h in handles):
        lab.note("handles are plain numbers, which can be guessed", "H-6", "draw them at random")
    with contextlib.suppress(ActivityNotAbortable):
        lab.call(driver, "abort_activity", CONTEXT, second.handle)
    over = [follow(lab, driver, running.handle, "H-6")[1] for running in (first, second)]
    for name in ("fourth clone", "fifth clone"):
        later = start(lab, driver, name)
        message = "an activity was given the handle of one that is over, whose outcome has to stay readable"
        lab.expect("H-6", later.handle not in handles, message, {"handle": later.handle, "handles": handles})
        handles.append(later.handle)
    for running, told in zip((first, second), over, strict=True):
        again = look(lab, driver, running.handle)
        if told is not None and isinstance(again, ActivityStatus):
            message = f"other activities were started, and a handle that stood for {tell(told)} gives {tell(again)}"
            lab.expect("H-6", again.state is told.state, message)


@check("H-6")
def test_request_repeated_from_a_new_instance_has_one_handle(lab: Lab) -> None:
    """A start that is repeated on a new connection, by an instance that shares no memory, gives the same handle."""
    running = start(lab)
    scope = lab.publication.handle_scope.value
    if running.request is None or expected(scope, "new connection") != "yes":
        lab.not_applicable(f"handles are {scope}, so that nobody reaches them on a new connection")
        return
    begun = lab.recorder.tick()
    try:
        again = ask_for(lab, lab.open_driver(fresh=True), running.request)
    except NotSupported as error:
        again = tell(error)
    making = lab.recorder.find("activity.started", target=running.target.id) if running.makes else []
    started = [e.fields["verb"] for e in making if e.place > begun]
    lab.expect(
        "H-6",
        again == running.handle and not started,
        "the same request, repeated from a new instance on a new connection, was taken for another one, so that a "
        "start whose answer was lost would be carried out twice after a restart",
        {"first": running.handle, "again": again, "started again": started},
    )


@check("H-7")
def test_progress_and_outcome_are_kept(lab: Lab) -> None:
    """Progress never goes back; a finished activity's outcome stays readable, and the same, for the retention time."""
    running = start(lab)
    final = judge_course(lab, running, "")
    if final is not None:
        judge_kept(lab, running.driver, {running.handle: final}, lab.profile.retention_ns * 9 // 10)


@check("H-7", needs=(Capability.JOB_FAULTS,))
def test_failure_is_reported_as_failure(lab: Lab) -> None:
    """An activity that failed is reported as failed, one that was aborted not as done; both outcomes are kept."""
    driver = lab.open_driver()
    probe = start(lab, driver, "probe")
    follow(lab, driver, probe.handle, "H-7")
    lab.inject("job.fail", backend="primary", verb=probe.verb, fraction=lab.schedule.fraction("at", 0.2, 0.6))
    running = start(lab, driver)
    ended = follow(lab, driver, running.handle, "H-7")[1]
    if not lab.recorder.find("activity.ended", target=running.target.id, state="failed"):
        lab.unverifiable("the backend's job did not fail")
    failed = ended is not None and ended.state is ActivityState.FAILED
    lab.expect("H-7", failed, f"an activity that failed is reported as {tell(ended)}")
    made = lab.testbed.backend("primary").inspect().find(running.target.id)
    gone = made is None or not running.makes
    lab.expect("H-7", gone, "what a failed activity made is still there", {"left": running.target.id})
    outcomes = {running.handle: ended} if ended is not None else {}
    second = start(lab, driver, "second clone")
    with contextlib.suppress(ActivityNotAbortable):
        lab.call(driver, "abort_activity", CONTEXT, second.handle)
        state = follow(lab, driver, second.handle, "H-7")[1]
        if state is not None:
            outcomes[second.handle] = state
            done = state.state is ActivityState.DONE
            lab.expect("H-7", not done, "an activity that was aborted is reported as done")
    judge_kept(lab, driver, outcomes, kept_ns(lab))


@pytest.mark.parametrize("method", OTHERS)
@check("H-7")
def test_outcome_of_whatever_is_started_is_told_and_kept(lab: Lab, method: str) -> None:
    """However whatever is started ends, its progress never goes back, and its outcome is told as it is, for good.

    One activity is aborted, one fails at the backend where the testbed lets jobs fail, one goes on to its end.
    A real clock's time is spent on clones: there one is aborted, no more.
    """
    driver = lab.open_driver()
    outcomes: dict[str, ActivityStatus] = {}
    verbs: list[str] = []
    for ending in ("aborted", "failed", "done") if lab.testbed.virtual else ("aborted",):
        source = lab.volume(f"volume to be {ending}") if method == "migrate_volume" else None
        request = prepare(lab, method, f"{method} {ending}", source)
        if ending == "failed" and verbs and Capability.JOB_FAULTS in lab.testbed.offers:
            at = lab.schedule.fraction("at", 0.2, 0.6)
            lab.inject("job.fail", backend="primary", verb=verbs[-1], fraction=at)
        running = None if request is None else launch(lab, driver, request)
        if running is None:
            lab.not_applicable(f"the driver does not start {method} as an activity")
            return
        verbs = [e.fields["verb"] for e in outlasting(lab, running)]
        if ending == "aborted":
            lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
            with contextlib.suppress(ActivityNotAbortable):
                lab.call(driver, "abort_activity", CONTEXT, running.handle)
        final = judge_course(lab, running, f"{method}: ")
        if final is None:
            return
        outcomes[running.handle] = final
    judge_kept(lab, driver, outcomes, kept_ns(lab))


def kept_ns(lab: Lab) -> int:
    """For how long the outcomes of several activities are read again: a real clock's time is spent on one alone."""
    return lab.profile.retention_ns * 8 // 10 if lab.testbed.virtual else lab.profile.whole_copy_ns // 4


def follow(lab: Lab, driver: Any, handle: str, clause: str) -> tuple[list[float], ActivityStatus | None]:
    """Poll until an activity is over: the progress that was told, and the outcome.

    The outcome is None if the activity takes far too long, or can't be followed, which fails `clause`.
    """
    seen: list[float] = []
    for _ in range(400):
        found = look(lab, driver, handle)
        if not isinstance(found, ActivityStatus):
            lab.expect(clause, False, f"polling gave {tell(found)} before the activity was over")
            return seen, None
        if found.progress is not None:
            seen.append(found.progress)
        if found.state.is_terminal:
            return seen, found
        lab.runtime.sleep(lab.profile.whole_copy_ns // 20)
    return seen, None


def judge_course(lab: Lab, running: Running, where: str) -> ActivityStatus | None:
    """Follow an activity to its end and judge its progress, and that what failed or was stopped is not told as done.

    Returns the outcome. Ends the check where there is none, unverifiable unless the clause has failed.
    """
    seen, final = follow(lab, running.driver, running.handle, "H-7")
    back = [(a, b) for a, b in pairwise(seen) if b < a]
    message = f"{where}progress went back from {back[0][0]} to {back[0][1]}" if back else ""
    lab.expect("H-7", not back, message, {"seen": seen})
    lab.expect("H-7", all(0 <= p <= 1 for p in seen), f"{where}progress is outside 0…1", {"seen": seen})
    if final is None:
        lab.unverifiable("the activity did not end")
        return None
    if not lab.testbed.virtual:
        lab.settled()  # an end is on record a moment after it can be seen
    ends = {e.fields["handle"]: e.fields["state"] for e in lab.recorder.find("activity.ended")}
    of_jobs = [ends.get(e.fields["handle"]) for e in jobs(lab, running)]
    if of_jobs and of_jobs[-1] in ("failed", "aborted"):
        honest = final.state is not ActivityState.DONE and (of_jobs[-1] != "failed" or final.state.value == "failed")
        lab.expect("H-7", honest, f"{where}the backend's job {of_jobs[-1]}, which is reported as {tell(final)}")
    return final


def judge_kept(lab: Lab, driver: Any, outcomes: dict[str, ActivityStatus], kept: int) -> None:
    """Read outcomes again, three times within `kept` (ns), and judge that they are there and the same."""
    for _ in range(3):
        lab.runtime.sleep(kept // 3)
        for handle, final in outcomes.items():
            again = look(lab, driver, handle)
            same = isinstance(again, ActivityStatus) and (again.state, again.result, again.error) == (
                final.state,
                final.result,
                final.error,
            )
            message = f"the outcome {final.state.value!r} became {tell(again)} within the retention time"
            if isinstance(again, ActivityStatus) and again.state is final.state:
                message = f"the outcome {final.state.value!r} stayed, but its result or its error became another one"
            lab.expect("H-7", same, message)
