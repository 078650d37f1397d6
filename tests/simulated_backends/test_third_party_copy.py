"""Third-party copies: list identifiers and the I_T nexus they belong to."""

from __future__ import annotations

import pytest
from worlds import World

from harness.activity import ActivityState, ConnectionIdentity, HandleScope
from harness.contract import ActivityUnknown
from harness.model import Caller
from harness.runtime import SECOND
from harness.schedule import Fault
from harness.testbed import Job
from simulated_backends.iscsi.third_party_copy import CheckCondition, CopyManager, CopyOperationStatus, copy_name

HERE = ConnectionIdentity(Caller("host-a", "user-a"), "host-a,i,0x800000000001,target,t,0x0001")
THERE = ConnectionIdentity(Caller("host-a", "user-a"), "host-a,i,0x800000000002,target,t,0x0001")


@pytest.fixture
def iscsi() -> World:
    """The iSCSI testbed with its own profile."""
    return World("iscsi-sim")


def copy(target: str) -> Job:
    """A copy of the volume."""
    return Job("copy", source="volume", target=target)


def test_a_list_identifier_means_something_on_its_nexus_only(iscsi: World) -> None:
    """The same list identifier is refused on its own nexus while the copy runs, and free on another one."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        manager.extended_copy(HERE, 7, copy("a"), "1")
        with pytest.raises(CheckCondition, match="ILLEGAL REQUEST / OPERATION IN PROGRESS"):
            manager.extended_copy(HERE, 7, copy("b"), "2")
        with pytest.raises(CheckCondition, match="INVALID FIELD IN CDB"):
            manager.receive_copy_status(THERE, 7)
        manager.extended_copy(THERE, 7, copy("c"), "3")
        iscsi.runtime.sleep(5 * SECOND)
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.DONE
        manager.extended_copy(HERE, 7, copy("d"), "4")
        iscsi.runtime.sleep(SECOND // 10)
        report = manager.receive_copy_status(HERE, 7)
        assert report.status is CopyOperationStatus.IN_PROGRESS_BACKGROUND and report.update_delay_ms > 0
        assert [o.id for o in iscsi.primary.inspect().objects] == ["a", "c", "d", "volume"]

    iscsi.run(body)


def test_a_command_that_is_refused_discards_nothing(iscsi: World) -> None:
    """What is held of a copy stays when its list identifier comes with a job that is not well formed."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        manager.extended_copy(HERE, 7, copy("a"), "1")
        iscsi.runtime.sleep(5 * SECOND)
        for job in (Job("nonsense", source="volume", target="b"), Job("copy")):
            with pytest.raises(ValueError, match="job"):
                manager.extended_copy(HERE, 7, job, "2")
            assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.DONE

    iscsi.run(body)


