"""The command `activity-harness`: one Typer app whose verbs the packages register by entry point.

A verb is a plain function with Typer's annotations, registered under `backend_activity.commands`; the entry point's
name is the verb. One that can't be imported is named and left out; the others work.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from harness import __version__

USAGE_ERROR = 4
INTERRUPTED = 2
"""Exit statuses that every verb shares; pytest's own, so that both ways of running agree."""

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # Typer exports no name for it

COMMAND_GROUP = "backend_activity.commands"
"""The entry point group of the verbs."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"activity-harness {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Reference harness for Cinder backend activity attributes."""


def make_app() -> typer.Typer:
    """The app with every verb that can be imported; those that can't are named on standard error."""
    app = typer.Typer(
        name="activity-harness", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    app.callback()(_root)
    for entry in sorted(entry_points(group=COMMAND_GROUP), key=lambda e: e.name):
        try:
            verb = entry.load()
        except Exception as error:
            typer.echo(
                f"activity-harness: the verb {entry.name!r} is missing: {entry.value} can't be imported: "
                f"{type(error).__name__}: {error}",
                err=True,
            )
            continue
        app.command(entry.name)(verb)
    return app


def main() -> None:
    """Run the command line; ends the process with the verb's exit status, 4 for a command line that is no good."""
    try:
        status = make_app()(standalone_mode=False)
    except _USAGE_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(USAGE_ERROR)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
