"""The verbs `drivers` and `draft` of the command line."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.cinder.draft import draft_of
from harness.cinder.installed import import_cinder
from harness.cinder.native import Origin
from harness.cinder.walk import SHOWN, Walk, walk
from harness.contract import METHODS, implements
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


def list_drivers(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, with drafts, as JSON.")] = False,
    only: Annotated[str, typer.Option(metavar="TEXT", help="Only classes whose name contains this.")] = "",
) -> None:
    """Walk all of Cinder's in-tree volume drivers: what each brings, inherits or stubs, and what does not bind.

    Needs the extra `cinder`. Exit status: 0, or 4 where Cinder is not installed.
    """
    try:
        found = walk()
    except CandidateError as error:
        _refuse(str(error))
    if only:
        found = Walk(found.cinder_version, tuple(d for d in found.drivers if only in d.name), found.broken)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(found))
    console.print(_counts(found))
    console.print(LEGEND, soft_wrap=True)
    for entry in found.drivers:
        for text in entry.unbound:
            console.print(f"does not bind: {escape(entry.name)}.{escape(text)}", soft_wrap=True)
    for module, reason in found.broken.items():
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
    typer.echo(json.dumps(draft.to_dict(), indent=2) if as_json else draft.to_toml(), nl=as_json)


def _table(found: Walk) -> Table:
    table = Table(title=f"Volume drivers of cinder {found.cinder_version}")
    table.add_column("class", overflow="fold")
    table.add_column("methods (letters below)", no_wrap=True)
    table.add_column("calls that do not bind", justify="right")
    for entry in found.drivers:
        short = entry.name.removeprefix("cinder.volume.drivers.")
        letters = "".join(_LETTERS[entry.methods[name]] for name in SHOWN)
        table.add_row(escape(short), letters, str(len(entry.unbound) or ""))
    return table


def _counts(found: Walk) -> Table:
    """How many classes have each method from where, in the order of the letters."""
    table = Table()
    for column in ("letter", "method", *(where.value for where in Origin)):
        table.add_column(column)
    for place, name in enumerate(SHOWN, 1):
        counts = Counter(entry.methods[name] for entry in found.drivers)
        table.add_row(str(place), name, *[str(counts[where] or "") for where in Origin])
    return table


def _refuse(text: str) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(USAGE_ERROR)
