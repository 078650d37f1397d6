"""The timetable: every operation's volumes, so many at a time, through the taskflow's own flows, and its restarts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.compression import Limits
from harness.contract import BackendActivityError
from harness.model import GIB, backend_name
from harness.runtime import Runtime, Task
from harness.storage import StorageError
from harness.taskflow.errors import Refused, TaskflowError
from scenarios.cinder_today import CinderToday, RefusedForNow
from scenarios.deployment import Deployment, reason
from scenarios.model import Do, FaultTable, Operation, Practice


@dataclass
class Item:
    """One volume's turn in an operation. `began_ns` is its first beginning, `ended_ns` its end, however it ended;
    `refusals` counts how often Cinder refused it."""

    operation: str
    volume: str
    number: int
    began_ns: int | None = None
    ended_ns: int | None = None
    attempts: int = 0
    refusals: int = 0
    interrupted: bool = False
    error: str = ""

    @property
    def is_done(self) -> bool:
        """Whether it succeeded."""
        return self.ended_ns is not None and not self.error

    @property
    def product(self) -> str:
        """The id of what it makes."""
        return f"{self.volume}-{self.operation}-{self.number}"


@dataclass
class Course:
    """An operation as it goes: when it began and ended (ns), and its items, in the order of their turns."""

    name: str
    plan: Operation
    items: list[Item] = field(default_factory=list)
    began_ns: list[int] = field(default_factory=list)
    ended_ns: int | None = None


def snapshot_id(volume: str) -> str:
    """The id of the snapshot that replications and snapshot backups of a volume begin with."""
    return f"{volume}-snapshot"


class Timetable:
    """Carries the operations of a scenario out. `courses` holds how they went, by name."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._runtime: Runtime = deployment.runtime
        plans = deployment.scenario.operation
        self.courses = {name: Course(name, plan) for name, plan in plans.items()}
        self._over = {name: self._runtime.signal(f"operation {name} is over") for name in plans}
        self._workers: dict[Task[None], Item | None] = {}
        self._waiting: dict[str, deque[Item]] = {name: deque() for name in plans}
        self._up = self._runtime.signal("the taskflow is up")
        self._up.set(None)
        self.restarts: list[tuple[int, int]] = []
        """When the taskflow was down: beginnings, and the ends of its recoveries (ns)."""
        self.on_turn: Callable[[bool], None] = lambda operating: None
        """Told when an operation's turn at a volume begins and none was under way, and when none is any more."""
        self._under_way = 0

    def prepare(self) -> None:
        """Take the snapshots that operations begin with."""
        wanted: dict[str, None] = {}
        for course in self.courses.values():
            if course.plan.do in (Do.REPLICATE, Do.BACKUP_SNAPSHOT):
                wanted.update(dict.fromkeys(self._deployment.volumes_of(course.plan.volume)))
        for volume in wanted:
            self._deployment.taskflow.methods.create_snapshot(volume, snapshot_id(volume))

    def run(self) -> None:
        """Carry everything out; returns when the last operation is over."""
        supervisors = [self._runtime.spawn(f"operation {n}", lambda c=c: self._supervise(c)) for n, c in self._each()]  # type: ignore[misc]
        for supervisor in supervisors:
            supervisor.wait()

    def restart(self, fault: FaultTable) -> None:
        """Kill the taskflow now; another one comes up after the fault's time, recovers, and goes on."""
        if not self._up.is_over:
            return  # it is down already
        began_ns = self._runtime.now()
        self._up = self._runtime.signal("the taskflow is up again")
        workers = [worker for worker in self._workers if not worker.is_over]
        self._deployment.recorder.emit("fault", fault="taskflow.restart", workers=len(workers))
        for worker in workers:
            worker.abandon()
        self._deployment.break_connections()

        def come_back() -> None:
            self._runtime.sleep(fault.lasts)
            try:
                self._deployment.start_taskflow(fault.host, fault.user)
                self._deployment.taskflow.recover()
            except Exception as error:
                self._up.fail(error)  # those who wait are told; what is set below then changes nothing
            self.restarts.append((began_ns, self._runtime.now()))
            self._up.set(None)

        self._runtime.spawn("the taskflow comes back", come_back)

    # ---- parts -----------------------------------------------------------------------------------------------------

    def _each(self) -> list[tuple[str, Course]]:
        return list(self.courses.items())

    def _supervise(self, course: Course) -> None:
        plan = course.plan
        if plan.after is not None:
            self._over[plan.after].wait()
        if plan.at:
            self._runtime.sleep(plan.at)
        first_ns = self._runtime.now()
        for number in range(plan.times):
            due_ns = first_ns + number * (plan.every or 0)
            if due_ns > self._runtime.now():
                self._runtime.sleep(due_ns - self._runtime.now())
            self._round(course, number)
        course.ended_ns = self._runtime.now()
        self._over[course.name].set(None)

    def _round(self, course: Course, number: int) -> None:
        course.began_ns.append(self._runtime.now())
        items = [Item(course.name, volume, number) for volume in self._deployment.volumes_of(course.plan.volume)]
        course.items += items
        queue = self._waiting[course.name]
        queue.extend(items)
        while queue:
            self._up.wait()
            count = min(course.plan.concurrency, len(queue))
            workers = [self._runtime.spawn(f"{course.name} {n}", lambda: self._work(course)) for n in range(count)]
            self._workers.update(dict.fromkeys(workers))
            for worker in workers:
                self._await(worker)
            for worker in workers:
                item = self._workers.pop(worker)
                if item is not None:  # it died in the middle of this one, which does not count as an attempt
                    item.interrupted = True
                    item.attempts -= 1
                    queue.appendleft(item)

    def _await(self, worker: Task[None]) -> None:
        try:
            worker.wait()
        except BaseException:
            if not worker.is_abandoned:
                raise

    def _work(self, course: Course) -> None:
        me = self._runtime.current()
        queue = self._waiting[course.name]
        while queue:
            item = queue.popleft()
            assert me is not None
            self._workers[me] = item
            self._take(course.plan, item)
            self._workers[me] = None

    def _take(self, plan: Operation, item: Item) -> None:
        if item.began_ns is None:
            item.began_ns = self._runtime.now()
            self._under_way += 1
            if self._under_way == 1:
                self.on_turn(True)
        while True:
            item.attempts += 1
            try:
                if not self._was_done(plan, item):
                    self._carry_out(plan, item)
            except (TaskflowError, BackendActivityError, StorageError) as error:
                refused = plan.practice is Practice.CINDER and isinstance(error, Refused)
                if refused:
                    item.refusals += 1
                    if isinstance(error, RefusedForNow) and plan.ask_again is not None:
                        item.attempts -= 1
                        self._runtime.sleep(plan.ask_again)
                        continue
                if not refused and item.attempts <= plan.retry:
                    self._deployment.mend()
                    continue
                item.error = reason(error)
            item.ended_ns = self._runtime.now()
            self._under_way -= 1
            if not self._under_way:
                self.on_turn(False)
            return

    def _was_done(self, plan: Operation, item: Item) -> bool:
        """Whether an earlier attempt, or the recovery after it, has done it already."""
        if item.attempts == 1 and not item.interrupted:
            return False
        catalog = self._deployment.catalog
        match plan.do:
            case Do.MIGRATE | Do.RETYPE:
                return backend_name(catalog.volumes[item.volume].host) == plan.to
            case Do.DELETE:
                return item.volume not in catalog.volumes
            case Do.CREATE_SNAPSHOT:
                made = catalog.snapshots.get(item.product)
                return made is not None and made.status == "available"
            case Do.CLONE:
                clone = catalog.volumes.get(item.product)
                return clone is not None and clone.status == "available"
            case _:
                return False

    def _carry_out(self, plan: Operation, item: Item) -> None:
        taskflow = self._deployment.taskflow
        to = plan.to or ""
        if plan.practice is Practice.CINDER:
            CinderToday(taskflow).carry_out(plan, item.volume, item.product)
            return
        match plan.do:
            case Do.CREATE_SNAPSHOT:
                taskflow.methods.create_snapshot(item.volume, item.product)
            case Do.CLONE:
                taskflow.methods.clone(item.volume, item.product)
            case Do.REPLICATE:
                taskflow.replication.replicate(snapshot_id(item.volume), to, item.product)
            case Do.MIGRATE:
                taskflow.methods.migrate(item.volume, to)
            case Do.RETYPE:
                taskflow.methods.migrate(item.volume, to, "retype")
            case Do.BACKUP | Do.BACKUP_SNAPSHOT:
                source = item.volume if plan.do is Do.BACKUP else snapshot_id(item.volume)
                limits = Limits(plan.least_ratio, plan.least_throughput)
                taskflow.backups.backup(source, item.product, plan.techniques, limits)
            case Do.EXTEND:
                size = self._deployment.catalog.volumes[item.volume].size
                taskflow.methods.extend(item.volume, size + (plan.grow or 0) // GIB)
            case Do.DELETE:
                taskflow.methods.delete_volume(item.volume)
