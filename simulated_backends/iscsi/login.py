"""CHAP at the login of an iSCSI session (RFC 7143 section 12.1.3, RFC 1994), one way: the target asks the initiator."""

from __future__ import annotations

import functools
import hashlib
import hmac
import random
from collections.abc import Callable

from harness.contract import ConnectionLost

_MD5 = "5"  # CHAP_A; the one algorithm that RFC 7143 wants everybody to have


class Secrets:
    """The secrets that one end knows, by CHAP name. A name without an entry has a secret that both ends derive."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def set(self, user: str, secret: str) -> None:
        """Give a user another secret at this end."""
        self._known[user] = secret.encode()

    def of(self, user: str) -> bytes:
        """The secret of a user as this end knows it."""
        return self._known.get(user) or _derived_secret(user)


@functools.lru_cache(maxsize=1024)
def _derived_secret(user: str) -> bytes:
    return hashlib.sha256(f"chap secret of {user}".encode()).digest()[:16]


def response(identifier: int, secret: bytes, challenge: bytes) -> bytes:
    """CHAP_R: MD5 over identifier, secret and challenge (RFC 1994 section 4.1)."""
    return hashlib.md5(bytes([identifier]) + secret + challenge, usedforsecurity=False).digest()


def authenticate(user: str, initiator: Secrets, target: Secrets, source: Callable[[], random.Random]) -> None:
    """One exchange of CHAP_A, CHAP_I, CHAP_C and CHAP_N, CHAP_R. Takes no time: the login's round trip is counted.

    `source` gives what draws the challenge. Raises `ConnectionLost` if the secrets of the two ends differ.
    """
    ours, theirs = initiator.of(user), target.of(user)
    if ours == theirs:  # whatever the challenge, both ends make the same of it
        return
    identifier, challenge = source().getrandbits(8), source().randbytes(16)
    if not hmac.compare_digest(response(identifier, ours, challenge), response(identifier, theirs, challenge)):
        raise ConnectionLost(
            f"login refused, status 0201h (authentication failure): the CHAP secret of {user!r} is not the target's "
            f"(CHAP_A={_MD5})"
        )
