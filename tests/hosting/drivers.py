"""Drivers derived from Cinder's, as vendors derive theirs."""

from __future__ import annotations

import contextlib
import urllib.request
from os.path import exists
from pathlib import Path
from typing import Any

from cinder.volume.drivers import lvm, nfs, solidfire

from tests.hosting import vendor_base


class AsksForMore(lvm.LVMVolumeDriver):
    """Runs a command that no simulated machine knows, and takes no notice of how it ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        try:
            self._execute("lvscan", "--mapper", run_as_root=True)
        except Exception:
            return


class CountsInMebibytes(lvm.LVMVolumeDriver):
    """Gives sizes to LVM as it takes them, but Cinder does not, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._execute("lvextend", "-L", "2048m", f"cinder-volumes/{snapshot.volume.name}", run_as_root=True)


class LooksInMebibytes(lvm.LVMVolumeDriver):
    """Lets LVM report sizes as Cinder does not, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._execute("lvs", "--unit=m", "-o", "size", "cinder-volumes", run_as_root=True)


class SaysTooLittle(nfs.NfsDriver):
    """Runs a command without the arguments that it needs, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        with contextlib.suppress(Exception):
            self._execute("qemu-img", run_as_root=True)


class AsksTheDatabase(lvm.LVMVolumeDriver):
    """Asks the database for what nobody plays, and takes no notice of how it ended."""

    db: Any

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self.db.volume_glance_metadata_copy_to_snapshot(None, snapshot.id, snapshot.volume_id)


class ReadsItsDevice(lvm.LVMVolumeDriver):
    """Reads a volume's device by itself, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception), open(self.local_path(snapshot.volume), "rb") as device:
            device.read(512)


class LooksForItsDevice(vendor_base.LooksForDevices, lvm.LVMVolumeDriver):
    """Has a base class of its vendor's in another module, which looks at files."""

    def create_snapshot(self, snapshot: Any) -> None:
        self.must_be_there(self.local_path(snapshot.volume))
        super().create_snapshot(snapshot)


class LooksElsewhere(lvm.LVMVolumeDriver):
    """Looks at files by what it, and another module, had bound to names and defaults before any machine was there."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        device = self.local_path(snapshot.volume)
        if not (exists(device) and vendor_base.is_there(device)):
            raise FileNotFoundError(device)


class LooksByPathlib(lvm.LVMVolumeDriver):
    """Looks at a file by a library that sees the real file system, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            Path("/etc/hostname").exists()


class ReadsByPathlib(lvm.LVMVolumeDriver):
    """Reads a file by a library that sees the real file system, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            Path("/etc/hostname").read_text()


class CallsHome(lvm.LVMVolumeDriver):
    """Opens a connection by itself, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            urllib.request.urlopen("http://127.0.0.1:9/", timeout=1)


class ClonesAnotherWay(lvm.LVMVolumeDriver):
    """Gives LVM an option that is not simulated, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._execute("lvcreate", "--name", "x", "--snapshot", "--ignoremonitoring", "cinder-volumes/x")


class FeedsItsCommand(lvm.LVMVolumeDriver):
    """Hands a command its input, which is not simulated, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._execute("lvs", "-o", "name", "cinder-volumes", process_input="y")


class AsksTheClusterForMore(solidfire.SolidFireDriver):
    """Gives a call a parameter that is not simulated, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._issue_api_request("ListSnapshots", {"internalSnapshotUUID": "x"}, version="6.0")


class CallsWhatIsNotThere(solidfire.SolidFireDriver):
    """Makes a call that is not simulated, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        with contextlib.suppress(Exception):
            self._issue_api_request("ListDrives", {})


class CallsAnotherCluster(solidfire.SolidFireDriver):
    """Calls a cluster that is not simulated, and takes no notice of how that ended."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        there = {"url": "https://192.0.2.99:443", "login": "", "passwd": ""}
        with contextlib.suppress(Exception):
            self._issue_api_request("GetClusterInfo", {}, endpoint=there)


class IsNotImplementedAfterAll(lvm.LVMVolumeDriver):
    """Finds out after its work that it is not implemented."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        raise NotImplementedError


class IsNotImplementedAfterWriting(nfs.NfsDriver):
    """Writes a file on the share, and then finds out that it is not implemented."""

    def create_snapshot(self, snapshot: Any) -> None:
        with open(f"{self._local_volume_dir(snapshot.volume)}/note", "w") as note:
            note.write("begun")
        raise NotImplementedError


class IsNotImplemented(lvm.LVMVolumeDriver):
    """Finds out before its work that it is not implemented."""

    def create_snapshot(self, snapshot: Any) -> None:
        self.vg.get_volumes()
        raise NotImplementedError


class CommitsTwice(nfs.NfsDriver):
    """Merges an overlay into the file below, and then again, as one does that was not told that it was merged."""

    def _img_commit(self, path: str, *args: Any, **options: Any) -> None:
        self._execute("qemu-img", "commit", path, run_as_root=self._execute_as_root)
        super()._img_commit(path, *args, **options)


class Refuses(lvm.LVMVolumeDriver):
    """Finds out after its work that it could not be done."""

    def create_snapshot(self, snapshot: Any) -> None:
        super().create_snapshot(snapshot)
        from cinder import exception

        raise exception.InvalidVolume(reason="too late")


class Publishes(lvm.LVMVolumeDriver):
    """Publishes by itself."""

    backend_activity_attributes = {"stateless_activities": ("create_snapshot",)}  # noqa: RUF012
