"""What faulty drivers have in common, so that each class holds nothing but its mistake."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from harness.activity import ActivityStatus, HandleScope
from harness.contract import ActivityUnknown
from harness.model import Context
from harness.reference_driver import EVERYTHING, ReferenceDriver
from harness.testbed import Job

BUT_HANDLES = MappingProxyType({name: value for name, value in EVERYTHING.items() if name != "handle_scope"})
"""A publication of everything that a driver without activities can publish."""


class Blocking(ReferenceDriver):
    """A driver all of whose methods return when their work is done; it publishes everything but handles."""

    start_activity = get_activity = abort_activity = None  # type: ignore[assignment]

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything but handles."""
        return BUT_HANDLES


class BlockingAndSilent(Blocking):
    """A driver all of whose methods return when their work is done, and which publishes nothing."""

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: nothing."""
        return MappingProxyType({})


class NamesItsOwnHandles(ReferenceDriver):
    """A driver that gives activities names of its own: `_name` makes one, `_real` has the backend's handle for it."""

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and name the activity."""
        return self._name(super().start_activity(context, method, arguments, request_id=request_id))

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status of what has that name."""
        return super().get_activity(context, self._real(handle))

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort what has that name."""
        super().abort_activity(context, self._real(handle))

    def _name(self, handle: str) -> str:
        raise NotImplementedError

    def _real(self, name: str) -> str:
        raise NotImplementedError


class OpenToAnyCaller(ReferenceDriver):
    """A driver that publishes `scope`, while its backend would answer anybody."""

    scope: ClassVar[HandleScope]

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything, with the scope of the class."""
        return MappingProxyType({**EVERYTHING, "handle_scope": self.scope.value})

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        return dataclasses.replace(super()._job(method, arguments), scope=HandleScope.UNRESTRICTED)


class ConnectionSpecific(ReferenceDriver):
    """A driver of connection-specific handles, which are the default."""

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: everything but a scope."""
        return BUT_HANDLES

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        return dataclasses.replace(super()._job(method, arguments), scope=HandleScope.CONNECTION)


class MarksItsClones(ReferenceDriver):
    """A driver that sees by a handle whether it stands for a clone: those of anything else end with `MARK`."""

    MARK: ClassVar[str] = "-job"

    def start_activity(self, context: Context, method: str, arguments: dict[str, Any], *, request_id: str) -> str:
        """Start, and mark what is no clone."""
        handle = super().start_activity(context, method, arguments, request_id=request_id)
        return handle if method == "create_cloned_volume" else handle + self.MARK

    def get_activity(self, context: Context, handle: str) -> ActivityStatus:
        """The status of either kind."""
        with self._in_its_words(handle):
            return super().get_activity(context, handle.removesuffix(self.MARK))

    def abort_activity(self, context: Context, handle: str) -> None:
        """Abort either kind."""
        with self._in_its_words(handle):
            super().abort_activity(context, handle.removesuffix(self.MARK))

    @contextlib.contextmanager
    def _in_its_words(self, handle: str) -> Iterator[None]:
        try:
            yield
        except ActivityUnknown:
            raise ActivityUnknown(f"no activity {handle!r}") from None

    def _is_marked(self, handle: str) -> bool:
        return handle.endswith(self.MARK)
