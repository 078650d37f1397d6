"""What must hold of the readers whatever they are given, as Hypothesis properties.

`test_readers.py` tries a few hundred examples of each, `python -m tests.fuzz` as many as its time allows.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from harness.activity import HandleScope
from harness.attributes import KEYS, OPTIONAL_KEYS, publication_difference, read_publication
from harness.compression import ALIASES, TECHNIQUES
from harness.contract import ATTRIBUTE, METHODS
from harness.frozen import deep_freeze, mutable_part
from harness.input_file import MAX_NESTING
from harness.publication_file import PublicationFileError, read_publication_file
from harness.results import Outcome, Severity
from harness.schedule import Schedule, ScheduleError
from reports.plain import ReportError, load_report, to_json
from tests.reports.report_samples import faulty, reference, report

Proposition = Callable[..., None]

PROPERTIES: list[Proposition] = []
"""Every property of this module, in its order."""

_EXAMPLES: dict[Proposition, tuple[st.SearchStrategy[Any], ...]] = {}


def holds_for(*examples: st.SearchStrategy[Any]) -> Callable[[Proposition], Proposition]:
    """Declare a property of all examples of these kinds."""

    def declare(proposition: Proposition) -> Proposition:
        PROPERTIES.append(proposition)
        _EXAMPLES[proposition] = examples
        return proposition

    return declare


def examine(proposition: Proposition, number: int, first: int, guard: Callable[[Proposition], Proposition]) -> None:
    """Try so many examples, the same for the same seed `first`, each within `guard`. Raises what a failure raises."""

    def guarded(values: tuple[Any, ...]) -> None:
        guard(proposition)(*values)

    guarded.__name__ = proposition.__name__
    configured = settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    seed(first)(configured(given(st.tuples(*_EXAMPLES[proposition]))(guarded)))()


NAMES = st.sampled_from(
    [*KEYS, *OPTIONAL_KEYS, *METHODS, *TECHNIQUES, *ALIASES, *(scope.value for scope in HandleScope)]
)
TEXTS = NAMES | st.text(st.characters(), max_size=8) | NAMES.map(str.upper)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
"""Values that JSON has, and NaN, infinities and lone surrogates, which Python's reader takes for JSON."""

KEYED = st.dictionaries(st.sampled_from([*KEYS, *OPTIONAL_KEYS]) | TEXTS, JSON | st.lists(TEXTS, max_size=6))

