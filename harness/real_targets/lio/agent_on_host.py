"""The agent on a host, which may have LIO targets of its own: what it exports are files.

    python agent_on_host.py AUTHORITY

What it makes has names that begin with its mark, `run-NAMESPACE-PID-START-` (see `mark_of`), and it touches nothing
else. Questions come on standard input, a socket, on which they are answered. At its end, when whoever asked is gone,
all of its own is removed; what was left by an agent that was killed is removed by the next one, at its start.
"""

import contextlib
import glob
import os
import random
import re
import signal
import sys

sys.path += [os.path.dirname(os.path.abspath(__file__))]

from lio_agent import FABRIC, SETTINGS, Agent
from rtslib_fb import FileIOStorageObject, RTSRoot
from rtslib_fb.utils import RTSLibNotInCFS

FIRST_HBA, LAST_HBA = 1 << 16, (1 << 20) - 1
"""The numbers of our backstores' directories: others take the lowest that is free, and don't expect anybody beside."""
LONGEST_PATH = 256
"""FD_MAX_DEV_NAME, the terminating zero included."""
MARK = re.compile(r"run-([0-9a-f]+)-([0-9a-f]+)-([0-9a-f]+)-")


def start_of(pid):
    """When a process started, in the kernel's ticks (field 22 of proc(5)'s stat); 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def namespace():
    """The number of this process's namespace of process ids: in another one the same id is another process."""
    return os.stat("/proc/self/ns/pid").st_ino


def mark_of(pid):
    """What begins the names of what that process makes: hexadecimal, since a name has its limits."""
    return f"run-{namespace():x}-{pid:x}-{start_of(pid):x}-"


def is_dead(mark):
    """Whether a name's mark, a match of `MARK`, is that of a process which has ended; unknown of another namespace."""
    there, pid, start = (int(digits, 16) for digits in mark.groups())
    return there == namespace() and start_of(pid) != start


def path_for_kernel(path, descriptor):
    """The path of an open file, or another for it where LIO would read that wrongly (target_core_file.c): it cuts off
    what is too long, and takes a comma for the end."""
    taken_as_it_is = len(os.fsencode(path)) < LONGEST_PATH and "," not in path
    return path if taken_as_it_is else f"/proc/self/fd/{descriptor}"


def leave_database_directory(root):
    """Takes the place of rtslib's choice of LIO's directory of reservations: the host's own choice stays."""
    try:
        with open(f"{root.path}/dbroot") as file:
            root._dbroot = file.read().strip()
    except OSError:
        root._dbroot = root._default_dbroot


class HostAgent(Agent):
    """A disk is an object with the `path` of a file and the `name` of its backstore."""

    def __init__(self, authority):
        super().__init__()
        self.mark = mark_of(os.getpid())
        self.authority = f"{authority}:"
        self.hbas = random.SystemRandom()

    def hello(self):
        """See `Agent.hello`."""
        return self.mark

    def may_touch(self, name):
        """See `Agent.may_touch`."""
        return name.startswith(self.authority + self.mark)

    def attach(self, name, lun, disk, serial, writable):
        """See `Agent.attach`. A file can't be a read-only backstore; that the unit is one is said of the group, whose
        attribute counts for the units that are added next (core_tpg_add_node_to_devs in target_core_tpg.c)."""
        self.must_be_ours(name)
        attribute = f"{SETTINGS}/iscsi/{name}/tpgt_1/attrib/demo_mode_write_protect"
        with open(attribute, "w") as file:
            file.write("0" if writable else "1")
        super().attach(name, lun, disk, serial, writable)

    def make(self, disk, serial, writable):
        """See `Agent.make`. Written is to the page cache, as by any process of this host."""
        if not disk["name"].startswith(self.mark):
            raise PermissionError(f"the backstore {disk['name']} is somebody else's")
        hba = self.hbas.randint(FIRST_HBA, LAST_HBA)
        while glob.glob(f"{SETTINGS}/core/*_{hba}"):
            hba = self.hbas.randint(FIRST_HBA, LAST_HBA)
        with open(disk["path"], "rb") as file:
            path, size = path_for_kernel(disk["path"], file.fileno()), os.fstat(file.fileno()).st_size
            return FileIOStorageObject(disk["name"], path, size, serial, write_back=True, index=hba)

    def forget(self, disks):
        """See `Agent.forget`."""
        for disk in disks:
            if disk["name"].startswith(self.mark):
                for path in glob.glob(f"{SETTINGS}/core/fileio_*/{glob.escape(disk['name'])}"):
                    remove_backstore(path)

    def remove_all(self, is_ours):
        """Remove every target and backstore whose name has a mark of which `is_ours` says so."""
        for target in list(FABRIC.targets):
            mark = MARK.match(target.wwn.removeprefix(self.authority))
            if target.wwn.startswith(self.authority) and mark and is_ours(mark):
                with contextlib.suppress(RTSLibNotInCFS, FileNotFoundError):  # another one that starts now was first
                    target.delete()
        for path in glob.glob(f"{SETTINGS}/core/fileio_*/run-*"):
            mark = MARK.match(os.path.basename(path))
            if mark and is_ours(mark):
                with contextlib.suppress(RTSLibNotInCFS, FileNotFoundError):
                    remove_backstore(path)

    def remove_own(self):
        """Remove what this agent has made."""
        self.remove_all(lambda mark: mark[0] == self.mark)


def remove_backstore(path):
    """Remove a backstore of a file, given by its directory in configfs."""
    hba, name = path.split("/")[-2:]
    FileIOStorageObject(name, index=int(hba.rpartition("_")[2])).delete()


def main():
    """Serve until whoever asks is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # an interrupted run closes the socket in its own time
        signal.signal(number, signal.SIG_IGN)
    RTSRoot._set_dbroot = leave_database_directory
    RTSRoot()  # loads LIO and mounts configfs where need be
    FABRIC._check_self()
    agent = HostAgent(sys.argv[1])
    agent.remove_all(is_dead)
    with open(0, "r+b", buffering=0) as port:
        try:
            agent.serve(port, for_ever=False)
        finally:
            agent.remove_own()


if __name__ == "__main__":
    main()
