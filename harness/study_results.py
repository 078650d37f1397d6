"""Results of scenarios: one run's measures, a study of several variants, and what plots are drawn from.

Plain data between those who simulate and those who show: written as JSON, carried between processes. Times are in
nanoseconds of a run's virtual time unless the name says otherwise; measures carry their unit.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

STUDY_SCHEMA: Final = "backend-activity/study/1"
"""The version of a written study; a change that an old reader would misread gets a new number."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Named(_Model):
    """What was measured (`name`), of what (`of`), in which `unit`."""

    name: str
    of: str = ""
    unit: str = ""

    @property
    def key(self) -> str:
        """Name and owner in one: `completion[copy]`, or `completion`."""
        return f"{self.name}[{self.of}]" if self.of else self.name


class Measure(_Named):
    """One figure of one run.

    `name` says what was measured ("completion"), `of` what it belongs to ("operation copy", a link, a volume; "" the
    run as a whole), `unit` is "s", "bytes", "" for counts … `value` is None where there was nothing to measure: a
    latency without I/O, the end of an operation that failed.
    """

    value: float | None


class Bar(_Model):
    """One bar of a timeline: a step of a flow, the activity on the backend, or a quiesce window."""

    label: str
    kind: Literal["operation", "step", "activity", "quiesce", "downtime"]
    start_ns: int
    end_ns: int


class FlowTimeline(_Model):
    """A flow as it went: its bars, and the id of the volume or snapshot that it worked on."""

    title: str
    volume: str
    bars: tuple[Bar, ...] = ()


class QuiesceWindow(_Model):
    """A time in which hosts held the writes of a volume, from the first gate's hold to the last one's release."""

    volume: str
    start_ns: int
    end_ns: int


class Space(_Model):
    """Bytes that the taskflow's temporary volumes took on all backends, from each instant on (a step curve)."""

    at_ns: tuple[int, ...] = ()
    bytes: tuple[int, ...] = ()


class Latencies(_Model):
    """Foreground latencies (ns) of I/Os that overlapped a quiesce window or an operation, and of the others.

    Of many only every so many-th is kept, in the order of size, so that the distribution stays: `inside_count` and
    `outside_count` say how many there were.
    """

    inside_ns: tuple[int, ...] = ()
    outside_ns: tuple[int, ...] = ()
    inside_count: int = 0
    outside_count: int = 0


class RunDetails(_Model):
    """What plots of one run are drawn from. Of very many flows only the first are kept (`left_out` counts the rest)."""

    end_ns: int
    timelines: tuple[FlowTimeline, ...] = ()
    left_out: int = 0
    windows: tuple[QuiesceWindow, ...] = ()
    space: Space = Space()
    latencies: Latencies = Latencies()


class RunMeasures(_Model):
    """The result of one run: a function of scenario, variant and seed.

    `failures` are the operations that ended with an error, each as a sentence. `digest` is the record's (SHA-256), so
    that two runs can be told to be the same. `details` are there only if they were asked for.
    """

    scenario: str
    variant: str
    seed: int
    measures: tuple[Measure, ...]
    failures: tuple[str, ...] = ()
    digest: str = ""
    details: RunDetails | None = None

    def value(self, name: str, of: str = "") -> float | None:
        """The value of a measure. Raises KeyError where the run has no such measure."""
        for measure in self.measures:
            if measure.name == name and measure.of == of:
                return measure.value
        raise KeyError(Measure(name=name, of=of, value=None).key)


class _Interval(_Named):
    """A mean over `count` values and its confidence interval, of a variant; bounds are None for fewer than two."""

    variant: str
    count: int
    mean: float | None
    low: float | None = None
    high: float | None = None


class Estimate(_Interval):
    """The mean of a measure over the replications of one variant, with its confidence interval.

    `count` replications have a value. `low` and `high` are None for fewer than two.
    """


class Difference(_Interval):
    """How much more a variant has of a measure than the baseline, over the pairs of runs with one seed each.

    Otherwise as `Estimate`.
    """

    baseline: str


class Study(_Model):
    """A question, the variants that answer it, every run, and what follows from them.

    `method` says how the intervals were come by, `level` their confidence. `baseline` is the variant that others are
    compared with. `scenario_text` is the scenario as it was read, all quantities with units.
    """

    schema_version: Literal["backend-activity/study/1"] = STUDY_SCHEMA
    harness_version: str
    scenario: str
    question: str = ""
    scenario_text: str = ""
    variants: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    level: float = 0.95
    method: str
    rows: tuple[RunMeasures, ...]
    estimates: tuple[Estimate, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = Field(default=(), description="What a reader has to know, such as sources of figures.")
