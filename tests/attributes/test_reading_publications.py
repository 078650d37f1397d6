"""Publications are read, judged by A-1 to A-9, and frozen with the defaults of A-4."""

import enum
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.activity import HandleScope
from harness.attributes import (
    ABSENT,
    KEYS,
    Publication,
    publication_difference,
    published_object,
    read_driver,
    read_publication,
)
from harness.contract import METHODS
from harness.results import Severity
from tests.attributes.drivers import everything, violations

HONEST = types.MappingProxyType(
    {
        "stateless_activities": ("create_snapshot", "backup_volume"),
        "snapshot_replication": True,
        "backup_compression_techniques": ("ZSTD", "gzip", "zlib"),
        "handle_scope": "user-specific",
        "driver_family": "example",
        "version": "1",
    }
)


def test_honest_publication_is_read_without_findings() -> None:
    """An immutable, well-formed publication yields its claims, canonical, sorted, and nothing to say."""
    publication, findings = read_publication(HONEST, everything)
    assert findings == []
    assert publication.stateless_activities == ("backup_volume", "create_snapshot")
    assert publication.snapshot_replication is True
    assert publication.backup_compression_techniques == ("zstd", "zlib")
    assert publication.handle_scope is HandleScope.USER
    assert (publication.driver_family, publication.version) == ("example", "1")
    assert publication.published == frozenset(HONEST)
    assert publication.effective()["handle_scope"] == "user-specific"


@pytest.mark.parametrize("value", [ABSENT, {}])
def test_absent_keys_mean_the_safest_choice(value: object) -> None:
    """No attribute, or an empty one, claims nothing (A-4)."""
    publication, findings = read_publication(value, everything)
    assert violations(findings) == []
    assert (publication.stateless_activities, publication.snapshot_replication) == ((), False)
    assert (publication.backup_compression_techniques, publication.handle_scope) == ((), HandleScope.CONNECTION)
    assert all(publication.is_default(key) for key in KEYS)
    assert publication.present is (value is not ABSENT)


class Choice(enum.Enum):
    """An enum that is no string."""

    ONE = "one"


@pytest.mark.parametrize(
    ("key", "value", "clause", "remedy"),
    [
        ("stateless_activities", "create_snapshot", "A-5", "bare string"),
        ("stateless_activities", None, "A-5", "list, tuple or set"),
        ("stateless_activities", {"create_snapshot": True}, "A-5", "list, tuple or set"),
        ("stateless_activities", ["create_snapshot", 3], "A-5", "strings only"),
        ("stateless_activities", ["create_snapshots"], "A-6", "did you mean 'create_snapshot'?"),
        ("stateless_activities", b"create_snapshot", "A-5", "strings only"),
        ("stateless_activities", (name for name in ["create_snapshot"]), "A-5", "list, tuple or set"),
        ("snapshot_replication", 1, "A-5", "True or False"),
        ("snapshot_replication", None, "A-5", "True or False"),
        ("snapshot_replication", "True", "A-5", "without quotes"),
        ("backup_compression_techniques", "zlib", "A-5", "bare string"),
        ("backup_compression_techniques", 5, "A-5", "list, tuple or set"),
        ("handle_scope", "User-Specific", "A-9", "did you mean 'user-specific'?"),
        ("handle_scope", "user_specific", "A-9", "did you mean 'user-specific'?"),
        ("handle_scope", "everywhere at once", "A-9", "exactly one of"),
        ("handle_scope", ["unrestricted"], "A-5", "one string"),
        ("handle_scope", HandleScope.USER, "A-5", "publish its value 'user-specific'"),
        ("handle_scope", Choice.ONE, "A-5", "one string"),
        ("handle_scope", None, "A-5", "one string"),
    ],
)
def test_wrong_value_is_a_violation_and_the_default_applies(key: str, value: object, clause: str, remedy: str) -> None:
    """Each wrong value is reported with its clause and a remedy, and costs only its own key."""
    publication, findings = read_publication({**HONEST, key: value}, everything)
    (finding,) = [f for f in findings if f.severity is Severity.VIOLATION]
    assert (finding.clause, finding.subject) == (clause, key)
    assert remedy in finding.remedy
    assert key in publication.published
    default, honest = Publication(), read_publication(HONEST, everything)[0]
    for other in KEYS:
        assert getattr(publication, other) == getattr(default if other == key else honest, other)


@pytest.mark.parametrize(
    ("key", "value", "missing"),
    [
        ("snapshot_replication", True, "replicate_snapshot"),
        ("backup_compression_techniques", ["zlib"], "backup_volume"),
        ("handle_scope", "source-specific", "abort_activity"),
        ("handle_scope", "unrestricted", "start_activity"),
    ],
)
def test_claim_needs_its_hook(key: str, value: object, missing: str) -> None:
    """A claim without the hook behind it is a violation of A-7 and does not count."""
    publication, findings = read_publication({key: value}, lambda name: name != missing)
    assert violations(findings) == [("A-7", key)]
    assert missing in next(f for f in findings if f.clause == "A-7").found
    assert getattr(publication, key) == getattr(Publication(), key)
    assert violations(read_publication({key: value}, everything)[1]) == []
    assert violations(read_publication({key: value}, None)[1]) == []


def test_modest_claims_need_no_hook() -> None:
    """What claims nothing beyond the default needs no hooks."""
    value = {"snapshot_replication": False, "backup_compression_techniques": [], "handle_scope": "connection-specific"}
    assert violations(read_publication(value, lambda name: False)[1]) == []


@pytest.mark.parametrize("method", sorted(METHODS))
def test_listed_method_must_be_implemented(method: str) -> None:
    """A method that the driver lacks can't be listed (A-6)."""
    value = {"stateless_activities": [method]}
    assert violations(read_publication(value, lambda name: name != method)[1]) == [("A-6", "stateless_activities")]
    assert read_publication(value, lambda name: name == method)[0].stateless_activities == (method,)


