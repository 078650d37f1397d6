"""The verb `calibrate`: measures a real iSCSI testbed and writes a profile."""

from __future__ import annotations

import os
import platform
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from harness.names import did_you_mean
from harness.real_targets.programs import ProgramFailed

from .calibration import as_profile, calibrate
from .measure import Bench
from .session import CommandFailed, LoginRefused, SessionLost
from .target import TargetFailed
from .testbed import IscsiTestbed

FAILED = 3


def open_testbed(name: str) -> IscsiTestbed:
    """A real iSCSI testbed by its registered name. Raises `ValueError` that says what is wrong."""
    known = {entry.name: entry for entry in entry_points(group="backend_activity.testbeds")}
    if name not in known:
        raise ValueError(f"there is no testbed {name!r}; {did_you_mean(name, sorted(known))}")
    found = known[name].load()
    if not (isinstance(found, type) and issubclass(found, IscsiTestbed)):
        raise ValueError(f"{name} is no real iSCSI target, so there is nothing to calibrate; tgt and lio are")
    lacks = found.missing()
    if lacks:
        raise ValueError(lacks)
    return found(seed=1, options={})


def surroundings() -> str:
    """What was measured where: it says how busy the machine was, since that is in the figures."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return f"{platform.machine()}, {os.cpu_count()} CPUs, Linux {platform.release()}, load {busy:.1f} a CPU"


def calibrate_testbed(
    testbed: Annotated[str, typer.Option(metavar="NAME", help="The testbed to measure: tgt or lio.")],
    output: Annotated[str, typer.Option(metavar="FILE", help="Where the profile goes.")] = "calibration.toml",
) -> int:
    """Measure link, disk, snapshot, copy and codec speeds on a real target and write them as a profile."""
    if not Path(output).absolute().parent.is_dir():
        raise typer.BadParameter(f"--output {output}: there is no directory {Path(output).parent}; make it first")
    try:
        bed = open_testbed(testbed)
    except (ValueError, TargetFailed) as error:
        raise typer.BadParameter(f"--testbed {testbed}: {error}") from None
    try:
        model = calibrate(Bench(bed))
    except (TargetFailed, ProgramFailed, CommandFailed, LoginRefused, SessionLost) as error:
        typer.echo(f"activity-harness calibrate: {error}", err=True)
        return FAILED
    finally:
        bed.close()
    where = f"measured on {testbed}: {surroundings()}"
    Path(output).write_text(as_profile(f"{testbed}, calibrated", where, model), encoding="utf-8")
    typer.echo(f"{output}: {where}")
    typer.echo(f"read 4 KiB {1e6 * model.read.seconds(4096):.0f} us, link {model.read.bytes_per_s / 1e6:.0f} MB/s")
    return 0
