"""Results of checks: the versioned schema of a report. What follows from them is in `harness.judging`."""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Final = "backend-activity/report/1"
"""The version of `report.json`; a change that an old reader would misread gets a new number."""


class Outcome(enum.StrEnum):
    """The result of a clause or of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    UNVERIFIABLE = "unverifiable"
    WAIVED = "waived"
    ERROR = "error"


class Evidence(enum.StrEnum):
    """How a clause's result was come by, weakest first."""

    DECLARED = "declared"
    MODELLED = "modelled"
    EXERCISED = "exercised"
    REAL = "real"


class Verdict(enum.StrEnum):
    """What a run says of a driver."""

    CONFORMANT = "conformant"
    CONSISTENT = "consistent"
    NON_CONFORMANT = "non-conformant"
    INCOMPLETE = "incomplete"
    HARNESS_ERROR = "harness error"


class Severity(enum.StrEnum):
    """How much a finding weighs: a violation fails its clause, a warning and an advisory do not."""

    VIOLATION = "violation"
    WARNING = "warning"
    ADVISORY = "advisory"


class Level(enum.StrEnum):
    """What a verdict is for: the clauses marked core, or every mandatory clause."""

    CORE = "core"
    FULL = "full"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Finding(_Model):
    """Something to tell the vendor: what was found, which clause it touches, what to do about it."""

    severity: Severity
    clause: str | None = None
    subject: str = ""
    found: str
    remedy: str = ""


class ClauseResult(_Model):
    """What one check found out about one clause. `reproduce` is the command line that reruns just this failure, where
    the check's own reruns more, or it can't be had otherwise."""

    clause: str
    outcome: Outcome
    message: str = ""
    evidence: Evidence | None = None
    witness: dict[str, Any] | None = None
    reproduce: str = ""


class TimelineStep(_Model):
    """One bar of a timeline; times in nanoseconds of the run."""

    label: str
    start_ns: int
    end_ns: int
    kind: str  # "step", "quiesce", "activity"


class Timeline(_Model):
    """One activity as it went: bars, and the writes of its volume as issue and acknowledgement times (ns)."""

    title: str
    steps: list[TimelineStep] = Field(default_factory=list)
    writes_ns: list[tuple[int, int]] = Field(default_factory=list)


class Reached(_Model):
    """Of the schedules of a check, how many had all that leads to a rare path, and how many reached it."""

    aimed: int
    reached: int


class RarePaths(_Model):
    """The rare paths that the schedules of a check aimed at or reached, by name.

    `drawn`: the schedules were drawn from the seed, together with those of other checks; else they are every single
    fault of a flow.
    """

    drawn: bool
    schedules: int
    paths: dict[str, Reached] = Field(default_factory=dict)


class CheckResult(_Model):
    """The result of one check on one testbed for one driver. `reproduce` is the command line that reruns just it.

    `durations_ns`: for each method that returned, called or as an activity, how long each of its invocations took, in
    nanoseconds of virtual time; empty where the clock is not virtual. `profile` names the testbed's; `testbed_note` is
    what the testbed says of evidence gained on it, such as which part of it is modelled.
    """

    check: str
    title: str = ""
    driver: str
    testbed: str
    seed: int
    outcome: Outcome
    message: str = ""
    clauses: list[ClauseResult] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    schedule: dict[str, Any] | None = None
    digest: str | None = None
    profile: str | None = None
    testbed_note: str = ""
    run_ns: int | None = None
    durations_ns: dict[str, list[int]] = Field(default_factory=dict)
    wall_s: float = 0.0
    timeline: Timeline | None = None
    rare_paths: RarePaths | None = None
    output: str = ""
    reproduce: str = ""


class MethodPlan(_Model):
    """What the harness will do before it invokes a method, and why."""

    method: str
    implemented: bool
    listed: bool
    plan: str
    reason: str


class Description(_Model):
    """A driver as it describes itself: publication, defaults, findings, and what follows for each method."""

    driver: str
    target: str
    vendor_code: bool
    published: dict[str, Any]
    effective: dict[str, Any]
    defaults: list[str]
    findings: list[Finding] = Field(default_factory=list)
    methods: list[MethodPlan] = Field(default_factory=list)
    sources: list[str] = Field(default_factory=list)


