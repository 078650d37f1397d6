"""A driver's publication: read, judged by clauses A-1 to A-9, and frozen with the defaults of A-4."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from harness.activity import HandleScope
from harness.compression import ALIASES, TECHNIQUES, canonical
from harness.contract import ACTIVITY_HOOKS, ATTRIBUTE, METHODS
from harness.frozen import (
    NOT_TO_BE_CAUGHT,
    Budget,
    deep_freeze,
    exact_text,
    is_a,
    is_text,
    kind_of,
    mutable_part,
    plain,
    shorten,
    text_of,
)
from harness.names import did_you_mean
from harness.plain_publication import MAX_NAMES, abilities_key, content_key
from harness.results import Finding, Severity
from harness.static_lookup import static_attribute

STATELESS = "stateless_activities"
REPLICATION = "snapshot_replication"
TECHNIQUES_KEY = "backup_compression_techniques"
SCOPE = "handle_scope"
FAMILY = "driver_family"
VERSION = "version"

KEYS = (STATELESS, REPLICATION, TECHNIQUES_KEY, SCOPE)
"""The four keys that carry claims (A-3)."""
OPTIONAL_KEYS = (FAMILY, VERSION)
"""The keys that only inform."""

MAX_FINDINGS = 50
"""How many findings are reported one by one; the rest is counted."""

_ASKED = (*METHODS, *ACTIVITY_HOOKS)
_MAX_KNOWN = 256
_known: dict[Hashable, tuple[Publication, list[Finding]]] = {}
"""What was made of plain publications, by content and abilities."""


class Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""Stands for a driver that has no such attribute."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Publication:
    """What a driver claims, with the defaults of A-4 wherever it claims nothing or wrongly.

    `stateless_activities` is sorted and unique; `backup_compression_techniques` holds canonical names in the order of
    publication, unknown ones left out. `published` names the known keys that were really there, valid or not;
    `present` says whether there was an attribute at all; `raw` is a deep-frozen copy of all that was read.
    """

    stateless_activities: tuple[str, ...] = ()
    snapshot_replication: bool = False
    backup_compression_techniques: tuple[str, ...] = ()
    handle_scope: HandleScope = HandleScope.CONNECTION
    driver_family: str | None = None
    version: str | None = None
    published: frozenset[str] = frozenset()
    present: bool = False
    raw: Mapping[str, Any] = field(default_factory=_nothing, hash=False)

    def is_default(self, key: str) -> bool:
        """Whether the driver did not publish that key, so that its value is only the default."""
        return key not in self.published

    def effective(self) -> dict[str, Any]:
        """The claims that count, under the published names, as JSON has them."""
        values: dict[str, Any] = {
            STATELESS: list(self.stateless_activities),
            REPLICATION: self.snapshot_replication,
            TECHNIQUES_KEY: list(self.backup_compression_techniques),
            SCOPE: self.handle_scope.value,
        }
        optional = {FAMILY: self.driver_family, VERSION: self.version}
        return values | {key: value for key, value in optional.items() if value is not None}

    def published_as_json(self) -> dict[str, Any]:
        """What was read, as JSON has it."""
        values: dict[str, Any] = plain(self.raw)
        return values


def published_object(driver: object) -> object:
    """What the driver publishes, or `ABSENT`; found statically, a property then evaluated on the instance, once.

    Raises whatever the driver's property raises.
    """
    found = static_attribute(driver, ATTRIBUTE, ABSENT)
    if found is ABSENT or isinstance(driver, type):
        return found
    own = static_attribute(driver, "__dict__", None)
    if isinstance(own, dict) and own.get(ATTRIBUTE, ABSENT) is found:
        return found
    getter = static_attribute(type(found), "__get__", None)
    return found if getter is None else getter(found, driver, type(driver))


def read_driver(driver: object, implemented: Callable[[str], bool] | None) -> tuple[Publication, list[Finding]]:
    """The publication of a driver instance, and what is to be said of it. Raises nothing that the driver raises."""
    publication, findings = _read_driver(driver, implemented)
    return publication, [finding.model_copy() for finding in findings]


def publication_of(driver: object, implemented: Callable[[str], bool]) -> Publication:
    """The publication of a driver instance alone. Raises nothing that the driver raises."""
    return _read_driver(driver, implemented)[0]


def _read_driver(driver: object, implemented: Callable[[str], bool] | None) -> tuple[Publication, list[Finding]]:
    try:
        value = published_object(driver)
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException as error:  # whatever a property raises, it publishes nothing by it
        text = f"evaluating {ATTRIBUTE} raised {kind_of(error)}: {shorten(text_of(error))}"
        remedy = "let it return a mapping at any time after do_setup; until then every default applies"
        return Publication(present=True), [_finding(Severity.VIOLATION, "A-1", ATTRIBUTE, text, remedy)]
    return _read_once(value, implemented)


def read_publication(
    value: object, implemented: Callable[[str], bool] | None = None
) -> tuple[Publication, list[Finding]]:
    """Judge a published value, `ABSENT` included; a key with a violation gets its default (A-4, A-5).

    `implemented` says whether the driver has a method; None where there is no driver to ask, so that A-6 looks only
    at the names and A-7 is left out. Raises nothing, whatever the value does.
    """
    publication, findings = _read_once(value, implemented)
    return publication, [finding.model_copy() for finding in findings]


def _read_once(value: object, implemented: Callable[[str], bool] | None) -> tuple[Publication, list[Finding]]:
    """The same; the findings are shared by all who ask."""
    if value is ABSENT:
        return Publication(), []
    if (content := content_key(value)) is None:
        return _read(value, implemented)
    key = content, abilities_key(implemented, _ASKED)
    if key not in _known:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known[key] = _read(value, implemented)
    return _known[key]


def _read(value: object, implemented: Callable[[str], bool] | None) -> tuple[Publication, list[Finding]]:
    reader = _Reader(implemented)
    publication = reader.read(value)
    findings = reader.findings
    if len(findings) > MAX_FINDINGS:
        more = len(findings) - MAX_FINDINGS
        findings.sort(key=lambda f: list(Severity).index(f.severity))  # stable: the worst come first
        worst = findings[MAX_FINDINGS].severity
        del findings[MAX_FINDINGS:]
        findings.append(_finding(worst, None, ATTRIBUTE, f"{more} more findings", "mend those above first"))
    return publication, findings


def publication_difference(first: Publication, later: Publication) -> str | None:
    """In which keys a later reading differs from the first (A-2), in words, or None if they are equal.

    Order and duplicates of stateless activities carry no meaning (A-6).
    """
    if first.present != later.present:
        return f"{ATTRIBUTE} was {'present' if first.present else 'absent'} at first and is no longer so"
    ours, theirs = _comparable(first), _comparable(later)
    changed = [key for key in dict.fromkeys((*ours, *theirs)) if ours.get(key, ABSENT) != theirs.get(key, ABSENT)]
    was_is = [(shorten(key), _or_absent(first.raw, key), _or_absent(later.raw, key)) for key in changed[:5]]
    return "; ".join(f"{key} was {was} at first and is {now} now" for key, was, now in was_is) or None


def _comparable(publication: Publication) -> dict[Any, Any]:
    values = dict(publication.raw)
    names = values.get(STATELESS)
    if isinstance(names, (tuple, frozenset)):
        values[STATELESS] = frozenset(names) if all(isinstance(name, str) for name in names) else names
    return values


def _or_absent(raw: Mapping[Any, Any], key: Any) -> str:
    return shorten(raw[key]) if key in raw else "absent"


def _finding(severity: Severity, clause: str | None, subject: str, found: str, remedy: str) -> Finding:
    return Finding(severity=severity, clause=clause, subject=subject, found=found, remedy=remedy)


class _Unusable(Exception):
    """A value was reported; the key's default applies."""


