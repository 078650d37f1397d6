"""Courtesy clients give way (RFC 8881 section 8.4.3): what is under way for them keeps nothing from others."""

from __future__ import annotations

from simulated_backends.nfs.clients import Held, Work
from simulated_backends.nfs.server import NfsServer


def make_way(server: NfsServer, work: Work) -> None:
    """Release silent clients whose state is in the way of that work, of a job or of an operation.

    Only this server's clients give way: what they make on another by a copy is in the way of work there. Blocks until
    what was in the way is over, whoever had its client released; does not where nothing was.
    """
    if not server.times.courtesy_ns:
        return
    while (held := _in_the_way(server, work)) is not None:  # after each wait anew, since clients come and go
        server.release(held.client_id, "another client needs what it holds")
        if held.over is not None:
            held.over.wait()


def _in_the_way(server: NfsServer, work: Work) -> Held | None:
    under_way = (held for listener in server.listeners for held in listener.under_way())
    return next((held for held in under_way if held.work.collides_with(work) and _gives_way(server, held)), None)


def _gives_way(server: NfsServer, held: Held) -> bool:
    """Whether its client is tolerated, or has been released and it still has to come to its end."""
    record = server.find(held.client_id)
    return record.courtesy if record is not None else held.over is not None
