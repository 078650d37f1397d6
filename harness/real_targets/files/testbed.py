"""The testbed `files`: volumes are sparse files, activities are copying processes, the clock is the wall's.

What is real: every byte is written and read with system calls, copies are made by processes of their own beside the
writers, and what they make is read back from the files. What is ours: the job table with its handle scopes
(`harness.backend_jobs`) and the connections, which are objects of this process.

Its options are those of `harness.real_targets.backing.options.Options`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from harness.real_targets.backing.backend import WallBackend
from harness.real_targets.backing.bed import WallTestbed
from harness.real_targets.backing.store import FileStore

from .attachment import FileAttachment


class FilesBackend(WallBackend[FileStore]):
    """A directory of files."""

    def attach(self, volume_id: str, host: str) -> FileAttachment:
        """See `harness.testbed.Backend.attach`."""
        world = self.world
        world.runtime.checkpoint()
        volume = self.store.volume_file(volume_id)
        return FileAttachment(
            self.store,
            world.runtime,
            world.recorder,
            volume,
            host,
            world.stalls,
            lambda: self.source_of_load(volume_id, host),
        )


class FilesTestbed(WallTestbed[FilesBackend]):
    """Files."""

    name: ClassVar[str] = "files"
    families: ClassVar[Mapping[str, str]] = {"primary": "files", "sibling": "files", "stranger": "foreign-files"}

    def make_backend(self, name: str, family: str, directory: Path) -> FilesBackend:
        """See `WallTestbed.make_backend`."""
        store = FileStore(self.store_settings(name, family, directory))
        return FilesBackend(self.world, store, self.engine(store))
