"""How Cinder's volume manager calls drivers, read from its source, and which classes can't be called so.

Inheriting from Cinder's interface classes proves nothing: on Python 3 they accept any class. Binding the manager's own
calls to a driver's signatures does.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = ("volume/manager.py", "volume/flows/manager/create_volume.py", "volume/flows/manager/manage_existing.py")
"""Where the manager's calls are, below Cinder's folder."""


@dataclass(frozen=True, order=True)
class ManagerCall:
    """A call of a driver's method: so many positional arguments, keywords by name; `where` is file and line."""

    method: str
    positional: int
    keywords: tuple[str, ...]
    where: str


@functools.cache
def manager_calls() -> tuple[ManagerCall, ...]:
    """The calls of the installed Cinder's volume manager, each shape once, by method.

    Calls whose arguments stand in `*` or `**` are left out: how many there are can't be seen. `failover` is called
    through a variable, which stands for a driver's `failover_host` or `failover`.
    """
    import cinder

    found: dict[tuple[str, int, tuple[str, ...]], ManagerCall] = {}
    for name in FILES:
        path = Path(cinder.__file__).parent / name
        for call in _calls(ast.parse(path.read_text()), f"cinder/{name}"):
            found.setdefault((call.method, call.positional, call.keywords), call)
    return tuple(sorted(found.values()))


def _calls(tree: ast.Module, file: str) -> Iterator[ManagerCall]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="driver"), attr=method):
                methods = (method,)
            case ast.Attribute(value=ast.Name(id="driver"), attr=method):
                methods = (method,)
            case ast.Name(id="failover"):
                methods = ("failover_host",)
            case _:
                continue
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            continue
        keywords = tuple(sorted(k.arg for k in node.keywords if k.arg))
        for method in methods:
            yield ManagerCall(method, len(node.args), keywords, f"{file}:{node.lineno}")


def unbound_calls(cls: type) -> list[str]:
    """The manager's calls that do not bind to the class's signatures, in words."""
    told = []
    for call in manager_calls():
        raw = inspect.getattr_static(cls, call.method, None)
        if raw is None:
            continue
        function: Any = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
        first = () if isinstance(raw, staticmethod) else (None,)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            continue
        try:
            signature.bind(*first, *[None] * call.positional, **dict.fromkeys(call.keywords))
        except TypeError as error:
            told.append(f"{call.method}{signature}: {error}; called at {call.where}")
    return told
