"""The table that backends enforce, the one that the checks expect, and the specification's: one content."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from conformance.expected_handles import RELATIONS, expected, expected_afterwards
from harness.activity import Activity, ActivityState, ActivityStatus, ConnectionIdentity, HandleScope, HandleTable
from harness.model import Caller

STARTER = ConnectionIdentity(Caller("host-a", "alice", "192.0.2.1"), "connection-1")

CALLERS = {
    "same connection": STARTER,
    "new connection": ConnectionIdentity(Caller("host-a", "alice", "192.0.2.9"), "connection-2"),
    "same host, other user": ConnectionIdentity(Caller("host-a", "bob", "192.0.2.1"), "connection-2"),
    "other host, same user": ConnectionIdentity(Caller("host-b", "alice", "192.0.2.1"), "connection-2"),
    "other host, other user": ConnectionIdentity(Caller("host-b", "bob", "192.0.2.1"), "connection-2"),
}
"""One caller for each relation; addresses are shared and changed, since they identify nobody (H-5)."""

SPECIFIED = """
connection-specific | yes | no  | no  | no  | no
source-specific     | yes | yes | may | no  | no
user-specific       | yes | yes | no  | yes | no
unrestricted        | yes | yes | yes | yes | yes
"""
"""Section 4 of the specification, its columns in the order of `CALLERS`."""

CELLS = [
    (cells[0].strip(), relation, cell.strip())
    for cells in (line.split("|") for line in SPECIFIED.strip().splitlines())
    for relation, cell in zip(CALLERS, cells[1:], strict=True)
]


class Clock:
    """A clock that is set by hand, and handles that are counted."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.minted = 0

    def now(self) -> int:
        return self.now_ns

    def mint(self) -> str:
        self.minted += 1
        return f"handle-{self.minted}"


@pytest.fixture
def clock() -> Clock:
    """The clock of the table."""
    return Clock()


@pytest.fixture
def table(clock: Clock) -> HandleTable:
    """A table that keeps outcomes for 300 ns."""
    return HandleTable(clock.now, clock.mint, 300)


def start(table: HandleTable, scope: HandleScope = HandleScope.USER, request_id: str = "request-1") -> Activity:
    """An activity that `STARTER` starts."""
    activity, new = table.register(STARTER, scope, request_id, "copy", "volume-1")
    assert new
    return activity


@pytest.mark.parametrize(("scope", "relation", "answer"), CELLS)
def test_expected_table_is_the_specification_s(scope: str, relation: str, answer: str) -> None:
    """The table that the checks expect says in each cell what section 4 says."""
    assert expected(scope, relation) == answer
    assert set(RELATIONS) == set(CALLERS)


@pytest.mark.parametrize(("scope", "relation", "answer"), CELLS)
def test_expected_once_the_first_connection_is_gone(scope: str, relation: str, answer: str) -> None:
    """Once the first connection is gone a connection-specific handle works for nobody, the others as before (H-3);
    and over the connection itself nothing works any more."""
    afterwards = "no" if scope == "connection-specific" else answer
    assert expected_afterwards(scope, relation) == ("gone" if relation == "same connection" else afterwards)


@pytest.mark.parametrize(("scope", "relation", "answer"), CELLS)
def test_enforced_table_is_the_specification_s(table: HandleTable, scope: str, relation: str, answer: str) -> None:
    """A backend finds a handle for just those callers whom section 4 allows to use it."""
    activity = start(table, HandleScope(scope))
    found = table.look_up(activity.handle, CALLERS[relation])
    assert found is (None if answer == "no" else activity)


@pytest.mark.parametrize("scope", list(HandleScope))
def test_nobody_reaches_an_orphan(table: HandleTable, scope: HandleScope) -> None:
    """An activity whose connection is gone and that can't be referenced is found by nobody, its starter included."""
    activity = start(table, scope)
    activity.orphaned = True
    assert table.look_up(activity.handle, STARTER) is None


def test_an_unknown_handle_is_found_by_nobody(table: HandleTable) -> None:
    """A handle that was never given out is not found."""
    start(table)
    assert table.look_up("handle-2", STARTER) is None


def test_one_request_has_one_handle(table: HandleTable) -> None:
    """The same request gives the same activity, another request another one (H-8)."""
    first = start(table)
    assert table.register(STARTER, HandleScope.USER, "request-1", "copy", "volume-1") == (first, False)
    second = start(table, request_id="request-2")
    assert second.handle != first.handle
    assert table.all() == [first, second]


def test_the_request_of_a_stranger_is_another_one(table: HandleTable) -> None:
    """A request id that somebody out of reach has used, too, starts an activity of its own."""
    first = start(table)
    other, new = table.register(CALLERS["other host, other user"], HandleScope.USER, "request-1", "copy", "volume-2")
    assert (new, other.handle != first.handle) == (True, True)


