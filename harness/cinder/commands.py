"""The verb `draft` of the command line, and what the verb `drivers` prints."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cinder.draft import draft_of
from harness.cinder.installed import import_cinder
from harness.contract import METHODS, implements
from harness.driver_walk import DriverWalk, Origin
from harness.hosting import host_of_reference, preparing
from harness.importing import CandidateError, import_class
from harness.loading import CandidateSpec

USAGE_ERROR = 4

_LETTERS = {
    Origin.OWN: "o",
    Origin.FAMILY: "f",
    Origin.SHARED: "r",
    Origin.BASE: "·",
    Origin.STUB: "s",
    Origin.ABSENT: "–",
}
LEGEND = (
    "o: the class's own, f: of its vendor's base class, r: of a base that drivers share (remotefs), ·: of Cinder's "
    "base class, s: a stub that only raises or returns a constant, –: absent. Own is not works: configuration decides."
)


def show_walk(found: DriverWalk) -> None:
    """Print what a walk has seen as tables for a terminal."""
    console = Console(highlight=False)
    console.print(_table(found))
    console.print(_counts(found))
    console.print(LEGEND, soft_wrap=True)
    for entry in found.drivers:
        for text in entry.unbound_calls:
            console.print(f"does not bind: {escape(entry.name)}.{escape(text)}", soft_wrap=True)
    for module, reason in found.broken_modules.items():
        console.print(f"can't be imported: {escape(module)}: {escape(reason)}", soft_wrap=True)
    console.print(f"{len(found.drivers)} classes of cinder {found.cinder_version}; draft one with: draft CLASS")


def draft_target(
    target: Annotated[str, typer.Argument(help="A driver: package.module:Class or a registered name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the draft as JSON.")] = False,
) -> None:
    """Draft a publication for a class that publishes nothing, from what can be seen without running it.

    The module is imported here, outside of any cell. Exit status: 0, or 4 where the class can't be had.
    """
    try:
        spec = CandidateSpec.for_driver(target)
        if host_of_reference(spec.reference) is not None:
            import_cinder()
        with preparing(lambda host: import_cinder()):
            cls = import_class(spec.reference)
    except CandidateError as error:
        _refuse(str(error))
    if not any(implements(cls, name) for name in METHODS):
        _refuse(f"{spec.reference} has none of the methods of a driver; name the class of the driver itself")
    draft = draft_of(cls)
    typer.echo(draft.to_model().model_dump_json(indent=2) if as_json else draft.to_toml(), nl=as_json)


def _table(found: DriverWalk) -> Table:
    table = Table(title=f"Volume drivers of cinder {found.cinder_version}")
    table.add_column("class", overflow="fold")
    table.add_column("methods (letters below)", no_wrap=True)
    table.add_column("calls that do not bind", justify="right")
    for entry in found.drivers:
        short = entry.name.removeprefix("cinder.volume.drivers.")
        letters = "".join(_LETTERS[entry.methods[name]] for name in found.methods)
        table.add_row(escape(short), letters, str(len(entry.unbound_calls) or ""))
    return table


def _counts(found: DriverWalk) -> Table:
    """How many classes have each method from where, in the order of the letters."""
    table = Table()
    for column in ("letter", "method", *(where.value for where in Origin)):
        table.add_column(column)
    for place, name in enumerate(found.methods, 1):
        table.add_row(str(place), name, *[str(found.count(name, where) or "") for where in Origin])
    return table


def _refuse(text: str) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(USAGE_ERROR)
