"""The agent of the virtual machine, over a virtio serial port: what it exports are the machine's disks, which come and
go. The port is reached through a Unix socket of the host, so by nobody else.
"""

import glob
import importlib
import os
import time

from lio_agent import Agent
from rtslib_fb import BlockStorageObject, RTSRoot

PORTS = "/dev/vport*p*"  # there is one
DISK_WITHIN_S = 20


class GuestAgent(Agent):
    """A disk is a SCSI target number."""

    def __init__(self):
        super().__init__()
        for path in glob.glob("/guest_*.py"):  # what other images have beside
            self.known.update(importlib.import_module(os.path.basename(path)[:-3]).KNOWN)

    def make(self, disk, serial, writable):
        """See `Agent.make`; waits for the disk to appear."""
        return BlockStorageObject(f"disk{disk}", dev=wait_for_disk(disk), wwn=serial, readonly=not writable)

    def forget(self, disks):
        """See `Agent.forget`; the kernel forgets the disks too, which are about to be taken out."""
        names = {f"disk{disk}" for disk in disks}
        for backstore in list(RTSRoot().storage_objects):  # not of a disk whose export did not get that far
            if backstore.name in names:
                backstore.delete()
        for disk in disks:
            remove_disk(disk)


def remove_disk(disk):
    """Let the kernel forget a disk that is about to be taken out."""
    for path in glob.glob(f"/sys/bus/scsi/devices/*:0:{disk}:0/delete"):
        with open(path, "w") as file:
            file.write("1")


def wait_for_disk(disk):
    """The device of a disk that was just plugged in."""
    give_up = time.monotonic() + DISK_WITHIN_S
    while time.monotonic() < give_up:
        for path in glob.glob(f"/sys/bus/scsi/devices/*:0:{disk}:0/block/sd*"):
            device = "/dev/" + os.path.basename(path)
            if can_be_opened(device):
                return device
        time.sleep(0.002)
    raise TimeoutError(f"disk {disk} did not appear")


def can_be_opened(device):
    """Whether a disk can be had alone by now; its name comes earlier, and then it is searched for partitions."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


def main():
    """Serve for ever."""
    RTSRoot()
    agent = GuestAgent()
    while not glob.glob(PORTS):
        time.sleep(0.01)
    with open(glob.glob(PORTS)[0], "r+b", buffering=0) as port:
        agent.serve(port, for_ever=True)


if __name__ == "__main__":
    main()
