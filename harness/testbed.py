"""The ports of a testbed: connections for drivers, attachments for hosts, inspection for checks, faults.

A driver sees only its `Connection`; checks see only `Inspection` and the record; the taskflow sees drivers and the
attachments' gates. Vendors bring their own lab by registering a testbed class under the entry point group
`backend_activity.testbeds`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from harness.activity import ActivityStatus, HandleScope
from harness.contract import BackupSink
from harness.model import BackupChunk, Caller
from harness.recorder import Recorder
from harness.runtime import SECOND, Runtime
from harness.schedule import Fault
from harness.storage import Image, StoredObject


class Capability(enum.Enum):
    """What a testbed offers; a check that needs more is unverifiable there, with this text as the reason."""

    DIGESTS = "runs that repeat exactly"
    STALL_TIMING = "timing of foreground I/O without jitter"
    CONNECTION_BREAK = "connections that break"
    JOB_FAULTS = "backend jobs that fail on request"
    DRAIN_STALL = "writes that are not acknowledged for a while"
    CALLER_PAUSE = "callers that stand still"
    SECOND_FAMILY = "a backend of another driver family"
    LIVE_MOVE = "moving a volume under its writers"
    BACKEND_RESTART = "a backend that restarts"
    REINSTATEMENT = "sessions that are reinstated"


JOB_VERBS = (
    "create_volume",
    "extend_volume",
    "delete",
    "snapshot",
    "copy",
    "move",
    "replicate",
    "revert",
    "read",
    "write",
    "suspend",
    "resume",
)
"""The verbs of `Job`."""


@dataclass(frozen=True)
class Job:
    """What a driver asks of its backend through a connection. Ids are those of the Cinder records.

    verbs and what they use:
      create_volume     target, size (GiB)
      extend_volume     source, size
      delete            source (a volume or a snapshot)
      snapshot          source (volume) → target, point_in_time
      copy              source (volume or snapshot) → target (volume), point_in_time, size, linked
      move              source (volume), destination (backend name), point_in_time (True: writers may go on)
      replicate         source (snapshot) → target (snapshot), destination
      revert            source (volume), target (its snapshot)
      read              source (volume or snapshot), technique, sink, point_in_time: a backup, or an image upload
      write             target (volume), chunks: a restore, or an image download
      suspend           source (volume): hold what hosts write to it, until the backend's limit at the latest
      resume            source (volume): let it go on
    `linked` True: the copy shares the source's blocks until either is written, as clones in a thin pool do, and is
    refused as unsupported where the backend has no such clones.
    `scope` is where the job's handle can be used again; `point_in_time` False reads a live source block by block.
    """

    verb: str
    source: str = ""
    target: str = ""
    size: int | None = None
    destination: str = ""
    point_in_time: bool = True
    technique: str = "none"
    sink: BackupSink | None = None
    chunks: tuple[BackupChunk, ...] = ()
    scope: HandleScope = HandleScope.CONNECTION
    linked: bool = False


class Connection(Protocol):
    """A driver's one connection to its backend, as (host, user). Every call takes a round trip of time."""

    caller: Caller

    def start(self, job: Job, request_id: str) -> str:
        """Start a job and return its handle at once; the same `request_id` gives the same handle within its scope.

        Raises `ConnectionLost`; `ValueError` for a job that is not well formed.
        """

    def status(self, handle: str) -> ActivityStatus:
        """The job's status. Raises `ActivityUnknown` where unknown or out of reach, `ConnectionLost`."""

    def abort(self, handle: str) -> None:
        """Abort the job; returns once nothing is written any more.

        Raises `ActivityUnknown`, `ActivityNotAbortable`, `ConnectionLost`. Harmless when the job is over.
        """

    def close(self) -> None:
        """Log out. Connection-specific jobs end as the profile says. Repeating it is harmless."""


class CommandResult(NamedTuple):
    """How a command ended: its exit status, and what it wrote to standard output and standard error."""

    status: int
    stdout: str
    stderr: str


