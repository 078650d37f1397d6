"""The virtual machine: QEMU without KVM, its monitor (QMP), disks that come and go, and the agent in the guest.

Implements `harness.real_targets.lio.place.Place`; a disk is a SCSI target number.
"""

from __future__ import annotations

import contextlib
import random
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from harness.real_targets.iscsi.target import TargetFailed
from harness.real_targets.missing import need_program
from harness.real_targets.programs import Program, ProgramFailed, Programs

from .asking import AskedAgent
from .channel import ChannelBroken, open_channel
from .image import Image

QEMU, QEMU_PACKAGE = "qemu-system-x86_64", "qemu-system-x86"
BOOT_WITHIN_S = 90.0
"""Seconds within which the agent has to answer; it takes about four on an idle machine."""
ISCSI_PORT = 3260
MONITOR, AGENT = "monitor", "agent"
MEMORY_MB = 512
_CODE_MB = 256  # for translated code; QEMU takes 1024 otherwise, half of what a check's cell may have
_THREADS = 16  # that wait for disks; each has a stack of 8 MiB
ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
"""What QEMU has in its environment besides: without it each thread takes 64 MiB of addresses for what it allocates."""
_DISKS = 255
_CHOICE = random.SystemRandom()  # two runs with one seed must not choose alike


class Machine:
    """A running machine as seen through its two sockets in `directory`. Methods raise `TargetFailed`."""

    where: ClassVar[str] = "machine"
    stands_still: ClassVar[bool] = True
    mark = ""

    def __init__(self, directory: Path, address: str, within_s: float = BOOT_WITHIN_S) -> None:
        self.directory = directory
        self.address = address
        self.portal = f"{address}:{ISCSI_PORT}"
        self._free = list(range(_DISKS, 0, -1))
        self._guard = threading.Lock()
        try:
            self._monitor = open_channel(directory / MONITOR, within_s)
            self._monitor.receive()  # QMP's greeting
            self.monitor("qmp_capabilities")
            self._agent = AskedAgent(open_channel(directory / AGENT, within_s), "the guest", self._last_words)
            self.ask("hello")
        except ChannelBroken as error:
            raise TargetFailed(f"the virtual machine does not come up: {error}") from error

    def monitor(self, command: str, **arguments: Any) -> Any:
        """Carry out a command of QMP and return what it returns."""
        with self._monitor.turn:
            try:
                self._monitor.send({"execute": command, "arguments": arguments})
                while True:
                    answer = self._monitor.receive()
                    if "error" in answer:
                        raise TargetFailed(f"QEMU, {command}: {answer['error'].get('desc')}")
                    if "return" in answer:
                        return answer["return"]
            except ChannelBroken as error:
                raise TargetFailed(f"QEMU, {command}: {error}") from error

    def describe(self) -> str:
        """See `Place.describe`."""
        return f"LIO {self.ask('versions')[0]} of a virtual machine"

    def ask(self, do: str, **arguments: Any) -> Any:
        """Let the agent in the guest do something and return its answer."""
        return self._agent.ask(do, **arguments)

    def _last_words(self) -> str:
        """The end of what the machine's console and QEMU said."""
        said = ""
        for name in ("console.log", "qemu.log"):
            with contextlib.suppress(OSError):
                said += (self.directory / name).read_text(errors="replace")[-1000:]
        return f"; the machine said last:\n{said}" if said.strip() else ""

    def plug(self, path: Path, serial: str, writable: bool, discard: bool = False) -> int:
        """Plug a file in as a SCSI disk; returns its SCSI target number.

        With `discard` the file keeps no room for what the guest discards, or writes zeros to.
        """
        with self._guard:
            if not self._free:
                raise TargetFailed(f"the virtual machine has {_DISKS} disks already")
            number = self._free.pop()
        node = f"node{number}"
        file = {"driver": "file", "filename": str(path), "locking": "off", "read-only": not writable}
        keeps = {"discard": "unmap", "detect-zeroes": "unmap"} if discard else {}
        whole = {"driver": "raw", "node-name": node, "file": {**file, **keeps}, "read-only": not writable, **keeps}
        self.monitor("blockdev-add", **whole)
        self.monitor(
            "device_add",
            **{"driver": "scsi-hd", "id": f"disk{number}", "drive": node, "bus": "scsi0.0", "scsi-id": number,
               "serial": serial, "share-rw": True},
        )  # fmt: skip
        return number

    def unplug(self, *numbers: int) -> None:
        """Take disks out; the guest has let go of them already."""
        for number in numbers:
            self.monitor("device_del", id=f"disk{number}")
        for number in numbers:
            self._remove_node(number)

    def _remove_node(self, number: int) -> None:
        for _ in range(1000):
            try:
                self.monitor("blockdev-del", **{"node-name": f"node{number}"})
                break
            except TargetFailed as error:
                if "in use" not in str(error):
                    raise
                self.ask("hello")  # the guest takes its part in it meanwhile
        else:
            raise TargetFailed(f"disk {number} can't be taken out")
        with self._guard:
            self._free.append(number)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While it lasts the machine stands still, with every I/O that it has begun carried out."""
        with self._monitor.turn:
            self.monitor("stop")
            try:
                yield
            finally:
                self.monitor("cont")

    def close(self) -> None:
        """Close the sockets."""
        self._monitor.close()
        self._agent.close()


class OwnMachine:
    """A machine of this process, which ends with it; `within_s` is how long (s) it may take to come up or to answer."""

    def __init__(self, built: Image, memory_mb: int = MEMORY_MB, within_s: float = BOOT_WITHIN_S) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="lio-"))
        self._programs = Programs(self.directory.absolute())
        try:
            address = free_network()
            argv = qemu_arguments(built, address, memory_mb)
            self.program: Program = self._programs.start(argv, self.directory, self.directory / "qemu.log", ENVIRONMENT)
            self.machine = Machine(self.directory, address, within_s)
        except ProgramFailed as error:
            self.close()
            raise TargetFailed(str(error)) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the machine. Repeating it is harmless."""
        self._programs.close()


