"""The verb `lio`: Linux's own target on this host, or in a virtual machine, for work by hand."""

from __future__ import annotations

import enum
import shlex
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from harness.real_targets.iscsi.target import TargetFailed
from harness.real_targets.missing import NotInstalled, need_program

from .choice import Where
from .image import BuildFailed
from .place import Place
from .standing import StandingHost, down, open_standing, standing, up

FAILED = 3
"""The exit status where LIO did not do what was asked for."""


COMMAND_WITHIN_S = 310.0
"""Seconds that a command in the machine may take, with its answer; the guest ends it after 300."""


class Action(enum.StrEnum):
    """What `activity-harness lio` can do."""

    UP = "up"
    DOWN = "down"
    STATUS = "status"
    SHELL = "shell"


def lio(
    action: Annotated[
        Action, typer.Argument(help="up: start it. down: end it. status: how it is. shell: run commands there.")
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]…", help="For shell: the command; else lines are read, on this host by targetcli."
        ),
    ] = None,
    where: Annotated[
        Where, typer.Option(help="For up: on this host, or in a virtual machine; auto: the host if that can be.")
    ] = Where.AUTO,
) -> int:
    """Keep Linux's SCSI target (LIO) ready: that of this host, for root where its kernel has LIO, else in a virtual
    machine without KVM or root; the machine's first start builds its image."""
    if command and action is not Action.SHELL:
        raise typer.BadParameter(f"{action} takes no command; did you mean: activity-harness lio shell …?")
    if where is not Where.AUTO and action is not Action.UP:
        raise typer.BadParameter(f"--where is for up; {action} finds what is up wherever it is")
    try:
        match action:
            case Action.UP:
                return _up(where)
            case Action.DOWN:
                typer.echo("LIO is down" if down() else "LIO was not up")
                return 0
            case Action.STATUS:
                return _status()
            case Action.SHELL:
                return _shell(command or [])
    except (TargetFailed, NotInstalled, BuildFailed) as error:
        typer.echo(f"activity-harness lio: {error}", err=True)
        return FAILED


def _up(where: Where) -> int:
    began = time.monotonic()
    place = up(where)
    if place is None:
        typer.echo("LIO is up already")
        return _status()
    typer.echo(f"LIO is up after {time.monotonic() - began:.1f} s")
    return _describe(place)


def _status() -> int:
    if standing() is None:
        typer.echo("LIO is not up")
        return 0
    return _describe(open_standing())


def _describe(place: Place) -> int:
    with closing(place):
        _, rtslib = place.ask("versions")
        typer.echo(f"portal {place.portal}, {place.describe()}, rtslib-fb {rtslib}")
        for target, initiator in place.ask("sessions"):
            typer.echo(f"session of {initiator} with {target}")
    return 0


def _shell(command: list[str]) -> int:
    if isinstance(standing(), StandingHost):
        return _run_here(command or [_targetcli()])
    with closing(open_standing(COMMAND_WITHIN_S)) as machine:
        if command:
            return _run(machine, command)
        status = 0
        for line in sys.stdin:
            if line.strip():
                status = _run(machine, ["sh", "-c", line])
        return status


def _run(machine: Place, argv: list[str]) -> int:
    try:
        status, printed, complaints = machine.ask("run", argv=argv)
    except TargetFailed as error:
        raise TargetFailed(f"{shlex.join(argv)}: {error}") from error
    typer.echo(printed, nl=False)
    typer.echo(complaints, nl=False, err=True)
    return int(status)


def _run_here(argv: list[str]) -> int:
    try:
        return subprocess.run(argv).returncode
    except OSError as error:
        raise TargetFailed(f"{shlex.join(argv)}: {error.strerror}") from error


def _targetcli() -> str:
    """The shell of LIO: the one installed beside this Python, or the system's. Raises `NotInstalled`."""
    beside = Path(sys.executable).with_name("targetcli")
    return str(beside) if beside.exists() else need_program("targetcli", "targetcli-fb")
