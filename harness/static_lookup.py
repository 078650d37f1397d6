"""Looking at a driver without running any of its code: its attributes as they stand, and what its functions take.

`inspect.getattr_static` and `inspect.Signature.bind` say the same, and decide wherever something is out of the ordinary
here; they are too slow to be asked at every call of a driver.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Collection, Iterable, Mapping
from types import FunctionType, GetSetDescriptorType
from typing import Any, Final

ABSENT: Final = object()
"""Stands for an attribute that is not there."""

_ORDINARY_METACLASSES = (type, abc.ABCMeta)
"""Metaclasses that show the namespaces of their classes as they are."""

# descriptors of `type` itself: no class, and no metaclass, can put its own in their place
_mro_of = type.__dict__["__mro__"].__get__
_namespace_of = type.__dict__["__dict__"].__get__


def static_attribute(owner: object, name: str, default: Any = None) -> Any:
    """The attribute as it stands on the instance or its classes, no code of the driver asked.

    Returns the raw attribute (a function, property, classmethod …), or `default` if there is none.
    """
    cls = type(owner)
    if issubclass(cls, type):
        return _of_class(owner, name, default)
    found = own = ABSENT
    holder: type = cls
    for entry in _mro_of(cls):
        if type(entry) not in _ORDINARY_METACLASSES:
            return inspect.getattr_static(owner, name, default)
        namespace = _namespace_of(entry)
        if found is ABSENT and name in namespace:
            found = namespace[name]
        if own is ABSENT and "__dict__" in namespace:
            own, holder = namespace["__dict__"], entry
    if own is not ABSENT and not (_is_ordinary(own, holder) and name not in own.__get__(owner)):  # type: ignore[attr-defined]
        return inspect.getattr_static(owner, name, default)
    return default if found is ABSENT else found


def plain_function(owner: object, name: str) -> FunctionType | None:
    """The plain function that the owner's classes surely hold under a name, nothing of the instance hiding it."""
    cls = type(owner)
    if issubclass(cls, type):
        return None
    found: FunctionType | None = None
    for entry in _mro_of(cls):
        if type(entry) not in _ORDINARY_METACLASSES:
            return None
        namespace = _namespace_of(entry)
        if found is None and name in namespace:
            if type(namespace[name]) is not FunctionType:
                return None
            found = namespace[name]
        if "__dict__" in namespace:
            own = namespace["__dict__"]
            return found if found and _is_ordinary(own, entry) and name not in own.__get__(owner) else None
    return found


def plain_methods(owner: object, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` under which the owner's classes surely hold a plain function; of others nothing is said."""
    cls = type(owner)
    if issubclass(cls, type):
        return frozenset()
    namespaces = []
    hidden: Mapping[str, object] | None = None
    for entry in _mro_of(cls):
        if type(entry) not in _ORDINARY_METACLASSES:
            return frozenset()
        namespace = _namespace_of(entry)
        namespaces.append(namespace)
        if hidden is None and "__dict__" in namespace:
            if not _is_ordinary(namespace["__dict__"], entry):
                return frozenset()
            hidden = namespace["__dict__"].__get__(owner)
    if hidden is None:
        return frozenset()
    found = []
    for name in names:
        for namespace in namespaces:
            if name in namespace:
                if type(namespace[name]) is FunctionType and name not in hidden:
                    found.append(name)
                break
    return frozenset(found)


def _is_ordinary(descriptor: object, holder: type) -> bool:
    """Whether that is what Python itself puts into a class as `__dict__`, which gives an instance's attributes."""
    return (
        type(descriptor) is GetSetDescriptorType
        and descriptor.__name__ == "__dict__"
        and descriptor.__objclass__ is holder
    )


def _of_class(cls: object, name: str, default: Any) -> Any:
    for entry in _mro_of(cls):
        if type(entry) not in _ORDINARY_METACLASSES:
            break
        namespace = _namespace_of(entry)
        if name in namespace:
            return namespace[name]
    return inspect.getattr_static(cls, name, default)


def takes(function: object, positional: int, keywords: Collection[str]) -> bool:
    """Whether a call with so many positional arguments and these keywords surely fits a function.

    True only for a plain function, whose code says all; False says nothing, and the function's signature decides.
    """
    if type(function) is not FunctionType or function.__dict__:  # `__wrapped__` and `__signature__` say otherwise
        return False
    code = function.__code__
    if not keywords and positional == code.co_argcount and not code.co_kwonlyargcount:
        return True
    count, first_optional = code.co_argcount, code.co_argcount - len(function.__defaults__ or ())
    if positional > count and not code.co_flags & inspect.CO_VARARGS:
        return False
    only_by_name = code.co_varnames[count : count + code.co_kwonlyargcount]
    for name in keywords:
        if name in only_by_name:
            continue
        if name not in code.co_varnames[max(positional, code.co_posonlyargcount) : count]:
            return False
    for place in range(positional, first_optional):
        if code.co_varnames[place] not in keywords:
            return False
    defaults = function.__kwdefaults__ or {}
    return all(name in keywords or name in defaults for name in only_by_name)
