"""What a simulated command or call takes: an option that its simulation does not honour is never passed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Carrier = TypeVar("Carrier", bound=Callable[..., Any])


class SyntaxUnknown(ValueError):
    """A command has an option, a value or an operand that its simulation does not honour; the message says which."""


class Words(list[str]):
    """A command as its syntax reads it: its name, its options in their order, then `operands`, all of them words."""

    def __init__(self, name: list[str], options: list[str], operands: list[str]) -> None:
        super().__init__([*name, *options, *operands])
        self.operands = tuple(operands)


@dataclass(frozen=True)
class Syntax:
    """What a simulated command honours.

    `flags` stand alone; `valued` take a value, one of those named, or any where none is named. `operands` are the
    fewest and the most words that belong to no option.
    """

    flags: frozenset[str] = frozenset()
    valued: dict[str, tuple[str, ...]] = field(default_factory=dict)
    operands: tuple[int, int] = (0, 0)

    def read(self, words: list[str], name_words: int = 1) -> Words:
        """The words in order: options come before operands, a value stands by itself (`-s0` is `-s 0`).

        The first `name_words` of them are the command's name. Raises `SyntaxUnknown`.
        """
        options: list[str] = []
        operands: list[str] = []
        left = list(words[name_words:])
        while left:
            word = left.pop(0)
            if not word.startswith("-") or word == "-":
                operands.append(word)
            elif word in self.flags:
                options.append(word)
            else:
                options += self._valued(word, left)
        fewest, most = self.operands
        if not fewest <= len(operands) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise SyntaxUnknown(f"it has {len(operands)} operands, and {wanted} are known")
        return Words(words[:name_words], options, operands)

    def _valued(self, word: str, left: list[str]) -> list[str]:
        """An option and its value, which may be the next of the words that are `left`."""
        name, joined, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name not in self.valued:
            raise SyntaxUnknown(f"its option {word!r} is not known")
        if not joined:
            if not left:
                raise SyntaxUnknown(f"its option {word!r} has no value")
            value = left.pop(0)
        known = self.valued[name]
        if known and value not in known:
            raise SyntaxUnknown(f"{value!r} of its option {name} is not known")
        return [name, value]


NOTHING = Syntax()
"""The syntax of a command for which none is written down: no options, no operands."""


def honours(options: str = "", operands: tuple[int, int] = (0, 0)) -> Callable[[Carrier], Carrier]:
    """Write down what the simulated command `do_<command>` honours; any other word is an error of the harness.

    `options` are words: `-f` is a flag, `-n=` takes any value, `--unit=g|m` one of these.
    """
    flags = {word for word in options.split() if "=" not in word}
    valued = {
        name: tuple(values.split("|")) if values else ()
        for name, values in (word.split("=", 1) for word in options.split() if "=" in word)
    }
    syntax = Syntax(frozenset(flags), valued, operands)

    def write_down(carrier: Carrier) -> Carrier:
        carrier.__dict__["syntax"] = syntax
        return carrier

    return write_down


def syntax_of(carrier: Callable[..., Any]) -> Syntax:
    """What is written down for the simulation of a command."""
    found: Syntax = getattr(carrier, "syntax", NOTHING)
    return found


def takes(parameters: str = "", **only: tuple[Any, ...]) -> Callable[[Carrier], Carrier]:
    """Write down the parameters that a simulated call honours; any other is an error of the harness.

    `parameters` are their names; `only` are further ones that may have these values alone.
    """
    known: dict[str, tuple[Any, ...] | None] = {**dict.fromkeys(parameters.split()), **only}

    def write_down(carrier: Carrier) -> Carrier:
        carrier.__dict__["parameters"] = known
        return carrier

    return write_down


def check_parameters(carrier: Callable[..., Any], given: dict[str, Any]) -> None:
    """Raises `SyntaxUnknown` for a parameter, or a value of one, that the simulation of a call does not honour."""
    known: dict[str, tuple[Any, ...] | None] = getattr(carrier, "parameters", {})
    for name, value in given.items():
        if name not in known:
            raise SyntaxUnknown(f"its parameter {name!r} is not known")
        values = known[name]
        if values is not None and value not in values:
            raise SyntaxUnknown(f"{value!r} of its parameter {name} is not known")
