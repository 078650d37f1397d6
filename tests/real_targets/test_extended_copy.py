"""SCSI EXTENDED COPY on LIO: what its copy manager does, and copies of activities that it makes."""

from __future__ import annotations

import os
import random
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.activity import ActivityState, HandleScope
from harness.contract import ActivityUnknown, ConnectionLost
from harness.driver_kit import run_job
from harness.model import GIB, Caller
from harness.real_targets.iscsi.extended_copy import (
    LARGEST,
    Segment,
    command,
    designator,
    extended_copy,
    operating_parameters,
)
from harness.real_targets.iscsi.session import Answer, Login, Session, SessionLost
from harness.real_targets.iscsi.target import host_name
from harness.real_targets.iscsi.testbed import IscsiTestbed
from harness.real_targets.lio.target import LioTarget
from harness.storage import BLOCK
from harness.testbed import Job

from .work import until

pytestmark = pytest.mark.long

MIB = 1 << 20
SIZE = 96 * MIB
NAME = "iqn.2026-11.org.example:{realm}:copies"
USER, PASSWORD = "copier", "copier-password"
SOURCE, DESTINATION = 1, 2
INVALID_COMMAND, INVALID_FIELD_IN_CDB = 0x2000, 0x2400
TOO_MANY_SEGMENTS, INVALID_FIELD_IN_LIST, UNREACHABLE = 0x2608, 0x2600, 0x0D02
OWNER = Caller("host-1", "user-1")


@dataclass
class Units:
    """Two logical units of one target, as two initiators see them; `names` are their designators."""

    login: Login
    session: Session
    other: Session
    names: tuple[bytes, bytes]

    def copy(self, session: Session, list_id: int, *parts: Segment) -> Answer:
        """EXTENDED COPY from the first unit to the second, answered by whatever LIO answers."""
        cdb, parameters = command(list_id, *self.names, parts)
        return session.command(SOURCE, cdb, parameters)


@pytest.fixture
def units(lio: IscsiTestbed, tmp_path: Path) -> Iterator[Units]:
    """Two empty logical units of `SIZE` bytes."""
    target = lio.backend("primary").store.server
    assert isinstance(target, LioTarget)
    name = NAME.format(realm=target.realm)
    target.create(name, USER, PASSWORD)
    for lun in (SOURCE, DESTINATION):
        path = tmp_path / f"unit-{lun}"
        path.touch()
        os.truncate(path, SIZE)
        assert target.add_unit(name, path, f"{lun:016x}", True) == lun
    login = Login(target.portal, name, host_name("copier"), USER, PASSWORD)
    sessions = [Session(Login(login.portal, name, host_name(host), USER, PASSWORD)) for host in ("copier", "other")]
    for session in sessions:
        for lun in (SOURCE, DESTINATION):
            session.test_unit_ready(lun)
    yield Units(login, *sessions, (designator(sessions[0], SOURCE), designator(sessions[0], DESTINATION)))
    for session in sessions:
        session.close()


def refusal(answer: Answer) -> int:
    """The additional sense code of a command that was refused."""
    assert not answer.is_good
    return answer.ascq


def await_content(session: Session, offset: int, data: bytes) -> None:
    """Read the second unit there until it has the data; fails where it does not get them."""
    until(lambda: session.read(DESTINATION, offset, len(data)) == data)


def test_content_arrives(units: Units) -> None:
    """Ranges of a block, of a few, and of more than one command holds are on the other unit, at their own offsets."""
    noise = random.Random(1)
    found = operating_parameters(units.session, SOURCE)
    assert (found.most_targets, found.most_segments, found.most_copies) == (2, 1, 1)
    assert found.most_bytes >= LARGEST
    data = noise.randbytes(3 * MIB)
    far = LARGEST + 5 * MIB
    units.session.write(SOURCE, 0, data)
    units.session.write(SOURCE, far, data)
    for part in (Segment(0, 8 * BLOCK, BLOCK), Segment(BLOCK, 64 * BLOCK, 3 * BLOCK)):
        extended_copy(units.session, SOURCE, 1, *units.names, part)
    assert units.other.read(DESTINATION, 8 * BLOCK, BLOCK) == data[:BLOCK]
    assert units.other.read(DESTINATION, 64 * BLOCK, 3 * BLOCK) == data[BLOCK : 4 * BLOCK]
    for offset in range(0, 2 * LARGEST, LARGEST):
        part = Segment(offset, offset, LARGEST)
        extended_copy(units.session, SOURCE, 2, *units.names, part)
    assert units.other.read(DESTINATION, 0, 4 * MIB) == data + bytes(MIB)
    assert units.other.read(DESTINATION, far - MIB, 5 * MIB) == bytes(MIB) + data + bytes(MIB)


