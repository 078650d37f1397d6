"""What a driver's class brings itself, what it inherits from Cinder's base classes, and what is only a stub."""

from __future__ import annotations

import ast
import enum
import inspect
import textwrap
from typing import Any

_BASE_MODULE = "cinder.volume.driver"
_SHARED_MODULES = ("cinder.volume.drivers.remotefs",)


class Origin(enum.Enum):
    """Where a class has a method from."""

    OWN = "own"
    """The class itself."""
    FAMILY = "family"
    """A base class of the same vendor's code."""
    SHARED = "shared"
    """A base class that several drivers share (remotefs)."""
    BASE = "base"
    """Cinder's own base class: generic behaviour."""
    STUB = "stub"
    """There, but it only raises, returns a constant, or does nothing."""
    ABSENT = "absent"


def definer(cls: type, name: str) -> type | None:
    """The class in the inheritance of `cls` that defines an attribute, or None."""
    bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(cls)
    return next((base for base in bases if name in type.__dict__["__dict__"].__get__(base)), None)


def origin(cls: type, name: str) -> Origin:
    """Where a class has a method from; nothing of the class is run."""
    where = definer(cls, name)
    if where is None:
        return Origin.ABSENT
    raw = type.__dict__["__dict__"].__get__(where)[name]
    function = raw.__func__ if isinstance(raw, (staticmethod, classmethod)) else raw
    if is_stub(function):
        return Origin.BASE if where.__module__ == _BASE_MODULE else Origin.STUB
    if where.__module__ == _BASE_MODULE:
        return Origin.BASE
    if where is cls:
        return Origin.OWN
    return Origin.SHARED if where.__module__ in _SHARED_MODULES else Origin.FAMILY


def is_native(cls: type, name: str) -> bool:
    """Whether a class, or one of its vendor's or a shared base, brings a method with a body of its own."""
    return origin(cls, name) in (Origin.OWN, Origin.FAMILY, Origin.SHARED)


def is_stub(function: Any) -> bool:
    """Whether a function's body only raises NotImplementedError, returns a constant, or does nothing at all.

    By its source; False where that can't be had.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    if not tree.body or not isinstance(tree.body[0], (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    body = [s for s in tree.body[0].body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return all(_does_nothing(statement) for statement in body)


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass():
            return True
        case ast.Return(value=None):
            return True
        case ast.Return(value=value):
            return _is_constant(value)
        case ast.Raise(exc=raised):
            return raised is not None and "NotImplementedError" in ast.unparse(raised)
        case ast.Assign(value=value):  # msg = _("…"), before it is raised
            return isinstance(value, ast.Constant) or (
                isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "_"
            )
    return False


def _is_constant(node: ast.expr | None) -> bool:
    if node is None:
        return True
    try:
        ast.literal_eval(node)
    except ValueError:
        return isinstance(node, ast.Name) and node.id == "NotImplemented"
    return True
