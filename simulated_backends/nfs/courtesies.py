"""Courtesy clients give way (RFC 8881 section 8.4.3): what is under way for them keeps nothing from others."""

from __future__ import annotations

from simulated_backends.nfs.clients import Work
from simulated_backends.nfs.server import NfsServer


def make_way(server: NfsServer, work: Work) -> None:
    """Release silent clients whose state is in the way of that work, of a job or of an operation.

    Only this server's clients give way: what they make on another by a copy is in the way of work there. Blocks until
    what was in the way is over; does not where nothing was.
    """
    if not server.times.courtesy_ns:
        return
    under_way = [held for listener in server.listeners for held in listener.under_way()]
    for held in [h for h in under_way if h.work.collides_with(work) and _is_tolerated(server, h.client_id)]:
        server.release(held.client_id, "another client needs what it holds")
        if held.over is not None:
            held.over.wait()


def _is_tolerated(server: NfsServer, client_id: int) -> bool:
    record = server.find(client_id)
    return record is not None and record.courtesy
