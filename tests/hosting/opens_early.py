"""A driver whose module opens a file when it is imported."""

from __future__ import annotations

from cinder.volume.drivers import lvm

HERE = open(__file__)  # noqa: SIM115


class OpensEarly(lvm.LVMVolumeDriver):
    """Does nothing else."""
