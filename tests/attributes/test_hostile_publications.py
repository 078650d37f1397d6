"""Reading what a hostile or broken driver publishes: bounded, and never an error of the reader."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.activity import HandleScope
from harness.attributes import read_publication
from harness.frozen import Opaque, deep_freeze, shorten
from tests.attributes.drivers import everything, violations


class Word(str):
    """A string whose comparison can't be trusted."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Hostile(Mapping[str, Any]):
    """A mapping that raises wherever it can, or never ends."""

    def __init__(self, deed: str) -> None:
        self.deed = deed

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __iter__(self) -> Iterator[str]:
        if self.deed == "iter":
            raise RuntimeError("no iteration")
        number = 0
        while True:
            yield f"key{number}"
            number += 1

    def __getitem__(self, key: str) -> Any:
        if self.deed == "getitem":
            raise RuntimeError("no items")
        return self

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Liar:
    """An object whose class is not what it says, and says nothing without raising."""

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no class")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def endless() -> dict[str, Any]:
    """A mapping that contains itself."""
    value: dict[str, Any] = {}
    value["handle_scope"] = value["deeper"] = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Hostile("iter"),
        lambda: Hostile("getitem"),
        lambda: Hostile("endless"),
        lambda: Liar(),
        lambda: {"handle_scope": Hostile("iter"), "driver_family": Liar()},
        lambda: {"stateless_activities": [Word("create_snapshot"), Liar()]},
        lambda: {Liar(): 1},
        lambda: endless(),
        lambda: {f"key{n}": n for n in range(5000)},
        lambda: {"handle_scope": "x" * 1_000_000, "y" * 1_000_000: 1},
        lambda: {"stateless_activities": [f"method{n}" for n in range(900)]},
        lambda: {"handle_scope": 10**6000, "snapshot_replication": float("nan")},
        lambda: {"\ud800": "\udfff", "handle_scope": "\udfff"},
    ],
)
def test_hostile_value_is_reported_within_bounds(make: Callable[[], object]) -> None:
    """Whatever the value does, reading returns defaults and few, short findings that can be written as JSON."""
    publication, findings = read_publication(make(), everything)
    assert violations(findings) or len(findings) > 40
    assert len(findings) <= 51
    for finding in findings:
        assert len(finding.found) < 400
        assert len(finding.subject) <= 60
        assert len(finding.remedy) < 600
        finding.model_dump_json()
    assert json.dumps(publication.published_as_json(), ensure_ascii=False, allow_nan=False).encode()
    assert publication.handle_scope is HandleScope.CONNECTION
    assert publication.snapshot_replication is False


def test_too_many_keys_are_a_violation() -> None:
    """Reading ends after a thousand keys, and says so first."""
    publication, findings = read_publication({f"key{n}": n for n in range(1001)}, everything)
    assert "more than 1000 keys" in findings[0].found
    assert len(publication.raw) == 1000


def test_value_that_contains_itself_is_cut_where_it_does() -> None:
    """A cycle is cut at its first return, and what is kept can't be changed."""
    frozen = deep_freeze(endless())
    assert frozen["deeper"] == (Opaque("dict that contains itself"),)
    assert deep_freeze({"a": [{"b"}]}) == {"a": (frozenset({"b"}),)}
    with pytest.raises(TypeError):
        frozen["deeper"] = 1


def test_value_in_a_message_is_cut() -> None:
    """However long a value is, a message shows one line of at most 120 characters."""
    assert shorten(["name\n" * 10] * 40).endswith("…")
    assert len(shorten(["name\n" * 10] * 40)) == 120
    assert "\n" not in shorten(["name\n" * 10] * 40)
    assert shorten(("a", 1)) == "['a', 1]"


def test_string_subclass_is_taken_by_its_characters() -> None:
    """A string subclass with a comparison of its own counts as the string that it is."""
    publication, findings = read_publication({"stateless_activities": [Word("create_snapshot")]}, everything)
    assert violations(findings) == []
    assert publication.stateless_activities == ("create_snapshot",)
    assert type(publication.stateless_activities[0]) is str
