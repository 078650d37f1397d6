"""What faulty drivers have in common, so that each class holds nothing but its mistake."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from harness.activity import ActivityStatus, HandleScope
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
