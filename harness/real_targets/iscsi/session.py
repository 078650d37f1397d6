"""An iSCSI session of an initiator: login with CHAP, SCSI commands with raw CDBs, sense, and ways to lose it.

A session never logs in again by itself: what becomes of it when it is lost is for its owner to see.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from harness.real_targets.backing.ranges import merged
from harness.real_targets.backing.reaching import Unreachable
from harness.real_targets.backing.windows import Range, batches, cut_up

from . import libiscsi as lib

SECTOR = 512
"""Bytes of a logical block of every LUN here."""
TRANSFER = 256 * 1024
"""Bytes that one command reads or writes at most."""
TIMEOUT_S = 20
"""Seconds that a command may take."""
ILLEGAL_REQUEST, UNIT_ATTENTION = 0x5, 0x6
_LBA_STATUS_BYTES = 8 + 16 * 256
_RETRIES = 5
_POLL_MS = 500


class LoginRefused(Unreachable):
    """The target did not let the initiator in, or is not there."""


class SessionLost(Unreachable):
    """The session is gone, or the target has not answered."""


@dataclass(frozen=True)
class Answer:
    """A command's answer: SCSI status, the data that came in, sense key and additional sense code (SPC-4 §4.5)."""

    status: int
    data: bytes
    key: int = 0
    ascq: int = 0

    @property
    def is_good(self) -> bool:
        """Whether the command was carried out."""
        return self.status == lib.GOOD


