"""From results to pages: which there are, what they are called, and their texts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from harness.driver_walk import DriverWalk
from harness.results import ClauseInfo, DriverReport, Report
from harness.study_results import Study
from reports.files import write_all
from reports.page import environment
from reports.plain import ReportError
from reports.site.clauses import ClausePage, clause_page
from reports.site.drivers import DriverPage, driver_page
from reports.site.names import FileNames
from reports.site.studies import Plot, StudyPage, amount, study_page
from reports.site.walks import WalkPage, origins, walk_page
from reports.text import clean, one_line

INDEX = "index.html"
WALK_JSON, WALK_HTML = "drivers.json", "drivers.html"


@dataclass(frozen=True)
class Site:
    """All pages: of the drivers of some runs, of the clauses that those runs know, of some studies, and of walks over
    in-tree drivers."""

    runs: list[Report]
    drivers: list[DriverPage]
    clauses: list[ClausePage]
    studies: list[StudyPage]
    walks: list[WalkPage]

    def clause_href(self, clause_id: str | None) -> str | None:
        """The file of a clause's page, or None if it has none."""
        return next((page.href for page in self.clauses if page.info.id == clause_id), None)


def site_texts(
    reports: Sequence[Report],
    studies: Sequence[Study] = (),
    plots: Mapping[int, Iterable[Plot]] | None = None,
    walks: Sequence[DriverWalk] = (),
) -> dict[str, str]:
    """The pages by file name; the same results give the same texts. `plots` are those of each study, by its number
    from 0."""
    site = _site(reports, studies, plots or {}, walks)
    env = _environment()

    def page(template: str, **values: Any) -> str:
        return env.get_template(f"site/{template}.html.j2").render(site=site, clause_href=site.clause_href, **values)

    texts = {INDEX: page("index", here=INDEX)}
    texts |= {each.href: page("driver", here=each.href, page=each) for each in site.drivers}
    texts |= {each.href: page("clause", here=each.href, page=each) for each in site.clauses}
    texts |= {each.href: page("study", here=each.href, page=each) for each in site.studies}
    texts |= {each.href: page("walk", here=each.href, page=each) for each in site.walks}
    return texts


def write_site(
    directory: str | Path,
    reports: Sequence[Report],
    studies: Sequence[Study] = (),
    plots: Mapping[int, Iterable[Plot]] | None = None,
    walks: Sequence[DriverWalk] = (),
) -> Path:
    """Write the pages to `directory`, made if need be; returns the path of its `index.html`.

    Pages of an earlier time that no longer exist are removed. Raises `ReportError` if the disk doesn't take them.
    """
    directory = Path(directory)
    texts = site_texts(reports, studies, plots, walks)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("*.html"):
            if old.name not in (*texts, WALK_HTML) and _is_ours(old):
                old.unlink()
        write_all(directory, texts)
    except OSError as error:
        raise ReportError(f"{directory}: the pages can't be written: {error.strerror or error}") from error
    return directory / INDEX


def write_walk(directory: str | Path, walk: DriverWalk) -> Path:
    """Write a walk as `drivers.json` and as a page of its own; returns the path of the page, `drivers.html`.

    Raises `ReportError` if the disk doesn't take them.
    """
    directory = Path(directory)
    template = _environment().get_template("site/walk.html.j2")
    text = template.render(here=WALK_HTML, alone=True, page=walk_page(walk, WALK_HTML))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_all(directory, {WALK_HTML: text, WALK_JSON: walk.model_dump_json(indent=1) + "\n"})
    except OSError as error:
        raise ReportError(f"{directory}: the page can't be written: {error.strerror or error}") from error
    return directory / WALK_HTML


_MARK = '<meta name="generator" content="backend-activity-harness">'


def _is_ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return _MARK in file.read(2000)


def _site(
    reports: Sequence[Report],
    studies: Sequence[Study],
    plots: Mapping[int, Iterable[Plot]],
    walks: Sequence[DriverWalk],
) -> Site:
    names = FileNames()
    drivers: list[DriverPage] = []
    infos: dict[str, ClauseInfo] = {}
    for run, report in enumerate(reports):
        infos |= {info.id: info for info in report.clauses}
        drivers += [driver_page(report, each, names.take("driver", _name(each)), run) for each in report.drivers]
    clauses = [
        clause_page(info, names.take("clause", info.id), order, drivers) for order, info in enumerate(infos.values())
    ]
    pages = [
        study_page(study, names.take("scenario", study.scenario), plots.get(number, ()))
        for number, study in enumerate(studies)
    ]
    trees = [walk_page(walk, names.take("in-tree", f"cinder {walk.cinder_version}")) for walk in walks]
    return Site(list(reports), drivers, clauses, pages, trees)


def _name(driver: DriverReport) -> str:
    return driver.description.driver


@cache
def _environment() -> Environment:
    env = environment()
    assert env.loader is not None
    script = env.loader.get_source(env, "site/page.js")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    env.globals |= {
        "script": Markup(script),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
        "mark": Markup(_MARK),
        "amount": amount,
        "alone": False,
        "origins": origins(),
    }
    env.filters |= {"wording": wording, "spaced": _spaced}
    return env


def _spaced(name: str) -> str:
    """A measure's name as words."""
    return one_line(name, 80).replace("_", " ")


def wording(text: str) -> Markup:
    """A clause's Markdown as HTML: `code` and *emphasis*, nothing else."""
    parts = []
    for number, part in enumerate(clean(text, 6000).split("`")):
        if number % 2:
            parts.append(f"<code>{escape(part)}</code>")
        else:
            bits = part.split("*")
            even = len(bits) % 2 == 1  # a lone asterisk is none
            parts += [
                f"<em>{escape(bit)}</em>" if n % 2 and even else escape(bit if even or n == 0 else f"*{bit}")
                for n, bit in enumerate(bits)
            ]
    return Markup("".join(parts))  # each part was escaped
