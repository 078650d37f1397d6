"""A scenario as its file describes it: who is there, what happens when, and what is asked.

Tables that may occur several times are named: `[volume.data]`, `[operation.copy]`. Quantities have units. Every default
stands here and in the JSON Schema (`scenario.schema.json`). Files are read by `scenarios.reading.load_scenario`, which
also checks what one table says of another.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from harness.runtime import SECOND
from scenarios.fields import Bandwidth, Rate, Size, Table, Time

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")]
"""A name of a table: a letter, then letters, digits, - and _."""
Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]
"""A number from 0 to 1."""
Whole = Annotated[int, Field(ge=1)]
"""A whole number from 1."""
Ratio = Annotated[float, Field(gt=0.0, strict=False)]
"""A number above 0."""


MOST_SEED = 1 << 62
"""The largest first seed; later ones follow it, and all are kept in columns of 64 bits."""


class Do(enum.StrEnum):
    """What an operation does to each of its volumes: methods of the specification's section 6, as the taskflow's flows.

    `replicate_snapshot` replicates a snapshot that was taken of the volume before the run's time begins, and
    `backup_snapshot` backs such a snapshot up.
    """

    CREATE_SNAPSHOT = "create_snapshot"
    CLONE = "create_cloned_volume"
    REPLICATE = "replicate_snapshot"
    MIGRATE = "migrate_volume"
    RETYPE = "retype"
    BACKUP = "backup_volume"
    BACKUP_SNAPSHOT = "backup_snapshot"
    EXTEND = "extend_volume"
    DELETE = "delete_volume"


class Practice(enum.StrEnum):
    """By whose rules an operation is carried out: the specification's, or as Cinder itself does it today."""

    SPECIFICATION = "specification"
    CINDER = "cinder"


class About(Table):
    """What the scenario asks, and how it is measured. `measures` names what is kept; none means all.

    `most_ios` is how many foreground I/Os a run may be expected to have; one with more is refused before it begins
    (`scenarios.effort`).
    """

    name: Name
    question: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    replications: Whole = 10
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] = 1
    level: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    measures: tuple[str, ...] = ()
    horizon: Time = 30 * 24 * 3600 * SECOND
    settle: Time = 0
    most_ios: Whole = 20_000_000
    baseline: str = ""


class NetworkLink(Table):
    """The network: the port of every backend and host has this bandwidth, in each direction, unless it says otherwise.

    `round_trip` is the time from a host to a backend and back; where it is left out, the backend's profile says.
    """

    bandwidth: Bandwidth = 1_250_000_000
    round_trip: Time | None = None


class Line(Table):
    """A line between two backends, such as one between two sites: in each direction this bandwidth for all together.

    Transfers from the one backend to the other cross it, those through a host's copy too; hosts' own I/O does not.
    """

    between: tuple[Name, Name]
    bandwidth: Bandwidth


class Backend(Table):
    """A backend. `profile` names the protocol and the figures to start from, the other keys set single figures.

    `read` and `write` are the bandwidths of its disks, `port` that of its network port (default: the link's), `figures`
    any other figures of the profile by their names there, in the profile's units. `poll` is how often a caller is asked
    to poll a job. `cores` is how many processor cores compress, one for each stream. `replication_setup` is what native
    replication from this backend takes before its first byte (pairing the ends, comparing what is there); by default
    nothing, as it differs too much between products for a figure of our own: take your array's.
    """

    profile: Literal["iscsi-sim", "nfs-sim"] = "iscsi-sim"
    family: Name
    driver: Name = "reference"
    port: Bandwidth | None = None
    read: Bandwidth | None = None
    write: Bandwidth | None = None
    pool: Size | None = None
    job_slots: Whole | None = None
    poll: Time | None = None
    cores: Whole = 4
    replication_setup: Time = 0
    figures: dict[str, int | bool | str] = Field(default_factory=dict)


