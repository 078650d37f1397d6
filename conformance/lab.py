"""What a check works with: a testbed, the driver under test, a taskflow, foreground load, and what it found out.

Names, ids, blocks and pauses vary with the seed, so that no driver can be fitted to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from conformance.record import timeline
from conformance.verdicts import Ledger
from harness.attributes import Publication
from harness.load import write_each
from harness.loading import Candidate, DriverConfiguration
from harness.model import Caller, Context, Volume
from harness.recorder import Event
from harness.reference_driver import ReferenceDriver
from harness.results import Finding, Severity, Timeline
from harness.runtime import Abandoned, Expired, Task
from harness.schedule import Fault, Schedule
from harness.storage import BLOCKS_PER_GIB, Image
from harness.taskflow.catalog import Catalog
from harness.taskflow.ends import DriverEnd, call_driver, describe
from harness.taskflow.errors import DriverError, OutOfMemory
from harness.taskflow.journal import Journal
from harness.taskflow.taskflow import Taskflow
from harness.testbed import Attachment, Capability, Connection, Load, LoadSpec, Testbed

T = TypeVar("T")

STRANGER = {"driver_family": "stranger", "handle_scope": "user-specific"}
"""What the driver on the backend of another family publishes; it is always the reference driver."""

WORKING_SET = 48
"""Blocks of a test volume that are written, spread over the whole volume; `Lab.working_blocks` starts with it."""

WIDE_SET = 256
"""The same where a lost write must not be written over before anybody has looked."""


class Lab:
    """One check's world. `driver` names are backends: `primary`, `sibling` of its family, `stranger` of another.

    `connecting` makes of each new connection the one that a driver is given; without it, that is the same one.
    """

    def __init__(self, testbed: Testbed, candidate: Candidate, schedule: Schedule, ledger: Ledger) -> None:
        self.testbed = testbed
        self.runtime = testbed.runtime
        self.recorder = testbed.recorder
        self.profile = testbed.profile
        self.candidate = candidate
        self.schedule = schedule
        self.ledger = ledger
        self.catalog = Catalog()
        self.journal = Journal()
        self.user = f"user-{schedule.integer('user', 100, 999)}"
        self.node = f"node-{schedule.integer('node', 100, 999)}"
        self.working_blocks = WORKING_SET
        self.connecting: Callable[[Connection], Connection] = lambda connection: connection
        self._taskflow: Taskflow | None = None
        self._connections: list[tuple[Any, list[Connection]]] = []

    # ---- results ---------------------------------------------------------------------------------------------------

    @property
    def expect(self) -> Callable[..., bool]:
        """`expect(clause, condition, message, witness=None)`: note a pass or a failure; returns the condition."""
        return self.ledger.expect

    @property
    def not_applicable(self) -> Callable[..., None]:
        """`not_applicable(reason, *clauses)`: end the check, those clauses (default: the rest) being not applicable."""
        return self.ledger.not_applicable

    @property
    def unverifiable(self) -> Callable[..., None]:
        """`unverifiable(reason, *clauses)`: end the check, those clauses (default: the rest) being unverifiable."""
        return self.ledger.unverifiable

    def note(self, found: str, clause: str, remedy: str = "") -> None:
        """An advisory finding: worth telling, no failure."""
        self.ledger.findings.append(Finding(severity=Severity.ADVISORY, clause=clause, found=found, remedy=remedy))

    # ---- drivers ---------------------------------------------------------------------------------------------------

    def caller(self, host: str = "", user: str = "", address: str = "192.0.2.1") -> Caller:
        """A caller; by default this deployment's own node and user."""
        return Caller(host or self.node, user or self.user, address)

    def open_driver(
        self,
        backend: str = "primary",
        caller: Caller | None = None,
        fresh: bool = False,
        edition: type | None = None,
    ) -> Any:
        """A new instance of the driver, set up and checked, on a new connection of `caller`.

        `fresh` True: from a newly imported module, as after a restart, so that it shares no memory with others;
        `edition` is the class from such a module, for those that come back together.
        """
        who = caller or self.caller()
        connect = self.testbed.backend(backend).connect
        cls: type = ReferenceDriver
        options: dict[str, Any] = {"publication": STRANGER}
        if backend != "stranger":
            cls = self.candidate.driver_class(fresh=fresh) if edition is None else edition
            options = {**self.candidate.spec.config, "backend": backend, "user": who.user}
        opened: list[Connection] = []

        def backend_connect() -> Connection:
            opened.append(connect(who))
            return self.connecting(opened[-1])

        configuration = DriverConfiguration(options, backend_connect)
        try:
            driver = cls(configuration=configuration, host=self.cinder_host(backend))
        except Abandoned:
            raise
        except MemoryError:
            raise OutOfMemory(f"{cls.__name__}.__init__ took all memory") from None
        except BaseException as error:
            raise DriverError(cls.__name__, "__init__", f"raised {describe(error)}", error) from error
        call_driver(driver, "do_setup", Context(user_id=who.user))
        call_driver(driver, "check_for_setup_error")
        self._connections.append((driver, opened))
        return driver

    def close_connection(self, driver: Any) -> None:
        """Log a driver instance's connections out, as its host does when the service stops."""
        for instance, opened in self._connections:
            if instance is driver:
                for connection in opened:
                    connection.close()

    def cinder_host(self, backend: str) -> str:
        """The Cinder host string of a backend."""
        return f"{self.node}@{backend}#pool"

    def end(self, backend: str, edition: type | None = None) -> DriverEnd:
        """The driver on a backend, as the taskflow meets it; see `open_driver`."""
        return DriverEnd(
            backend, self.cinder_host(backend), lambda: self.open_driver(backend, edition=edition), self.recorder
        )

    def call(self, driver: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of a driver instance directly; errors as `DriverEnd.call` raises them."""
        return call_driver(driver, method, *args, **kwargs)

    @property
    def taskflow(self) -> Taskflow:
        """The taskflow with its drivers on all backends; made on first use."""
        if self._taskflow is None:
            self._taskflow = self.new_taskflow()
        return self._taskflow

    def new_taskflow(self, fresh: bool = False) -> Taskflow:
        """A taskflow of its own over the same catalog and journal; with `fresh`, as after a restart: the drivers'
        module is imported again, once, as in a new process."""
        edition = self.candidate.driver_class(fresh=True) if fresh else None
        backends = ["primary", "sibling"]
        if Capability.SECOND_FAMILY in self.testbed.offers:
            backends.append("stranger")
        return Taskflow(
            self.runtime,
            self.recorder,
            self.catalog,
            self.journal,
            {name: self.end(name, edition) for name in backends},
            self.profile,
            self.schedule.identifier("run"),
            lambda backend, volume_id: self.testbed.backend(backend).attach(volume_id, self.node),
        )

    def restart(self) -> Taskflow:
        """The taskflow dies and comes back: same catalog and journal, new instances that share no memory."""
        self._taskflow = self.new_taskflow(fresh=True)
        return self._taskflow

    @property
    def publication(self) -> Publication:
        """What the driver under test publishes."""
        return self.taskflow.core.ends["primary"].publication

    def implements(self, method: str) -> bool:
        """Whether the driver under test has a method."""
        return self.taskflow.core.ends["primary"].implements(method)

    def lists(self, method: str) -> bool:
        """Whether the driver under test lists a method as stateless."""
        return method in self.publication.stateless_activities

    # ---- volumes and load --------------------------------------------------------------------------------------------

    def identifier(self, name: str) -> str:
        """An id that varies with the seed."""
        return self.schedule.identifier(f"id.{name}")

    def working_set(self) -> tuple[int, ...]:
        """The blocks that the test writes, ascending: the volume's first and its last, which a copy that stops short
        lacks, and between them others, spread evenly and shifted by the seed."""
        blocks = self.profile.volume_gib * BLOCKS_PER_GIB
        stride = blocks // self.working_blocks
        shift = self.schedule.integer("working set", 0, stride - 1)
        return (0, *range(stride + shift, stride * (self.working_blocks - 1) + shift, stride), blocks - 1)

    def volume(self, name: str = "volume", every: int = 1) -> Volume:
        """A volume of the profile's size on `primary` of whose working set every `every`-th block has been written."""
        volume = self.taskflow.methods.create_volume(self.identifier(name), self.profile.volume_gib, "primary")
        attachment = self.testbed.backend("primary").attach(volume.id, self.node)
        write_each(attachment, self.working_set()[::every], self.recorder)
        attachment.detach()
        return volume

    def write_over(self, volume: Volume, every: int = 3) -> None:
        """Change every `every`-th block of an unattached volume on `primary`, so that it differs from its snapshots."""
        attachment = self.testbed.backend("primary").attach(volume.id, self.node)
        write_each(attachment, self.working_set()[::every], self.recorder)
        attachment.detach()

    def attach(self, volume: Volume, backend: str = "primary") -> Attachment:
        """Attach a volume to a compute host of its own."""
        host = f"compute-{self.schedule.integer('compute', 10, 99)}"
        attachment = self.testbed.backend(backend).attach(volume.id, host)
        self.taskflow.methods.attach(attachment)
        return attachment

    @contextlib.contextmanager
    def load_on(self, attachment: Attachment, think_ns: int | None = None) -> Iterator[Load]:
        """A foreground workload on the working set; running when the body begins, until a while after its end.

        `think_ns`: the streams' mean pause in nanoseconds, where a long body makes do with fewer writes.
        """
        streams = self.schedule.integer("streams", 4, 8)
        think_ns = think_ns or self.profile.think_ns
        load = attachment.load(LoadSpec(self.working_set(), streams, think_ns))
        self.runtime.sleep(20 * think_ns)
        try:
            yield load
            self.runtime.sleep(20 * think_ns)
        finally:
            # writes that are never acknowledged are for the check to judge, by the record
            with contextlib.suppress(Expired):
                load.stop(self.profile.max_hold_ns + 4 * self.profile.quiesce_timeout_ns)

    def crash(self, body: Callable[[], T], at: Callable[[Event], bool]) -> Task[T]:
        """Run `body` as a caller of its own and let that caller die at the first event that `at` accepts.

        Returns its task, which is over. `wait()` on it gives the value if the caller outlived the body.
        """
        crashed: list[Event] = []
        tasks: list[Task[T]] = []

        def look(event: Event) -> None:
            if not crashed and at(event):
                crashed.append(event)
                self.recorder.emit("fault", fault="caller.crash", at=event.kind)
                for each in tasks:
                    each.abandon()

        end = self.recorder.listen(look)  # before the caller begins: under the wall clock it does so at once
        may_begin = self.runtime.signal("the caller that may crash begins")

        def begin() -> T:
            may_begin.wait()
            return body()

        task = self.runtime.spawn("caller that may crash", begin)
        tasks.append(task)
        may_begin.set(None)
        with contextlib.suppress(BaseException):
            task.wait()
        end()
        return task

    def watch_status(self, volume: Volume) -> list[str]:
        """Note every status that the volume's record is given from now on, by whomever; returns the growing list."""
        seen: list[str] = []

        class Watched(Volume):
            def __setattr__(self, name: str, value: Any) -> None:
                if name == "status":
                    seen.append(value)
                super().__setattr__(name, value)

        Watched.__name__ = Watched.__qualname__ = Volume.__name__
        volume.__class__ = Watched
        return seen

    # ---- observation -------------------------------------------------------------------------------------------------

    def inject(self, kind: str, **fields: Any) -> None:
        """Let a fault happen; it is noted in the schedule."""
        self.testbed.inject(self.schedule.add(Fault(kind, **fields)))

    def image(self, backend: str, object_id: str) -> Image | None:
        """What a volume or snapshot shows, read from the backend's medium; None if it is not there, whole."""
        inspection = self.testbed.backend(backend).inspect()
        found = inspection.find(object_id)
        if found is None or not found.complete:
            return None
        return inspection.images[object_id]

    def settled(self) -> None:
        """Let the backends settle, for images that are read again (section 7)."""
        self.runtime.sleep(self.profile.settle_ns)

    def object_ids(self, backend: str) -> list[str]:
        """The ids of all objects on a backend, complete or not."""
        return [o.id for o in self.testbed.backend(backend).inspect().objects]

    def timeline(self, title: str, volume_id: str) -> Timeline:
        """The run as a timeline, for the report."""
        return timeline(self.recorder, title, volume_id)

    def window(self, method: str, **fields: Any) -> tuple[Event, Event] | None:
        """The last `method.invoked` and `method.returned` of a method, or None if it never returned."""
        invoked = self.recorder.find("method.invoked", method=method, **fields)
        returned = self.recorder.find("method.returned", method=method)
        if not invoked or not returned or returned[-1].place < invoked[-1].place:
            return None
        return invoked[-1], returned[-1]
