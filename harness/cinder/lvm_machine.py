"""A node with LVM and LIO: the commands of Cinder's LVM driver, as lvm(8), dd(1) and cinder-rtstool have them.

Times of commands that only look or change the target's configuration are assumed, within what rtslib operations were
measured to take; what moves data or changes volumes takes the backend's time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from harness.cinder.images import ImageMachine
from harness.cinder.lvm_table import SIZE_GIB, LogicalVolume, VolumeGroup, no_group
from harness.cinder.machine import CommandFailed, Machine, option, short
from harness.cinder.node_machine import NodeMachine
from harness.cinder.syntax import Words, honours
from harness.model import GIB
from harness.testbed import Connection, Job, NodeConnection

REPORT_S = 0.005
"""What `lvs`, `vgs` and their like take, in seconds (assumed)."""
TARGET_S = 0.035
"""What a change of the iSCSI target's configuration takes, in seconds: the longest of rtslib operations measured."""
EXTENTS_PER_GIB = 256
"""Extents of the default size of 4 MiB, in which LVM counts."""


REPORT_OPTIONS = "--noheadings --nosuffix --readonly --unit=g --units=g -o= --separator="
"""What reports honour: sizes are in GiB, without a suffix; a row is printed without its headings in any case."""
DD: Mapping[str, frozenset[str]] = {
    "if": frozenset(),
    "of": frozenset(),
    "bs": frozenset(),
    "count": frozenset(),
    "iflag": frozenset({"direct", "count_bytes"}),
    "oflag": frozenset({"direct"}),
    "conv": frozenset({"fdatasync", "sparse"}),
}
"""The operands of dd that are honoured, each with the values that it may have; any, where none is named."""


