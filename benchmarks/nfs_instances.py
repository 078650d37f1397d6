"""The model of concurrent instances on one NFSv4 server (experiment 3 of `do-2021`), on this project's fabric.

What happens there, from the paper and the programs of its runs: each instance runs three tasks one after the other, as
one process each. A task reads a whole file into newly allocated memory, computes, and writes a file of the same size
which the next task reads. Only the first input is cold.

A write goes through to the server's SSD and is not cached by the client, so the pieces of one stream cross network,
server memory and SSD one after the other: alone, a stream runs at the harmonic sum of the three (297 MB/s). The
pieces of several streams overlap, and together they are held back by the slowest stage, which they share.

A read is read ahead, so its stages overlap and the slowest of them sets its rate. A cold file comes from the server's
SSD; one that the server's page cache still holds comes from its memory. What the client wrote it reads over the network
again: it has no write cache. At the end one process copies the data into fresh pages on one core, which no stated
figure gives.

Parameters:

* stated hardware and workload (`setup.csv`): SSD, memory and network bandwidths, size of the server's memory, files,
  CPU time, number of tasks;
* calibration (the row n = 1): how fast one process reads a cached file, from its read time less one cold file at the
  SSD's bandwidth. From two instances on, a stage that they share is slower than that, so the rows that the model is
  compared with follow from the stated hardware alone.

Left out, because nothing stated gives its size: reads and writes that meet at the SSD or in the server's threads
(identical instances stay in step here, so that reads and writes never overlap; the real ones drift apart), metadata,
and what many files written at once cost an SSD. So from eight instances on the model is too fast, most so in reading.

No number was set from a row that the model is compared with; the structure was chosen with these rows in view.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from benchmarks.flows import in_virtual_time, move
from benchmarks.published import Published
from harness.runtime import seconds
from harness.runtime.virtual import VirtualRuntime
from simulated_backends.fabric import Fabric, Link

TABLE = "nfs_concurrent_instances"


@dataclass(frozen=True)
class Parameters:
    """Bandwidths in bytes a second, sizes in bytes, time in nanoseconds.

    `one_cached_read` is what one process reaches on a file in the server's memory.
    """

    disk_read: int
    disk_write: int
    memory_read: int
    memory_write: int
    network: int
    server_memory: int
    file: int
    cpu: int
    tasks: int
    one_cached_read: int

    @property
    def one_write(self) -> int:
        """What one stream of writes reaches: its pieces pass network, server memory and SSD one after the other."""
        return round(1 / (1 / self.network + 1 / self.memory_write + 1 / self.disk_write))


@dataclass(frozen=True)
class Times:
    """Seconds of an instance, or the mean of several; `read` and `write` are sums over its tasks."""

    read: float
    write: float
    makespan: float


def parameters(published: Published) -> Parameters:
    """The parameters, from the stated hardware and the one calibration row."""
    setup = published.setup("nfs")
    (alone,) = published.calibration(TABLE)
    cold_s = setup["file"] / setup["disk_read"]
    cached_bytes = setup["file"] * (setup["tasks"] - 1)
    return Parameters(**setup, one_cached_read=round(cached_bytes / (alone.number("read_mean") - cold_s)))


def predict(figures: Parameters, instances: int) -> Times:
    """The mean times of an instance when that many start at once."""

    def main(runtime: VirtualRuntime, fabric: Fabric) -> list[Times]:
        server = _Server(figures)
        tasks = []
        for number in range(instances):
            instance = _Instance(runtime, fabric, server, figures, f"instance {number}")
            tasks.append(runtime.spawn(instance.name, instance.run))
        return [task.wait() for task in tasks]

    times = in_virtual_time(main)
    return Times(
        read=sum(t.read for t in times) / instances,
        write=sum(t.write for t in times) / instances,
        makespan=sum(t.makespan for t in times) / instances,
    )


class _Server:
    """The server's links, and its page cache: whole files, the least recently used goes first."""

    def __init__(self, figures: Parameters) -> None:
        self.disk_read = Link("server SSD, reading", figures.disk_read)
        self.disk_write = Link("server SSD, writing", figures.disk_write)
        self.memory_read = Link("server memory, reading", figures.memory_read)
        self.memory_write = Link("server memory, writing", figures.memory_write)
        self.network_in = Link("network to the server", figures.network)
        self.network_out = Link("network to the client", figures.network)
        self._memory = figures.server_memory
        self._cached: OrderedDict[str, int] = OrderedDict()

    def holds(self, file: str) -> bool:
        """Whether the page cache holds the file."""
        return file in self._cached

    def touch(self, file: str, size: int) -> None:
        """Note that the file was read or written."""
        self._cached[file] = size
        self._cached.move_to_end(file)
        while sum(self._cached.values()) > self._memory:
            self._cached.popitem(last=False)


class _Instance:
    """One instance: its tasks, and the two ends of its streams at the client."""

    def __init__(
        self, runtime: VirtualRuntime, fabric: Fabric, server: _Server, figures: Parameters, name: str
    ) -> None:
        self.name = name
        self._runtime = runtime
        self._fabric = fabric
        self._server = server
        self._figures = figures
        self._reading = Link(f"{name}, reading", figures.one_cached_read)
        self._writing = Link(f"{name}, writing", figures.one_write)

    def run(self) -> Times:
        """Run the tasks."""
        started_ns = self._runtime.now()
        read_ns = write_ns = 0
        for task in range(self._figures.tasks):
            read_ns += self._read(f"{self.name}, file {task}")
            self._runtime.sleep(self._figures.cpu)
            write_ns += self._write(f"{self.name}, file {task + 1}")
        return Times(seconds(read_ns), seconds(write_ns), seconds(self._runtime.now() - started_ns))

    def _read(self, file: str) -> int:
        server = self._server
        origin = server.memory_read if server.holds(file) else server.disk_read
        took_ns = move(self._runtime, self._fabric, (origin, server.network_out, self._reading), self._figures.file)
        server.touch(file, self._figures.file)
        return took_ns

    def _write(self, file: str) -> int:
        server = self._server
        path = (self._writing, server.network_in, server.memory_write, server.disk_write)
        took_ns = move(self._runtime, self._fabric, path, self._figures.file)
        server.touch(file, self._figures.file)
        return took_ns
