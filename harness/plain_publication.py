"""Publications that are made of nothing but the built-in types: two of them with one content are read alike.

A driver is opened and asked many times in a run and publishes the same each time. What reading made of a publication
is kept under its content and under what its driver implements, which is all that the reading depends on. A publication
with a type of somebody else's anywhere in it is not kept: reading it runs code that may do as it likes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from types import MappingProxyType
from typing import Any

_SCALARS = (str, bool, type(None))
_LISTS = (tuple, list)
_TEXT = frozenset({str})

MAX_NAMES = 1_000
"""How many keys a publication may have, and how many names a list in it."""


def content_key(value: object) -> Hashable | None:
    """What the content of a published value is known by, types and order included; None if it is not plain, or
    longer than is read.

    Runs no code of the driver.
    """
    content = value
    if type(value) is MappingProxyType:
        (content,) = gc.get_referents(value)  # what it shows: the one way to tell without asking it
    if type(content) is not dict or len(content) > MAX_NAMES:
        return None
    parts: list[Any] = [type(value)]
    for key, item in content.items():
        cls = type(item)
        if type(key) is not str:
            return None
        if cls in _LISTS:
            if len(item) > MAX_NAMES or not _TEXT.issuperset(map(type, item)):
                return None
            parts.append((key, cls, tuple(item)))
        elif cls in _SCALARS:
            parts.append((key, item))
        else:
            return None
    return tuple(parts)


def abilities_key(implemented: Callable[[str], bool] | None, names: tuple[str, ...]) -> Hashable:
    """Which of those methods and hooks the driver has; None where there is no driver to ask."""
    return None if implemented is None else tuple(map(implemented, names))