class ClauseInfo(_Model):
    """A clause as the report needs it: who it binds ("D", "T", "D,T"), whether it is mandatory, what it says.

    `core`: it belongs to the level core, and is never left out of account. `checked` False: this version of the suites
    has no check of it; it is shown as such and does not count. `text` is the specification's own wording, in Markdown;
    `rulings` tell what the specification leaves open about it, each as a question and its answer.
    """

    id: str
    who: str
    mandatory: bool
    title: str
    checked: bool = True
    core: bool = False
    text: str = ""
    rulings: list[str] = Field(default_factory=list)

    @property
    def binds_driver(self) -> bool:
        """Whether a driver can break it."""
        return "D" in self.who


class ClauseSummary(_Model):
    """A clause's result over all checks and testbeds of a run."""

    clause: str
    outcome: Outcome
    evidence: Evidence | None = None
    message: str = ""
    testbeds: dict[str, Outcome] = Field(default_factory=dict)
    checks: list[str] = Field(default_factory=list)


class Identity(_Model):
    """Whose driver it is, by the vendor's own word: the harness can't check any of it."""

    vendor: str
    product: str
    version: str
    contact: str


class Waiver(_Model):
    """A clause that is set aside for versions of a driver (PEP 440 specifiers), until the day `expires` has passed.

    `driver` restricts it to the driver of that name; `expires` is a date, as ISO 8601 writes it.
    """

    clause: str
    versions: str
    reason: str
    owner: str
    bug: str
    expires: str
    driver: str | None = None


class DriverReport(_Model):
    """All that a run says of one driver.

    `driver_version` is what the driver publishes, else what its identity says. `configuration_digest` is the SHA-256 of
    the options that the driver and its testbeds were given. `testbeds` are those of the run that the driver applies to.
    `waivers` are those that were used. `deselected` and `unreached` count the checks that were left out, or not asked
    for, and that the run did not come to.
    """

    description: Description
    identity: Identity | None = None
    driver_version: str | None = None
    configuration_digest: str = ""
    testbeds: list[str] = Field(default_factory=list)
    waivers: list[Waiver] = Field(default_factory=list)
    deselected: int = 0
    unreached: int = 0
    verdict: Verdict
    reasons: list[str] = Field(default_factory=list)
    clauses: list[ClauseSummary] = Field(default_factory=list)
    checks: list[CheckResult] = Field(default_factory=list)

    @property
    def testbed_notes(self) -> dict[str, str]:
        """What a reader of evidence has to know of testbeds, by their names; those of which there is nothing to say are
        left out."""
        return {check.testbed: check.testbed_note for check in self.checks if check.testbed_note}

    def evidence_notes(self, clause: ClauseSummary) -> list[str]:
        """The notes of those testbeds on which a clause was judged."""
        judged = [name for name, outcome in clause.testbeds.items() if outcome in (Outcome.PASSED, Outcome.FAILED)]
        notes = self.testbed_notes
        return list(dict.fromkeys(f"{name}: {notes[name]}" for name in judged if name in notes))


class Report(_Model):
    """A whole run. `schema_version` is `SCHEMA`; `command` reproduces the run; `started_on` is a date (UTC).
    `schedules` says how many were asked for, for each driver on each testbed; None where that is not known.
    """

    schema_version: Literal["backend-activity/report/1"] = SCHEMA
    specification_version: str = ""
    harness_version: str
    python_version: str
    started_on: str = ""
    level: Level = Level.FULL
    seed: int
    schedules: int | None = None
    testbeds: list[str]
    command: str
    clauses: list[ClauseInfo]
    drivers: list[DriverReport]
    errors: list[str] = Field(default_factory=list)

    @property
    def told_testbeds(self) -> list[str]:
        """The testbeds' names, each with what a reader of its evidence has to know."""
        notes = {name: note for driver in self.drivers for name, note in driver.testbed_notes.items()}
        return [f"{name} ({notes[name]})" if name in notes else name for name in self.testbeds]
