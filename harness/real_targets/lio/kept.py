"""A virtual machine for all testbeds of a process: it takes seconds to come up, and ends with the process."""

from __future__ import annotations

import atexit
from collections.abc import Callable

from harness.real_targets.missing import NotInstalled, need_program

from .image import NOTHING_MORE, BuildFailed, Extras, image
from .machine import QEMU, QEMU_PACKAGE, Machine, OwnMachine


class KeptMachine:
    """Started when it is asked for. `extras` tells what its image has beside LIO; see `image`."""

    def __init__(self, extras: Callable[[], Extras] = lambda: NOTHING_MORE) -> None:
        self._extras = extras
        self._own: OwnMachine | None = None

    def need(self) -> None:
        """Build the image, so that it is there. Raises `NotInstalled` where it, or QEMU, can't be had."""
        need_program(QEMU, QEMU_PACKAGE)
        try:
            image(self._extras())
        except BuildFailed as error:
            raise NotInstalled(str(error)) from error

    def machine(self) -> Machine:
        """The machine, started now if there is none or it has ended. Raises `NotInstalled`, `TargetFailed`."""
        if self._own is not None and not self._own.program.is_running:
            self._own.close()
            self._own = None
        if self._own is None:
            self._own = OwnMachine(image(self._extras()))
            atexit.register(self._own.close)
        return self._own.machine
