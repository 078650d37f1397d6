"""The verb `lio`: a virtual machine with LIO, for work by hand."""

from __future__ import annotations

import enum
import shlex
import sys
import time
from typing import Annotated

import typer

from harness.real_targets.iscsi.target import TargetFailed
from harness.real_targets.missing import NotInstalled

from .image import BuildFailed
from .machine import Machine
from .standing import down, open_machine, standing, up

FAILED = 3
"""The exit status where the machine did not do what was asked for."""


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
        Action, typer.Argument(help="up: start it. down: end it. status: how it is. shell: run commands in it.")
    ],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]…", help="For shell: the command; else lines are read.")
    ] = None,
) -> int:
    """Keep a virtual machine with Linux's SCSI target (LIO), without KVM or root; the first start builds its image."""
    if command and action is not Action.SHELL:
        raise typer.BadParameter(f"{action} takes no command; did you mean: activity-harness lio shell …?")
    try:
        match action:
            case Action.UP:
                return _up()
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


def _up() -> int:
    began = time.monotonic()
    machine = up()
    if machine is None:
        typer.echo("LIO is up already")
        return _status()
    typer.echo(f"LIO is up after {time.monotonic() - began:.1f} s")
    return _describe(machine)


def _status() -> int:
    if standing() is None:
        typer.echo("LIO is not up")
        return 0
    return _describe(open_machine())


def _describe(machine: Machine) -> int:
    kernel, rtslib = machine.ask("versions")
    typer.echo(f"portal {machine.portal}, Linux {kernel}, rtslib-fb {rtslib}")
    for target, initiator in machine.ask("sessions"):
        typer.echo(f"session of {initiator} with {target}")
    return 0


def _shell(command: list[str]) -> int:
    machine = open_machine(COMMAND_WITHIN_S)
    if command:
        return _run(machine, command)
    status = 0
    for line in sys.stdin:
        if line.strip():
            status = _run(machine, ["sh", "-c", line])
    return status


def _run(machine: Machine, argv: list[str]) -> int:
    try:
        status, printed, complaints = machine.ask("run", argv=argv)
    except TargetFailed as error:
        raise TargetFailed(f"{shlex.join(argv)}: {error}") from error
    typer.echo(printed, nl=False)
    typer.echo(complaints, nl=False, err=True)
    return int(status)
