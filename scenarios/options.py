"""Arguments and options that several verbs of studies take."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated

import typer

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of one of the library.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Another value for a key path. Repeatable.")
]
SeedOption = Annotated[
    int | None, typer.Option(metavar="N", help="Seed of the first replication; default: the scenario's.")
]
JobsOption = Annotated[int | None, typer.Option(metavar="N", help="Processes; default: one for each core.")]
ClusterOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler to run it on, as in tcp://host:8786.")
]


def find_own_modules() -> None:
    """Let drivers be imported from the working directory, as `python -m` does, for this process and those it starts."""
    with contextlib.suppress(OSError):  # the directory may be gone
        if "" not in sys.path and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())