class _Reader:
    """Reads one published value and collects findings."""

    def __init__(self, implemented: Callable[[str], bool] | None) -> None:
        self._implemented = implemented
        self.findings: list[Finding] = []

    def read(self, value: object) -> Publication:
        items = self._items(value)
        if items is None:
            return Publication(present=True)
        if (part := mutable_part(value)) is not None:
            found = f"the published object can be changed: it is or holds a {part}"
            remedy = "publish types.MappingProxyType over a dict of tuples or frozensets"
            self._note(Severity.ADVISORY, "A-1", ATTRIBUTE, found, remedy)
        readers: dict[str, Callable[[object], Any]] = {
            STATELESS: self._stateless,
            REPLICATION: self._replication,
            TECHNIQUES_KEY: self._techniques,
            SCOPE: self._scope,
            FAMILY: lambda v: self._text(FAMILY, v),
            VERSION: lambda v: self._text(VERSION, v),
        }
        values: dict[str, Any] = {}
        raw: dict[Any, Any] = {}
        budget = Budget()
        for key, item in items.items():
            try:
                raw[key] = deep_freeze(item, budget)
                if key in readers:
                    values[key] = readers[key](item)
                else:
                    remedy = did_you_mean(key, (*KEYS, *OPTIONAL_KEYS))
                    self._note(Severity.WARNING, "A-3", ATTRIBUTE, f"unknown key {shorten(key)}, ignored", remedy)
            except _Unusable:
                continue
            except NOT_TO_BE_CAUGHT:
                raise
            except BaseException as error:  # code of the driver's own types failed
                raw.setdefault(key, None)
                self._violation("A-5", key, f"reading it raised {kind_of(error)}", "publish plain values")
        known = frozenset(key for key in items if key in readers)
        return Publication(**values, published=known, present=True, raw=MappingProxyType(raw))

    def _items(self, value: object) -> dict[str, object] | None:
        """The value's items with exact string keys, bounded, or None if it is no mapping that can be read."""
        if not is_a(value, Mapping):
            remedy = "publish a mapping, a plain dict will do"
            if callable(value):
                remedy = "make it a property or a plain dict; a method is not evaluated"
            self._violation("A-1", ATTRIBUTE, f"the published value is {_article(value)}, not a mapping", remedy)
            return None
        assert isinstance(value, Mapping)
        items: dict[str, object] = {}
        others = 0
        try:
            for count, key in enumerate(value):
                if count >= MAX_NAMES:
                    found = f"it has more than {MAX_NAMES} keys"
                    self._violation("A-1", ATTRIBUTE, found, "publish the known keys only")
                    break
                if is_text(key):
                    items[exact_text(key)] = value[key]
                    continue
                others += 1
                if others <= 5:
                    self._violation("A-1", ATTRIBUTE, f"key {shorten(key)} is no string", "use string keys only")
        except NOT_TO_BE_CAUGHT:
            raise
        except BaseException as error:
            self._violation("A-1", ATTRIBUTE, f"reading it raised {kind_of(error)}", "publish a plain dict")
        return items

    def _stateless(self, value: object) -> tuple[str, ...]:
        names = sorted(set(self._names(STATELESS, value)))
        wrong = False
        for name in names:
            if name not in METHODS:
                wrong = True
                found = f"{shorten(name)} is no method of the contract"
                self._violation("A-6", STATELESS, found, did_you_mean(name, METHODS))
            elif self._implemented is not None and not self._implemented(name):
                wrong = True
                found = f"{name!r} is listed, but the driver does not implement it"
                self._violation("A-6", STATELESS, found, f"implement {name} or take it off the list")
        if wrong:
            raise _Unusable
        return tuple(names)

    def _replication(self, value: object) -> bool:
        if value is not True and value is not False:
            self._reject(REPLICATION, value, "publish True or False" + (", without quotes" if is_text(value) else ""))
        if value is True:
            self._need_hooks(REPLICATION, "True", ("replicate_snapshot",))
        return value is True

    def _techniques(self, value: object) -> tuple[str, ...]:
        known: dict[str, None] = {}
        for name in dict.fromkeys(self._names(TECHNIQUES_KEY, value)):
            technique = canonical(name)
            if technique is not None:
                known[technique] = None
                continue
            found = f"unknown technique {shorten(name)}, never selected"
            self._note(Severity.WARNING, "A-8", TECHNIQUES_KEY, found, did_you_mean(name, (*TECHNIQUES, *ALIASES)))
        if known:
            self._need_hooks(TECHNIQUES_KEY, ", ".join(known), ("backup_volume",))
        return tuple(known)

    def _scope(self, value: object) -> HandleScope:
        scopes = [scope.value for scope in HandleScope]
        if not is_text(value):
            hint = f"publish its value {value.value!r}" if type(value) is HandleScope else "publish one string"
            self._reject(SCOPE, value, f"{hint}; the scopes are {', '.join(scopes)}")
        assert isinstance(value, str)
        name = exact_text(value)
        if name not in scopes:
            near = difflib.get_close_matches(name[:100].lower().replace("_", "-"), scopes, n=1, cutoff=0.5)
            remedy = f"did you mean {near[0]!r}?" if near else f"publish exactly one of {', '.join(scopes)}"
            self._violation("A-9", SCOPE, f"{shorten(name)} is no handle scope", remedy)
            raise _Unusable
        scope = HandleScope(name)
        if scope is not HandleScope.CONNECTION:
            self._need_hooks(SCOPE, name, tuple(ACTIVITY_HOOKS))
        return scope

    def _text(self, key: str, value: object) -> str | None:
        if is_text(value) and exact_text(value):
            return exact_text(value)
        found = f"it is {_article(value)} ({shorten(value)}), which is ignored"
        self._violation("A-3", key, found, "publish a string that is not empty, or leave the key out")
        return None

    def _names(self, key: str, value: object) -> list[str]:
        """The strings of a published list, exact. A value that is no such list is reported."""
        if is_text(value):
            text = exact_text(value)
            self._reject(key, text, f"a bare string is not a list of names; publish [{shorten(text, 60)}]")
        if not is_a(value, Sequence, Set):
            self._reject(key, value, "publish a list, tuple or set of strings")
        assert isinstance(value, (Sequence, Set))
        names: list[str] = []
        for item in value:
            if len(names) >= MAX_NAMES:
                self._reject(key, value, f"it has more than {MAX_NAMES} names; list each once")
            if not is_text(item):
                self._violation("A-5", key, f"it holds {_article(item)} ({shorten(item)})", "hold strings only")
                raise _Unusable
            names.append(exact_text(item))
        return names

    def _need_hooks(self, key: str, claim: str, hooks: tuple[str, ...]) -> None:
        if self._implemented is None:
            return
        missing = [hook for hook in hooks if not self._implemented(hook)]
        if missing:
            names = ", ".join(missing)
            found = f"it claims {claim}, but the driver lacks {names}"
            self._violation("A-7", key, found, f"implement {names} or drop the claim")
            raise _Unusable

    def _reject(self, key: str, value: object, remedy: str) -> None:
        self._violation("A-5", key, f"it is {_article(value)} ({shorten(value)})", remedy)
        raise _Unusable

    def _violation(self, clause: str, subject: str, found: str, remedy: str) -> None:
        self._note(Severity.VIOLATION, clause, subject, found, remedy)

    def _note(self, severity: Severity, clause: str, subject: str, found: str, remedy: str) -> None:
        self.findings.append(_finding(severity, clause, shorten_name(subject), found, remedy))


def shorten_name(name: str) -> str:
    """A key as the subject of a finding: at most 60 printable characters."""
    return name if len(name) <= 60 and name.isprintable() else shorten(name, 60)


def _article(value: object) -> str:
    kind = kind_of(value)
    return "None" if value is None else f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
