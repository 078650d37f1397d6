"""Arguments and options that several verbs of studies take."""

from __future__ import annotations

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
