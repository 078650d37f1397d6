"""Registered as the host of the package `cinder`; imports nothing of it before a driver is loaded."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

from harness.cinder.installed import import_cinder
from harness.cinder.machines import MACHINES, machine_for

_hosted: dict[tuple[type, str], type] = {}


class CinderHost:
    """Implements `harness.hosting.Host`."""

    def testbeds(self, reference: str) -> tuple[str, ...]:
        """See `harness.hosting.Host.testbeds`."""
        entry = MACHINES.get(reference)
        return () if entry is None else entry.testbeds

    def prepare(self) -> None:
        """See `harness.hosting.Host.prepare`."""
        warnings.simplefilter("ignore")  # Cinder and what it imports warn by the hundred
        import_cinder()
        from harness.cinder import boundary, configuration

        configuration.prepare()
        boundary.install()
        logging.getLogger("cinder").setLevel(logging.CRITICAL)
        logging.getLogger("os_brick").setLevel(logging.CRITICAL)

    def check(self, cls: type, options: Mapping[str, Any]) -> None:
        """See `harness.hosting.Host.check`."""
        from harness.cinder import configuration

        machine = machine_for(cls)
        if machine is None:
            known = ", ".join(reference.replace(":", ".") for reference in MACHINES)
            raise ValueError(
                f"no machine is simulated for {cls.__module__}.{cls.__name__}; drivers of these are: {known}"
            )
        machine.check(options)
        configuration.check(cls, options)

    def hosted(self, cls: type, options: Mapping[str, Any]) -> type:
        """See `harness.hosting.Host.hosted`."""
        from harness.cinder.hosted import host_class

        key = cls, json.dumps(options, sort_keys=True, default=str)
        if key not in _hosted:
            machine = machine_for(cls)
            if machine is None:
                raise ValueError(f"no machine is simulated for {cls.__module__}.{cls.__name__}")
            _hosted[key] = host_class(cls, machine, options)
        return _hosted[key]