def test_what_the_copy_manager_refuses(units: Units) -> None:
    """LIO takes one segment a command, between units that it knows, and tells and aborts nothing by list identifier."""
    block = Segment(0, 0, BLOCK)
    assert refusal(units.copy(units.session, 1, block, Segment(BLOCK, BLOCK, BLOCK))) == TOO_MANY_SEGMENTS
    cdb, parameters = command(1, units.names[0], bytes(16), (block,))
    assert refusal(units.session.command(SOURCE, cdb, parameters)) == INVALID_FIELD_IN_LIST
    assert refusal(units.copy(units.session, 1, Segment(SIZE, 0, BLOCK))) == UNREACHABLE
    assert units.copy(units.session, 7, block).is_good
    for what in range(6):  # copy status, received data, operating parameters, failed segment details, LID4
        cdb = struct.pack(">BBB7xIxx", 0x84, what, 7, 0x1000)
        assert refusal(units.session.command(SOURCE, cdb, expect=0x1000)) == INVALID_FIELD_IN_CDB
    abort = struct.pack(">BBI8xxx", 0x83, 0x1C, 7)[:16]
    assert refusal(units.session.command(SOURCE, abort)) == INVALID_COMMAND


def test_list_identifiers_are_not_looked_at(units: Units) -> None:
    """A copy with the list identifier of one under way is carried out, on the same I_T nexus and on another."""
    first, second = Segment(0, 0, LARGEST), Segment(LARGEST, LARGEST, BLOCK)
    data = random.Random(2).randbytes(BLOCK)
    for offset in (0, LARGEST - BLOCK, LARGEST):
        units.session.write(SOURCE, offset, data)
    commands = [(*command(9, *units.names, (part,)), 0) for part in (first, second)]
    answers = units.session.together(SOURCE, commands)
    assert [answer.is_good for answer in answers] == [True, True]
    both: list[Answer] = []
    threads = [
        threading.Thread(target=lambda session=session: both.append(units.copy(session, 9, first)))
        for session in (units.session, units.other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.is_good for answer in both] == [True, True]
    for offset in (0, LARGEST - BLOCK, LARGEST):
        assert units.other.read(DESTINATION, offset, BLOCK) == data


def test_copy_outlives_its_nexus(units: Units) -> None:
    """Copies whose I_T nexus is lost go on to their end, and no new session can ask for them."""
    data = random.Random(3).randbytes(BLOCK)
    units.session.write(SOURCE, 0, data)
    units.session.write(SOURCE, LARGEST - BLOCK, data)
    lost: list[SessionLost] = []
    # so many that the nexus is cut while some are under way, however late
    often = [(*command(n, *units.names, (Segment(0, 0, LARGEST),)), 0) for n in range(1, 8)]
    again = (*command(9, *units.names, (Segment(0, LARGEST, LARGEST),)), 0)

    def copy() -> None:
        try:
            units.session.together(SOURCE, [*often, again])
        except SessionLost as error:
            lost.append(error)

    thread = threading.Thread(target=copy)
    thread.start()
    await_content(units.other, 0, data)
    units.session.cut()
    thread.join()
    assert lost, "the copies were over before their nexus was cut"
    for end in (LARGEST, 2 * LARGEST):
        await_content(units.other, end - BLOCK, data)
    back = Session(units.login)
    back.test_unit_ready(SOURCE)
    cdb = struct.pack(">BBB7xIxx", 0x84, 0, 9, 0x1000)
    assert refusal(back.command(SOURCE, cdb, expect=0x1000)) == INVALID_FIELD_IN_CDB
    back.close()


def count_commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Notes the EXTENDED COPY commands from now on: initiator, and bytes copied."""
    sent: list[tuple[str, int]] = []
    send = Session.command

    def note(session: Session, lun: int, cdb: bytes, out: bytes = b"", expect: int = 0) -> Answer:
        answer = send(session, lun, cdb, out, expect)
        if cdb[0] == 0x83 and answer.is_good:
            sent.append((session.login.initiator, int.from_bytes(out[-18:-16], "big") * 512))
        return answer

    monkeypatch.setattr(Session, "command", note)
    return sent


def test_lio_copies_for_connection_specific_activities(lio: IscsiTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection-specific snapshot, clone and replica are made by LIO on their caller's session, with all content;
    activities of other scopes are not."""
    primary, sibling = lio.backend("primary"), lio.backend("sibling")
    connection = primary.connect(OWNER)
    run_job(connection, Job("create_volume", target="volume", size=1), "1")
    attachment = primary.attach("volume", "host-2")
    blocks = {0: 11, 1: 12, 700: 13, GIB // BLOCK - 1: 14}
    for block, stamp in blocks.items():
        attachment.write(block, stamp)
    sent = count_commands(monkeypatch)
    run_job(connection, Job("snapshot", source="volume", target="snapshot"), "2")
    attachment.write(0, 99)
    run_job(connection, Job("copy", source="snapshot", target="clone", size=1), "3")
    run_job(connection, Job("replicate", source="snapshot", target="replica", destination="sibling"), "4")
    assert primary.inspect().images == {"volume": {**blocks, 0: 99}, "snapshot": blocks, "clone": blocks}
    assert sibling.inspect().images == {"replica": blocks}
    assert {initiator for initiator, _ in sent} == {host_name(OWNER.host)}
    assert sum(length for _, length in sent) == 3 * len(blocks) * BLOCK
    sent.clear()
    other = Job("copy", source="snapshot", target="other", size=1, scope=HandleScope.USER)
    run_job(connection, other, "5")
    assert primary.inspect().images["other"] == blocks
    assert sent == []


def test_activity_ends_with_its_nexus(lio: IscsiTestbed) -> None:
    """When its session is cut a connection-specific copy ends, nothing of it is left, and nobody can ask for it."""
    primary = lio.backend("primary")
    connection = primary.connect(OWNER)
    run_job(connection, Job("create_volume", target="volume", size=1), "1")
    attachment = primary.attach("volume", "host-2")
    for block in range(0, GIB // BLOCK, GIB // BLOCK // 40):
        attachment.write(block, 7)
    handle = connection.start(Job("copy", source="volume", target="clone", size=1), "2")
    until(lambda: (connection.status(handle).progress or 0) > 0.1)
    ended = lio.recorder.find
    connection.break_()
    with pytest.raises(ConnectionLost):
        connection.status(handle)
    until(lambda: ended("activity.ended", handle=handle))
    assert ended("activity.ended", handle=handle)[0].fields["state"] == ActivityState.ABORTED.value
    with pytest.raises(ActivityUnknown):
        primary.connect(OWNER).status(handle)
    assert [found.id for found in primary.inspect().objects] == ["volume"]


def test_failed_command_fails_the_activity(lio: IscsiTestbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What LIO refuses is an activity that failed, with LIO's sense in its error, and nothing is left of it."""
    primary = lio.backend("primary")
    connection = primary.connect(OWNER)
    run_job(connection, Job("create_volume", target="volume", size=1), "1")
    primary.attach("volume", "host-2").write(5, 7)
    module = "harness.real_targets.lio.foreground_copy"
    monkeypatch.setattr(f"{module}.Segment", lambda source, to, length: Segment(2 * GIB, to, length))
    handle = connection.start(Job("copy", source="volume", target="clone", size=1), "2")
    until(lambda: connection.status(handle).state.is_terminal)
    status = connection.status(handle)
    assert status.state is ActivityState.FAILED
    assert "sense Ah/0Dh/02h" in (status.error or "")
    assert [found.id for found in primary.inspect().objects] == ["volume"]