class LvmMachine(ImageMachine):
    """A node whose one volume group is the backend. Its metadata are on the node's disk."""

    testbeds: ClassVar[tuple[str, ...]] = ("iscsi-sim", "lvm")
    defaults: ClassVar[Mapping[str, Any]] = {
        "volume_group": "cinder-volumes",
        "target_helper": "lioadm",
        "target_ip_address": "192.0.2.10",
        "lvm_conf_file": "None",
        "volume_clear": "none",
    }

    @classmethod
    def before(cls, connection: Connection) -> type[Machine]:
        """See `Machine.before`: where the backend is a machine with LVM itself, the commands run there."""
        return LvmNode if isinstance(connection, NodeConnection) else cls

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """See `Machine.check`."""
        for name, played in {"volume_clear": "none", "target_helper": "lioadm", "lvm_mirrors": 0}.items():
            if options.get(name, played) != played:
                raise ValueError(f"{name} = {options[name]!r} is not played; set {name} = {played!r}, or leave it out")

    @property
    def group(self) -> VolumeGroup:
        """The volume group, with the attachments that the control plane has told of."""
        name = str(self.options["volume_group"])
        group: VolumeGroup = self.disk.state.setdefault("group", VolumeGroup(name))
        self.files.is_volume = lambda path: self.volume_at(path) is not None
        for volume in group.volumes.values():
            volume.attached = self.disk.attached.get(volume.object_id, False)
        return group

    # ---- reports -----------------------------------------------------------------------------------------------------

    def do_lvm__version(self, words: Words) -> str:
        return "  LVM version:     2.03.16(2) (2022-05-18)\n"

    @honours(REPORT_OPTIONS, operands=(0, 1))
    def do_vgs(self, words: Words) -> str:
        self._look()
        group = self.group
        for name in words.operands:  # all groups, of which there is one, if none is named
            if name != group.name:
                raise no_group(name)
        columns = {
            "name": group.name,
            "size": f"{SIZE_GIB:.2f}",
            "free": f"{group.free():.2f}",
            "lv_count": str(len(group.volumes)),
            "uuid": f"uuid-of-{group.name}",
        }
        return self._row(words, columns)

    @honours(f"{REPORT_OPTIONS} --ignoreskippedcluster")
    def do_pvs(self, words: Words) -> str:
        self._look()
        group = self.group
        columns = {"vg_name": group.name, "name": "/dev/sdb", "size": f"{SIZE_GIB:.2f}", "free": f"{group.free():.2f}"}
        return self._row(words, columns)

    @honours(REPORT_OPTIONS, operands=(1, 1))
    def do_lvs(self, words: Words) -> str:
        self._look()
        group = self.group
        target = words[-1]
        volumes = list(group.volumes.values())
        if "/" in target:
            volumes = [group.find(target)]
        elif target != group.name:
            raise no_group(target)
        return "".join(
            self._row(
                words,
                {
                    "vg_name": group.name,
                    "name": volume.name,
                    "size": f"{volume.size:.2f}",
                    "data_percent": "0.00" if volume.kind != "thick" and volume.active else "",
                },
            )
            for volume in volumes
        )

    @honours("--noheading -C -o= --readonly", operands=(1, 1))
    def do_lvdisplay(self, words: Words) -> str:
        self._look()
        group = self.group
        volume = group.find(words[-1])
        return self._row(words, {"Attr": group.attributes(volume, "--readonly" in words), "Origin": volume.origin})

    def _row(self, words: Words, columns: Mapping[str, str]) -> str:
        wanted = (option(words, "-o") or "").split(",")
        unknown = [name for name in wanted if name not in columns]
        if unknown:
            self.refuse(words, f"the column {unknown[0]!r} is not known")
        return "  " + (option(words, "--separator") or " ").join(columns[name] for name in wanted) + "\n"

    def _look(self) -> None:
        self.reach()
        time.sleep(REPORT_S)

    def do_udevadm__settle(self, words: Words) -> str:
        return ""

    # ---- logical volumes ---------------------------------------------------------------------------------------------

    @honours("-T -n= --name= -L= -V= --snapshot", operands=(1, 1))
    def do_lvcreate(self, words: Words) -> str:
        group = self.group
        if "--snapshot" in words:
            return self._snapshot(words, group)
        name = option(words, "-n", "--name")
        size, virtual = option(words, "-L"), option(words, "-V")
        if "-T" in words and name is None and size is not None and virtual is None:  # the thin pool itself
            pool = LogicalVolume(group.name_in(words[-1]), self._gib(words, size), "pool")
            group.check_new(pool.name)
            self._look()
            self.changed()
            group.volumes[pool.name] = pool
            return f'  Logical volume "{pool.name}" created.\n'
        thin = "-T" in words
        if name is None or (thin and virtual) == (not thin and size) or (size and virtual):
            self.refuse(words, "this way of creating a volume is not known")
        if (group.find(words[-1]).kind != "pool") if thin else (words[-1] != group.name):
            self.refuse(words, "a volume is made in the group, a thin one in the group's pool")
        group.check_new(name)
        volume = LogicalVolume(name, self._gib(words, virtual or size or ""), "thin" if thin else "thick")
        self.perform(
            short("create_volume", target=volume.object_id, size=round(volume.size)),
            lambda: self._add(group, volume),
        )
        return f'  Logical volume "{name}" created.\n'

    def _snapshot(self, words: Words, group: VolumeGroup) -> str:
        name = option(words, "--name", "-n")
        if name is None:
            self.refuse(words, "a snapshot has to be named")
        if group.name_in(words[-1]) not in group.volumes:
            missing = f"  Snapshot origin LV {group.name_in(words[-1])} not found in Volume group {group.name}."
            raise CommandFailed(missing)
        source = group.find(words[-1])
        group.check_new(name)
        thin = source.kind == "thin"
        room = option(words, "-L")
        if "-T" in words or thin != (room is None) or (room and self._gib(words, room) < source.size):
            # without room for every block an old-style snapshot may overflow, and with room a thin one is old-style
            self.refuse(words, "only a snapshot of its origin's kind, with room for all of it, is known")
        made = LogicalVolume(name, source.size, "thin" if thin else "cow", source.name, not thin, skips_activation=thin)
        verb = "snapshot"
        if thin and name.startswith("volume-"):  # a thin snapshot is a volume like any other; Cinder makes it a clone
            job = short("copy", source=source.object_id, target=made.object_id, linked=True)
        elif source.name.startswith("_snapshot-"):
            self.refuse(words, "a snapshot of a snapshot is not known")
        else:
            job = short(verb, source=source.object_id, target=made.object_id)
        self.perform(job, lambda: self._add(group, made))
        return f'  Logical volume "{name}" created.\n'

    @honours("--config= -f", operands=(1, 1))
    def do_lvremove(self, words: Words) -> str:
        group = self.group
        volume = group.find(words[-1])
        if volume.attached:
            raise CommandFailed(f"  Logical volume {group.name}/{volume.name} in use.")
        if any(v.origin == volume.name and v.kind == "cow" for v in group.volumes.values()):
            self.refuse(words, "an origin would take its snapshots with it")
        self.perform(short("delete", source=volume.object_id), lambda: self._drop(group, volume))
        return f'  Logical volume "{volume.name}" successfully removed.\n'

    @honours("-L=", operands=(1, 1))
    def do_lvextend(self, words: Words) -> str:
        group = self.group
        name = group.name_in(words[-1])
        if name not in group.volumes:
            raise CommandFailed(f"  Logical volume {name} not found in volume group {group.name}.")
        volume = group.volumes[name]
        size = self._gib(words, option(words, "-L") or "")
        new, old = (f"({round(each * EXTENTS_PER_GIB)} extents)" for each in (size, volume.size))
        if size == volume.size:
            raise CommandFailed(f"  New size {new} matches existing size {old}.")
        if size < volume.size:
            raise CommandFailed(f"  New size given {new} not larger than existing size {old}")

        def extended() -> None:
            volume.size = size
            self.files.remove(group.device(volume))
            self.files.add_device(group.device(volume), round(size) * GIB)

        path = f"{group.name}/{volume.name}"
        change = f"changed from {volume.size:.2f} GiB {old} to {size:.2f} GiB {new}"
        self.perform(short("extend_volume", source=volume.object_id, size=round(size)), extended)
        return f"  Size of logical volume {path} {change}.\n  Logical volume {path} successfully resized.\n"

    @honours("-a=y|n -k=n -K --yes", operands=(1, 1))
    def do_lvchange(self, words: Words) -> str:
        self._look()
        group = self.group
        volume = group.find(words[-1])
        active = option(words, "-a")
        if active is None:
            self.refuse(words, "only activation is known")
        if active == "n" and volume.attached:
            raise CommandFailed(f"  Logical volume {group.name}/{volume.name} in use.")
        if volume.active != (active == "y"):
            self.changed()
        volume.active = active == "y"
        if option(words, "-k") == "n":
            volume.skips_activation = False
            return f"  Logical volume {group.name}/{volume.name} changed.\n"
        return ""

    @honours("--merge", operands=(1, 1))
    def do_lvconvert(self, words: Words) -> str:
        group = self.group
        if "--merge" not in words:
            self.refuse(words, "only merging a snapshot is known")
        # lvconvert(8): --merge takes VG|LV|@Tag; a name without a slash is that of a volume group
        path = words[-1]
        if "/" not in path:
            self._look()
            raise no_group(path)
        snapshot = group.find(path)
        origin = group.find(f"{group.name}/{snapshot.origin}")
        self.perform(
            short("revert", source=origin.object_id, target=snapshot.object_id),
            lambda: None,
        )
        self.perform(short("delete", source=snapshot.object_id), lambda: self._drop(group, snapshot))
        into = f"{group.name}/{origin.name}"
        return (
            f"  Merging of volume {group.name}/{snapshot.name} started.\n  {into}: Merged: 100.00%\n"
            f"  Merge of snapshot into logical volume {into} has finished.\n"
            f'  Logical volume "{snapshot.name}" successfully removed.\n'
        )

    # ---- data --------------------------------------------------------------------------------------------------------

    @honours(operands=(2, 8))
    def do_dd(self, words: Words) -> str:
        given = dict(word.split("=", 1) for word in words.operands)
        group = self.group
        for name, value in given.items():
            known = DD.get(name)
            strange = set(value.split(",")) - known if known else known is None
            if strange:
                self.refuse(words, f"its operand {name}={value} is not known")
        if given.get("count") == "0":  # asks whether O_DIRECT works
            return ""
        if not given.get("if", "").startswith("/dev/mapper/") or "of" not in given:
            self.refuse(words, "only copying from one volume to another is known")
        source, target = group.find(given["if"]), group.find(given["of"])
        whole = given.get("count") == str(round(source.size * (1 << 30))) and "count_bytes" in given.get("iflag", "")
        if target.kind != "thick" or not whole:
            self.refuse(words, "only copying a whole volume to a new, thick one is known")
        # the backend has no copying into a volume that is there: the empty one makes room for its copy. Like dd itself
        # it reads block after block, whoever writes, and ends with the service that started it
        self.perform(short("delete", source=target.object_id), lambda: None)
        job = Job("copy", source.object_id, target.object_id, size=round(target.size), point_in_time=False)
        try:
            self.work(job, f"dd: error reading '{given['if']}': Input/output error")
        except CommandFailed:
            self.perform(short("create_volume", target=target.object_id, size=round(target.size)), lambda: None)
            raise
        return ""

    # ---- the iSCSI target --------------------------------------------------------------------------------------------

    @property
    def _targets(self) -> dict[str, list[str]]:
        """The initiators that may log in, by target."""
        targets: dict[str, list[str]] = self.disk.state.setdefault("targets", {})
        return targets

    def do_cinder_rtstool__verify(self, words: Words) -> str:
        return ""

    def do_cinder_rtstool__save(self, words: Words) -> str:
        return ""

    def do_cinder_rtstool__restore(self, words: Words) -> str:
        return ""

    def do_cinder_rtstool__get_targets(self, words: Words) -> str:
        time.sleep(REPORT_S)
        return "".join(f"{iqn}\n" for iqn in self._targets)

    @honours("-a= -p=", operands=(5, 5))
    def do_cinder_rtstool__create(self, words: Words) -> str:
        if words.operands[4] != "False":
            self.refuse(words, "iSER is not known")
        return self._change(words.operands[1], [])

    @honours(operands=(1, 1))
    def do_cinder_rtstool__delete(self, words: Words) -> str:
        return self._change(words.operands[0], None)

    @honours(operands=(4, 4))
    def do_cinder_rtstool__add_initiator(self, words: Words) -> str:
        iqn, _, _, initiator = words.operands
        return self._change(iqn, [*self._initiators(iqn), initiator])

    @honours(operands=(2, 2))
    def do_cinder_rtstool__delete_initiator(self, words: Words) -> str:
        iqn, initiator = words.operands
        return self._change(iqn, [name for name in self._initiators(iqn) if name != initiator])

    def _initiators(self, iqn: str) -> list[str]:
        if iqn not in self._targets:
            time.sleep(TARGET_S)
            raise CommandFailed(f"cinder.cmd.rtstool.RtstoolError: Could not find target {iqn}", 1)
        return self._targets[iqn]

    def _change(self, iqn: str, initiators: list[str] | None) -> str:
        """Let these initiators log in to a target, or take it down."""
        self.changed()
        if initiators is None:
            self._targets.pop(iqn, None)
        else:
            self._targets[iqn] = initiators
        time.sleep(TARGET_S)
        return ""

    def volume_at(self, path: str) -> str | None:
        """See `ImageMachine.volume_at`."""
        try:
            return self.group.find(path).object_id
        except CommandFailed:
            return None

    def _add(self, group: VolumeGroup, volume: LogicalVolume) -> None:
        group.volumes[volume.name] = volume
        self.files.add_device(group.device(volume), round(volume.size) * GIB)

    def _drop(self, group: VolumeGroup, volume: LogicalVolume) -> None:
        group.volumes.pop(volume.name, None)
        self.files.remove(group.device(volume))

    def _gib(self, words: list[str], size: str) -> float:
        text = size.lower()
        if not text.endswith("g") or not text[:-1].replace(".", "", 1).isdigit():
            self.refuse(words, "only sizes in GiB are known")
        return float(text[:-1])


class LvmNode(NodeMachine):
    """A machine that is there, with LVM and LIO."""

    reports: ClassVar[frozenset[str]] = frozenset((
        "lvs", "vgs", "pvs", "lvdisplay", "lvm version", "udevadm settle",
        "cinder-rtstool verify", "cinder-rtstool get-targets",
    ))  # fmt: skip

    testbeds: ClassVar[tuple[str, ...]] = LvmMachine.testbeds
    defaults: ClassVar[Mapping[str, Any]] = LvmMachine.defaults