@pytest.mark.parametrize("value", [None, [], "x", 3, object(), lambda self: {}])
def test_what_is_no_mapping_is_a_violation(value: object) -> None:
    """The attribute itself must be a mapping (A-1), and a method is told to be a property."""
    publication, findings = read_publication(value, everything)
    assert violations(findings) == [("A-1", "backend_activity_attributes")]
    assert ("property" in findings[0].remedy) is callable(value)
    assert publication == Publication(present=True)


def test_unknown_key_is_a_warning_with_the_nearest_known_one() -> None:
    """Unknown and miscased keys are ignored with a warning that names the nearest known key (A-3)."""
    publication, findings = read_publication({"Handle-Scope": "unrestricted", "zzz": 1}, everything)
    warnings = [f for f in findings if f.severity is Severity.WARNING]
    assert [f.clause for f in warnings] == ["A-3", "A-3"]
    assert warnings[0].remedy == "did you mean 'handle_scope'?"
    assert "known are stateless_activities" in warnings[1].remedy
    assert publication.handle_scope is HandleScope.CONNECTION


def test_key_that_is_no_string_is_a_violation() -> None:
    """Keys must be strings (A-1); the others are still read."""
    publication, findings = read_publication({1: 2, "snapshot_replication": True}, everything)
    assert violations(findings) == [("A-1", "backend_activity_attributes")]
    assert publication.snapshot_replication


def test_unknown_technique_is_a_warning_and_never_counts() -> None:
    """A technique that nobody knows is left out with a warning (A-8)."""
    publication, findings = read_publication({"backup_compression_techniques": ["zlibb", "BZIP2"]}, everything)
    assert publication.backup_compression_techniques == ("bz2",)
    assert [(f.clause, f.remedy) for f in findings if f.severity is Severity.WARNING] == [
        ("A-8", "did you mean 'zlib'?")
    ]


@pytest.mark.parametrize(
    ("value", "part"), [({}, "dict"), (types.MappingProxyType({"stateless_activities": ["create_snapshot"]}), "list")]
)
def test_mutable_object_is_an_advisory(value: object, part: str) -> None:
    """That the published object can be changed is worth an advice, no more (A-1)."""
    _, findings = read_publication(value, everything)
    assert [(f.severity, f.clause) for f in findings] == [(Severity.ADVISORY, "A-1")]
    assert part in findings[0].found


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(sorted(METHODS)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
published = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=12), values, max_size=6)


@given(published)
def test_reading_is_a_function_of_the_content(value: dict[str, Any]) -> None:
    """Any value is read without an error, twice the same, and a later change does not reach the copy (A-1, A-2)."""
    first, findings = read_publication(value, everything)
    again, findings_again = read_publication(dict(reversed(value.items())), everything)
    assert publication_difference(first, again) is None
    assert sorted(map(repr, findings)) == sorted(map(repr, findings_again))
    before = first.published_as_json()
    for part in [value, *value.values()]:
        if isinstance(part, (dict, list)):
            part.clear()
    assert first.published_as_json() == before


def test_change_of_a_publication_is_found_and_named() -> None:
    """A later reading differs where content differs; order and duplicates of stateless activities do not count."""
    scope = {"handle_scope": "unrestricted"}
    first, _ = read_publication({"stateless_activities": ["create_snapshot", "retype"], **scope})
    same, _ = read_publication({**scope, "stateless_activities": ("retype", "create_snapshot", "retype")})
    later, _ = read_publication({"stateless_activities": ["create_snapshot"], **scope})
    assert publication_difference(first, same) is None
    text = publication_difference(first, later)
    assert text is not None
    assert "'stateless_activities' was ['create_snapshot', 'retype'] at first" in text
    assert publication_difference(first, read_publication(ABSENT)[0]) is not None
    assert "present at first" in str(publication_difference(read_publication({})[0], read_publication(ABSENT)[0]))


class WithProperty:
    """A driver that counts how often it is asked."""

    asked = 0

    @property
    def backend_activity_attributes(self) -> dict[str, Any]:
        """The publication."""
        self.asked += 1
        return {"handle_scope": "unrestricted"}

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("asked by __getattr__")


def test_property_is_evaluated_once() -> None:
    """A property is evaluated on the instance, once."""
    driver = WithProperty()
    assert published_object(driver) == {"handle_scope": "unrestricted"}
    assert driver.asked == 1


def test_dynamic_attributes_are_never_asked() -> None:
    """A driver that would answer anything in __getattr__ publishes nothing."""

    class Dynamic:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("asked by __getattr__")

    assert published_object(Dynamic()) is ABSENT
    assert read_driver(Dynamic(), None)[0].present is False


def test_attribute_of_class_or_instance_is_found() -> None:
    """A plain dict may stand on the class or on the instance."""

    class OnClass:
        backend_activity_attributes: dict[str, Any] = {"handle_scope": "unrestricted"}  # noqa: RUF012

    driver = OnClass()
    assert published_object(driver) is OnClass.backend_activity_attributes
    driver.backend_activity_attributes = {}
    assert published_object(driver) == {}


def test_property_that_raises_is_a_violation() -> None:
    """A property that fails is reported with what it raised, and every default applies."""

    class Failing:
        @property
        def backend_activity_attributes(self) -> Any:
            raise KeyError("pool")

    publication, findings = read_driver(Failing(), everything)
    assert violations(findings) == [("A-1", "backend_activity_attributes")]
    assert "KeyError: \"'pool'\"" in findings[0].found
    assert publication == Publication(present=True)
