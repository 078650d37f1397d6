"""Publications of built-in types are judged once for each content; that changes no judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from harness.attributes import read_publication
from harness.plain_publication import MAX_NAMES, content_key

PLAIN = {"stateless_activities": ("create_snapshot",), "snapshot_replication": True}


class _Restless(Mapping[str, Any]):
    """A mapping that shows something else each time."""

    def __init__(self) -> None:
        self.readings = 0

    def __getitem__(self, key: str) -> Any:
        return self.readings // 3 % 2 == 0  # one reading may go through it twice

    def __iter__(self) -> Iterator[str]:
        self.readings += 1
        return iter(("snapshot_replication",))

    def __len__(self) -> int:
        return 1


class _Text(str):
    """Somebody's own kind of text."""


def test_what_the_driver_implements_counts_with_the_content() -> None:
    """The same publication is right for a driver with the hook and wrong for one without."""
    _, with_hook = read_publication(MappingProxyType(PLAIN), lambda name: True)
    _, without = read_publication(MappingProxyType(PLAIN), lambda name: name != "replicate_snapshot")
    _, nobody = read_publication(MappingProxyType(PLAIN), None)
    assert [finding.clause for finding in without] == ["A-7"]
    assert with_hook == nobody == []


def test_types_count_with_the_content() -> None:
    """1 is not True, a list can be changed where a tuple can't, and so can a dict where a read-only view can't."""
    claim = {"snapshot_replication": True, "stateless_activities": ()}
    for value, clauses in (
        (MappingProxyType(claim), []),
        (dict(claim), ["A-1"]),
        (MappingProxyType(claim | {"snapshot_replication": 1}), ["A-5"]),
        (MappingProxyType(claim | {"stateless_activities": []}), ["A-1"]),
        (MappingProxyType(claim), []),
    ):
        _, findings = read_publication(value, lambda name: True)
        assert [finding.clause for finding in findings] == clauses


def test_a_publication_that_changed_in_place_is_judged_anew() -> None:
    """The content counts, not the object."""
    published = dict(PLAIN)
    view = MappingProxyType(published)
    assert read_publication(view, None)[0].snapshot_replication
    published["snapshot_replication"] = False
    assert not read_publication(view, None)[0].snapshot_replication


def test_findings_belong_to_their_reader() -> None:
    """What one reader does to its findings is not seen by the next."""
    wrong = MappingProxyType({"handle_scope": "host"})
    _, findings = read_publication(wrong, None)
    findings[0].found = "changed"
    findings.clear()
    _, again = read_publication(wrong, None)
    assert len(again) == 1 and again[0].found != "changed"


def test_foreign_types_are_read_each_time() -> None:
    """A mapping that says something else each time is asked each time, behind a read-only view too."""
    for value in (_Restless(), MappingProxyType(_Restless())):
        assert content_key(value) is None
        readings = {read_publication(value, None)[0].snapshot_replication for _ in range(4)}
        assert readings == {True, False}


@pytest.mark.parametrize("item", [_Text("a"), ("a", _Text("b")), {"a": 1}, 1.5, frozenset({"a"}), [["a"]], b"a"])
def test_only_the_plainest_values_have_a_key(item: object) -> None:
    """Subclasses, and everything but text, truth values and flat lists, is left to the full reading."""
    assert content_key({"key": item}) is None
    assert content_key({_Text("key"): True}) is None
    assert content_key({"key": "text", "list": ["a"], "none": None}) is not None


def test_what_is_too_long_has_no_key() -> None:
    """A plain publication with more keys, or a longer list, than is read is not walked and kept for its content."""
    keys = dict.fromkeys(map(str, range(MAX_NAMES + 1)), True)
    names = {"stateless_activities": ["a"] * (MAX_NAMES + 1)}
    assert content_key(keys) is None and content_key(names) is None
    assert any("more than 1000 keys" in finding.found for finding in read_publication(keys, None)[1])
