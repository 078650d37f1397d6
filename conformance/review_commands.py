"""The verbs `verify` and `compare` of the command line: what is done with reports that are there already."""

from __future__ import annotations

import enum
import importlib
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from conformance.session import ExitCode
from conformance.suite import whole
from reports import ReportError, load_report
from reports.comparison import FailOn, compare
from reports.comparison_text import comparison_json, print_comparison
from reports.markdown import comparison_markdown, write_step_summary
from reports.terminal import Printer
from reports.text import clean, one_line
from reports.verification import Verification, verify
from reports.words import VERDICT_SYMBOL


class Format(enum.StrEnum):
    """How a comparison is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


_DEFAULT_GATE = (FailOn.NEW_FAILURE, FailOn.NEWLY_SKIPPED)


def verify_certificate(
    certificate: Annotated[Path, typer.Argument(metavar="CERTIFICATE", help="A certificate.json.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its report.json; default: the one beside it.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An SSH signature of it, by ssh-keygen -Y sign.")
    ] = None,
    signers: Annotated[Path | None, typer.Option(metavar="FILE", help="The allowed signers (ssh-keygen(1)).")] = None,
    check_clauses: Annotated[str, typer.Option(hidden=True)] = "conformance.clauses",
) -> None:
    """Check a certificate: its schema, the hashes of its report, that all it says follows from the report, and that no
    check of this version's suites is absent from that.

    Exit status: 0 it holds, whatever its verdict; 7 it does not; 4 usage error.
    """
    if (signature is None) != (signers is None):
        missing, given = ("--signers", "--signature") if signers is None else ("--signature", "--signers")
        _refuse(f"{given}: a signature is checked with both; add {missing} FILE")
    try:
        clauses = importlib.import_module(check_clauses).CLAUSES
        found = verify(
            certificate,
            clauses,
            whole=whole if check_clauses == "conformance.clauses" else None,
            report=report,
            signature=signature,
            signers=signers,
        )
    except ReportError as error:
        _refuse(str(error))
    _tell(found, certificate)
    raise typer.Exit(ExitCode.NOT_VERIFIED if found.problems else ExitCode.CONFORMANT)


def _tell(found: Verification, path: Path) -> None:
    out = Printer(Console(highlight=False))
    if found.problems:
        out.line((f"{path} does not hold:", "bold red"), whole=True)
        for problem in found.problems:
            out.line(clean(problem), indent=2, whole=True)
        return
    assert found.certificate is not None
    out.line((f"{path} holds", "bold green"), f", for the level {found.certificate.level}", whole=True)
    for driver in found.certificate.drivers:
        version = f" {one_line(driver.driver_version, 80)}" if driver.driver_version else ""
        out.line(
            f"{one_line(driver.driver, 120)}{version}: {VERDICT_SYMBOL[driver.verdict]} {driver.verdict}",
            indent=2, whole=True,
        )  # fmt: skip
    if found.signer is not None:
        out.line(f"signed by {one_line(found.signer, 120)}", indent=2, whole=True)
    for note in found.notes:
        out.line(f"note: {note}", indent=2, whole=True)


def compare_reports(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The report.json to compare with.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The report.json of the change.")],
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option("--fail-on", help="What ends with status 8. Repeatable; default: new-failure, newly-skipped."),
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TEXT,
) -> None:
    """Show what changed between two reports: failures, fixes, checks that were skipped or lost, timings.

    Exit status: 0 nothing that --fail-on names; 8 something of it; 4 usage error.
    """
    gates = tuple(fail_on or _DEFAULT_GATE)
    if FailOn.NEVER in gates and len(set(gates)) > 1:
        _refuse("--fail-on never stands alone; leave the others out, or leave it out")
    try:
        found = compare(load_report(old), load_report(new))
    except ReportError as error:
        _refuse(str(error))
    reasons = found.reasons(gates)
    if output is Format.JSON:
        typer.echo(comparison_json(found, reasons), nl=False)
    elif output is Format.MARKDOWN:
        typer.echo(comparison_markdown(found, reasons), nl=False)
    else:
        print_comparison(found, reasons, Console(highlight=False))
    if (problem := write_step_summary(comparison_markdown(found, reasons))) is not None:
        typer.echo(problem, err=True)
    raise typer.Exit(ExitCode.CHANGED if reasons else ExitCode.CONFORMANT)


def _refuse(text: str) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(ExitCode.USAGE_ERROR)
