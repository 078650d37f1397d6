"""The testbed `ganesha`: nfs-ganesha with its VFS layer, one for each backend.

What is real: the server, the sessions of NFSv4.1 with it, every byte that hosts write and read, the copying processes
on the server's machine, and the breaks of connections. What is modelled: the job table, since the server has no copies
that go on by themselves; the agent beside it keeps the table, and knows callers by client owner and by the user who
owns what they have made. The calls of a driver go to the agent directly, and only while its session stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.backing.options import JOBS_MODELLED, SCALED, read_breaks
from harness.real_targets.missing import first_missing, need_program
from harness.real_targets.nfs.backend import BREAKS, NfsBackend
from harness.real_targets.nfs.exported import ExportedStore
from harness.real_targets.programs import Programs
from harness.runtime import end_run
from harness.schedule import Fault

from .daemon import PACKAGE, PROGRAM, GaneshaServer, need_killer, need_root, need_vfs


class GaneshaTestbed(WallTestbed[NfsBackend]):
    """Needs nfs-ganesha and nfs-ganesha-vfs (Debian's packages), and root, since the server opens files by handle.

    Its options, beside the common ones: `breaks` says who breaks connections, "socket" (the default) or "server".
    """

    name: ClassVar[str] = "ganesha"
    families: ClassVar[Mapping[str, str]] = {
        "primary": "ganesha", "sibling": "ganesha", "stranger": "foreign-ganesha",
    }  # fmt: skip
    more_options: ClassVar[tuple[str, ...]] = ("breaks",)
    evidence_note: str = JOBS_MODELLED
    source: ClassVar[str] = (
        f"{SCALED}; I/O on nfs-ganesha over NFSv4.1 is real, the job table is modelled by an agent beside it"
    )
    faults: ClassVar[frozenset[str]] = WallTestbed.faults | {"server.restart"}
    breaks = BREAKS[0]

    @classmethod
    def missing(cls) -> str | None:
        """What this machine lacks for the testbed, None if it lacks nothing."""
        return first_missing(lambda: need_program(PROGRAM, PACKAGE), need_vfs, need_root)

    def read_more(self, options: Mapping[str, Any]) -> None:
        """See `WallTestbed.read_more`."""
        self.breaks = read_breaks(options, BREAKS)

    def prepare(self, directories: Mapping[str, Path]) -> None:
        """See `WallTestbed.prepare`. Raises `NotInstalled`, `ServerFailed`."""
        need_vfs()
        need_root()
        if self.breaks == "server":
            need_killer()
        place = self.directory / "server"
        place.mkdir()
        self._programs = Programs(self.directory.absolute())
        self.servers: dict[str, GaneshaServer] = {}
        for name in directories:
            (place / name).mkdir()
            self.servers[name] = GaneshaServer(self._programs, place.absolute() / name)
        for server in self.servers.values():
            server.await_ready()

    def make_backend(self, name: str, family: str, directory: Path) -> NfsBackend:
        """See `WallTestbed.make_backend`."""
        store = ExportedStore(self.servers[name], self.store_settings(name, family, directory))
        return NfsBackend(self.world, store, self.engine(store), self.breaks)

    def strike_more(self, fault: Fault) -> None:
        """See `WallTestbed.strike_more`: the server of a backend restarts; jobs on its machine go on."""
        name = fault.backend or "primary"
        self.recorder.emit("fault", fault=fault.kind, backend=name)
        self.runtime.spawn(f"restart of {name}'s server", lambda: self._restart(name))

    def _restart(self, name: str) -> None:
        lost = self.backend(name).connections_of("")  # not those that are opened on the new server
        try:
            self.servers[name].restart()
            self.backend(name).break_connections(lost)
        except Exception as error:
            end_run(self.runtime, error)

    def clean_up(self) -> None:
        """See `WallTestbed.clean_up`."""
        for server in getattr(self, "servers", {}).values():
            server.end()
        programs = getattr(self, "_programs", None)
        if programs is not None:
            programs.close()
