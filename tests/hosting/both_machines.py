"""What the tests that compare the simulated machine with the real one do inside a cell.

A transcript is what a driver's calls, and commands given by hand, made the machine answer: for each command its words,
its exit status, what it wrote to standard output and, where it failed, to standard error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from conformance.lab import Lab
from conformance.runner import limits_of, testbed_class
from conformance.verdicts import Ledger
from harness.cinder.machine import CURRENT, CommandFailed, Machine
from harness.load import write_each
from harness.loading import CandidateSpec
from harness.model import Context
from harness.real_targets.iscsi.target import host_name
from harness.results import Evidence
from harness.runtime.patches import seed
from harness.schedule import Schedule
from tests.hosting.deeds import CONFIGURATIONS, LVM

CONNECTOR = {"initiator": host_name("compute-1"), "host": "compute-1", "ip": "192.0.2.1"}
SCALE = re.compile(r"\d+(\.\d+)?")


def transcript(testbed: str, configuration: str, life: str) -> list[dict[str, Any]]:
    """Let a life take its course on a testbed, and return what was said."""
    seed(1)
    candidate = CandidateSpec.for_driver(LVM, CONFIGURATIONS / f"{configuration}.toml").load()
    bed_class = testbed_class(testbed)
    bed = bed_class(seed=1, options={} if testbed == "lvm" else dict(candidate.testbed_options))
    lab = Lab(bed, candidate, Schedule(1, life), Ledger((), Evidence.EXERCISED))
    try:
        return bed.runtime.run(lambda: _Transcript(lab).of(LIVES[life]), limits_of(bed_class))
    finally:
        bed.close()


def lacking(testbed: str) -> None:
    """Give the machine a command that it lacks."""
    candidate = CandidateSpec.for_driver(LVM, CONFIGURATIONS / "lvm_thin.toml").load()
    bed_class = testbed_class(testbed)
    bed = bed_class(seed=1, options={})
    lab = Lab(bed, candidate, Schedule(1, "lacking"), Ledger((), Evidence.EXERCISED))
    try:
        bed.runtime.run(lambda: lab.open_driver()._machine.execute(("nosuch", "thing")), limits_of(bed_class))
    finally:
        bed.close()


def host_copy(testbed: str) -> dict[str, dict[int, int]]:
    """Copy a volume with content to another one through a host; returns what the backend shows of both."""
    candidate = CandidateSpec.for_driver(LVM, CONFIGURATIONS / "lvm_thin.toml").load()
    bed_class = testbed_class(testbed)
    bed = bed_class(seed=1, options={})
    lab = Lab(bed, candidate, Schedule(1, "host copy"), Ledger((), Evidence.EXERCISED))

    def copy() -> dict[str, dict[int, int]]:
        for name in ("from", "to"):
            lab.taskflow.methods.create_volume(name, 1, "primary")
        backend = lab.testbed.backend("primary")
        source, destination = (backend.attach(name, "compute-1") for name in ("from", "to"))
        write_each(source, range(0, 200, 20), lab.recorder)
        source.copy_to(destination)
        for attachment in (source, destination):
            attachment.detach()
        images = backend.inspect().images
        return {name: dict(images[name]) for name in ("from", "to")}

    try:
        return bed.runtime.run(copy, limits_of(bed_class))
    finally:
        bed.close()


class _Transcript:
    """Notes what the machine of the driver on `primary` answers while it listens."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.driver = lab.taskflow.core.ends["primary"].driver
        self.machine: Machine = self.driver._machine
        self.group = str(self.machine.options["volume_group"])
        self.prefix = str(self.machine.options.get("target_prefix", "iqn.2010-10.org.openstack:"))
        self.listens = False
        self.said: list[dict[str, Any]] = []

    def of(self, life: Callable[[_Transcript], None]) -> list[dict[str, Any]]:
        """What is said in a life."""
        cls = type(self.machine)
        execute = cls.execute

        def noted(machine: Machine, command: tuple[str, ...]) -> tuple[str, str]:
            if not self.listens or command[-2:] == ("lvm", "version"):
                return execute(machine, command)
            try:
                stdout, stderr = execute(machine, command)
            except CommandFailed as error:
                self._note(command, error.code, error.stdout, error.stderr)
                raise
            self._note(command, 0, stdout, "")
            return stdout, stderr

        cls.execute = noted  # type: ignore[method-assign]
        try:
            life(self)
        finally:
            cls.execute = execute  # type: ignore[method-assign]
        return self.said

    def listening(self, deed: Callable[[], object]) -> None:
        """Note what is said in a deed, and how it ended if badly."""
        self.listens = True
        try:
            deed()
        except Exception as error:
            self.said.append({"raised": type(error).__name__})
        finally:
            self.listens = False

    def run(self, *words: str) -> None:
        """Give the machine a command; VG stands for the volume group, PREFIX for what targets' names begin with."""
        before = CURRENT.set(self.machine)
        try:
            self.listening(
                lambda: self.machine.execute(
                    tuple(word.replace("VG", self.group).replace("PREFIX", self.prefix) for word in words)
                )
            )
        finally:
            CURRENT.reset(before)

    def export(self, volume_id: str) -> None:
        """Have the volume exported to a host, and the export taken back, as the volume manager does."""
        from harness.cinder.exporting import DriverExporter  # imports Cinder, which has to be prepared before

        exporter = DriverExporter(self.driver._driver, self.machine)
        connection: Any = self.machine.connection
        self.listening(lambda: exporter.attach(connection, volume_id, CONNECTOR))
        self.listening(lambda: exporter.detach(connection, volume_id, CONNECTOR, last=True))

    def images(self) -> None:
        """Note what volumes and snapshots show."""
        found = self.lab.testbed.backend("primary").inspect()
        shown = {o.id: sorted(found.images[o.id].items()) for o in found.objects}
        self.said.append({"images": shown, "objects": [[o.id, o.kind, o.size, o.parent] for o in found.objects]})

    def _note(self, command: tuple[str, ...], status: int, stdout: str, stderr: str) -> None:
        words = [self._plain(word) for word in command]
        place = {"create": 4, "add-initiator": 3}.get(words[1], 0) if words[0] == "cinder-rtstool" else 0
        if place:  # the account, whose name and secret the driver draws
            words[place : place + 2] = ["USER", "PASSWORD"]
        output = [self._plain(" ".join(line.split())) for line in stdout.splitlines() if "Merged:" not in line]
        if {"vgs", "pvs"} & set(command) or any(word.endswith("-pool") for word in words):
            output = [SCALE.sub("N", line) for line in output]  # the groups are of different sizes
        complaint = [self._plain(" ".join(line.split())) for line in stderr.splitlines() if "WARNING" not in line]
        if complaint[:1] == ["Traceback (most recent call last):"]:
            complaint = complaint[-1:]  # which files it went through is no matter
        self.said.append({"command": words, "status": status, "output": output, "complaint": complaint})

    def _plain(self, text: str) -> str:
        for name, plain in (
            (self.prefix, "PREFIX"),
            (self.group.replace("-", "--"), "VG"),
            (self.group, "VG"),
            (str(self.machine.options["target_ip_address"]), "PORTAL"),
        ):
            text = text.replace(name, plain)
        return text


