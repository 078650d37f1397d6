"""The deployment of a run: control plane, taskflow with its drivers, volumes, hosts; and the taskflow's restart."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from harness.connection import BackendConnection
from harness.contract import BackendActivityError, ConnectionLost
from harness.loading import Candidate, CandidateError, CandidateSpec, DriverConfiguration
from harness.model import GIB, Caller, Context, Volume
from harness.runtime import SECOND, Runtime
from harness.schedule import Fault
from harness.taskflow.catalog import Catalog
from harness.taskflow.ends import DriverEnd, call_driver
from harness.taskflow.errors import TaskflowError
from harness.taskflow.journal import Journal
from harness.taskflow.taskflow import Taskflow
from harness.testbed import Attachment, Profile
from scenarios.backends import Backends
from scenarios.backup_stream import CountingStore
from scenarios.metering import MeteredCatalog
from scenarios.model import Driver, Scenario

NOTHING_PUBLISHED: dict[str, Any] = {}

_RECONNECT_NS = 10 * SECOND
"""How long a driver's service waits before it tries to connect again."""


class Deployment:
    """What stands while a run lasts. `taskflow` is the present one; a restart replaces it.

    `stored` counts the bytes of each backup by its id, `attachments` are those of each volume's host, by volume id.
    """

    def __init__(self, scenario: Scenario, backends: Backends) -> None:
        self.scenario = scenario
        self.backends = backends
        self.runtime: Runtime = backends.world.clock
        self.recorder = backends.world.recorder
        self.catalog: MeteredCatalog = MeteredCatalog()
        self.journal = Journal()
        self.stored: dict[str, CountingStore] = {}
        self.attachments: dict[str, Attachment] = {}
        self.node = scenario.taskflow.host
        self.user = scenario.taskflow.user
        self._lives = 0
        self._candidates: dict[str, Candidate] = {}
        self._connections: dict[str, BackendConnection] = {}
        self.taskflow: Taskflow

    def start_taskflow(self, host: str | None = None, user: str | None = None) -> Taskflow:
        """A new taskflow over the same catalog and journal, on another machine or as another user where given."""
        self.node, self.user = host or self.node, user or self.user
        self._lives += 1
        ends = {name: self._end(name) for name in self.scenario.backend}
        catalog: Catalog = self.catalog
        self.taskflow = Taskflow(
            self.runtime,
            self.recorder,
            catalog,
            self.journal,
            ends,
            self._profile(),
            f"{self.scenario.name}-{self._lives}",
            lambda backend, volume_id: self.backends.beds[backend].backend(backend).attach(volume_id, self.node),
        )
        self.taskflow.backups.open_store = self._open_store
        return self.taskflow

    def break_connections(self) -> None:
        """What the taskflow's machine does to the connections of a process that is gone: they are closed."""
        bed = next(iter(self.backends.beds.values()))
        with contextlib.suppress(ValueError):
            bed.inject(Fault("connection.reset", caller=self.node))

    def mend(self) -> None:
        """Open new connections for drivers whose own is gone, as a driver's service does: it tries until one is up."""
        for backend, end in self.taskflow.core.ends.items():
            while not self._connections[backend].is_open:
                try:
                    end.reopen()
                except ConnectionLost:
                    self.runtime.sleep(_RECONNECT_NS)

    def make_volumes(self) -> None:
        """Make every group's volumes; nobody has attached them yet."""
        for name, group in self.scenario.volume.items():
            backend = self.backends.beds[group.backend].backend(group.backend)
            end = self.taskflow.core.ends[group.backend]
            for number in range(group.count):
                volume_id = f"{name}-{number}"
                backend.store.create_volume(volume_id, group.size // GIB)
                self.catalog.add(Volume(volume_id, group.size // GIB, end.host))

    def attach_volumes(self) -> None:
        """Attach every group's volumes to their hosts."""
        for name, group in self.scenario.volume.items():
            if group.host is None:
                continue
            backend = self.backends.beds[group.backend].backend(group.backend)
            for volume_id in self.volumes_of(name):
                attachment = backend.attach(volume_id, group.host)
                self.taskflow.methods.attach(attachment)
                self.attachments[volume_id] = attachment

    def volumes_of(self, group: str) -> list[str]:
        """The ids of a group's volumes."""
        return [f"{group}-{number}" for number in range(self.scenario.volume[group].count)]

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _end(self, backend: str) -> DriverEnd:
        host = f"{self.node}@{backend}#pool"
        # a volume's record names the machine too; what counts is the backend's name in it
        return DriverEnd(backend, host, lambda: self._open_driver(backend, host), self.recorder)

    def _open_driver(self, backend: str, host: str) -> Any:
        plan = self._plan(backend)
        caller = Caller(self.node, self.user)
        options: dict[str, Any] = {**plan.options, "backend": backend, "user": self.user}
        if plan.publication is not None:
            options["publication"] = plan.publication.published()
        elif plan.target == "reference":
            options["publication"] = dict(NOTHING_PUBLISHED)

        def connect() -> BackendConnection:
            connection = self._connections[backend] = self.backends.beds[backend].backend(backend).connect(caller)
            return connection

        configuration = DriverConfiguration(options, connect)
        cls: Any = self._candidate(plan.target).driver_class()
        try:
            driver = cls(configuration=configuration, host=host)
            call_driver(driver, "do_setup", Context(user_id=self.user))
            call_driver(driver, "check_for_setup_error")
        except (BackendActivityError, TaskflowError):
            raise  # of the connection
        except Exception as error:
            what = f"it can't be set up: {type(error).__name__}: {error}"
            remedy = "a driver is made and set up as harness/contract.py says"
            raise CandidateError(f"the driver {plan.target} of backend {backend}: {what}; {remedy}") from error
        return driver

    def _plan(self, backend: str) -> Driver:
        name = self.scenario.backend[backend].driver
        return self.scenario.driver.get(name) or Driver()

    def _candidate(self, target: str) -> Candidate:
        if target not in self._candidates:
            self._candidates[target] = CandidateSpec.for_driver(target).load()
        return self._candidates[target]

    def _profile(self) -> Profile:
        """What the taskflow goes by: the most patient of the backends' profiles, and what the scenario says."""
        plan = self.scenario.taskflow
        profiles = [bed.profile for bed in self.backends.beds.values()]
        patient = max(profiles, key=lambda profile: profile.loss.bound_ns(0))
        whole_copy_ns = -(-self.backends.largest_bytes * SECOND // self.backends.slowest())
        if plan.longest_activity is not None:
            whole_copy_ns = -(-plan.longest_activity // 4)  # `Profile.longest_activity_ns` is four copies
        return replace(
            patient,
            whole_copy_ns=whole_copy_ns,
            max_hold_ns=plan.max_hold or max(profile.max_hold_ns for profile in profiles),
            quiesce_timeout_ns=plan.quiesce_timeout or max(profile.quiesce_timeout_ns for profile in profiles),
        )

    def _open_store(self, backup_id: str, size: int) -> CountingStore:
        store = self.stored[backup_id] = CountingStore()
        return store


def reason(error: BaseException) -> str:
    """An operation's error as a sentence."""
    text = str(error) or type(error).__name__
    return text if isinstance(error, TaskflowError) else f"{type(error).__name__}: {text}"
