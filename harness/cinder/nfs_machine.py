"""A node that has mounted an NFS share: the commands of Cinder's NFS driver, qemu-img's overlays above all.

A volume is a chain of files: a base and an overlay for each snapshot, the last of which is written to. The backend has
one volume and its snapshots instead, so each file stands for one of these: the last one for the volume, every other for
the snapshot whose overlay lies on it. Merging an overlay into the file below removes the snapshot that this one was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from harness.backup_store import MemorySink
from harness.cinder.files import DIRECTORY_OF_IMAGES
from harness.cinder.images import ImageMachine
from harness.cinder.machine import CommandFailed, option, short
from harness.cinder.syntax import Words, honours
from harness.model import GIB
from harness.testbed import Job

METADATA_S = 0.001
"""What an operation on a file's metadata takes, in seconds (assumed: a few round trips)."""
SHARE_BYTES = 1024 * GIB
"""The size that the share is reported with; what really fits in is up to the backend's pool."""
BASE = "/var/lib/cinder/mnt"
MOUNT_OPTIONS = frozenset(
    {"hard", "minorversion", "nfsvers", "proto", "retrans", "rsize", "rw", "timeo", "vers", "wsize"}
)
"""The options of a mount that change nothing of what is played."""
OVERLAY_SETTINGS = frozenset({"backing_file", "backing_fmt"})
"""What may be said of an overlay when it is made."""


@dataclass
class ImageFile:
    """A file of a volume.

    `size` in bytes; `backing` is the name of the file below, or ""; `object_id` what it stands for, "" for nothing.
    """

    size: int
    format: str
    backing: str
    object_id: str