def test_a_new_activity_is_queued(table: HandleTable) -> None:
    """A new activity is what was asked for, queued, with no progress and no end."""
    activity = start(table)
    assert (activity.verb, activity.target, activity.request_id) == ("copy", "volume-1", "request-1")
    assert (activity.scope, activity.started_by) == (HandleScope.USER, STARTER)
    assert (activity.state, activity.progress, activity.ended_ns) == (ActivityState.QUEUED, 0.0, None)
    assert activity.abortable
    assert not activity.orphaned


def test_handles_are_unique(clock: Clock, table: HandleTable) -> None:
    """A handle that is taken is not given out again, by the table or by a protocol (H-6)."""
    start(table)
    clock.minted = 0
    assert start(table, request_id="request-2").handle == "handle-2"
    with pytest.raises(ValueError, match="'handle-1' is in use"):
        table.register(STARTER, HandleScope.USER, "request-3", "copy", "volume-1", handle="handle-1")
    own, new = table.register(STARTER, HandleScope.USER, "request-3", "copy", "volume-1", handle="stateid")
    assert (own.handle, new) == ("stateid", True)


@pytest.mark.parametrize(("after_ns", "known"), [(300, True), (301, False)])
def test_outcomes_are_retained(clock: Clock, table: HandleTable, after_ns: int, known: bool) -> None:
    """A finished activity is found until the retention time is over, and then by nobody, nor by its request (H-7)."""
    clock.now_ns = 1000
    activity = start(table)
    activity.ended_ns = 1000
    clock.now_ns += after_ns
    assert (table.look_up(activity.handle, STARTER) is activity) is known
    assert (table.all() == [activity]) is known
    assert table.register(STARTER, HandleScope.USER, "request-1", "copy", "volume-1")[1] is not known


@pytest.mark.parametrize("way", ["look_up", "all", "register"])
def test_every_way_in_forgets_what_is_old(clock: Clock, table: HandleTable, way: str) -> None:
    """Whichever call comes first after the retention time, the old outcome is gone for it."""
    activity = start(table)
    activity.ended_ns = 0
    clock.now_ns = 10_000
    if way == "look_up":
        assert table.look_up(activity.handle, STARTER) is None
    elif way == "all":
        assert table.all() == []
    else:
        assert start(table, request_id="request-1") is not activity


def test_a_running_activity_is_never_forgotten(clock: Clock, table: HandleTable) -> None:
    """An activity that has not ended is found however long it runs, and those around it that ended are not."""
    ended, running = start(table), start(table, request_id="request-2")
    ended.ended_ns = 0
    clock.now_ns = 10**18
    assert table.all() == [running]


def test_activities_of_a_connection(table: HandleTable) -> None:
    """Those that a connection started are told in the order of their start, and no others."""
    first = start(table)
    table.register(CALLERS["new connection"], HandleScope.USER, "request-2", "copy", "volume-1")
    third = start(table, request_id="request-3")
    assert table.started_on("connection-1") == [first, third]


def test_discarding(table: HandleTable) -> None:
    """A discarded activity is forgotten at once; discarding it again is harmless."""
    activity, other = start(table), start(table, request_id="request-2")
    table.discard(activity)
    table.discard(activity)
    assert table.all() == [other]


def test_a_protocol_may_decide_who_reaches(clock: Clock) -> None:
    """A table that is given a rule of its own asks it, for look-ups and for repeated requests alike."""
    table = HandleTable(clock.now, clock.mint, 300, lambda activity, identity: identity.caller.user == "bob")
    activity = start(table, HandleScope.UNRESTRICTED)
    assert table.look_up(activity.handle, STARTER) is None
    assert table.look_up(activity.handle, CALLERS["other host, other user"]) is activity
    assert start(table, HandleScope.UNRESTRICTED) is not activity


@pytest.mark.parametrize("state", list(ActivityState))
def test_terminal_states(state: ActivityState) -> None:
    """Done, failed and aborted are ends, queued and running are not."""
    assert state.is_terminal is (state.value in ("done", "failed", "aborted"))


def test_what_backends_hand_out_can_not_be_changed() -> None:
    """A status and the identity of a connection are values: they can't be changed, and equal ones are equal."""
    status = ActivityStatus(ActivityState.RUNNING)
    for value, name in ((status, "state"), (STARTER, "connection_id")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    assert status == ActivityStatus(ActivityState.RUNNING)


def test_when_to_ask_again(table: HandleTable) -> None:
    """A backend that says nothing else is asked again after a tenth of a second."""
    assert ActivityStatus(ActivityState.RUNNING).poll_after == start(table).poll_after == 0.1
