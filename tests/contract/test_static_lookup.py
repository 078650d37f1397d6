"""Static look-ups and bindings say what `inspect` says, and follow a class that changes."""

from __future__ import annotations

import abc
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from harness.contract import METHODS, ContractViolation, abilities, bind_call, implements
from harness.static_lookup import plain_methods, static_attribute, takes

FUNCTIONS: list[Callable[..., Any]] = [
    lambda self: None,
    lambda self, volume: None,
    lambda self, volume, size=1: None,
    lambda self, *args: None,
    lambda self, **kwargs: None,
    lambda self, volume, *, request_id: None,
    lambda self, volume, *, request_id=None: None,
    lambda self, /, volume, size=1, *args, request_id, **kwargs: None,
    lambda self, volume, /, size: None,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(inspect.signature(function)))
def test_what_a_function_surely_takes_binds_to_its_signature(function: Callable[..., Any]) -> None:
    """A call that is taken binds, and one is refused only if it does not bind or needs **kwargs."""
    signature = inspect.signature(function)
    names = ("volume", "size", "request_id", "other")
    for count, length in itertools.product(range(1, 5), range(len(names))):
        for keywords in itertools.combinations(names, length):
            try:
                signature.bind(*range(count), **dict.fromkeys(keywords))
            except TypeError:
                binds = False
            else:
                binds = True
            taken = takes(function, count, keywords)
            assert not taken or binds
            if "kwargs" not in signature.parameters:
                assert taken == binds


def test_what_its_code_does_not_say_is_left_to_the_signature() -> None:
    """A wrapped function, a partial and a built-in are not judged by their code."""

    @functools.wraps(FUNCTIONS[1])
    def wrapped(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("called")

    assert not any(takes(function, 2, ()) for function in (wrapped, functools.partial(FUNCTIONS[1]), len))


class _Meta(type):
    """A metaclass with an attribute of its own."""

    from_meta = 1


class _Abstract(metaclass=abc.ABCMeta):  # noqa: B024
    """A class as Cinder's drivers are, with the metaclass of abstract base classes."""

    def create_volume(self) -> str:
        return "volume"


class _Slotted:
    __slots__ = ("create_snapshot",)

    def create_volume(self) -> None: ...


class _OddDict:
    __dict__ = {"create_volume": 1}  # type: ignore[assignment]

    def create_volume(self) -> None: ...


class _Zoo(_Abstract, metaclass=type("_Both", (_Meta, abc.ABCMeta), {})):
    hidden = 1
    nothing = None

    @property
    def delete_volume(self) -> None:
        raise AssertionError("evaluated")

    @staticmethod
    def delete_snapshot() -> None: ...


def _zoo() -> list[object]:
    with_own = _Abstract()
    vars(with_own)["create_volume"] = vars(with_own)["extra"] = "own"
    zoo = _Zoo()
    vars(zoo).update(delete_volume="own", hidden="own")
    return [_Abstract(), with_own, _Slotted(), _OddDict(), zoo, _Abstract, _Zoo, _Slotted, int, 5, "text", type]


@pytest.mark.parametrize("owner", _zoo(), ids=lambda owner: f"{type(owner).__name__} {getattr(owner, '__name__', '')}")
def test_look_up_finds_what_inspect_finds(owner: object) -> None:
    """Whatever the class is like, the raw attribute is that of `inspect.getattr_static`."""
    for name in ("create_volume", "create_snapshot", "delete_volume", "delete_snapshot", "hidden", "extra", "nothing"):
        assert static_attribute(owner, name, "default") is inspect.getattr_static(owner, name, "default")
    for name in ("from_meta", "__dict__", "__class__", "absent"):
        assert static_attribute(owner, name) == inspect.getattr_static(owner, name, None)
    for name in plain_methods(owner, METHODS):
        assert inspect.isfunction(inspect.getattr_static(owner, name))


def test_changes_of_a_class_count_at_once() -> None:
    """A method that is put on, taken off, replaced or hidden after the first look is found as it stands then."""

    class Driver:
        def create_volume(self, volume: object) -> str:
            return "first"

    driver = Driver()
    assert bind_call(driver, "create_volume", 1)() == "first"
    Driver.create_volume = lambda self, volume, size: "second"  # type: ignore[assignment,misc]
    with pytest.raises(ContractViolation, match="size"):
        bind_call(driver, "create_volume")
    assert bind_call(driver, "create_volume", 1, 2)() == "second"
    vars(driver)["create_volume"] = None
    assert not implements(driver, "create_volume") and not abilities(driver)("create_volume")
    with pytest.raises(ContractViolation, match="no method"):
        bind_call(driver, "create_volume", 1, 2)
    del vars(driver)["create_volume"]
    assert abilities(driver)("create_volume")
    del Driver.create_volume
    assert not implements(driver, "create_volume") and not abilities(driver)("create_volume")