class Publication(Table):
    """What a driver publishes, by the specification's section 1; what is left out is not published."""

    stateless_activities: tuple[str, ...] | None = None
    snapshot_replication: bool | None = None
    backup_compression_techniques: tuple[str, ...] | None = None
    handle_scope: Literal["connection-specific", "source-specific", "user-specific", "unrestricted"] | None = None
    driver_family: str | None = None
    version: str | None = None

    def published(self) -> dict[str, Any]:
        """The dictionary that the driver publishes."""
        return {key: value for key, value in self if value is not None}


class Driver(Table):
    """A driver: the reference driver acting a publication out, or a class of yours as `module:Class`.

    `publication_file` names a publication file instead, relative to the scenario's; `options` are the driver's own. The
    reference driver has one: `linked_clones = true` makes volumes from snapshots that share their blocks, on thin
    backends whose snapshots do.
    """

    target: str = "reference"
    publication: Publication | None = None
    publication_file: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Host(Table):
    """A host that attaches volumes. `port` is the bandwidth of its network port (default: the link's)."""

    port: Bandwidth | None = None


class TaskflowTable(Table):
    """The machine on which the taskflow runs, as which user it logs in, and its patience.

    `host` is one of the hosts, or a machine of its own. `cores` compress backups, one for each stream. `backup_link` is
    the bandwidth to where backups go (default: the link's). `longest_activity` is how long a lost activity may still
    run (default: four copies of the largest volume over the slowest part); `max_hold` and `quiesce_timeout` default to
    the profiles'.
    """

    host: Name = "node"
    user: Name = "cinder"
    cores: Whole = 4
    backup_link: Bandwidth | None = None
    longest_activity: Time | None = None
    max_hold: Time | None = None
    quiesce_timeout: Time | None = None


class Codec(Table):
    """How fast one core compresses with a technique, in plain bytes, and by how much data shrinks (plain / stored)."""

    speed: Bandwidth
    ratio: Ratio
    source: Annotated[str, StringConstraints(min_length=1)]


class VolumeGroup(Table):
    """`count` volumes of one size on a backend; the i-th is called `<name>-<i>`. They are attached to `host`, if given.

    `size` is in whole GiB, as in Cinder.
    """

    backend: Name
    size: Size
    count: Whole = 1
    host: Name | None = None


class Locality(Table):
    """A share `accesses` of the I/Os goes to a share `area` of the blocks."""

    accesses: Share = 0.8
    area: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2


class Burst(Table):
    """I/O for `on`, then none for `off`, and so on."""

    on: Annotated[Time, Field(gt=0)]
    off: Annotated[Time, Field(gt=0)]


class Workload(Table):
    """Foreground I/O on every volume of a group, from the beginning to the end of the run.

    Either `streams` in closed loops, each with one I/O outstanding and a mean pause `think` (exponential) after it; or,
    with `rate`, I/Os that arrive at that mean rate whatever happens (Poisson); or `replay`, a log of fio. `block` is
    the size of an I/O, `area` the part of the volume that is worked on.
    """

    volume: Name
    streams: Whole = 4
    think: Time = 2_000_000
    rate: Annotated[Rate, Field(gt=0)] | None = None
    block: Size = 4096
    read_share: Share = 0.0
    area: Size | None = None
    locality: Locality | None = None
    burst: Burst | None = None
    replay: str | None = None


class Stream(Table):
    """Bulk I/O of somebody else: one host reads or writes a backend sequentially, at most at `rate`.

    It shares links and disks with everybody and is not measured. It begins at `at` and lasts for `for` (default: to the
    end of the run).
    """

    host: Name
    backend: Name
    direction: Literal["read", "write"] = "read"
    rate: Bandwidth
    at: Time = 0
    lasts: Time | None = Field(default=None, alias="for")


class Background(Table):
    """I/Os of somebody else that arrive whatever happens (Poisson): a host reads or writes a backend.

    They arrive at that mean `rate`, `block` bytes each, as long as workloads run. Nobody observes them one by one, so
    that many of them cost little: how many they were and how long they took is told, with and without an operation
    beside them. They queue for link and disk among themselves (`scenarios.background_io`).
    """

    host: Name
    backend: Name
    direction: Literal["read", "write"] = "read"
    rate: Annotated[Rate, Field(gt=0)]
    block: Size = 4096


