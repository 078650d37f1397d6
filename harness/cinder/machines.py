"""Which machine a driver's commands run on, by the driver's class or one that it inherits from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.cinder.element_machine import ElementMachine
from harness.cinder.lvm_machine import LvmMachine
from harness.cinder.machine import Machine
from harness.cinder.nfs_machine import NfsMachine

MACHINES: Mapping[str, type[Machine]] = MappingProxyType(
    {
        "cinder.volume.drivers.lvm:LVMVolumeDriver": LvmMachine,
        "cinder.volume.drivers.solidfire:SolidFireDriver": ElementMachine,
        "cinder.volume.drivers.nfs:NfsDriver": NfsMachine,
    }
)
"""The machine for each class, as `module:Class`."""


def machine_for(cls: type) -> type[Machine] | None:
    """The machine for a driver's class, or None if none is simulated."""
    for base in type.__dict__["__mro__"].__get__(cls):
        found = MACHINES.get(f"{base.__module__}:{base.__qualname__}")
        if found is not None:
            return found
    return None