def qemu_arguments(built: Image, address: str, memory_mb: int = MEMORY_MB) -> list[str]:
    """The command line; sockets are made in the current directory. Raises `NotInstalled`.

    Without KVM: /dev/kvm may open and still not work, and then nothing falls back. The guest has the same address as
    its port on the host, so that a portal that LIO names can be reached.
    """
    network = address.rpartition(".")[0]
    user = (
        f"user,id=net0,restrict=on,ipv6=off,net={network}.0/24,host={network}.2,dns={network}.3,"
        f"dhcpstart={network}.20,hostfwd=tcp:{address}:{ISCSI_PORT}-{address}:{ISCSI_PORT}"
    )
    return [
        need_program(QEMU, QEMU_PACKAGE), "-accel", f"tcg,thread=multi,tb-size={_CODE_MB}",
        "-M", "q35,usb=off,sata=off,smbus=off",
        "-cpu", "max", "-smp", "1", "-m", str(memory_mb),
        "-object", f"main-loop,id=main-loop,thread-pool-max={_THREADS}",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "file:console.log",
        "-kernel", str(built.kernel), "-initrd", str(built.initramfs),
        "-append", f"console=ttyS0 quiet panic=-1 nokaslr mitigations=off random.trust_cpu=on address={address}",
        "-netdev", user, "-device", "virtio-net-pci,netdev=net0,romfile=",
        "-device", "virtio-scsi-pci,id=scsi0", "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,path={AGENT},server=on,wait=off", "-device", "virtserialport,chardev=agent",
        "-qmp", f"unix:{MONITOR},server=on,wait=off", "-pidfile", "qemu.pid",
    ]  # fmt: skip


def free_network() -> str:
    """An address on the loopback network, in a /24 that nobody else is likely to choose, with the iSCSI port free."""
    while True:
        address = f"127.{_CHOICE.randint(1, 254)}.{_CHOICE.randint(0, 255)}.15"
        with socket.socket() as probe:
            try:
                probe.bind((address, ISCSI_PORT))
            except OSError:
                continue
            return address