class Exporter(Protocol):
    """The control plane's part in attaching: the calls of a driver around an export, as the volume manager makes them.

    Both run on `connection`, which is not the driver's own: hosts attach and detach whatever becomes of that.
    """

    def attach(self, connection: NodeConnection, volume_id: str, connector: Mapping[str, str]) -> Mapping[str, Any]:
        """Export the volume to that host; returns the connection information that Nova would be given."""

    def detach(self, connection: NodeConnection, volume_id: str, connector: Mapping[str, str], last: bool) -> None:
        """Take the host's access away; the export too if it was the last one's."""


@runtime_checkable
class NodeConnection(Protocol):
    """What a connection is beside, where the backend is a machine that runs a driver's processes.

    Jobs are none of its business: `start` of such a connection refuses them.
    """

    def execute(self, command: tuple[str, ...]) -> CommandResult:
        """Run a command to its end. Raises `ConnectionLost`, and LookupError for a command that the machine lacks."""

    def exists(self, path: str) -> bool:
        """Whether the machine has a file at that path."""

    def node_options(self) -> Mapping[str, str]:
        """The driver's options that say where on the machine its storage is; they go before its configuration."""

    def export_by(self, exporter: Exporter) -> None:
        """Hosts that attach a volume of this backend ask `exporter` from now on."""


class Gate(Protocol):
    """Where a host holds the writes of one attachment (specification section 2)."""

    def hold(self, owner: str, within_ns: int, limit_ns: int) -> None:
        """Hold new writes, and return once those accepted before are applied and acknowledged.

        Several owners may hold at once. Raises `Expired` after `within_ns`, the hold being given back, or if the hold
        ends before. The host releases by itself `limit_ns` after the hold began (Q-3), and where others hold already,
        at the latest when the limit is over with which the first of them closed the gate: no write is held beyond that.
        """

    def release(self, owner: str) -> None:
        """Give the hold back; the last owner's release lets held writes go on, in order, before any later hold.

        Repeating it is harmless.
        """

    @property
    def holding(self) -> bool:
        """Whether writes are being held."""

    def is_held_by(self, owner: str) -> bool:
        """Whether that owner's hold still stands (False after the host released by itself)."""


@dataclass(frozen=True)
class LoadSpec:
    """A foreground workload: `streams` writers, each with one write outstanding, on disjoint blocks of `blocks`.

    `think_ns` is the mean pause between a write's acknowledgement and the stream's next write.
    """

    blocks: tuple[int, ...]
    streams: int = 4
    think_ns: int = 2_000_000


class Load(Protocol):
    """A running workload."""

    def stop(self, within_ns: int | None = None) -> None:
        """Stop after the outstanding writes; blocks until they are acknowledged.

        Re-raises what a writer met; `Expired` if a stream's write is not acknowledged within `within_ns` nanoseconds.
        """


class Attachment(Protocol):
    """A volume as one host has it attached. Foreground I/O follows the volume when it moves."""

    volume_id: str
    host: str
    gate: Gate

    def write(self, block: int, stamp: int) -> None:
        """Write one block that carries `stamp`, through the gate; returns when it is acknowledged."""

    def read(self, offset: int, length: int) -> bytes:
        """Read whole blocks; `offset` and `length` in bytes."""

    def extents(self) -> Iterator[tuple[int, int]]:
        """The ranges that were ever written, `(offset, length)` in bytes, whole blocks, ascending."""

    def copy_to(self, destination: Attachment) -> None:
        """Copy the whole content through this host to another attachment (Cinder's host copy); blocks until done."""

    def load(self, spec: LoadSpec) -> Load:
        """Start a foreground workload; its writes are recorded in `recorder.writes(volume_id)`."""

    def detach(self) -> None:
        """Detach; outstanding writes are finished first."""


class ActivityView(NamedTuple):
    """An activity as its backend sees it: `target` is the id that it makes, `state` a value of `ActivityState`."""

    handle: str
    verb: str
    target: str
    state: str
    progress: float | None


