"""An NFS testbed with the ports of its primary server, for the tests of server-side copy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from worlds import World

from harness.model import Caller
from harness.storage import CopyRequest
from simulated_backends.nfs.copies import CopyService
from simulated_backends.nfs.errors import NfsError
from simulated_backends.nfs.server import NfsServer
from simulated_backends.nfs.testbed import NfsTestbed

REQUEST = CopyRequest("volume", "copy", "volume", point_in_time=False)


class Nfs(World):
    """An NFS testbed, with the primary server's own ports."""

    def __init__(self, seed: int = 1, **options: object) -> None:
        super().__init__("nfs-sim", seed, **options)
        assert isinstance(self.testbed, NfsTestbed)
        self.bed = self.testbed
        self.server: NfsServer = self.bed.servers["primary"]
        self.copies: CopyService = self.bed.copies["primary"]
        self.whole_ns = self.testbed.profile.whole_copy_ns

    def session(self, host: str = "host-a", user: str = "alice") -> str:
        """A session of a host's client."""
        return self.server.log_in(Caller(host, user))

    def begin(self, session: str, **arguments: object) -> str:
        """An asynchronous COPY of `volume`; its stateid."""
        stateid = self.copies.copy(session, REQUEST, **arguments).stateid  # type: ignore[arg-type]
        assert stateid is not None
        return stateid

    def refused(self, status: str, operation: Callable[[], object]) -> str:
        """Assert that an operation fails with that status; returns the message."""
        with pytest.raises(NfsError) as caught:
            operation()
        assert caught.value.status == status
        return str(caught.value)

    def is_there(self) -> bool:
        """Whether the copy's target exists, whole or not."""
        return self.primary.inspect().find("copy") is not None
