"""One nfs-ganesha, with its own address, export, and stable storage; no rpcbind, no D-Bus, NFSv4.1 only."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.real_targets.loopback import free_portal
from harness.real_targets.missing import NotInstalled, need_program
from harness.real_targets.nfs.rpc import Credential, SessionLost
from harness.real_targets.nfs.server import CONTROL, SHELF, End, ServerFailed
from harness.real_targets.nfs.session import Login, OperationFailed, Session
from harness.real_targets.programs import Program, ProgramFailed, Programs

PROGRAM, PACKAGE = "ganesha.nfsd", "nfs-ganesha"
KILLER, KILLER_PACKAGE = "ss", "iproute2"
VFS, VFS_PACKAGE = "libfsalvfs.so", "nfs-ganesha-vfs"
READY_WITHIN_S = 20.0
STATUS = Path("/proc/self/status")
"""Where a process finds its own capabilities, proc(5)."""
_ESTABLISHED, _CLOSE_WAIT = "01", "08"
"""States of connections in /proc/net/tcp; in the latter the client has ended it, and the server not yet."""

# Graceless: no grace period (90 s otherwise), since there are no locks to reclaim, and our clients open their files
# anew. Nothing is cached of names and attributes, since the files change beside the server too. The lease is the
# longest there is, since our clients renew it by their calls only.
CONFIGURATION = """
NFS_CORE_PARAM {{
    Bind_addr = {host};
    NFS_Port = {port};
    Protocols = 4;
    Enable_UDP = false;
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Clustered = false;
}}
NFSv4 {{
    Minor_Versions = 1;
    RecoveryBackend = fs;
    RecoveryRoot = {recovery};
    Graceless = true;
    Lease_Lifetime = 120;
    Only_Numeric_Owners = true;
    Delegations = false;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
MDCACHE {{ Dir_Chunk = 0; }}
EXPORT {{
    Export_Id = 1;
    Path = {shelf};
    Pseudo = /{name};
    Protocols = 4;
    Transports = TCP;
    SecType = sys;
    Access_Type = RW;
    Squash = none;
    Attr_Expiration_Time = 0;
    FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


class GaneshaServer:
    """Implements `NfsServer`; everything of it is in `directory`. Raises `NotInstalled`, `ServerFailed`."""

    def __init__(self, programs: Programs, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._daemon = need_program(PROGRAM, PACKAGE)
        self.address = free_portal()
        self.shelf = directory / SHELF
        self._recovery = directory / "recovery"
        for path in (self.shelf, self.shelf / CONTROL, self._recovery):
            path.mkdir()
            path.chmod(0o755)
        host, _, port = self.address.rpartition(":")
        self._standing = threading.Lock()  # held while the daemon is frozen, or restarts
        self._is_over = False
        self._configuration = directory / "ganesha.conf"
        self._configuration.write_text(
            CONFIGURATION.format(host=host, port=port, recovery=self._recovery, shelf=self.shelf, name=SHELF)
        )
        self.start()

    def start(self) -> None:
        """Start the daemon; it is not ready yet. Raises `ServerFailed`."""
        argv = [self._daemon, "-F", "-f", str(self._configuration), "-L", "STDERR"]
        argv += ["-p", str(self._directory / "ganesha.pid")]
        try:
            self.program: Program = self._programs.start(argv, self._directory, self._directory / "ganesha.log")
        except ProgramFailed as error:
            raise ServerFailed(str(error)) from error

    def await_ready(self) -> None:
        """Wait until the export is there. Raises `ServerFailed`."""
        give_up = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                session = Session(Login(self.address, "ready:0", Credential("ready", 0, 0)))
                try:
                    session.names((SHELF,))
                    return
                finally:
                    session.close()
            except (SessionLost, OperationFailed) as error:
                try:
                    self.program.must_run()
                except ProgramFailed as ended:
                    raise ServerFailed(str(ended)) from ended
                if time.monotonic() > give_up:
                    raise ServerFailed(f"{PROGRAM} exports nothing: {error}; {self.program.last_words()}") from error
            time.sleep(0.005)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """See `NfsServer.frozen`: every thread of the daemon is stopped between system calls."""
        with self._standing, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.program.frozen())
            except ProgramFailed as error:
                raise ServerFailed(str(error)) from error
            yield

    def restart(self) -> None:
        """Kill the daemon and start it anew at the same address; returns once it is ready. Raises `ServerFailed`."""
        with self._standing:
            if self._is_over:
                return
            self.program.kill()
            while self.program.is_running:
                time.sleep(0.001)
            self.start()
            self.await_ready()

    def end(self) -> None:
        """Restart no more; the program ends with its keeper."""
        with self._standing:
            self._is_over = True

    def client_owners(self) -> list[str]:
        """See `NfsServer.client_owners`: from its stable storage (RFC 8881 §8.4.3)."""
        return list(parse_clients(path.name for path in (self._recovery / "v4recov").iterdir()))

    def is_connected(self, client_end: End) -> bool:
        """See `NfsServer.is_connected`: from the connections of the machine.

        One that the client has ended counts until the daemon closes it: till then only the kernel has noticed.
        """
        return self._has_connection(client_end, (_ESTABLISHED, _CLOSE_WAIT))

    def _has_connection(self, client_end: End, states: tuple[str, ...]) -> bool:
        host, _, port = self.address.rpartition(":")
        ours, theirs = _as_shown((host, int(port))), _as_shown(client_end)
        for table in filter(Path.exists, (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))):
            for line in table.read_text().splitlines()[1:]:
                _, local, remote, state = line.split()[:4]
                # an IPv4 address in an IPv6 one ends it (RFC 4291 §2.5.5.2)
                if state in states and local.endswith(ours) and remote.endswith(theirs):
                    return True
        return False

    def drop(self, client_end: End) -> None:
        """See `NfsServer.drop`: the administrator of the machine kills the connection (ss -K)."""
        host, _, port = self.address.rpartition(":")
        end_host, end_port = client_end
        for shape in ("[::ffff:{}]:{}", "{}:{}"):
            ends = ["src", shape.format(host, port), "dst", shape.format(end_host, end_port)]
            subprocess.run(
                [need_program(KILLER, KILLER_PACKAGE), "-K", "-t", "state", "established", *ends],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
        if self._has_connection(client_end, (_ESTABLISHED,)):
            raise ServerFailed("ss -K does not end connections here: the kernel lacks CONFIG_INET_DIAG_DESTROY")


_CLIENT = re.compile(r"-\(\d+:(.*)\)$", re.DOTALL)


def parse_clients(names: Iterable[str]) -> Iterator[str]:
    """The client owners in the names that nfs-ganesha's stable storage gives them, "ADDRESS-(LENGTH:OWNER)".

    Those of this harness have no character that it would write in another way.
    """
    for name in names:
        if found := _CLIENT.search(name):
            yield found[1]


def need_vfs() -> None:
    """Raises `NotInstalled` where the server's part for a local file system is missing."""
    if not any(any(Path("/usr").glob(f"{place}/ganesha/{VFS}")) for place in ("lib/*", "lib", "lib64")):
        raise NotInstalled(
            f"{VFS} is not installed; install Debian's package {VFS_PACKAGE} (apt-get install {VFS_PACKAGE})"
        )


def need_root() -> None:
    """Raises `NotInstalled` where the process may not open files by their handles, as the server has to."""
    _need_capability(2, "CAP_DAC_READ_SEARCH", f"{PROGRAM} serves files of a local file system")


def need_killer() -> None:
    """Raises `NotInstalled` where the process can't end connections from the server's side."""
    need_program(KILLER, KILLER_PACKAGE)
    _need_capability(12, "CAP_NET_ADMIN", f"{KILLER} -K ends connections")


def _need_capability(number: int, name: str, what: str) -> None:
    """Raises `NotInstalled` where the process lacks a capability; for numbers see capabilities(7)."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", STATUS.read_text(), re.MULTILINE)
    if found is None or not int(found[1], 16) >> number & 1:
        raise NotInstalled(f"{what} only as root with {name}; run this as root, and in a container add the capability")


def _as_shown(end: End) -> str:
    """One end of a connection as /proc/net/tcp shows it."""
    return f"{int.from_bytes(socket.inet_aton(end[0]), 'little'):08X}:{end[1]:04X}"