def _life_of_a_volume(it: _Transcript) -> None:
    """Each method of the driver, on a volume with content."""
    lab, methods = it.lab, it.lab.taskflow.methods
    it.listening(lambda: methods.create_volume("origin", 1, "primary"))
    attachment = lab.testbed.backend("primary").attach("origin", "compute-1")
    write_each(attachment, range(0, 200, 20), lab.recorder)
    attachment.detach()
    it.listening(lambda: methods.create_snapshot("origin", "snap"))
    attachment = lab.testbed.backend("primary").attach("origin", "compute-1")
    write_each(attachment, range(0, 200, 40), lab.recorder)
    attachment.detach()
    it.listening(lambda: methods.clone("origin", "clone"))
    it.listening(lambda: methods.create_volume_from_snapshot("snap", "copy"))
    it.images()
    it.export("origin")
    it.listening(lambda: methods.extend("clone", 2))
    it.listening(lambda: methods.extend("origin", 2))
    it.images()
    it.listening(lambda: methods.delete_volume("origin"))
    it.listening(lambda: methods.delete_snapshot("snap"))
    it.listening(lambda: methods.delete_volume("clone"))
    it.listening(lambda: methods.delete_volume("origin"))
    it.images()


def _commands(it: _Transcript) -> None:
    """Commands by hand: reports of each kind of volume, and what is refused."""
    methods = it.lab.taskflow.methods
    methods.create_volume("origin", 1, "primary")
    methods.create_snapshot("origin", "snap")
    for name in ("volume-origin", "_snapshot-snap"):
        it.run("lvs", "--noheadings", "--unit=g", "-o", "vg_name,name,size", "--nosuffix", f"VG/{name}")
        it.run(
            "lvs", "--noheadings", "--unit=g", "-o", "size,data_percent", "--separator", ":", "--nosuffix", f"VG/{name}"
        )
        it.run("lvdisplay", "--noheading", "-C", "-o", "Attr", f"VG/{name}")
        it.run("lvdisplay", "--noheading", "-C", "-o", "Attr", "--readonly", f"VG/{name}")
        it.run("lvdisplay", "--noheading", "-C", "-o", "Origin", f"VG/{name}")
    it.run("lvs", "--noheadings", "-o", "name", "VG/nothing")
    it.run("lvs", "--noheadings", "-o", "name", "nothing")
    it.run("vgs", "--noheadings", "-o", "name", "nothing")
    it.run("lvdisplay", "--noheading", "-C", "-o", "Attr", "VG/nothing")
    it.run("lvremove", "-f", "VG/nothing")
    it.run("lvremove", "-f", "nothing/nothing")
    it.run("lvextend", "-L", "1g", "VG/volume-origin")
    it.run("lvextend", "-L", "0.5g", "VG/volume-origin")
    it.run("lvextend", "-L", "2g", "VG/nothing")
    it.run("lvcreate", "--name", "_snapshot-snap", "--snapshot", "VG/volume-origin", "-L", "1g")
    it.run("lvcreate", "--name", "_snapshot-other", "--snapshot", "VG/nothing", "-L", "1g")
    it.run("lvchange", "-a", "y", "--yes", "-K", "VG/nothing")
    it.run("lvchange", "-a", "y", "--yes", "-K", "VG/_snapshot-snap")
    it.run("lvdisplay", "--noheading", "-C", "-o", "Attr", "VG/_snapshot-snap")
    it.run("lvconvert", "--merge", "_snapshot-snap")
    it.run("lvconvert", "--merge", "VG/nothing")
    it.run("cinder-rtstool", "get-targets")
    it.run("cinder-rtstool", "delete", "PREFIXnothing")
    it.run("cinder-rtstool", "add-initiator", "PREFIXnothing", "u", "p", "iqn.host")
    it.run("cinder-rtstool", "delete-initiator", "PREFIXnothing", "iqn.host")
    it.run("udevadm", "settle")


