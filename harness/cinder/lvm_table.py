"""What LVM knows of a volume group: its logical volumes, as the tools report them."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.cinder.machine import CommandFailed

SIZE_GIB = 1024.0
"""The size that a volume group is reported with, in GiB; what really fits in is up to the backend's pool."""


@dataclass
class LogicalVolume:
    """A logical volume. `kind` is "thick", "cow" (a thick one's snapshot), "thin" or "pool"; sizes in GiB."""

    name: str
    size: float
    kind: str
    origin: str = ""
    active: bool = True
    attached: bool = False
    skips_activation: bool = False

    @property
    def object_id(self) -> str:
        """The id of the volume or snapshot on the backend: Cinder's, where Cinder named it."""
        for prefix in ("volume-", "_snapshot-"):
            if self.name.startswith(prefix):
                return self.name[len(prefix) :]
        return self.name


@dataclass
class VolumeGroup:
    """A volume group and its volumes, by name."""

    name: str
    volumes: dict[str, LogicalVolume] = field(default_factory=dict)

    def find(self, path: str) -> LogicalVolume:
        """The volume that `group/name`, or a device's path, names. Raises `CommandFailed`."""
        name = self.name_in(path)
        if name not in self.volumes:
            raise CommandFailed(f'  Failed to find logical volume "{self.name}/{name}"')
        return self.volumes[name]

    def name_in(self, path: str) -> str:
        """The name in `group/name`, `/dev/group/name` or `/dev/mapper/group-name`. Raises `CommandFailed`."""
        if path.startswith("/dev/mapper/"):
            group, _, name = path[12:].replace("--", "\0").partition("-")
            group, name = group.replace("\0", "-"), name.replace("\0", "-")
        else:
            group, _, name = path.removeprefix("/dev/").partition("/")
        if group != self.name or not name:
            raise no_group(group)
        return name

    def device(self, volume: LogicalVolume) -> str:
        """The path of a volume's device."""
        return f"/dev/mapper/{self.name.replace('-', '--')}-{volume.name.replace('-', '--')}"

    def check_new(self, name: str) -> None:
        """Raises `CommandFailed` for a name that is in use."""
        if name in self.volumes:
            raise CommandFailed(f'  Logical Volume "{name}" already exists in volume group "{self.name}"')

    def free(self) -> float:
        """What is not allocated, in GiB: thin volumes take nothing of the group, their pool does."""
        used = 0.0
        for volume in self.volumes.values():
            if volume.kind != "thin":
                used += volume.size
        return max(0.0, SIZE_GIB - used)

    def attributes(self, volume: LogicalVolume, readonly: bool = False) -> str:
        """The `lv_attr` bits, as lvs(8) has them; with `readonly`, which does not ask device-mapper, X for its part."""
        has_snapshots = any(v.origin == volume.name and v.kind == "cow" for v in self.volumes.values())
        kind = {"thin": "V", "pool": "t", "cow": "s"}.get(volume.kind, "o" if has_snapshots else "-")
        state = "XX" if readonly else f"{'a' if volume.active else '-'}{'o' if volume.attached else '-'}"
        target = {"thin": "tz", "pool": "tz"}.get(volume.kind, "s-" if kind in "os" else "--")
        return f"{kind}wi-{state}{target}-{'k' if volume.skips_activation else '-'}"


def no_group(name: str) -> CommandFailed:
    """What LVM's tools say of a volume group that is not there."""
    return CommandFailed(f'  Volume group "{name}" not found\n  Cannot process volume group {name}')