class NfsMachine(ImageMachine):
    """A node with one share, which is the backend."""

    testbeds: ClassVar[tuple[str, ...]] = ("nfs-sim",)
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "nas_host": "192.0.2.20",
            "nas_share_path": "/volumes",
            "nfs_mount_point_base": BASE,
            "nas_secure_file_operations": "false",
            "nas_secure_file_permissions": "false",
        }
    )

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        """See `Machine.check`."""
        for name, played in {"nfs_qcow2_volumes": False, "nfs_sparsed_volumes": True}.items():
            if options.get(name, played) != played:
                raise ValueError(f"{name} = {options[name]!r} is not played; set {name} = {played!r}, or leave it out")

    @property
    def chain(self) -> dict[str, ImageFile]:
        """The files of volumes, by path."""
        files: dict[str, ImageFile] = self.disk.state.setdefault("chain", {})
        self.files.is_volume = lambda path: path in files
        return files

    # ---- the share ---------------------------------------------------------------------------------------------------

    def do_mount_nfs(self, words: Words) -> str:
        raise CommandFailed("mount.nfs: no mount point provided", 1)

    @honours("-p", operands=(1, 1))
    def do_mkdir(self, words: Words) -> str:
        self.files.os.makedirs(words[-1], exist_ok=True)
        return ""

    @honours("-t=nfs -o=", operands=(2, 2))
    def do_mount(self, words: Words) -> str:
        for setting in (option(words, "-o") or "rw").split(","):
            if setting.partition("=")[0] not in MOUNT_OPTIONS:
                self.refuse(words, f"the mount option {setting!r} is not known")
        self._look()
        share, point = words.operands
        with self.files.open("/proc/mounts", "a") as mounts:
            mounts.write(f"{share} {point} nfs4 rw 0 0\n")
        return ""

    @honours("-f -c=", operands=(1, 1))
    def do_stat(self, words: Words) -> str:
        if "-f" not in words or option(words, "-c") != "%S %b %a":
            self.refuse(words, "only the size of the share can be asked for")
        self._look()
        blocks = SHARE_BYTES // 4096
        return f"4096 {blocks} {blocks}\n"

    @honours("-s -sb --bytes --apparent-size --exclude=*snapshot*", operands=(1, 1))
    def do_du(self, words: Words) -> str:
        if "-sb" not in words and ("-s" not in words or "--bytes" not in words):
            self.refuse(words, "only one sum, in bytes, is known")
        self._look()
        total = 0
        for path, file in self.chain.items():
            if "snapshot" not in path or "--exclude" not in words:
                total += file.size
        return f"{total}\t{words[-1]}\n"

    @honours(operands=(2, 2))
    def do_chmod(self, words: Words) -> str:
        return self._touch(words[-1])

    @honours("--reference=", operands=(1, 2))
    def do_chown(self, words: Words) -> str:
        return self._touch(words[-1])

    @honours("-s=", operands=(1, 1))
    def do_truncate(self, words: Words) -> str:
        path, size = words[-1], option(words, "-s") or ""
        if size == "0" and path not in self.chain:
            self._look()
            self.files.open(path, "w").close()  # which counts as a change
            return ""
        if not size.endswith("G") or path in self.chain:
            self.refuse(words, "only making a volume's file of whole GiB is known")
        volume_id = _object_of(path)
        made = ImageFile(int(size[:-1]) * GIB, "raw", "", volume_id)
        self.perform(short("create_volume", target=volume_id, size=int(size[:-1])), lambda: self._add(path, made))
        return ""

    @honours("-f", operands=(1, 1))
    def do_rm(self, words: Words) -> str:
        path = words[-1]
        file = self.chain.get(path)
        if file is None or not file.object_id:
            self._look()
            self.changed()
            self._drop(path)
            return ""
        self._disown(path)
        self.perform(short("delete", source=file.object_id), lambda: self._drop(path))
        return ""

    # ---- qemu-img ----------------------------------------------------------------------------------------------------

    def image_info(self, words: Words) -> str:
        """See `ImageMachine.image_info`; a volume's file tells what it lies on."""
        path, asked = words[-1], option(words, "-f")
        file = self.chain.get(path)
        if file is None or asked == "luks":
            return super().image_info(words)
        self._look()
        if asked not in (None, "raw", file.format):
            raise CommandFailed(f"qemu-img: Could not open '{path}': Image is not in {asked} format", 1)
        told: dict[str, Any] = {"filename": path, "format": asked or file.format, "actual-size": 0}
        told["virtual-size"] = file.size
        if file.format == "qcow2" and asked != "raw":
            told["cluster-size"] = 65536
            told["format-specific"] = {"type": "qcow2", "data": {"compat": "1.1", "corrupt": False}}
            if file.backing:
                told |= {"backing-filename": file.backing, "full-backing-filename": file.backing}
        return json.dumps(told)

    @honours("-f=qcow2 -o=", operands=(2, 2))
    def do_qemu_img__create(self, words: Words) -> str:
        settings = dict(part.split("=", 1) for part in (option(words, "-o") or "").split(",") if "=" in part)
        (path, size), below = words.operands, settings.get("backing_file", "")
        base = self.chain.get(below)
        if base is None or option(words, "-f") is None or path in self.chain or set(settings) - OVERLAY_SETTINGS:
            self.refuse(words, "only making a new overlay on a volume's file is known")
        wanted = int(size.removesuffix("G")) * GIB
        if wanted < base.size or not size.endswith("G") or settings.get("backing_fmt") != base.format:
            self.refuse(words, f"an overlay is no smaller than the file below, and names its format, {base.format}")
        made = ImageFile(wanted, "qcow2", below.rpartition("/")[2], "")
        if self.disk.attached.get(base.object_id):  # who has it open goes on writing to the file below: `switch`
            self._look()
            self.changed()
            self._add(path, made)
            return ""
        self._disown(below)
        self._freeze(path, made, base)
        return ""

    def _freeze(self, path: str, overlay: ImageFile, base: ImageFile) -> None:
        """From now on the overlay is written to, and the file below shows what the volume held."""
        snapshot_id, volume_id = path.rpartition(".")[2], base.object_id

        def frozen() -> None:
            overlay.object_id, base.object_id = volume_id, snapshot_id
            self._add(path, overlay)

        self.perform(short("snapshot", source=volume_id, target=snapshot_id), frozen)
        if overlay.size > base.size:  # it is the volume now
            self.perform(short("extend_volume", source=volume_id, size=overlay.size // GIB), lambda: None)

    @honours("-u -b= -F=", operands=(1, 1))
    def do_qemu_img__rebase(self, words: Words) -> str:
        self._look()
        below = option(words, "-b") or ""
        path = words[-1]
        if "-u" not in words or path not in self.chain:
            self.refuse(words, "only changing the name of the file below is known")
        file = self.chain.get(f"{path.rpartition('/')[0]}/{below.rpartition('/')[2]}")
        if file is not None and option(words, "-F") not in (None, file.format):
            self.refuse(words, f"the format of the file below is {file.format}")
        self.changed()
        self.chain[path].backing = below.rpartition("/")[2]
        return ""

    @honours("-d", operands=(1, 1))
    def do_qemu_img__commit(self, words: Words) -> str:
        path = words[-1]
        file = self.chain.get(path)
        base = self.chain.get(f"{path.rpartition('/')[0]}/{file.backing}") if file is not None else None
        if file is None or base is None:
            self.refuse(words, "only merging an overlay into the file below is known")
        self._merge(file, base)
        return ""

    def _merge(self, upper: ImageFile, lower: ImageFile) -> None:
        """The lower of two files takes over what the upper one stands for; a second time there is nothing to take."""
        if not upper.object_id:
            self._look()
            return
        snapshot_id, taken = lower.object_id, upper.object_id

        def merged() -> None:
            lower.object_id, upper.object_id = taken, ""

        self.perform(short("delete", source=snapshot_id), merged)

    @honours("-f=", operands=(2, 2))
    def do_qemu_img__resize(self, words: Words) -> str:
        path, size = words.operands
        file = self.chain.get(path)
        if file is None or not size.endswith("G") or option(words, "-f") not in (None, file.format):
            self.refuse(words, "only making a volume's file larger is known")
        self._disown(path)
        wanted = int(size[:-1]) * GIB
        if wanted < file.size:
            raise CommandFailed("qemu-img: Use the --shrink option to perform a shrink operation.", 1)
        if wanted == file.size:  # qemu-img: "Image did not change its size", with exit status 0
            self._look()
            return ""
        self.perform(
            short("extend_volume", source=file.object_id, size=wanted // GIB), lambda: setattr(file, "size", wanted)
        )
        return ""

    def convert(self, words: Words) -> str:
        """See `ImageMachine.convert`; also of one volume's file, or a snapshot's, to another volume or to an image."""
        source, target = words.operands
        read = self.chain.get(source)
        if read is None:
            return super().convert(words)
        if option(words, "-f") not in (None, read.format):
            self.refuse(words, f"the source's format is {read.format}")
        self._disown(source)
        into = self.chain.get(target)
        if into is None and target.startswith(f"{DIRECTORY_OF_IMAGES}/"):
            image = MemorySink(read.size)
            job = Job("read", read.object_id, sink=image, point_in_time=False)
            self.work(job, "qemu-img: error while reading")
            self.files.images[target] = image.chunks
            self.files.tree.get_object(target).set_large_file_size(read.size)
            return ""
        job_target = _object_of(target)
        if into is not None:  # the backend has no copying into a volume that is there: the empty one makes room
            self.perform(short("delete", source=job_target), lambda: None)
        job = Job("copy", read.object_id, job_target, size=read.size // GIB, point_in_time=False)
        try:
            self.work(job, "qemu-img: error while reading")
        except CommandFailed:
            if into is not None:
                self.perform(short("create_volume", target=job_target, size=into.size // GIB), lambda: None)
            raise
        if into is None:
            self._add(target, ImageFile(read.size, "raw", "", job_target))
        else:
            into.size = read.size
        return ""

    # ---- for Nova and the image service ------------------------------------------------------------------------------

    def adopt(self, driver: Any) -> None:
        """See `Machine.adopt`: the driver's Nova is the hypervisor that has the files of volumes in use open."""
        from harness.cinder.nova import Nova  # imports Cinder

        driver._nova = Nova(self, driver)

    def switch(self, directory: str, new_file: str) -> None:
        """See `harness.cinder.nova.Hypervisor.switch`."""
        path = f"{directory}/{new_file}"
        overlay = self.chain[path]
        self._freeze(path, overlay, self.chain[f"{directory}/{overlay.backing}"])

    def pull(self, directory: str, volume_id: str, new_base: str) -> None:
        """See `harness.cinder.nova.Hypervisor.pull`."""
        active = next(file for file in self.chain.values() if file.object_id == volume_id)
        below = self.chain[f"{directory}/{active.backing}"]
        if below.backing != new_base:
            self.refuse(["block-pull", volume_id, new_base], "only pulling in one file at a time is known")

        def pulled() -> None:
            below.object_id, active.backing = "", new_base

        self.perform(short("delete", source=below.object_id), pulled)

    def commit_under_load(self, directory: str, upper: str, lower: str) -> None:
        """See `harness.cinder.nova.Hypervisor.commit_under_load`."""
        self._merge(self.chain[f"{directory}/{upper}"], self.chain[f"{directory}/{lower}"])
        for file in self.chain.values():
            if file.backing == upper:
                file.backing = lower

    def volume_at(self, path: str) -> str | None:
        """See `ImageMachine.volume_at`."""
        file = self.chain.get(path)
        return None if file is None else file.object_id or None

    def format_of(self, path: str) -> str:
        """See `ImageMachine.format_of`."""
        file = self.chain.get(path)
        return "raw" if file is None else file.format

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _disown(self, path: str) -> None:
        """Let a file stand for the volume again where an overlay was left on it that the driver knows nothing of.

        What the driver knows is in the volume's info file; it goes on with the file below.
        """
        directory, _, name = path.rpartition("/")
        file = self.chain.get(path)
        info = f"{directory}/{name.partition('.')[0]}.info"
        known = self.files.open(info).read() if self.files.tree.exists(info) else ""
        for other, overlay in self.chain.items():
            forgotten = json.dumps(other.rpartition("/")[2]) not in known
            if file is not None and overlay.backing == name and overlay.object_id and forgotten:
                overlay.object_id, file.object_id = file.object_id, overlay.object_id

    def _look(self) -> None:
        self.reach()
        time.sleep(METADATA_S)

    def _touch(self, path: str) -> str:
        self._look()
        if not self.files.os.path.exists(path):
            raise CommandFailed(f"cannot access '{path}': No such file or directory", 1)
        return ""

    def _add(self, path: str, file: ImageFile) -> None:
        self.chain[path] = file
        if not self.files.tree.exists(path):
            self.files.tree.create_file(path, st_size=file.size)

    def _drop(self, path: str) -> None:
        self.chain.pop(path, None)
        self.files.remove(path)


def _object_of(path: str) -> str:
    """The id of the volume whose first file has that path, as Cinder names it."""
    return path.rpartition("/")[2].removeprefix("volume-")
