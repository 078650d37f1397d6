"""Long proofs that can be interrupted and resumed: what is done is written down, job by job, and not done again.

The file that keeps it has one JSON object a line. It counts for the code that it was made with: where a source file has
changed since, the proof begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "simulated_backends", "conformance", "reports", "tests/proof")


@dataclass(frozen=True)
class Job:
    """Runs of one driver: seeds `first` and on, so many of them. `kind` names the proof."""

    kind: str
    name: str
    first: int
    seeds: int


@dataclass(frozen=True)
class Done:
    """What came of a job: how many runs of all its checks there were, and what was not as it has to be."""

    job: Job
    runs: int
    amiss: list[str] = field(default_factory=list)


def code_digest() -> str:
    """A digest of every source file that has a part in the results."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class Progress:
    """The jobs that are done, in a file that outlives the run. `code` is the digest of the code that runs them."""

    def __init__(self, path: Path, code: str) -> None:
        self._path = path
        self._code = code
        self.done: dict[Job, Done] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if not lines or lines[0] != self._head():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._head() + "\n", encoding="utf-8")
            return
        for line in lines[1:]:
            try:
                data = json.loads(line)
                job = Job(**data["job"])
                self.done[job] = Done(job, data["runs"], data["amiss"])
            except (ValueError, KeyError, TypeError):
                continue  # the run was killed while it wrote this
        if path.read_bytes()[-1:] != b"\n":
            with path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def note(self, done: Done) -> None:
        """Write down that a job is done."""
        self.done[done.job] = done
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(done)) + "\n")

    def left(self, jobs: Iterable[Job]) -> list[Job]:
        """The jobs that are not done yet, in their order."""
        return [job for job in jobs if job not in self.done]

    def figure(self, kind: str, jobs: Sequence[Job]) -> str:
        """What is proved so far, in one line."""
        wanted = [job for job in jobs if job.kind == kind]
        found = [self.done[job] for job in wanted if job in self.done]
        runs, wrong = sum(done.runs for done in found), sum(len(done.amiss) for done in found)
        drivers = len({job.name for job in wanted})
        seeds, all_seeds = sum(done.job.seeds for done in found), sum(job.seeds for job in wanted)
        verdict = f"in which {wrong} results are not as they have to be" if wrong else "all as they have to be"
        return f"{kind}: {drivers} drivers, {seeds} of {all_seeds} seeds, {runs} runs of all checks, {verdict}"

    def _head(self) -> str:
        return json.dumps({"code": self._code})


def work(
    pool: Executor, run: Callable[[Job], Done], jobs: Sequence[Job], at_once: int, may_begin: Callable[[], bool]
) -> Iterator[Done]:
    """Run jobs, at most `at_once` at a time, and yield each as it ends; none is begun once `may_begin` says no."""
    waiting = list(jobs)[::-1]
    running: set[Future[Done]] = set()
    while running or (waiting and may_begin()):
        while waiting and len(running) < at_once and may_begin():
            running.add(pool.submit(run, waiting.pop()))
        over, running = wait(running, return_when=FIRST_COMPLETED)
        yield from sorted((future.result() for future in over), key=lambda done: (done.job.name, done.job.first))
