"""The testbed `lvm`: what needs neither its machine nor Cinder. With both it is tested in `tests/hosting`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cinder.lvm_machine import LvmNode
from harness.cinder.machine import Disk, reaching
from harness.hosting import HostingError, noted
from harness.model import GIB, Caller
from harness.real_targets.backing.backend import World
from harness.real_targets.backing.faults import DrainStalls, Pauses
from harness.real_targets.iscsi.session import Answer, CommandFailed
from harness.real_targets.lvm.attaching import LvmAttachment, Touched
from harness.real_targets.lvm.backend import LvmBackend
from harness.real_targets.lvm.meaning import Meaning, kind_of, meaning_of
from harness.real_targets.lvm.node import Processes
from harness.recorder import Recorder
from harness.runtime import Abandoned, Limits
from harness.runtime.factory import open_runtime
from harness.storage import BLOCK, StorageError
from harness.testbed import CommandResult

DD = "dd if=/dev/mapper/a--b-_snapshot--1 of=/dev/mapper/a--b-volume--2 count=1073741824 bs=1M iflag=count_bytes"


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ("env LC_ALL=C lvcreate -T -V 1g -n volume-1 vg/vg-pool", Meaning("create_volume", target="1")),
        ("env LC_ALL=C lvcreate -n volume-1 vg -L 1g", Meaning("create_volume", target="1")),
        ("env LC_ALL=C lvcreate -T -L 42g vg/vg-pool", None),
        ("lvcreate --name _snapshot-2 --snapshot vg/volume-1 -L 1.00g", Meaning("snapshot", "1", "2")),
        ("lvcreate --name volume-3 --snapshot vg/_snapshot-2", Meaning("copy", "2", "3")),
        ("lvremove --config activation{} -f vg/_snapshot-2", Meaning("delete", "2")),
        ("lvextend -L 2g vg/volume-1", Meaning("extend_volume", "1")),
        ("lvconvert --merge vg/_snapshot-2", Meaning("revert", "2")),
        (DD, Meaning("copy", "1", "2")),
        ("dd count=0 if=/dev/mapper/a of=/dev/mapper/b oflag=direct", None),
        ("lvs --noheadings vg", None),
        ("cinder-rtstool save", None),
    ],
)
def test_commands_are_on_record_by_what_they_do(command: str, meaning: Meaning | None) -> None:
    """A command that makes, changes or removes a volume is an activity with its ids, any other none."""
    assert meaning_of(tuple(command.split())) == meaning


@pytest.mark.parametrize(
    ("name", "origin", "kind"),
    [
        ("volume-1", "", "volume"),
        ("volume-2", "volume-1", "volume"),
        ("_snapshot-3", "volume-1", "snapshot"),
        ("clone-snap-4", "volume-1", "snapshot"),
    ],
)
def test_what_cinder_named_a_volume_is_one(name: str, origin: str, kind: str) -> None:
    """A thin snapshot that Cinder has made as a volume counts as a volume, any other with an origin as a snapshot."""
    assert kind_of(name, origin) == kind


class Exports:
    """Plays the driver: exports every volume as LUN 0, as LIO's target of Cinder does, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def attach(self, connection: object, volume_id: str, connector: dict[str, str]) -> dict[str, Any]:
        """See `Exporter.attach`."""
        self.asked.append(("attach", volume_id, connector["host"]))
        words = {word: word for word in ("target_portal", "auth_username", "auth_password")}
        return {**words, "target_iqn": volume_id, "target_lun": 0}

    def detach(self, connection: object, volume_id: str, connector: dict[str, str], last: bool) -> None:
        """See `Exporter.detach`."""
        self.asked.append(("detach", volume_id, connector["host"], "last" if last else "not last"))


