"""Faults and choices as data: drawn from the seed, recorded, replayed.

A choice is a function of the seed, the check and the choice's name alone. So it stands before the run begins, whatever
order the code asks in, and adding one choice changes no other. What was drawn is recorded in the schedule; a schedule
that is replayed answers from the record.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from harness.input_file import unique_keys

T = TypeVar("T")

FAULT_KINDS = (
    "connection.break",
    "connection.reset",
    "connection.half_open",
    "session.reinstate",
    "session.logout",
    "reservation.preempt",
    "caller.crash",
    "caller.pause",
    "host.restart",
    "partition",
    "link.slow",
    "start.reply_lost",
    "reply.lost",
    "reply.late",
    "backend.restart",
    "server.restart",
    "pool.full",
    "medium.error",
    "job.fail",
    "job.unsupported",
    "job.pause",
    "drain.stall",
)
"""The faults that a testbed may be asked for; which of them it makes is its own matter. Those of connections hit the
connections of drivers at `caller`, or, with `volume`, what carries that volume's foreground I/O (at `caller`, or at
every host for ""). For these, `host.restart` and `reservation.preempt` a `backend` that is named leaves out what others
have; for a fault of a `volume`, `drain.stall` too, it hits only while the volume is there.

connection.break      drops; the caller knows at once, the backend only by its keep-alive
connection.reset      drops; both ends know at once, half open or not
connection.half_open  nothing gets through any more, and neither end is told: both find out by their keep-alives
session.reinstate     the session is taken over by a new one under its name, which logs the old one out at the backend;
                      the caller hears of it if anything gets through
session.logout        the backend asks the caller to log out, which it does; if nothing gets through, the backend closes
                      its end alone
reservation.preempt   another initiator preempts `caller` and aborts its third-party copies (SPC-4), no foreground I/O
caller.crash          what runs on the machine `caller` dies; its connections stay until they break or time out
caller.pause          the machine `caller` stands still for `for_ns`: its tasks, its clock and its kernel's keep-alives
host.restart          the machine `caller` restarts: it forgets its connections, and backends find out by themselves
partition             `caller` and `backend` can't reach each other for `for_ns`; "" stands for everybody
link.slow             the port of `backend`, or of `caller`, has only `fraction` of its capacity for `for_ns`
start.reply_lost      the next start of `caller` takes effect, its answer is lost, the connection drops
reply.lost            the same for the next call, of `verb` "start", "status" or "abort" ("" any); or the next write
reply.late            the answer to the next such call, or write, takes `for_ns` longer
backend.restart       power off now, and on again after `for_ns`: jobs end, sessions are forgotten, volumes stay
server.restart        the storage service restarts at once: what it holds of its clients is gone, and grace begins (NFS)
pool.full             the pool of `backend` has no room left, for `for_ns` (0: for good)
medium.error          a block of the object `volume` on `backend`, at `fraction` of its size, can't be read; "" is the
                      oldest object that a job is reading then
job.fail              the next job of verb `verb` on backend `backend` fails once it has moved `fraction` of its bytes
job.unsupported       the next job of verb `verb` on backend `backend` is refused as unsupported, before any effect
job.pause             the jobs of `verb` ("" any) that run on `backend` and can be paused are, for `for_ns`
drain.stall           writes of `volume` that are under way when a hold begins stay unacknowledged for `for_ns`
"""


class ScheduleError(ValueError):
    """A saved schedule can't be replayed. The text says which choice it is, what it is, and what it should be."""


@dataclass(frozen=True)
class Fault:
    """One fault. It happens at the instant `at_ns` (nanoseconds since the run began), or at the `nth` occurrence of the
    recorded event kind `on`, or, with neither, now.

    The other fields say what is hit; which of them a kind uses stands at `FAULT_KINDS`. `fraction` is 0…1, `for_ns`
    nanoseconds. Raises ValueError for an unknown kind, and for two triggers at once.
    """

    kind: str
    on: str = ""
    nth: int = 1
    backend: str = ""
    caller: str = ""
    volume: str = ""
    verb: str = ""
    fraction: float = 0.0
    for_ns: int = 0
    at_ns: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; known are {', '.join(FAULT_KINDS)}")
        if self.at_ns is not None and (self.on or self.at_ns < 0):
            raise ValueError(f"{self.kind} happens at an event or at an instant (at_ns, 0 or later), not at both")