@dataclass(frozen=True)
class Inspection:
    """The state of one backend, read from the medium, not from anybody's bookkeeping of what should be there."""

    objects: tuple[StoredObject, ...]
    images: Mapping[str, Image]
    activities: tuple[ActivityView, ...]
    used_bytes: int
    connections: int

    def find(self, object_id: str) -> StoredObject | None:
        """The object of that id, or None."""
        return next((o for o in self.objects if o.id == object_id), None)


class Backend(Protocol):
    """One backend of a testbed."""

    name: str
    family: str

    def connect(self, caller: Caller) -> Connection:
        """Open a connection. Raises `ConnectionLost` where the caller can't log in."""

    def attach(self, volume_id: str, host: str) -> Attachment:
        """Attach a volume to a host. Raises `ObjectUnknown`."""

    def inspect(self) -> Inspection:
        """The backend's state now. Takes no virtual time."""


@dataclass(frozen=True)
class LossPolicy:
    """What happens to connection-specific jobs once their connection is lost (H-4); all times in nanoseconds.

    `then` is "abort" (the job is stopped) or "finish" (it runs on to its end; only its status is discarded).
    """

    detection_ns: int
    time2wait_ns: int
    time2retain_ns: int
    abort_latency_ns: int
    then: str = "abort"

    def bound_ns(self, remaining_work_ns: int) -> int:
        """The latest end of a job after its connection was lost."""
        tail = max(remaining_work_ns, self.abort_latency_ns)
        return self.detection_ns + self.time2wait_ns + self.time2retain_ns + tail


@dataclass(frozen=True)
class CodecFigure:
    """What the backend reaches with a technique: input bytes a second, and compressed / plain length reciprocal."""

    throughput: float
    ratio: float


@dataclass(frozen=True)
class Profile:
    """What a testbed says of itself; every time in nanoseconds. `source` names where the figures come from.

    `volume_gib` is the size of the volumes that checks work on, `whole_copy_ns` how long a copy of one takes.
    `stall_limit_ns` is how long a listed method may hold a foreground write at most (Q-8). `jitter_ns` is by how much
    the testbed itself may hold one; None where it can't say. It counts where the testbed does not offer
    `Capability.STALL_TIMING`, which means none.
    """

    name: str
    source: str
    loss: LossPolicy
    max_hold_ns: int = 60 * SECOND
    quiesce_timeout_ns: int = 10 * SECOND
    retention_ns: int = 300 * SECOND
    settle_ns: int = 5 * SECOND
    whole_copy_ns: int = 2 * SECOND
    volume_gib: int = 1
    snapshots_depend_on_volume: bool = False
    codecs: Mapping[str, CodecFigure] = field(default_factory=dict)
    think_ns: int = 2_000_000
    stall_limit_ns: int = SECOND // 2
    jitter_ns: int | None = None

    @property
    def longest_activity_ns(self) -> int:
        """The longest that one activity takes: four whole copies, which allows for others on the same links."""
        return 4 * self.whole_copy_ns


class Testbed(Protocol):
    """A lab: two backends of one family, `primary` and `sibling`, and, if it offers one, a `stranger` of another.

    A class registered under `backend_activity.testbeds` is called as `Class(seed=…, options={…})`.
    """

    __test__: ClassVar[bool] = False  # not a test class, whatever pytest thinks of the name
    name: ClassVar[str]
    virtual: ClassVar[bool]
    offers: ClassVar[frozenset[Capability]]
    faults: ClassVar[frozenset[str]]
    """The kinds of fault that `inject` takes, of `harness.schedule.FAULT_KINDS`; checks ask for no other."""
    evidence_note: str = ""
    """What a reader of evidence gained on it has to know, in a few words: "I/O real, job table modelled", say. One that
    is open may say more than its class."""

    runtime: Runtime
    recorder: Recorder
    profile: Profile

    def backend(self, name: str) -> Backend:
        """The backend of that name: `primary`, `sibling` or `stranger`. Raises KeyError."""

    def inject(self, fault: Fault) -> None:
        """Let a fault happen at its trigger. Raises `ValueError` for a kind that is not among `faults`, and for one
        that does not say what it hits."""

    def close(self) -> None:
        """Free all that the testbed holds: processes, files, tasks. Repeating it is harmless."""