def _in_use(it: _Transcript) -> None:
    """What is refused while a host has the volume attached."""
    methods = it.lab.taskflow.methods
    methods.create_volume("origin", 1, "primary")
    volume = it.lab.catalog.volumes["origin"]
    attachment = it.lab.attach(volume)
    it.listening(lambda: methods.create_snapshot("origin", "snap"))
    it.run("lvdisplay", "--noheading", "-C", "-o", "Attr", "VG/volume-origin")
    it.run("lvremove", "-f", "VG/volume-origin")
    it.run("lvchange", "-a", "n", "VG/volume-origin")
    it.listening(lambda: methods.extend("origin", 2))
    attachment.detach()


def _revert(it: _Transcript) -> None:
    """A volume that was written to since its snapshot gets the snapshot's content back."""
    lab, methods = it.lab, it.lab.taskflow.methods
    volume = methods.create_volume("origin", 1, "primary")
    lab.write_over(volume)
    snapshot = methods.create_snapshot("origin", "snap")
    lab.write_over(volume)
    it.images()
    it.listening(lambda: lab.call(it.driver, "revert_to_snapshot", Context(), volume, snapshot))
    it.images()


LIVES: dict[str, Callable[[_Transcript], None]] = {
    "life": _life_of_a_volume,
    "commands": _commands,
    "in use": _in_use,
    "revert": _revert,
}
