"""What a certification run is asked to do: drivers, testbeds, seed, and the exit codes that answer.

Everything here is decided from the command line alone; no driver is imported.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from conformance.checks import DEFAULT_SCHEDULES
from harness.input_file import InputFileError, read_text
from harness.loading import REFERENCE_DRIVER, CandidateError, CandidateSpec
from harness.names import did_you_mean
from harness.publication_file import PublicationFileError
from harness.results import Level, Verdict
from harness.schedule import Schedule

DEFAULT_DRIVER = "reference"
DEFAULT_TESTBEDS = ("iscsi-sim", "nfs-sim", "files")
DEFAULT_SEED = 1
MOST_SCHEDULES = 1_000_000
DEFAULT_REPORT = "backend-activity-report"
TESTBED_GROUP = "backend_activity.testbeds"
MAX_SCHEDULE_BYTES = 16 << 20
"""The largest saved schedule, in bytes; a check makes some dozens of choices."""


class ExitCode(enum.IntEnum):
    """The exit status of a run; of several drivers the worst counts, in the order 3, 1, 6, 0.

    CONFORMANT       every driver is conformant or consistent
    NON_CONFORMANT   a mandatory clause failed
    INTERRUPTED      the user broke the run off
    HARNESS_ERROR    the harness failed, or no check was collected: nothing is said about a driver
    USAGE_ERROR      the command line, or a file or driver that it names, can't be used
    INCOMPLETE       no failure counts, but an applicable clause was not verified or waived, or checks were left out
    NOT_VERIFIED     `verify`: the certificate does not hold
    CHANGED          `compare`: what `--fail-on` names was found
    """

    CONFORMANT = 0
    NON_CONFORMANT = 1
    INTERRUPTED = 2
    HARNESS_ERROR = 3
    USAGE_ERROR = 4
    INCOMPLETE = 6
    NOT_VERIFIED = 7
    CHANGED = 8


_BY_VERDICT = {
    Verdict.HARNESS_ERROR: ExitCode.HARNESS_ERROR,
    Verdict.NON_CONFORMANT: ExitCode.NON_CONFORMANT,
    Verdict.INCOMPLETE: ExitCode.INCOMPLETE,
    Verdict.CONSISTENT: ExitCode.CONFORMANT,
    Verdict.CONFORMANT: ExitCode.CONFORMANT,
}


def exit_code(verdicts: Sequence[Verdict]) -> ExitCode:
    """The exit status for these verdicts; none at all is a harness error."""
    if not verdicts:
        return ExitCode.HARNESS_ERROR
    return _BY_VERDICT[min(verdicts, key=list(_BY_VERDICT).index)]


class UsageProblem(Exception):
    """Something on the command line can't be used; the text says what, where and what to do."""


@dataclass(frozen=True)
class DriverUnderTest:
    """A driver of the run: its place on the command line, the name that ids carry, and its spec as JSON."""

    index: int
    label: str
    option: tuple[str, ...]
    spec: dict[str, Any]
    vendor_code: bool
    testbeds: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """A driver on a testbed: what a check's parameter `lab` stands for until it runs."""

    driver: DriverUnderTest
    testbed: str

    @property
    def id(self) -> str:
        """The id in a test's name."""
        return f"{self.driver.label}-{self.testbed}"


@dataclass(frozen=True)
class Settings:
    """The run, as asked for.

    `schedule` is what `--schedule` held, to be replayed by the check it is of; `schedules` how many are drawn for each
    place; `timeout_s` bounds one check (seconds of wall time; None means the cell's own limit).
    """

    drivers: tuple[DriverUnderTest, ...]
    testbeds: tuple[str, ...]
    seed: int
    report: Path
    schedule: dict[str, Any] | None
    timeout_s: float | None
    level: Level = Level.FULL
    schedules: int = DEFAULT_SCHEDULES

    @property
    def replayed_batch(self) -> str:
        """The batch of the check that `schedule` is of, or ""."""
        found = re.search(r"\[(batch \d+)\]", "" if self.schedule is None else str(self.schedule["check"]))
        return found[1] if found else ""

    @property
    def places(self) -> list[Place]:
        """Each driver on each testbed that it applies to."""
        return [
            Place(driver, testbed)
            for driver in self.drivers
            for testbed in self.testbeds
            if not driver.testbeds or testbed in driver.testbeds
        ]

    def hash_seed(self, repetition: int) -> int:
        """The PYTHONHASHSEED of the cells; another one for each repetition, never 0, which would switch hashing off."""
        digest = hashlib.sha256(f"hash seed {self.seed}".encode()).digest()
        return 1 + (int.from_bytes(digest[:3], "big") + repetition) % 4_000_000_000


