"""What a driver's methods return, read without running any code of the driver's own types."""

from __future__ import annotations

from typing import Any

from harness.activity import ActivityState, ActivityStatus
from harness.frozen import MAX_DEPTH, Budget, Opaque, exact_text, is_text, kind_of, shorten

_TAME = frozenset({bool, bytes, str, int, float})


class WrongAnswer(Exception):
    """A method returned what the contract does not allow; the text says what."""


def read_answer(method: str, answer: Any) -> Any:
    """A method's answer in exact built-in types; every method's but the activity hooks' is judged elsewhere.

    Raises `WrongAnswer`, and whatever an `ActivityStatus` of the driver's own making raises while it is read.
    """
    if method == "start_activity":
        return _handle(answer)
    return _status(answer) if method == "get_activity" else tame(answer)


def tame(answer: Any) -> Any:
    """A copy of dicts, lists, tuples, texts and numbers, with an `Opaque` for each value of another type.

    Subclasses become what they are subclasses of. What lies too deep, or contains itself, is cut off.
    """
    if answer is None or type(answer) in _TAME:
        return answer
    return _tame(answer, Budget(), 0)


def kind_of_answer(answer: Any) -> str:
    """The name of the type that the driver returned."""
    return answer.kind if isinstance(answer, Opaque) else kind_of(answer)


def _tame(value: Any, budget: Budget, depth: int) -> Any:
    cls = type(value)
    if value is None or cls in (bool, bytes):
        return value
    if is_text(value):
        return exact_text(value)
    if issubclass(cls, int):
        return int.__int__(value)
    if issubclass(cls, float):
        return float.__float__(value)
    if depth < MAX_DEPTH:
        if issubclass(cls, dict):
            items = budget.take(dict.items(value))
            return {_tame(key, budget, depth + 1): _tame(item, budget, depth + 1) for key, item in items}
        if issubclass(cls, list):
            return [_tame(item, budget, depth + 1) for item in budget.take(list.__iter__(value))]
        if issubclass(cls, tuple):
            return tuple(_tame(item, budget, depth + 1) for item in budget.take(tuple.__iter__(value)))
    return Opaque(kind_of(value))


def _handle(answer: Any) -> str:
    if not is_text(answer):
        raise WrongAnswer(f"returned {kind_of(answer)}; a handle is a str")
    if not exact_text(answer):
        raise WrongAnswer("returned an empty str; a handle has at least one character")
    return exact_text(answer)


def _status(answer: Any) -> ActivityStatus:
    if not issubclass(type(answer), ActivityStatus):
        raise WrongAnswer(f"returned {kind_of(answer)}, no ActivityStatus")
    state, progress = answer.state, answer.progress
    if type(state) is not ActivityState:
        raise WrongAnswer(f"its state is {kind_of(state)}, no ActivityState")
    if progress is not None:
        progress = _number(progress, 0.0, 1.0, "its progress", "not None or a number from 0 to 1")
    return ActivityStatus(
        state,
        progress,
        tame(answer.result),
        _text(answer.error),
        _number(answer.poll_after, 0.0, 86_400.0, "its poll_after", "not a number of seconds from 0 to 86,400"),
        _text(answer.error_code),
    )


def _number(value: Any, least: float, most: float, what: str, remedy: str) -> float:
    number = value if type(value) is float else tame(value)
    if type(number) not in (int, float) or not least <= number <= most:
        raise WrongAnswer(f"{what} is {shorten(value, 40)}, {remedy}")
    return float(number)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return exact_text(value) if is_text(value) else shorten(value)