class Unit:
    """A session with a target that has LUN 0 only, and says nothing of what is mapped."""

    def __init__(self, content: dict[int, bytes]) -> None:
        self._content = content

    def read_many(self, lun: int, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        """See `Session.read_many`."""
        for offset, length in ranges:
            self._have(lun)
            yield offset, b"".join(self._content.get(at, bytes(BLOCK)) for at in range(offset, offset + length, BLOCK))

    def write_many(self, lun: int, pieces: list[tuple[int, bytes]]) -> None:
        """See `Session.write_many`."""
        self._have(lun)
        for offset, data in pieces:
            for at in range(0, len(data), BLOCK):
                self._content[offset + at] = data[at : at + BLOCK]

    def read(self, lun: int, offset: int, length: int) -> bytes:
        """See `Session.read`."""
        return next(self.read_many(lun, [(offset, length)]))[1]

    def write(self, lun: int, offset: int, data: bytes) -> None:
        """See `Session.write`."""
        self.write_many(lun, [(offset, data)])

    def mapped_ranges(self, lun: int, size: int) -> None:
        """See `Session.mapped_ranges`."""
        self._have(lun)

    def close(self) -> None:
        """See `Session.close`."""

    @staticmethod
    def _have(lun: int) -> None:
        if lun:
            raise CommandFailed("a command", Answer(2, b"", 5, 0x2500))


@pytest.fixture
def exports() -> Exports:
    """The driver under test."""
    return Exports()


@pytest.fixture
def within(exports: Exports) -> Iterator[Callable[[Callable[[LvmBackend], None]], None]]:
    """Does something with a backend whose volumes that driver exports."""
    runtime = open_runtime(False)
    recorder = Recorder(runtime.now)
    world = World(runtime, recorder, DrainStalls(runtime, recorder), Pauses(runtime, recorder), 1)
    machine = SimpleNamespace(address="127.0.0.1", ask=lambda *_, **__: True)
    store: Any = SimpleNamespace(
        name="primary", family="lvm", group="group", machine=machine, open=lambda: None, size_of=lambda _: GIB
    )
    backend = LvmBackend(world, store, Processes(runtime, recorder, "primary"), Touched())

    def do(deed: Callable[[LvmBackend], None]) -> None:
        backend.open_connection(Caller("host-1", "user-1"), "1").export_by(exports)
        deed(backend)

    yield lambda deed: runtime.run(lambda: do(deed), Limits())
    runtime.close()


def test_host_copies_reach_the_unit_that_the_driver_named(
    within: Callable[[Callable[[LvmBackend], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy through a host reads and writes the LUN of the driver, and all that it wrote counts as written."""
    units: dict[str, dict[int, bytes]] = {"from": {}, "to": {}}

    def session(attachment: LvmAttachment) -> Unit:
        return Unit(units[attachment._file.export().login(attachment.host).target])

    monkeypatch.setattr(LvmAttachment, "new_session", session)

    def copy(backend: LvmBackend) -> None:
        source, destination = backend.attach("from", "host-1"), backend.attach("to", "host-1")
        source.write(3, 11)
        source.copy_to(destination)
        assert destination.read(3 * BLOCK, BLOCK) == source.read(3 * BLOCK, BLOCK) != bytes(BLOCK)
        destination.put_many([(7 * BLOCK, b"x" * 2 * BLOCK)])
        assert list(source.extents()) == [(block * BLOCK, BLOCK) for block in (3, 7, 8)]

    within(copy)


def test_failed_attach_leaves_no_export(
    within: Callable[[Callable[[LvmBackend], None]], None], exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host can't log in to what the driver exported, the driver takes its access away again."""

    def refuse(attachment: LvmAttachment) -> None:
        attachment._file.export().login(attachment.host)
        raise StorageError("no login")

    monkeypatch.setattr(LvmAttachment, "new_session", refuse)

    def attach(backend: LvmBackend) -> None:
        with pytest.raises(StorageError, match="no login"):
            backend.attach("volume", "host-1")

    within(attach)
    assert exports.asked == [("attach", "volume", "host-1"), ("detach", "volume", "host-1", "last")]


@pytest.fixture
def node() -> LvmNode:
    """A machine on which every command succeeds."""
    connection: Any = SimpleNamespace(
        execute=lambda command: CommandResult(0, "", ""), exists=lambda path: True, node_options=dict, export_by=print
    )
    return LvmNode("primary", connection, Disk(), {})


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("env LC_ALL=C lvs --noheadings vg/volume-1", 0),
        ("lvm version", 0),
        ("cinder-rtstool get-targets", 0),
        ("cinder-rtstool delete iqn.a", 1),
        ("env LC_ALL=C lvcreate -n volume-1 vg -L 1g", 1),
        ("lvm lvremove vg/volume-1", 1),
    ],
)
def test_looks_are_no_effects(node: LvmNode, command: str, effects: int) -> None:
    """A command that only reports is no effect on the machine, so a driver may refuse after it; any other is one."""
    node.execute(tuple(command.split()))
    assert node.effects == effects


@pytest.mark.parametrize(("raised", "told"), [(ValueError, HostingError), (None, HostingError), (Abandoned, Abandoned)])
def test_what_could_not_be_given_replaces_no_death(
    node: LvmNode, raised: type[BaseException] | None, told: type[BaseException]
) -> None:
    """What the driver could not be given is raised whatever the driver made of it, but never where its caller died."""
    with pytest.raises(told), reaching(node):
        noted(HostingError("not known"))
        if raised is not None:
            raise raised