def make_settings(
    *,
    drivers: Sequence[str] = (),
    attributes: Sequence[str] = (),
    driver_config: str | None = None,
    testbeds: Sequence[str] = (),
    seed: int | None = None,
    report: str = DEFAULT_REPORT,
    schedule: str | None = None,
    timeout_s: float | None = None,
    level: str = Level.FULL,
    schedules: int = DEFAULT_SCHEDULES,
) -> Settings:
    """Check and complete what the command line says. Raises `UsageProblem`."""
    if driver_config is not None and not drivers:
        raise UsageProblem(f"--driver-config {driver_config} has no driver to go to; add --driver TARGET")
    if level not in list(Level):
        raise UsageProblem(
            f"--level {level}: there is no such level; {did_you_mean(level, [each.value for each in Level])}"
        )
    if timeout_s is not None and not 0 < timeout_s < 1e6:
        raise UsageProblem(f"--check-timeout {timeout_s:g}: give a number of seconds above zero")
    if not 1 <= schedules <= MOST_SCHEDULES:
        raise UsageProblem(f"--schedules {schedules}: give a number from 1 to {MOST_SCHEDULES:,}")
    replayed = None if schedule is None else _read_schedule(schedule)
    if seed is None:
        seed = DEFAULT_SEED if replayed is None else int(replayed["seed"])
    if not drivers and not attributes:
        drivers = (DEFAULT_DRIVER,)
    made: list[DriverUnderTest] = []
    for target in drivers:
        spec = driver_spec(target, driver_config)
        option: tuple[str, ...] = ("--driver", target)
        if driver_config is not None:
            option += ("--driver-config", driver_config)
        made.append(_under_test(len(made), target, option, spec, made))
    for path in attributes:
        spec = attributes_spec(path)
        made.append(_under_test(len(made), Path(path).stem, ("--attributes", path), spec, made))
    chosen = tuple(dict.fromkeys(testbeds or DEFAULT_TESTBEDS))
    for name in chosen:
        _must_be_installed(testbed_entry(name))
    for driver in made:
        if driver.testbeds and not set(driver.testbeds) & set(chosen):
            raise UsageProblem(
                f"{shlex.join(driver.option)} applies to testbeds {', '.join(driver.testbeds)} only, "
                f"and the run has {', '.join(chosen)}; add --testbed {driver.testbeds[0]} or mend its list"
            )
    return Settings(tuple(made), chosen, seed, Path(report), replayed, timeout_s, Level(level), schedules)


def prepare_report(report: Path) -> None:
    """Make the report's directory, and see that it can be written to. Raises `UsageProblem`."""
    try:
        report.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=report):
            pass
    except FileExistsError:
        raise UsageProblem(f"--report {report}: that is a file; name a directory for the report") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        what = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageProblem(
            f"--report {report}: the report can't be written there: {what}; name a directory that can be written to"
        ) from None


def driver_spec(target: str, config_file: str | None) -> CandidateSpec:
    """The spec of a driver's target. Raises `UsageProblem`."""
    try:
        return CandidateSpec.for_driver(target, config_file)
    except (CandidateError, PublicationFileError, OSError) as error:
        raise UsageProblem(f"--driver {target}: {error}") from None


def attributes_spec(path: str) -> CandidateSpec:
    """The spec of a publication file. Raises `UsageProblem`."""
    try:
        return CandidateSpec.for_attributes(path)
    except (CandidateError, PublicationFileError, OSError) as error:
        raise UsageProblem(f"--attributes {path}: {error}") from None


def testbed_entry(name: str) -> EntryPoint:
    """The entry point of a testbed. Raises `UsageProblem` that names the known ones."""
    known = {entry.name: entry for entry in entry_points(group=TESTBED_GROUP)}
    if name not in known:
        if not known:
            raise UsageProblem("no testbed is registered at all; install the package, so that its entry points exist")
        names = sorted(known)
        near = did_you_mean(name, names)
        rest = "" if near.startswith("known") else f" known are {', '.join(names)}"
        raise UsageProblem(f"--testbed {name}: there is no such testbed; {near}{rest}")
    return known[name]


def _must_be_installed(entry: EntryPoint) -> None:
    """A testbed on a real target may say what this machine lacks for it, in a class method `missing`."""
    try:
        lacks = getattr(entry.load(), "missing", lambda: None)()
    except Exception:
        return  # told where the testbed is used
    if lacks:
        raise UsageProblem(f"--testbed {entry.name}: {lacks}; or name other testbeds")


@functools.cache  # it reads the metadata of everything that is installed, and each check asks twice
def is_virtual(testbed: str) -> bool:
    """Whether a testbed has the virtual clock. Raises `UsageProblem` if it can't be imported."""
    entry = testbed_entry(testbed)
    try:
        found = entry.load().virtual
    except Exception as error:
        raise UsageProblem(
            f"--testbed {testbed}: {entry.value} can't be used: {type(error).__name__}: {error}; "
            "mend it, or name other testbeds"
        ) from error
    if not isinstance(found, bool):
        raise UsageProblem(f"--testbed {testbed}: {entry.value}.virtual is {found!r}; set it to True or False")
    return found


def is_repeated(seed: int, check: str) -> bool:
    """Whether a check is one of the twentieth part that is run twice; the same in every process."""
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{check}".encode()).digest()[:8], "big") % 20 == 0


def check_name(function: str, parameters: Mapping[str, str]) -> str:
    """A check's name in results."""
    return f"{function}[{','.join(parameters.values())}]" if parameters else function


def _under_test(
    index: int, name: str, option: tuple[str, ...], spec: CandidateSpec, before: Sequence[DriverUnderTest]
) -> DriverUnderTest:
    label = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-.") or "driver"
    if label in {driver.label for driver in before}:
        label = f"{label}-{index + 1}"
    data = spec.to_dict()
    try:
        data = json.loads(json.dumps(data))
    except (TypeError, ValueError) as error:
        raise UsageProblem(f"{shlex.join(option)}: a value in it is no JSON ({error}); use text instead") from None
    return DriverUnderTest(index, label, option, data, spec.reference != REFERENCE_DRIVER, tuple(spec.testbeds))


_NAME_A_SCHEDULE = "name a JSON file that a run saved for a failed check, in schedules/ beside its report"


def _read_schedule(path: str) -> dict[str, Any]:
    try:
        schedule = Schedule.from_json(read_text(Path(path), MAX_SCHEDULE_BYTES, "a JSON file"))
    except InputFileError as error:
        raise UsageProblem(f"--schedule {path}: {error.what}; {_NAME_A_SCHEDULE}") from None
    except ValueError as error:
        raise UsageProblem(f"--schedule {path}: {error}; {_NAME_A_SCHEDULE}") from None
    return dict(json.loads(schedule.to_json()))
