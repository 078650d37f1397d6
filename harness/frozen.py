"""Deep-frozen copies of values that nobody vouches for: bounded, without cycles, and equal only by content.

A driver's published object may be huge, contain itself, or raise from any of its methods. What is kept here are exact
built-in scalars, tuples, frozensets and read-only mappings; whatever else is found becomes an `Opaque`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard

from harness.runtime import Abandoned

NOT_TO_BE_CAUGHT = (MemoryError, Abandoned)
"""What goes through every handler for whatever a driver's object raises: neither is an answer of the object."""

MAX_DEPTH = 20
"""Containers deeper than this are not followed."""
MAX_ITEMS = 10_000
"""How many items a whole value may have; the rest is cut off."""
MAX_TEXT = 120
"""How many characters of a value a message shows."""


@dataclass(frozen=True)
class Opaque:
    """What stands for a value that can't be kept; `kind` names its type, or the reason."""

    kind: str


class Budget:
    """How many more items may be taken; shared by all levels of one value."""

    def __init__(self, items: int = MAX_ITEMS) -> None:
        self.left = items

    def take(self, values: Iterable[Any]) -> Iterable[Any]:
        """At most as many of `values` as are left."""
        for value in itertools.islice(iter(values), self.left):
            self.left -= 1
            yield value
            if self.left <= 0:
                return


def kind_of(value: object) -> str:
    """The name of the value's type, asked of the type itself."""
    return exact_text(type.__dict__["__name__"].__get__(type(value)))[:60]


def class_id(cls: type) -> str:
    """The class's module and qualified name, asked of no code of its own or of its metaclass."""
    module = type.__dict__["__dict__"].__get__(cls).get("__module__")
    qualname = exact_text(type.__dict__["__qualname__"].__get__(cls))
    return f"{exact_text(module) if is_text(module) else '?'}.{qualname}"


def text_of(error: BaseException, limit: int = 10_000) -> str:
    """The exception's message, whatever its `__str__` does."""
    try:
        return exact_text(str(error))[:limit]
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException:
        return "(its text can't be had)"


def is_text(value: object) -> TypeGuard[str]:
    """Whether the value is a str, whatever its `__class__` says."""
    return issubclass(type(value), str)


def exact_text(value: str) -> str:
    """The same characters as an exact str, for a subclass whose methods can't be trusted."""
    return str.__str__(value)


def is_a(value: object, *abstract: type) -> bool:
    """Whether the value's type is one of those; a type that can't be asked is none of them."""
    try:
        return issubclass(type(value), abstract)
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException:
        return False


def shorten(value: object, limit: int = MAX_TEXT) -> str:
    """The value for a message: at most `limit` characters, on one line, whatever its `__repr__` does."""
    try:
        text = _describe(deep_freeze(value, Budget(50)))
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException:  # a container that fails while it is read
        text = f"a {kind_of(value)} that can't be read"
    text = _writable(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _writable(text: str) -> str:
    """The text with lone surrogates escaped: they could not be written to any report."""
    return text.encode("utf-8", "backslashreplace").decode()


def _describe(value: Any) -> str:
    if isinstance(value, Opaque):
        return f"a {value.kind}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_describe(k)}: {_describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_describe, value)) + "]"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(_describe, value))) + "}"
    if isinstance(value, (str, bytes)):
        return repr(value[: MAX_TEXT * 2])
    return repr(value)


def deep_freeze(value: object, budget: Budget | None = None) -> Any:
    """A copy that nothing can change: mappings read-only, lists as tuples, sets as frozensets, scalars exact.

    What contains itself, lies deeper than `MAX_DEPTH`, or is of no such type becomes an `Opaque`; past the budget
    containers are cut off. Raises whatever a container raises while it is read.
    """
    return _freeze(value, budget or Budget(), ())


def _freeze(value: object, budget: Budget, inside: tuple[int, ...]) -> Any:
    cls = type(value)
    if value is None or cls in (bool, bytes, Opaque):
        return value
    if is_text(value):
        return exact_text(value)
    if cls is int:
        assert isinstance(value, int)
        return value if value.bit_length() <= 4096 else Opaque("very large int")
    if cls is float:
        assert isinstance(value, float)
        return value if math.isfinite(value) else Opaque(f"float {value}")
    if id(value) in inside:
        return Opaque(f"{kind_of(value)} that contains itself")
    if len(inside) >= MAX_DEPTH:
        return Opaque(f"{kind_of(value)} nested too deeply")
    inside = (*inside, id(value))
    if is_a(value, Mapping):
        assert isinstance(value, Mapping)
        frozen: dict[Any, Any] = {}
        for key in budget.take(value):
            frozen[_hashable(_freeze(key, budget, inside))] = _freeze(value[key], budget, inside)
        return MappingProxyType(frozen)
    if is_a(value, Set):
        assert isinstance(value, Set)
        return frozenset(_hashable(_freeze(item, budget, inside)) for item in budget.take(value))
    if is_a(value, Sequence) and not is_a(value, bytearray, memoryview, range):
        assert isinstance(value, Sequence)
        return tuple(_freeze(item, budget, inside) for item in budget.take(value))
    return Opaque(kind_of(value))


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return Opaque("unhashable key")
    return value


def plain(value: Any) -> Any:
    """A deep-frozen value as JSON has it: dicts with string keys, lists, scalars; an `Opaque` as a text."""
    if isinstance(value, Mapping):
        return {_writable(key if isinstance(key, str) else _describe(key)): plain(v) for key, v in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, (Opaque, bytes)):
        return _describe(value)
    return _writable(value) if isinstance(value, str) else value


def mutable_part(value: object, budget: Budget | None = None, depth: int = 0) -> str | None:
    """The type of the first mutable container in the value, itself included, or None. Tries no mutation."""
    budget = budget or Budget()
    if is_a(value, MutableMapping, MutableSequence, MutableSet):
        return kind_of(value)
    if depth >= MAX_DEPTH or is_text(value) or is_a(value, bytes):
        return None
    try:
        if is_a(value, Mapping):
            assert isinstance(value, Mapping)
            parts: Iterable[Any] = (value[key] for key in value)
        elif is_a(value, Sequence, Set):
            assert isinstance(value, Iterable)
            parts = value
        else:
            return None
        for part in budget.take(parts):
            found = mutable_part(part, budget, depth + 1)
            if found is not None:
                return found
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException:  # what can't be read is reported elsewhere
        return None
    return None
