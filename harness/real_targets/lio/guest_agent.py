"""Runs in the guest: configures LIO through rtslib-fb as the host asks, over a virtio serial port.

Each line is a JSON object with `do`, the name of a function below, its arguments, and a number, `question`; each is
answered by a line with that number and `answer`, or `error`. The port is reached through a Unix socket of the host, so
by nobody else.
"""

import glob
import importlib
import json
import os
import subprocess
import sys
import time
import traceback

sys.path += ["/usr/lib/python3/dist-packages", "/"]

from rtslib_fb import LUN, TPG, BlockStorageObject, FabricModule, NetworkPortal, RTSRoot, Target

PORTS = "/dev/vport*p*"  # there is one
SETTINGS = "/sys/kernel/config/target/iscsi"
DISK_WITHIN_S = 20

FABRIC = FabricModule("iscsi")


def hello():
    """Whether the agent is there."""
    return "hello"


def create(name, user, password, address, port):
    """A target with one portal group, open to anybody who has the CHAP account."""
    group = TPG(Target(FABRIC, name), 1)
    for attribute, value in (
        ("authentication", 1),
        ("generate_node_acls", 1),
        ("cache_dynamic_acls", 1),
        ("demo_mode_write_protect", 0),
    ):
        group.set_attribute(attribute, value)
    group.chap_userid, group.chap_password = user, password
    NetworkPortal(group, address, port)
    group.enable = True


def destroy(name):
    """Take a target away, with its sessions."""
    Target(FABRIC, name, mode="lookup").delete()


def attach(name, lun, disk, serial, writable):
    """Export the disk with that SCSI target number; returns once it is a logical unit."""
    device = wait_for_disk(disk)
    backstore = BlockStorageObject(f"disk{disk}", dev=device, wwn=serial, readonly=not writable)
    LUN(TPG(Target(FABRIC, name, mode="lookup"), 1, mode="lookup"), lun, backstore)


def detach(name, lun, disk):
    """Take the logical unit back; LIO waits for the commands under way."""
    LUN(TPG(Target(FABRIC, name, mode="lookup"), 1, mode="lookup"), lun).delete()
    BlockStorageObject(f"disk{disk}").delete()
    remove_disk(disk)


def sessions(name="iqn.*"):
    """All sessions with targets of that name, which may be a pattern of glob, as [target, initiator]."""
    found = []
    for path in glob.glob(f"{SETTINGS}/{name}/tpgt_1/dynamic_sessions"):
        with open(path) as file:
            text = file.read()
        names = [name for name in text.replace("\0", "\n").split("\n") if name]
        found.extend([path.split("/")[-3], name] for name in names)
    return found


def drop(name):
    """End the sessions of a target: its portal group is disabled, and enabled again."""
    group = TPG(Target(FABRIC, name, mode="lookup"), 1, mode="lookup")
    group.enable = False
    group.enable = True


def clear(prefix, disks):
    """Take away every target whose name begins so, and what exports those disks."""
    for target in list(FABRIC.targets):
        if target.wwn.startswith(prefix):
            target.delete()
    names = {f"disk{disk}" for disk in disks}
    for backstore in list(RTSRoot().storage_objects):  # not of a disk whose export did not get that far
        if backstore.name in names:
            backstore.delete()
    for disk in disks:
        remove_disk(disk)


def run(argv):
    """Run a command in the guest; returns its status, output and complaints."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    return [done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")]


def versions():
    """The kernel's release and the version of rtslib-fb."""
    import rtslib_fb

    return [os.uname().release, rtslib_fb.__version__]


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


def remove_disk(disk):
    """Let the kernel forget a disk that is about to be taken out."""
    for path in glob.glob(f"/sys/bus/scsi/devices/*:0:{disk}:0/delete"):
        with open(path, "w") as file:
            file.write("1")


KNOWN = {f.__name__: f for f in (hello, create, destroy, attach, detach, sessions, drop, clear, run, versions)}
for path in glob.glob("/guest_*.py"):  # what other images have beside
    KNOWN.update(importlib.import_module(os.path.basename(path)[:-3]).KNOWN)


def main():
    """Serve for ever."""
    RTSRoot()
    while not glob.glob(PORTS):
        time.sleep(0.01)
    with open(glob.glob(PORTS)[0], "r+b", buffering=0) as port:
        serve(port)


def serve(port):
    """Answer what comes from the port."""
    waiting, question = b"", None
    while True:
        data = port.read(65536)
        if not data:
            time.sleep(0.01)  # nobody has opened the socket on the host
            continue
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            try:
                asked = json.loads(line)
                question = asked.pop("question")
                answer = {"question": question, "answer": KNOWN[asked.pop("do")](**asked)}
            except Exception as error:
                answer = {
                    "question": question,
                    "error": f"{type(error).__name__}: {error}",
                    "where": traceback.format_exc(),
                }
            reply = json.dumps(answer).encode() + b"\n"
            while reply:
                reply = reply[port.write(reply) :]


if __name__ == "__main__":
    main()
