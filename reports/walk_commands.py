"""The verb `drivers` of the command line: all in-tree drivers, as tables, as JSON, as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.cinder.commands import show_walk
from harness.cinder.walk import walk
from harness.cli import USAGE_ERROR
from harness.driver_walk import DriverWalk
from harness.importing import CandidateError
from harness.names import did_you_mean
from reports.plain import ReportError
from reports.site import write_walk


def list_drivers(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, with drafts, as JSON.")] = False,
    only: Annotated[str, typer.Option(metavar="TEXT", help="Only classes whose name contains this.")] = "",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write drivers.json and the page drivers.html there.")
    ] = None,
) -> None:
    """Walk all of Cinder's in-tree volume drivers: what each brings, inherits or stubs, and what does not bind.

    Needs the extra `cinder`. `pages DIR` puts the page beside those of runs and studies. Exit status: 0, or 4 where
    Cinder is not installed, or no class has such a name.
    """
    try:
        found = walk()
        if only:
            found = _only(found, only)
        page = None if report is None else write_walk(report, found)
    except (CandidateError, ReportError) as error:
        _refuse(str(error))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    if page is None:
        show_walk(found)
    else:
        typer.echo(f"{len(found.drivers)} classes of cinder {found.cinder_version}: {page}")


def _only(found: DriverWalk, text: str) -> DriverWalk:
    """The walk with those classes whose names contain a text, in capitals or not. Raises `CandidateError` for none."""
    drivers = tuple(driver for driver in found.drivers if text.lower() in driver.name.lower())
    if not drivers:
        names = [part for driver in found.drivers for part in driver.name.split(".")[3:]]
        raise CandidateError(f"no class's name contains {text!r}; {did_you_mean(text, list(dict.fromkeys(names)))}")
    return found.model_copy(update={"drivers": drivers})


def _refuse(text: str) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(USAGE_ERROR)