HASHABLE = SCALARS | st.binary(max_size=4) | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS, max_size=3)
PYTHON = st.recursive(
    HASHABLE | st.complex_numbers() | st.sampled_from([object, object(), len, range(3), bytearray(b"x")]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=12,
)
"""Values that a driver may publish."""

FRAGMENTS = st.sampled_from(
    [*"[]{}=,:.\"'#\\ \n\r\t0-eE", '"""', "'''", "[[", "]]", "\r\n", "\0", "\ufeff", "nan", "inf", "NaN", "true",
     "null", "1979-05-27T07:32:00Z", "0x", "9" * 5000, "\\u0000", "\\ud800", "[" * 50, "{" * 50, "a." * 50,
     f"[{ATTRIBUTE}]\n", f'{{"{ATTRIBUTE}": {{', "[publication]\n", *(f"{key} = " for key in KEYS),
     *(f'"{key}": ' for key in KEYS), '"create_snapshot"', '["zstd"]', '"unrestricted"', "}}"]
)  # fmt: skip
FILES = st.lists(FRAGMENTS | st.text(max_size=4), max_size=30).map("".join).map(
    lambda text: text.encode("utf-8", "surrogatepass")
) | st.binary(max_size=60)
"""Files that look like TOML or JSON in part."""


def is_frozen(value: Any) -> bool:
    """Whether nothing in the value can be changed."""
    return mutable_part(value) is None


@holds_for(KEYED | PYTHON)
def publications(value: Any) -> None:
    """Any value is read without an exception; what is kept is frozen, JSON, and the same when it is read again."""
    publication, findings = read_publication(value, lambda name: True)
    assert is_frozen(publication.raw)
    for claims in (publication.effective(), publication.published_as_json()):
        json.dumps(claims, allow_nan=False).encode()
    assert all(isinstance(finding.found, str) and len(finding.found) < 1000 for finding in findings)
    again, _ = read_publication(publication.raw, lambda name: True)
    assert publication_difference(again, publication) is None
    accepted, complaints = read_publication(publication.effective(), lambda name: True)
    assert accepted.effective() == publication.effective()
    assert not [finding for finding in complaints if finding.severity is Severity.VIOLATION]


@holds_for(PYTHON)
def freezing(value: Any) -> None:
    """A deep-frozen copy can't be changed, and freezing it again changes nothing."""
    frozen = deep_freeze(value)
    assert is_frozen(frozen)
    assert deep_freeze(frozen) == frozen


@holds_for(FILES, st.sampled_from([".toml", ".json"]))
def publication_files(data: bytes, suffix: str) -> None:
    """Any file is read or refused with `PublicationFileError`; one that is read says the same written as JSON."""
    _publication_file(data, suffix)


@holds_for(KEYED, st.dictionaries(st.sampled_from(["name", "product", "testbeds", "sources", "x"]), JSON, max_size=3))
def publication_files_of_tables(attributes: dict[str, Any], about: dict[str, Any]) -> None:
    """The same for files that are well-formed."""
    tables = {ATTRIBUTE: attributes, **({"publication": about} if about else {})}
    _publication_file(json.dumps(tables).encode(), ".json")


def _publication_file(data: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path, other = Path(directory, f"given{suffix}"), Path(directory, "again.json")
        path.write_bytes(data)
        try:
            read = read_publication_file(path)
        except PublicationFileError as error:
            assert str(path) in str(error)
            assert error.remedy
            assert len(str(error)) < 2000
            return
        assert _depth(read.attributes) <= MAX_NESTING
        other.write_text(json.dumps({ATTRIBUTE: read.attributes}, allow_nan=False))
        assert read_publication_file(other).attributes == read.attributes


def _depth(value: Any) -> int:
    level, depth = [value], 0
    while level:
        level = [
            item for v in level for item in (v.values() if isinstance(v, dict) else v if isinstance(v, list) else ())
        ]
        depth += 1
    return depth


@holds_for(st.binary(max_size=60) | FILES)
def report_files(data: bytes) -> None:
    """Any file is refused with `ReportError`, unless it is a report."""
    _report_file(data)


SAMPLE = json.loads(to_json(report(reference(), faulty())))
ODD = JSON | st.sampled_from([*Outcome]) | st.sampled_from(["\x1b[31m", "<script>", 10**400, -1, 2**63])


@holds_for(st.data())
def damaged_reports(data: st.DataObject) -> None:
    """A report in which something was replaced, left out or added is refused, or is equal written and read again."""
    damaged = json.loads(json.dumps(SAMPLE))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = damaged
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            below = place[key]
            if isinstance(below, (dict, list)) and below and data.draw(st.integers(0, 4)):
                place = below
                continue
            match data.draw(st.sampled_from(["replace", "replace", "delete", "add"])):
                case "replace":
                    place[key] = data.draw(ODD)
                case "delete":
                    del place[key]
                case _ if isinstance(place, dict):
                    place[data.draw(TEXTS)] = data.draw(ODD)
                case _:
                    place.append(data.draw(ODD))
            break
    _report_file(json.dumps(damaged).encode())


def _report_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path, other = Path(directory, "report.json"), Path(directory, "again.json")
        path.write_bytes(data)
        try:
            read = load_report(path)
        except ReportError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 4000
            return
        other.write_text(to_json(read), encoding="utf-8")
        again = load_report(other)
        assert to_json(again) == to_json(read)
        assert again == read


@holds_for(FILES.map(lambda data: data.decode("utf-8", "replace")) | KEYED.map(json.dumps) | st.builds(
    lambda seed, check, choices: json.dumps(
        {"schema": "backend-activity/schedule/1", "seed": seed, "check": check, "choices": choices}
    ), JSON, JSON, JSON | st.dictionaries(TEXTS, SCALARS))
)  # fmt: skip
def schedules(text: str) -> None:
    """Any text is read or refused with `ScheduleError`; one that is read is equal written and read again."""
    try:
        read = Schedule.from_json(text)
    except ScheduleError as error:
        assert len(str(error)) < 2000
        return
    again = Schedule.from_json(read.to_json())
    assert (again.seed, again.check, again.choices) == (read.seed, read.check, read.choices)
