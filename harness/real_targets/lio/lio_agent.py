"""Runs where LIO runs, in the virtual machine or on this host, and configures it through rtslib-fb as it is asked.

Each line is a JSON object with `do`, the name of a verb, its arguments, and a number, `question`; each is answered by a
line with that number and `answer`, or `error`. What stands behind a logical unit is not the same in both places: see
`agent_in_guest.py` and `agent_on_host.py`, which are the programs.
"""

import glob
import json
import os
import subprocess
import sys
import time
import traceback

sys.path += ["/usr/lib/python3/dist-packages"]  # Debian's rtslib-fb, whichever Python this is

import rtslib_fb
from rtslib_fb import LUN, TPG, FabricModule, NetworkPortal, Target

SETTINGS = "/sys/kernel/config/target"
FABRIC = FabricModule("iscsi")
VERBS = ("hello", "create", "destroy", "attach", "detach", "sessions", "drop", "clear", "run", "versions")


def group_of(name):
    """The portal group of a target."""
    return TPG(Target(FABRIC, name, mode="lookup"), 1, mode="lookup")


class Agent:
    """The verbs. `disk` is what a place calls that which becomes a logical unit: JSON, whatever its form."""

    def __init__(self):
        self.known = {name: getattr(self, name) for name in VERBS}

    def make(self, disk, serial, writable):
        """The backstore for a disk."""
        raise NotImplementedError

    def forget(self, disks):
        """Take away what is there for these disks, as far as it is."""
        raise NotImplementedError

    def may_touch(self, name):
        """Whether the target of that name may be changed, or taken away, by this agent."""
        return True

    def hello(self):
        """What the names of all that is made here for this agent's client begin with; "" if all here is its own."""
        return ""

    def create(self, name, user, password, address, port):
        """A target with one portal group, open to anybody who has the CHAP account."""
        self.must_be_ours(name)
        group = TPG(Target(FABRIC, name, mode="create"), 1)
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

    def destroy(self, name):
        """Take a target away, with its sessions."""
        self.must_be_ours(name)
        Target(FABRIC, name, mode="lookup").delete()

    def attach(self, name, lun, disk, serial, writable):
        """Export a disk; returns once it is a logical unit."""
        self.must_be_ours(name)
        LUN(group_of(name), lun, self.make(disk, serial, writable))

    def detach(self, name, lun, disk):
        """Take the logical unit back; LIO waits for the commands under way."""
        self.must_be_ours(name)
        LUN(group_of(name), lun).delete()
        self.forget([disk])

    def sessions(self, name="iqn.*"):
        """All sessions with targets of that name, which may be a pattern of glob, as [target, initiator]."""
        found = []
        for path in glob.glob(f"{SETTINGS}/iscsi/{name}/tpgt_1/dynamic_sessions"):
            with open(path) as file:
                text = file.read()
            names = [name for name in text.replace("\0", "\n").split("\n") if name]
            found.extend([path.split("/")[-3], name] for name in names)
        return found

    def drop(self, name):
        """End the sessions of a target: its portal group is disabled, and enabled again."""
        self.must_be_ours(name)
        group = group_of(name)
        group.enable = False
        group.enable = True

    def clear(self, prefix, disks):
        """Take away every target whose name begins so and that may be touched, and what is there for those disks."""
        for target in list(FABRIC.targets):
            if target.wwn.startswith(prefix) and self.may_touch(target.wwn):
                target.delete()
        self.forget(disks)

    def run(self, argv):
        """Run a command; returns its status, output and complaints."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        return [done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")]

    def versions(self):
        """The kernel's release and the version of rtslib-fb."""
        return [os.uname().release, rtslib_fb.__version__]

    def must_be_ours(self, name):
        """Raises PermissionError for a target that may not be touched."""
        if not self.may_touch(name):
            raise PermissionError(f"the target {name} is somebody else's")

    def serve(self, port, for_ever):
        """Answer what comes from the port, until its end or `for_ever`."""
        waiting, question = b"", None
        while True:
            data = port.read(65536)
            if not data:
                if not for_ever:
                    return
                time.sleep(0.01)  # nobody has opened the port's other end
                continue
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                try:
                    asked = json.loads(line)
                    question = asked.pop("question")
                    answer = {"question": question, "answer": self.known[asked.pop("do")](**asked)}
                except Exception as error:
                    answer = {
                        "question": question,
                        "error": f"{type(error).__name__}: {error}",
                        "where": traceback.format_exc(),
                    }
                reply = json.dumps(answer).encode() + b"\n"
                while reply:
                    reply = reply[port.write(reply) :]