class Operation(Table):
    """Something that the taskflow is asked for, for every volume of a group, `concurrency` of them at a time.

    It begins at `at`, or that long after the operation `after` has ended; `times` repeats it every `every`. `to` is the
    destination; `techniques` are what a backup may be compressed with, best first; `grow` is by how much a volume is
    extended. `deadline` counts from its beginning: volumes that are not done by then are counted, not stopped.
    `retry` repeats what failed, or what a restart of the taskflow undid, so often.

    With `practice = "cinder"` it is done as Cinder does it today, whatever the driver publishes: nothing is quiesced,
    and the volume's status decides what is granted. `temporary` says of what a backup of a volume in use is taken,
    `force` whether it and a snapshot of one are asked for with force. What Cinder refuses because of what it does with
    the volume just now is asked for again every `ask_again`; without that, it has failed.
    """

    do: Do
    volume: Name
    at: Time = 0
    after: Name | None = None
    to: Name | None = None
    concurrency: Whole = 1
    times: Whole = 1
    every: Annotated[Time, Field(gt=0)] | None = None
    techniques: tuple[str, ...] = ("none",)
    least_ratio: Ratio | None = None
    least_throughput: Bandwidth | None = None
    grow: Size | None = None
    deadline: Annotated[Time, Field(gt=0)] | None = None
    retry: Annotated[int, Field(ge=0)] = 1
    practice: Practice = Practice.SPECIFICATION
    temporary: Literal["clone", "snapshot"] = "clone"
    force: bool = True
    ask_again: Annotated[Time, Field(gt=0)] | None = None


class FaultTable(Table):
    """A fault, at the instant `at` or at the `nth` event `on`; kinds and what they use stand at `harness.schedule`.

    `taskflow.restart` kills the taskflow and starts another `for` later, which recovers and goes on: on the same
    machine and as the same user, or on `host` and as `user`.
    """

    kind: str
    at: Time | None = None
    on: str = ""
    nth: Whole = 1
    backend: str = ""
    caller: str = ""
    volume: str = ""
    verb: str = ""
    fraction: Share = 0.0
    lasts: Time = Field(default=0, alias="for")
    host: Name | None = None
    user: Name | None = None


class Variant(Table):
    """A variant of the scenario: `set` gives values to key paths ("driver.reference.publication.snapshot_replication"),
    `unset` takes keys away."""

    set: dict[str, Any] = Field(default_factory=dict)
    unset: tuple[str, ...] = ()


class Scenario(Table):
    """A whole scenario. The tables other than `scenario` and `link` are named; a name is unique within its kind."""

    scenario: About
    link: NetworkLink = NetworkLink()
    line: dict[Name, Line] = Field(default_factory=dict)
    taskflow: TaskflowTable = TaskflowTable()
    backend: dict[Name, Backend] = Field(min_length=1)
    driver: dict[Name, Driver] = Field(default_factory=dict)
    host: dict[Name, Host] = Field(default_factory=dict)
    volume: dict[Name, VolumeGroup] = Field(min_length=1)
    workload: dict[Name, Workload] = Field(default_factory=dict)
    stream: dict[Name, Stream] = Field(default_factory=dict)
    background: dict[Name, Background] = Field(default_factory=dict)
    operation: dict[Name, Operation] = Field(min_length=1)
    fault: dict[Name, FaultTable] = Field(default_factory=dict)
    codec: dict[Name, Codec] = Field(default_factory=dict)
    variant: dict[Name, Variant] = Field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.name

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of the variants, the baseline first; `as-it-stands` where the file has none."""
        names = list(self.variant) or [AS_IT_STANDS]
        first = self.scenario.baseline or names[0]
        return (first, *(name for name in names if name != first))


AS_IT_STANDS = "as-it-stands"
"""The one variant of a scenario that has none."""
