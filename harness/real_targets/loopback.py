"""Addresses of servers on this machine's loopback network, chosen so that two runs at once don't collide."""

from __future__ import annotations

import random
import socket

_CHOICE = random.SystemRandom()  # two runs with one seed must not choose alike


def free_portal() -> str:
    """An "address:port" on the loopback network that nobody else is likely to choose, and that is free now."""
    address = f"127.{_CHOICE.randint(1, 254)}.{_CHOICE.randint(0, 255)}.{_CHOICE.randint(1, 254)}"
    with socket.socket() as probe:
        probe.bind((address, 0))
        return f"{address}:{probe.getsockname()[1]}"
