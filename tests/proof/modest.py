"""A driver that publishes less than it can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.reference_driver import ReferenceDriver
from harness.testbed import Job

STATELESS = ("create_cloned_volume", "backup_volume", "migrate_volume")
"""What it could list: it takes a point in time, or mirrors writes."""


class Modest(ReferenceDriver):
    """Lists nothing; what is not in `STATELESS` it does block after block, as an unlisted method may."""

    @property
    def backend_activity_attributes(self) -> Mapping[str, Any]:
        """As published: nothing."""
        return MappingProxyType({})

    def _job(self, method: str, arguments: Mapping[str, Any]) -> Job:
        return dataclasses.replace(super()._job(method, arguments), point_in_time=method in STATELESS)
