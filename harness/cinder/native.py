"""What a driver's class brings itself, what it inherits from Cinder's base classes, and what is only a stub."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

from harness.driver_walk import Origin

_BASE_MODULE = "cinder.volume.driver"
_WATCHING = (
    "cinder/utils.py",
    "cinder/volume/volume_utils.py",
    "cinder/coordination.py",
    "oslo_concurrency/lockutils.py",
)
"""Where decorators come from that log, lock or repeat a method and do nothing of its work."""
_SHARED_MODULES = ("cinder.volume.drivers.remotefs",)


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
    return origin(cls, name).is_native


def is_stub(function: Any) -> bool:
    """Whether a function's body only raises NotImplementedError, returns a constant, or does nothing at all.

    By its source; False where that can't be had, and where a decorator of the vendor's stands around it, which may do
    the work itself.
    """
    wrapper = function
    while hasattr(wrapper, "__wrapped__"):
        if not wrapper.__code__.co_filename.replace("\\", "/").endswith(_WATCHING):
            return False
        wrapper = wrapper.__wrapped__
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
