"""The port of a real iSCSI target: what the agent beside it asks of it, whoever the target is."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.real_targets.plain_name import plain_name

AUTHORITY = "iqn.2026-11.org.example"
"""The naming authority of every name here (RFC 7143 §4.2.7.4); its domain is one that nobody owns (RFC 2606)."""
LUN = 1
"""The logical unit under which an object is exported; LUN 0 is the target's controller."""
DATA_USER, DATA_PASSWORD = "data-user", "data-password"
"""The CHAP account of every host for the targets of volumes."""


class TargetFailed(Exception):
    """The target did not do what its administrator asked for."""


@dataclass(frozen=True)
class Nexus:
    """A session as its target sees it: which target, by which initiator; and, where the target tells, the initiator's
    alias and the target's own numbers."""

    target: str
    initiator: str
    alias: str = ""
    session: str = ""
    connection: str = ""


class Target(Protocol):
    """One iSCSI target program. Names are iSCSI names; methods raise `TargetFailed`.

    `realm` is what the names of all its targets have in common. `tells_sessions_apart` says whether `sessions` has the
    alias; where it has not, each session that is to be told apart needs a target of its own. `stands_still` says
    whether `frozen` is offered.
    """

    portal: str
    realm: str
    tells_sessions_apart: bool
    stands_still: bool

    def create(self, name: str, user: str, password: str) -> None:
        """Make a target with that name, in which anybody may log in who has that CHAP account."""

    def destroy(self, name: str) -> None:
        """Take a target away, its logical unit and its sessions too."""

    def attach_file(self, name: str, path: Path, serial: str, writable: bool) -> None:
        """Export a file as the target's logical unit `LUN`."""

    def detach_file(self, name: str) -> None:
        """Take the logical unit away; returns once no command works on the file any more, and none will."""

    def frozen(self) -> AbstractContextManager[None]:
        """While it lasts the target carries nothing out; what was acknowledged before is in the files.

        Raises `ProgramFailed` where the target's program has ended.
        """

    def sessions(self, name: str = "") -> list[Nexus]:
        """The sessions there are now with one target, with all of them for ""."""

    def drop(self, nexus: Nexus) -> None:
        """End a session from the target's side. Harmless if it is gone."""


def host_name(host: str) -> str:
    """The initiator name of a host."""
    return f"{AUTHORITY}:host:{plain_name(host)}"


def control_name(realm: str, user: str, connection_id: str = "") -> str:
    """The name of the target at which a user's drivers log in; one connection only where that is named."""
    name = f"{AUTHORITY}:{plain_name(realm)}:control:{plain_name(user)}"
    return f"{name}:{plain_name(connection_id)}" if connection_id else name


def object_name(realm: str, object_id: str, number: int) -> str:
    """The name of the target of a volume or a snapshot; `number` tells exports apart."""
    return f"{AUTHORITY}:{plain_name(realm)}:{number}:{plain_name(object_id)}"


def serial_number(object_id: str) -> str:
    """The unit serial number of an object, the same wherever it is exported: 16 hexadecimal digits."""
    return hashlib.sha256(object_id.encode()).hexdigest()[:16]


def control_password(realm: str, user: str) -> str:
    """The CHAP secret of a user: 16 hexadecimal digits; RFC 7143 §9.2.1 asks for 96 bits of real users."""
    return hashlib.sha256(f"{realm}/{user}".encode()).hexdigest()[:16]
