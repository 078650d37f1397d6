"""SCSI EXTENDED COPY with one-byte list identifiers (LID1; SPC-4 §6.4, opcode 83h/00h), from the initiator's side.

The command goes to a logical unit of the session; source and destination are named by their NAA designators (SPC-4
§7.8.6.6) and have to be logical units of the same session. Foreground only: the answer comes when the copy is over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .session import SECTOR, Session

LARGEST = 0xFFFF // 8 * 8 * SECTOR
"""Bytes that one command copies at most: NUMBER OF BLOCKS has two bytes; whole blocks of 4096 bytes."""

_IDENTIFICATION_CSCD = 0xE4  # SPC-4 §6.4.5.6
_BLOCK_TO_BLOCK = 0x02  # SPC-4 §6.4.6.4
_DESTINATION_COUNTS = 0x02  # the bit DC: NUMBER OF BLOCKS is in blocks of the destination
_OPERATING_PARAMETERS = 0x03  # the service action of RECEIVE COPY OPERATING PARAMETERS, SPC-4 §6.22
_NAA_OF_UNIT = 0x03  # designator type 3h, association 0h


class NoDesignator(Exception):
    """A logical unit has no name by which EXTENDED COPY could mean it."""


@dataclass(frozen=True)
class OperatingParameters:
    """What a copy manager says of itself (RECEIVE COPY OPERATING PARAMETERS, SPC-4 §6.22).

    `most_bytes` is MAXIMUM SEGMENT LENGTH, `most_copies` MAXIMUM CONCURRENT COPIES, `without_list_id` the bit SNLID,
    `descriptors` the codes of the descriptors that it implements.
    """

    most_targets: int
    most_segments: int
    most_bytes: int
    most_copies: int
    without_list_id: bool
    descriptors: frozenset[int]


@dataclass(frozen=True)
class Segment:
    """A range to copy: byte offsets in source and destination and its length, multiples of `SECTOR`."""

    source: int
    destination: int
    length: int


def operating_parameters(session: Session, lun: int) -> OperatingParameters:
    """Ask for the copy manager's operating parameters. Raises `CommandFailed`, `SessionLost`."""
    cdb = struct.pack(">BB8xIxx", 0x84, _OPERATING_PARAMETERS, 0x1000)
    data = session.carry_out("RECEIVE COPY OPERATING PARAMETERS", lun, cdb, expect=0x1000)
    targets, segments, _, longest = struct.unpack(">HHII", data[8:20])
    return OperatingParameters(
        targets, segments, longest, data[36], bool(data[4] & 1), frozenset(data[44 : 44 + data[43]])
    )


def designator(session: Session, lun: int) -> bytes:
    """The NAA designator of a logical unit: INQUIRY, vital product data page 83h (SPC-4 §7.8.6).

    Raises `NoDesignator`, `CommandFailed`, `SessionLost`.
    """
    page = session.carry_out("INQUIRY", lun, bytes([0x12, 1, 0x83, 0x0F, 0xFF, 0]), expect=0x0FFF)
    end = 4 + int.from_bytes(page[2:4], "big")
    place = 4
    while place + 4 <= min(end, len(page)):
        length = page[place + 3]
        if page[place + 1] & 0x3F == _NAA_OF_UNIT:
            return page[place + 4 : place + 4 + length]
        place += 4 + length
    raise NoDesignator(f"the logical unit {lun} of {session.login.target} has no NAA designator")


def command(list_id: int, source: bytes, destination: bytes, segments: tuple[Segment, ...]) -> tuple[bytes, bytes]:
    """CDB and parameter list of EXTENDED COPY (LID1) between two units, named by their NAA designators."""
    units = _unit(source) + _unit(destination)
    described = b"".join(
        struct.pack(
            ">BBHHHHHQQ", _BLOCK_TO_BLOCK, _DESTINATION_COUNTS, 0x18, 0, 1, 0,
            part.length // SECTOR, part.source // SECTOR, part.destination // SECTOR,
        )
        for part in segments
    )  # fmt: skip
    parameters = struct.pack(">BBH4xII", list_id, 0, len(units), len(described), 0) + units + described
    return struct.pack(">BB8xIxx", 0x83, 0, len(parameters)), parameters


def extended_copy(session: Session, lun: int, list_id: int, source: bytes, destination: bytes, part: Segment) -> None:
    """Copy one range of at most `LARGEST` bytes; the command goes to the logical unit `lun`, one of the two.

    Raises `CommandFailed`, `SessionLost`.
    """
    cdb, parameters = command(list_id, source, destination, (part,))
    session.carry_out("EXTENDED COPY (LID1)", lun, cdb, out=parameters)


def _unit(name: bytes) -> bytes:
    """An identification descriptor CSCD descriptor (SPC-4 §6.4.5.6) of a disk with logical blocks of `SECTOR` bytes."""
    head = struct.pack(">BBHBBBB", _IDENTIFICATION_CSCD, 0, 0, 1, _NAA_OF_UNIT, 0, len(name))
    return head + name.ljust(20, b"\0") + struct.pack(">B", 0) + SECTOR.to_bytes(3, "big")
