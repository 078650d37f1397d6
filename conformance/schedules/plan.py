"""A schedule as data: what the callers do, and what goes wrong when. It is drawn as blocks of choices, and is those.

A block is a tuple of whole numbers, one for the stage, one for each deed and each strike. Any blocks make a schedule
(`Plan.of`), so that deleting blocks and lowering numbers, which is how a failure is shrunk, always gives another one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from conformance.schedules.choices import Choices, RecordedChoices

Block = tuple[int, ...]

DEEDS = (
    "create_snapshot",
    "create_cloned_volume",
    "backup_volume",
    "copy_volume_to_image",
    "replicate",
    "migrate_volume",
    "extend_volume",
    "delete_snapshot",
    "look_up",
)
"""What a caller may do; `look_up` is that of a stranger who tries the newest handle."""

DEATH = "caller.crash"
"""The death of the taskflow, which comes back and recovers."""
HOST_RESTART = "host.restart"
"""The same, and the host on which it ran restarts."""

OF_CONNECTIONS = (
    "connection.break",
    "connection.reset",
    "connection.half_open",
    "session.reinstate",
    "session.logout",
)
"""Faults of connections: of those of the drivers, or of what carries the hosts' foreground I/O."""

FAULTS = (
    DEATH,
    HOST_RESTART,
    "caller.pause",
    *OF_CONNECTIONS,
    "reservation.preempt",
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
"""What may go wrong; what a testbed can't make is left out there."""

MOMENTS = (
    "step.started",
    "method.invoked",
    "activity.started",
    "activity.accepted",
    "activity.aborting",
    "activity.ended",
    "method.returned",
    "step.done",
    "gate.hold",
    "gate.quiesced",
    "gate.release",
    "flow.failed",
    "recovery",
)
"""The recorded events at which something may go wrong."""

MOST_DEEDS, MOST_STRIKES, MOST_NTH = 4, 3, 6
A_DEATH_IN = 4
LAST_NTH = 99
"""The latest occurrence that a strike can name; those drawn at random name at most `MOST_NTH`."""
SIXTEENTHS = 16
LONG = 8
"""From more than so many sixteenths on, a fault outlasts what it is measured by: a quiesce time-out, a hold."""


@dataclass(frozen=True)
class Deed:
    """One thing that a caller does; it waits `wait` sixteenths of a whole copy first. `subject` picks the volume,
    `option` what the deed leaves open (destination, technique)."""

    caller: int
    kind: str
    subject: int
    option: int
    wait: int


@dataclass(frozen=True)
class Strike:
    """One fault, at the `nth` event of kind `on`.

    `backend` 0 is the primary, 1 the sibling; of faults of connections 0 hits those of the drivers, 1 those under the
    hosts' foreground I/O. `size` sixteenths say how much of it: of a job's bytes, or of a whole copy's time.
    """

    kind: str
    on: str
    nth: int
    backend: int
    size: int


@dataclass(frozen=True)
class Plan:
    """A schedule: how many volumes there are, which of them are attached and written to, what is done, what goes wrong.

    `attached` has a bit for each volume.
    """

    volumes: int
    attached: int
    deeds: tuple[Deed, ...]
    strikes: tuple[Strike, ...]

    @classmethod
    def of(cls, blocks: Sequence[Block]) -> Plan:
        """The schedule that blocks stand for: the stage, then deeds (five numbers and more) and strikes (tagged)."""
        stage = RecordedChoices(blocks[0] if blocks else ())
        volumes, attached = stage.integer(1, 2), stage.integer(0, 3)
        deeds = tuple(_deed(block[1:]) for block in blocks[1:] if block and block[0] == 0)
        strikes = tuple(_strike(block[1:]) for block in blocks[1:] if block and block[0] != 0)
        return cls(volumes, attached, deeds, strikes)

    def in_words(self) -> list[str]:
        """The schedule, one line for each thing in it."""
        attached = [str(number) for number in range(self.volumes) if self.attached >> number & 1]
        lines = [f"{self.volumes} volume(s), attached and written to: {', '.join(attached) or 'none'}"]
        for deed in self.deeds:
            after = f" after {deed.wait}/16 of a copy" if deed.wait else ""
            lines.append(f"caller {deed.caller}{after}: {deed.kind} of volume {deed.subject % self.volumes}")
        for strike in self.strikes:
            ends = (
                ("drivers' connections", "foreground I/O") if strike.kind in OF_CONNECTIONS else ("primary", "sibling")
            )
            where = ends[strike.backend]
            lines.append(f"{strike.kind} at {where}, size {strike.size}/16, at {strike.on} number {strike.nth}")
        return lines


def _deed(numbers: Sequence[int]) -> Deed:
    draw = RecordedChoices(numbers).integer
    return Deed(draw(0, 1), DEEDS[draw(0, len(DEEDS) - 1)], draw(0, 1), draw(0, 2), draw(0, SIXTEENTHS))


def _strike(numbers: Sequence[int]) -> Strike:
    draw = RecordedChoices(numbers).integer
    kind, on = FAULTS[draw(0, len(FAULTS) - 1)], MOMENTS[draw(0, len(MOMENTS) - 1)]
    return Strike(kind, on, draw(1, LAST_NTH), draw(0, 1), draw(1, SIXTEENTHS))


def possible_faults(of_testbed: Collection[str]) -> tuple[str, ...]:
    """What may go wrong on a testbed that makes those faults: these, and the death of the taskflow."""
    return tuple(kind for kind in FAULTS if kind == DEATH or kind in of_testbed)


def draw_blocks(choices: Choices, faults: Sequence[str] = FAULTS) -> list[Block]:
    """Draw a schedule: a stage, one to four deeds, none to three strikes of those kinds, `DEATH` among them.

    One strike in `A_DEATH_IN` is a death, since whatever recovers is reached by nothing else. Early occurrences of a
    moment are drawn more often than late ones, which few schedules have.
    """
    integer = choices.integer
    others = [FAULTS.index(kind) for kind in faults if kind != DEATH]
    blocks: list[Block] = [(integer(1, 2), integer(0, 3))]
    for _ in range(integer(1, MOST_DEEDS)):
        blocks.append(
            (0, integer(0, 1), integer(0, len(DEEDS) - 1), integer(0, 1), integer(0, 2), integer(0, SIXTEENTHS))
        )
    for _ in range(integer(0, MOST_STRIKES)):
        is_death = integer(1, A_DEATH_IN) == 1 or not others
        kind = FAULTS.index(DEATH) if is_death else others[integer(0, len(others) - 1)]
        moment, nth = integer(0, len(MOMENTS) - 1), integer(1, integer(1, MOST_NTH))
        blocks.append((1, kind, moment, nth, integer(0, 1), integer(1, SIXTEENTHS)))
    return blocks


def strike_block(kind: str, on: str, nth: int, backend: int, size: int) -> Block:
    """The block of one strike; `nth` may go beyond what is drawn at random."""
    return (1, FAULTS.index(kind), MOMENTS.index(on), nth, backend, size)


def deed_block(kind: str, subject: int = 0, option: int = 0, caller: int = 0, wait: int = 0) -> Block:
    """The block of one deed."""
    return (0, caller, DEEDS.index(kind), subject, option, wait)


def to_text(blocks: Sequence[Block]) -> str:
    """Blocks as a text that a saved schedule holds."""
    return json.dumps([list(block) for block in blocks], separators=(",", ":"))


def from_text(text: str) -> list[Block]:
    """What `to_text` wrote. Raises ValueError for anything else."""
    data = json.loads(text)
    whole = isinstance(data, list) and all(
        isinstance(block, list) and all(type(number) is int for number in block) for block in data
    )
    if not whole:
        raise ValueError("the blocks of a schedule are lists of whole numbers")
    return [tuple(block) for block in data]
