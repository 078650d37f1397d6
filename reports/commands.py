"""The verb `pages` of the command line: pages about everything that reports and studies hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.cli import USAGE_ERROR
from harness.driver_walk import WALK_SCHEMA, DriverWalk
from harness.input_file import InputFileError, read_text
from harness.results import SCHEMA, Report
from harness.study_results import STUDY_SCHEMA, Study
from reports.plain import ReportError, parse_model, read_bytes, read_json
from reports.site import Plot, about_plots, write_site

_MOST_PLOTS = 40
"""Plots beside a study that are shown at most."""
_LARGEST_PLOT = 4 << 20
"""Bytes of a plot."""
_ENOUGH = 400
"""JSON files that are looked at in one directory at most."""


def pages(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULTS...", help="report.json, study.json, drivers.json, or directories of them."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the pages go.")] = Path("backend-activity-pages"),
) -> None:
    """Make pages of reports and studies: an index, one for each driver, each clause and each scenario.

    A walk over in-tree drivers (`drivers --report DIR`) gets its page too.

    They need neither network nor JavaScript. Exit status: 0 they are there; 4 usage error.
    """
    try:
        reports, studies, plots, walks = _read(results)
        index = write_site(out, reports, studies, plots, walks)
    except ReportError as error:
        _refuse(str(error))
    told = [f"{len(reports)} run{'s' * (len(reports) != 1)}"]
    told += [f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"]
    told += [f"{len(walks)} walk{'s' * (len(walks) != 1)} over drivers"] * bool(walks)
    typer.echo(f"pages of {', '.join(told[:-1])} and {told[-1]}: {index}")


def _read(paths: list[Path]) -> tuple[list[Report], list[Study], dict[int, list[Plot]], list[DriverWalk]]:
    reports: list[Report] = []
    studies: list[Study] = []
    plots: dict[int, list[Plot]] = {}
    walks: list[DriverWalk] = []
    for path in paths:
        files = sorted(path.glob("*.json"))[:_ENOUGH] if path.is_dir() else [path]
        known = len(reports) + len(studies) + len(walks)
        for file in files:
            data = read_bytes(file, "report or study")
            document = read_json(data, str(file))
            version = document.get("schema_version") if isinstance(document, dict) else None
            of_study = isinstance(version, str) and version.startswith(STUDY_SCHEMA.rpartition("/")[0] + "/")
            if version == STUDY_SCHEMA or (of_study and file == path):
                study = parse_model(Study, STUDY_SCHEMA, "study", data, str(file))
                plots[len(studies)] = _plots(file.parent, study)
                studies.append(study)
            elif version == WALK_SCHEMA:
                walks.append(parse_model(DriverWalk, WALK_SCHEMA, "walk over drivers", data, str(file)))
            elif version == SCHEMA or file == path:
                reports.append(parse_model(Report, SCHEMA, "report", data, str(file)))
        if len(reports) + len(studies) + len(walks) == known:
            raise ReportError(
                f"{path}: holds no report.json, study.json or drivers.json; give the directory that a run wrote"
            )
    return reports, studies, plots, walks


def _plots(directory: Path, study: Study) -> list[Plot]:
    """The plots that lie beside a study; those of flows are left out, since its page draws them itself."""
    found = []
    about = about_plots(study)
    paths = [path for path in sorted(directory.glob("*.svg")) if not path.name.startswith("timeline-")]
    for path in paths[:_MOST_PLOTS]:
        try:
            svg = read_text(path, _LARGEST_PLOT, "an .svg file")
            found.append(Plot.of(svg, path.stem, about.get(path.stem, "")))
        except InputFileError as error:
            raise ReportError(f"{path}: {error.what}; {error.remedy}") from error
    return found


def _refuse(text: str) -> NoReturn:
    typer.echo(f"ERROR: {text}", err=True)
    raise typer.Exit(USAGE_ERROR)