@pytest.mark.parametrize(("list_id", "fits"), [(-1, False), (0, True), (2**32 - 1, True), (2**32, False)])
def test_a_list_identifier_has_four_bytes(iscsi: World, list_id: int, fits: bool) -> None:
    """Whatever four bytes hold names a copy; nothing else can be sent, nor is anything begun for it."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        if fits:
            assert manager.extended_copy(HERE, list_id, copy("a"), "1") == copy_name(HERE.connection_id, list_id)
            return
        with pytest.raises(ValueError, match="four bytes"):
            manager.extended_copy(HERE, list_id, copy("a"), "1")
        assert iscsi.recorder.find("activity.started") == []

    iscsi.run(body)


def test_a_lost_nexus_leaves_the_copy_running_unseen(iscsi: World) -> None:
    """After the loss nobody can ask for the copy, on whichever nexus, but it goes on to its end."""

    def body() -> None:
        expected = iscsi.fill(iscsi.volume())
        first = iscsi.connect()
        handle = iscsi.start(first, "copy", source="volume", target="copy")
        iscsi.testbed.inject(Fault("session.reinstate", caller="host-a"))
        with pytest.raises(ActivityUnknown):
            iscsi.connect().status(handle)
        iscsi.runtime.sleep(5 * SECOND)
        assert iscsi.store.image("copy") == expected and iscsi.primary.inspect().activities == ()

    iscsi.run(body)


def test_an_abort_ends_once_transfers_have_stopped(iscsi: World) -> None:
    """COPY OPERATION ABORT takes its time; when it has ended nothing of the copy is left, and its status is 60h."""

    def body() -> None:
        iscsi.fill(iscsi.volume())
        manager = CopyManager(iscsi.primary.engine)
        manager.extended_copy(HERE, 7, copy("a"), "1")
        iscsi.runtime.sleep(SECOND // 2)
        began = iscsi.runtime.now()
        manager.copy_operation_abort(HERE, 7).wait()
        assert iscsi.runtime.now() - began == iscsi.testbed.profile.loss.abort_latency_ns
        assert iscsi.primary.inspect().find("a") is None
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.TERMINATED

    iscsi.run(body)


def test_a_reset_ends_all_copies_and_nothing_else(iscsi: World) -> None:
    """A logical unit reset aborts the copies of every nexus and forgets them."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        manager.extended_copy(HERE, 7, copy("a"), "1")
        manager.extended_copy(THERE, 7, copy("b"), "2")
        iscsi.runtime.sleep(SECOND // 2)
        manager.reset()
        assert [o.id for o in iscsi.primary.inspect().objects] == ["volume"]
        assert {e.fields["state"] for e in iscsi.recorder.find("activity.ended")} == {"aborted"}
        for nexus in (HERE, THERE):
            with pytest.raises(CheckCondition, match="INVALID FIELD"):
                manager.receive_copy_status(nexus, 7)

    iscsi.run(body)


def test_a_reset_frees_every_list_identifier(iscsi: World) -> None:
    """After a reset a list identifier names a new copy, though the one before was over."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        manager.extended_copy(HERE, 7, copy("a"), "1")
        iscsi.runtime.sleep(5 * SECOND)
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.DONE
        manager.reset()
        assert iscsi.primary.inspect().activities == ()
        manager.extended_copy(HERE, 7, copy("b"), "2")
        iscsi.runtime.sleep(5 * SECOND)
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.DONE
        assert [o.id for o in iscsi.primary.inspect().objects] == ["a", "b", "volume"]

    iscsi.run(body)


def test_a_driver_sees_a_copy_by_its_list_identifier(iscsi: World) -> None:
    """The handle of a connection-specific job names the nexus and the list identifier; a repeated request meets it."""

    def body() -> None:
        iscsi.volume()
        connection = iscsi.primary.connect(Caller("host-a", "user-a"))
        job = Job("copy", source="volume", target="copy")
        handle = connection.start(job, "the request")
        list_id = int(handle.rsplit("-", 1)[1], 16)
        assert handle == copy_name(connection.identity.connection_id, list_id)
        assert connection.start(job, "the request") == handle
        assert connection.start(Job("copy", source="volume", target="other"), "another") != handle
        status = connection.status(handle)
        assert status.state is ActivityState.RUNNING and status.poll_after == pytest.approx(0.215, abs=0.001)
        assert iscsi.wait(connection, handle).state is ActivityState.DONE
        assert len(iscsi.recorder.find("activity.started")) == 2

    iscsi.run(body)


def test_a_preempted_nexus_loses_its_copies(iscsi: World) -> None:
    """PREEMPT AND ABORT ends the preempted initiator's copies, whose status can still be asked for, and no others."""

    def body() -> None:
        iscsi.volume()
        connections = {host: iscsi.connect(host) for host in ("host-a", "host-ab", "host-b")}
        handles = {
            host: iscsi.start(connection, "copy", source="volume", target=host)
            for host, connection in connections.items()
        }
        wide = iscsi.start(connections["host-a"], "copy", source="volume", target="wide", scope=HandleScope.USER)
        iscsi.testbed.inject(Fault("reservation.preempt", caller="host-a", at_ns=SECOND))
        iscsi.runtime.sleep(SECOND + iscsi.testbed.profile.loss.abort_latency_ns)
        states = {host: connections[host].status(handle).state for host, handle in handles.items()}
        assert states == {
            "host-a": ActivityState.ABORTED,
            "host-ab": ActivityState.RUNNING,
            "host-b": ActivityState.RUNNING,
        }
        assert connections["host-a"].status(wide).state is ActivityState.RUNNING
        assert iscsi.primary.inspect().find("host-a") is None and iscsi.primary.inspect().connections == 3
        (ended,) = iscsi.recorder.find("activity.ended")
        assert "preempted" in ended.fields["error"]
        assert [e.fields["host"] for e in iscsi.recorder.find("fault", fault="reservation.preempt")] == ["host-a"]

    iscsi.run(body)


@pytest.mark.parametrize("loss", ["connection.break", "connection.half_open", "session.logout"])
@pytest.mark.parametrize("after_s", [1, 44, 46])
def test_a_preemption_reaches_every_nexus_that_the_target_has(iscsi: World, loss: str, after_s: int) -> None:
    """A copy is aborted exactly if its session stands at the target still, whatever the initiator knows of it."""

    def body() -> None:
        iscsi.store.create_volume("volume", 100)
        iscsi.start(iscsi.connect(), "copy", source="volume", target="copy")
        iscsi.testbed.inject(Fault(loss, caller="host-a"))
        iscsi.runtime.sleep(after_s * SECOND)
        stands = iscsi.primary.inspect().connections == 1
        assert stands is (loss != "session.logout" and after_s < 45)
        iscsi.testbed.inject(Fault("reservation.preempt", caller="host-a"))
        iscsi.runtime.sleep(iscsi.testbed.profile.loss.abort_latency_ns + 1)
        ended = iscsi.recorder.find("activity.ended", state="aborted")
        assert len(ended) == stands and (iscsi.primary.inspect().find("copy") is None) is stands

    iscsi.run(body)


def test_a_preemption_may_concern_one_backend(iscsi: World) -> None:
    """A preemption at another backend leaves the copies of this one alone."""

    def body() -> None:
        iscsi.volume()
        connection = iscsi.connect()
        handle = iscsi.start(connection, "copy", source="volume", target="copy")
        iscsi.testbed.inject(Fault("reservation.preempt", caller="host-a", backend="sibling"))
        assert iscsi.wait(connection, handle).state is ActivityState.DONE

    iscsi.run(body)


def test_a_fault_does_not_outlive_the_copy_that_it_hit(iscsi: World) -> None:
    """A copy that was hit but failed before it had begun leaves nothing to the next one with its list identifier."""

    def body() -> None:
        iscsi.volume()
        manager = CopyManager(iscsi.primary.engine)
        iscsi.testbed.inject(Fault("job.fail", backend="primary", verb="copy", fraction=0.5))
        manager.extended_copy(HERE, 7, copy("volume"), "1")
        iscsi.runtime.sleep(5 * SECOND)
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.ERRORS
        manager.extended_copy(HERE, 7, copy("a"), "2")
        iscsi.runtime.sleep(5 * SECOND)
        assert manager.receive_copy_status(HERE, 7).status is CopyOperationStatus.DONE

    iscsi.run(body)