_FAULT_FIELDS = sorted(one.name for one in fields(Fault))


def random_source(seed: int, *names: str) -> random.Random:
    """A random source of its own for a name, so that what one part draws does not move what another gets."""
    text = "\x1f".join((str(seed), *names)).encode()
    return random.Random(int.from_bytes(hashlib.sha256(text).digest()[:16], "big"))


def later_source(seed: int, *names: str) -> Callable[[], random.Random]:
    """`random_source` that is made when it is asked for the first time: seeding one takes longer than to draw."""
    made: random.Random | None = None

    def source() -> random.Random:
        nonlocal made
        if made is None:
            made = random_source(seed, *names)
        return made

    return source


@dataclass
class Schedule:
    """The choices and faults of one check's run.

    A choice is answered from the record, and drawn from the seed where the record does not hold it. A recorded choice
    that does not fit what is asked for raises `ScheduleError`.
    """

    seed: int
    check: str
    choices: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def source(self, name: str) -> random.Random:
        """A random source for bulk use (a load's pauses, stamps' filler), named; not recorded choice by choice."""
        return random_source(self.seed, self.check, name)

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        if name not in self.choices:
            self.choices[name] = self.source(name).randint(low, high)
        value = self.choices[name]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._misfit(name, f"a whole number from {low} to {high}")
        return value

    def pick(self, name: str, options: Sequence[T]) -> T:
        """One of `options`; the record holds its index."""
        return options[self.integer(name, 0, len(options) - 1)]

    def fraction(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        """A number from `low` to `high`."""
        if name not in self.choices:
            self.choices[name] = self.source(name).uniform(low, high)
        value = self.choices[name]
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise self._misfit(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def identifier(self, name: str) -> str:
        """A UUID that varies with the seed, so that nothing can be fitted to it."""
        if name not in self.choices:
            bits = f"{self.source(name).getrandbits(128):032x}"
            self.choices[name] = f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}"
        value = self.choices[name]
        if not isinstance(value, str) or not 0 < len(value) <= 100:
            raise self._misfit(name, "a text of 1 to 100 characters")
        return value

    def add(self, fault: Fault) -> Fault:
        """Note a fault that the run injects."""
        self.faults.append(fault)
        return fault

    def _misfit(self, name: str, wanted: str) -> ScheduleError:
        return ScheduleError(f"the choice {name!r} is {json.dumps(self.choices[name])[:60]}; it must be {wanted}")

    def to_dict(self) -> dict[str, Any]:
        """The schedule as JSON has it, to be saved and replayed; keys are sorted."""
        return {
            "check": self.check,
            "choices": dict(sorted(self.choices.items())),
            "faults": [{name: getattr(fault, name) for name in _FAULT_FIELDS} for fault in self.faults],
            "schema": "backend-activity/schedule/1",
            "seed": self.seed,
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """Read what `to_json` wrote; the choices are replayed, faults are injected anew by the check.

        Raises `ScheduleError`, a ValueError, that says what is wrong.
        """
        try:
            data = json.loads(text, object_pairs_hook=unique_keys)
        except (ValueError, RecursionError) as error:
            raise ScheduleError(f"not a schedule: {error}") from None
        if not isinstance(data, dict) or data.get("schema") != "backend-activity/schedule/1":
            raise ScheduleError("not a schedule: its 'schema' must be 'backend-activity/schedule/1'")
        seed, choices, check = data.get("seed"), data.get("choices"), data.get("check", "")
        if not isinstance(seed, int) or isinstance(seed, bool) or not isinstance(choices, dict):
            raise ScheduleError("not a schedule: 'seed' must be an integer and 'choices' a table")
        if not isinstance(check, str):
            raise ScheduleError("not a schedule: 'check' must be the name of a check")
        schedule = cls(seed, check, dict(choices))
        for name, value in choices.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            if isinstance(value, bool) or not finite or not isinstance(value, (int, float, str, type(None))):
                raise schedule._misfit(name, "a number or a text")
        return schedule