class CommandFailed(Exception):
    """The target answered with something else than GOOD; `answer` has it."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(
            f"{what} ended with status {answer.status:02X}h, sense {answer.key:X}h/{answer.ascq >> 8:02X}h/"
            f"{answer.ascq & 0xFF:02X}h"
        )
        self.answer = answer


@dataclass(frozen=True)
class Login:
    """Who logs in where: portal as "address:port", names of target and initiator, CHAP user and password.

    `alias` is the InitiatorAlias (RFC 7143 §13.7), by which the target's administrator tells sessions apart.
    """

    portal: str
    target: str
    initiator: str
    user: str
    password: str
    alias: str = ""


_done: dict[int, int] = {}
"""Number of a request → its status, once libiscsi has called back."""
_requests = itertools.count(1)


def _note(context: int, status: int, data: int, request: int) -> None:
    _done[request] = status


_call_back = lib.COMMAND_CALLBACK(_note)


@dataclass(eq=False)
class _Sent:
    """A command that libiscsi has: its task, what it sends, whether data are to come back, and its number."""

    task: Any
    data: lib.SentData
    expects: bool
    number: int = 0


Command = tuple[bytes, bytes, int]
"""CDB, the data that go with it, and how many bytes are to come back."""


def _transfer(code: int, offset: int, size: int) -> bytes:
    """The CDB of READ (16) or WRITE (16)."""
    return struct.pack(">BBQIBB", code, 0, offset // SECTOR, size // SECTOR, 0, 0)


class Session:
    """A logged-in session. One command at a time; callers in other threads wait their turn.

    Raises `LoginRefused`, `NotInstalled` for a machine without libiscsi.
    """

    def __init__(self, login: Login, timeout_s: int = TIMEOUT_S) -> None:
        self.login = login
        self._lib = lib.library()
        self._turn = threading.Lock()
        self._timeout_s = timeout_s
        self._is_lost = False
        self._wire: socket.socket | None = None
        self._tasks: list[_Sent] = []  # of commands that were given up; libiscsi has them until the context ends
        context = self._lib.iscsi_create_context(login.initiator.encode())
        if not context:
            raise LoginRefused(f"no iSCSI context for the initiator {login.initiator}")
        self._context: int | None = context
        self._lib.iscsi_set_targetname(context, login.target.encode())
        self._lib.iscsi_set_session_type(context, lib.NORMAL_SESSION)
        self._lib.iscsi_set_header_digest(context, lib.NO_DIGEST)
        self._lib.iscsi_set_noautoreconnect(context, 1)
        if login.alias:
            self._lib.iscsi_set_alias(context, login.alias.encode())
        if login.user:
            self._lib.iscsi_set_initiator_username_pwd(context, login.user.encode(), login.password.encode())
        try:
            self._request(lambda n: self._lib.iscsi_connect_async(context, login.portal.encode(), _call_back, n))
            self._wire = socket.socket(fileno=os.dup(self._lib.iscsi_get_fd(context)))
            self._request(lambda n: self._lib.iscsi_login_async(context, _call_back, n))
        except (SessionLost, OSError) as error:
            self._destroy()
            raise LoginRefused(
                f"{login.initiator} can't log in to {login.target} at {login.portal}: {error}"
            ) from error

    def command(self, lun: int, cdb: bytes, out: bytes = b"", expect: int = 0) -> Answer:
        """Send one command with its data, or expect that many bytes; returns whatever the target answers.

        Raises `SessionLost`.
        """
        return self.together(lun, [(cdb, out, expect)])[0]

    def together(self, lun: int, commands: Sequence[Command]) -> list[Answer]:
        """Send commands without waiting in between; returns all answers, in the order of sending.

        Raises `SessionLost`.
        """
        with self._turn:
            answers = [self._answer(sent) for sent in [self._submit(lun, *command) for command in commands]]
            if not all(answer.is_good for answer in answers):
                self._acknowledge()
            return answers

    def _submit(self, lun: int, cdb: bytes, out: bytes, expect: int) -> _Sent:
        direction = lib.DATA_OUT if out else lib.DATA_IN if expect else lib.NO_DATA
        context = self._living()
        task = self._lib.scsi_create_task(len(cdb), cdb, direction, len(out) or expect)
        if not task:
            raise MemoryError("no memory for a SCSI task")
        sent = _Sent(task, lib.SentData(len(out), out), bool(expect))
        self._tasks.append(sent)
        where = ctypes.byref(sent.data) if out else None
        sent.number = self._send(lambda n: self._lib.iscsi_scsi_command_async(context, lun, task, _call_back, where, n))
        return sent

    def _answer(self, sent: _Sent) -> Answer:
        self._await(sent.number, (lib.GOOD, 0xFF))
        self._tasks.remove(sent)
        try:
            found = sent.task.contents
            data = b""
            if sent.expects and found.datain.size > 0:
                data = ctypes.string_at(found.datain.data, found.datain.size)
            status = int(found.status)
            if status == lib.CHECK_CONDITION:
                return Answer(status, data, int(found.sense.key), int(found.sense.ascq))
            return Answer(status, data)
        finally:
            self._lib.scsi_free_scsi_task(sent.task)

    def carry_out(self, what: str, lun: int, cdb: bytes, out: bytes = b"", expect: int = 0) -> bytes:
        """Send a command that has to succeed; one that only met a unit attention, or a busy target, is sent again.

        Raises `CommandFailed`, `SessionLost`.
        """
        for _ in range(_RETRIES):
            answer = self.command(lun, cdb, out, expect)
            if answer.is_good:
                return answer.data
            if answer.key != UNIT_ATTENTION and answer.status not in (lib.BUSY, lib.TASK_SET_FULL):
                break
        raise CommandFailed(f"{what} at {self.login.target}", answer)

    def test_unit_ready(self, lun: int) -> None:
        """TEST UNIT READY (SPC-4 §6.47)."""
        self.carry_out("TEST UNIT READY", lun, bytes(6))

    def ping(self) -> None:
        """Let the target answer a NOP-Out (RFC 7143 §11.18). Raises `SessionLost`."""
        with self._turn:
            self._nop_out()

    def read(self, lun: int, offset: int, length: int) -> bytes:
        """READ (16) (SBC-3 §5.13); offset and length in bytes, multiples of `SECTOR`."""
        return b"".join(data for _, data in self.read_many(lun, [(offset, length)]))

    def read_many(self, lun: int, ranges: Iterable[Range]) -> Iterator[tuple[int, bytes]]:
        """Read ranges with READ (16), `OUTSTANDING` commands at a time; yields offset and data of parts of them, in
        order. Raises `CommandFailed`, `SessionLost`."""
        for window in batches(cut_up(ranges, TRANSFER)):
            commands = [(_transfer(0x88, start, size), b"", size) for start, size in window]
            for (start, _), command, answer in zip(window, commands, self.together(lun, commands), strict=True):
                yield start, answer.data if answer.is_good else self.carry_out("READ (16)", lun, *command)

    def write(self, lun: int, offset: int, data: bytes) -> None:
        """WRITE (16) (SBC-3 §5.34); offset and length in bytes, multiples of `SECTOR`."""
        for start, size in cut_up([(0, len(data))], TRANSFER):
            self.carry_out("WRITE (16)", lun, _transfer(0x8A, offset + start, size), out=data[start : start + size])

    def write_many(self, lun: int, pieces: Iterable[tuple[int, bytes]]) -> None:
        """Write pieces, offset and data of at most `TRANSFER` bytes, with WRITE (16), `OUTSTANDING` at a time.

        Raises `CommandFailed`, `SessionLost`.
        """
        for window in batches(pieces):
            commands = [(_transfer(0x8A, offset, len(data)), data, 0) for offset, data in window]
            for command, answer in zip(commands, self.together(lun, commands), strict=True):
                if not answer.is_good:
                    self.carry_out("WRITE (16)", lun, *command)

    def capacity(self, lun: int) -> int:
        """The size of a LUN in bytes: READ CAPACITY (16) (SBC-3 §5.16)."""
        cdb = struct.pack(">BBQIBB", 0x9E, 0x10, 0, 32, 0, 0)
        last, sector = struct.unpack(">QI", self.carry_out("READ CAPACITY (16)", lun, cdb, expect=32)[:12])
        return int((last + 1) * sector)

    def mapped_ranges(self, lun: int, size: int) -> list[Range] | None:
        """What the target says is in use of the first `size` bytes, offset and length, ascending; None if it says
        nothing: GET LBA STATUS (SBC-3; provisioning status 0h is mapped)."""
        spans: list[tuple[int, int]] = []
        position = 0
        while position < size:
            cdb = struct.pack(">BBQIBB", 0x9E, 0x12, position // SECTOR, _LBA_STATUS_BYTES, 0, 0)
            try:
                data = self.carry_out("GET LBA STATUS", lun, cdb, expect=_LBA_STATUS_BYTES)
            except CommandFailed as error:
                if error.answer.key == ILLEGAL_REQUEST:
                    return None
                raise
            before = position
            for place in range(8, len(data) - 15, 16):
                start, sectors, status = struct.unpack(">QIB", data[place : place + 13])
                position = (start + sectors) * SECTOR
                if status & 0x0F == 0:
                    spans.append((start * SECTOR, min(position, size)))
            if position <= before:
                return None  # it has nothing to say of what is there
        return merged(spans)

    def serial_number(self, lun: int) -> str:
        """The unit serial number: INQUIRY, vital product data page 80h (SPC-4 §7.8.18)."""
        page = self.carry_out("INQUIRY", lun, bytes([0x12, 1, 0x80, 0, 0xFF, 0]), expect=0xFF)
        return page[4 : 4 + page[3]].decode("ascii", "replace").strip()

    def cut(self) -> None:
        """Cut the session's TCP connection, as a broken network does; both ends see it closed. Does not wait."""
        if self._wire is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._wire.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Log out, and free the session. Repeating it is harmless."""
        with self._turn:
            context = self._context
            if context is None:
                return
            if not self._is_lost:
                with contextlib.suppress(SessionLost):
                    self._request(lambda n: self._lib.iscsi_logout_async(context, _call_back, n))
            self._destroy()

    def _acknowledge(self) -> None:
        """Tell the target that its answers have arrived: ExpStatSN (RFC 7143 §4.2.2.2).

        LIO keeps a command that it refused as one under way until then, and does not let go of the LUN.
        """
        with contextlib.suppress(SessionLost):  # there are answers; the next command tells
            self._nop_out()

    def _nop_out(self) -> None:
        context = self._living()
        self._request(lambda n: self._lib.iscsi_nop_out_async(context, _call_back, None, 0, n))

    def _living(self) -> int:
        """The context. Raises `SessionLost` once the session is over."""
        if self._context is None or self._is_lost:
            raise SessionLost(f"the session with {self.login.target} is over")
        return self._context

    def _request(self, send: Callable[[int], int]) -> None:
        """Send something and wait for its good end. Raises `SessionLost`."""
        self._await(self._send(send), (lib.GOOD, lib.GOOD))

    def _send(self, send: Callable[[int], int]) -> int:
        """Send something; returns its number. Raises `SessionLost`."""
        number = next(_requests)
        if send(number):
            self._lose()
        return number

    def _await(self, number: int, good: tuple[int, int]) -> None:
        """Wait for the end of what has that number; its status has to be within `good`. Raises `SessionLost`."""
        context = self._context
        give_up = time.monotonic() + self._timeout_s
        waiting = select.poll()
        known = -1
        while number not in _done:
            fd = self._lib.iscsi_get_fd(context)
            if fd < 0 or time.monotonic() > give_up:
                self._lose()
            if fd != known:
                waiting, known = select.poll(), fd
            waiting.register(fd, self._lib.iscsi_which_events(context))
            ready = waiting.poll(_POLL_MS)
            if self._lib.iscsi_service(context, ready[0][1] if ready else 0) < 0 and number not in _done:
                self._lose()
        status = _done.pop(number)
        if not good[0] <= status <= good[1]:
            self._lose()

    def _lose(self) -> NoReturn:
        self._is_lost = True
        raise SessionLost(f"no answer from {self.login.target}: {self._error()}")

    def _error(self) -> str:
        return str((self._lib.iscsi_get_error(self._context) or b"no reason given").decode(errors="replace"))

    def _destroy(self) -> None:
        self._lib.iscsi_destroy_context(self._context)  # calls back for what was given up
        self._context = None
        for sent in self._tasks:
            self._lib.scsi_free_scsi_task(sent.task)
        self._tasks.clear()
        if self._wire is not None:
            self._wire.close()
