"""The taskflow as its users meet it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.recorder import Recorder
from harness.runtime import Runtime
from harness.taskflow.backup import Backups
from harness.taskflow.catalog import Catalog
from harness.taskflow.ends import DriverEnd
from harness.taskflow.flow import FlowCore, Policy
from harness.taskflow.journal import Journal
from harness.taskflow.methods import Methods
from harness.taskflow.recovery import Recovered, Recovery
from harness.taskflow.replicate import Replication
from harness.testbed import Attachment, Profile


class Taskflow:
    """Runs flows over drivers. `catalog` and `journal` outlive it; a new taskflow over the same ones goes on.

    `ends` are the drivers by their backend's name, `attach(backend, volume id)` attaches to the taskflow's own host.
    """

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        catalog: Catalog,
        journal: Journal,
        ends: Mapping[str, DriverEnd],
        profile: Profile,
        run_id: str,
        attach: Callable[[str, str], Attachment],
    ) -> None:
        core = FlowCore(runtime, recorder, catalog, journal, ends, Policy.of(profile), run_id, attach)
        self.core = core
        self.methods = Methods(core)
        self.replication = Replication(core)
        self.backups = Backups(core, profile)
        self._recovery = Recovery(core)

    def recover(self) -> list[Recovered]:
        """End every flow that was left unfinished; this is the one clean-up of R-9. Repeating it is harmless."""
        return self._recovery.recover()
