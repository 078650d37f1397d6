"""Pages that lead from one to another: what they hold and are called, and that nothing of a driver's is markup."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_markup import Element, Page
from report_samples import faulty, reference, report
from site_samples import PLOT, SITES, run, walk
from study_samples import study
from typer.testing import CliRunner

from harness.cli import USAGE_ERROR, make_app
from reports import write_report
from reports.site import site_texts, write_site, write_walk
from reports.site.lens import ticks
from reports.site.names import FileNames


@pytest.fixture(scope="module", params=SITES)
def site(request: pytest.FixtureRequest) -> dict[str, str]:
    """The pages of each kind of results."""
    return site_texts(*SITES[request.param])


@pytest.fixture(scope="module")
def usual() -> dict[str, Page]:
    """The pages of the sample run and study, parsed."""
    return {name: Page(text) for name, text in site_texts(*SITES["usual"]).items()}


def test_every_link_leads_somewhere(site: dict[str, str]) -> None:
    """Each link goes to a page that is there, and to an id that this page has; no id is there twice; the index leads
    to every page."""
    pages = {name: Page(text) for name, text in site.items()}
    ids = {name: [e.attributes["id"] for e in page.elements if "id" in e.attributes] for name, page in pages.items()}
    for name, page in pages.items():
        assert len(ids[name]) == len(set(ids[name])), name
        for link in page.all("a"):
            target, _, anchor = link.attributes["href"].partition("#")
            assert not anchor or anchor in ids[target or name], (name, link.attributes["href"])
            assert (target or name) in pages
    assert {link.attributes["href"].partition("#")[0] for link in pages["index.html"].all("a")} >= set(pages) - {
        "index.html"
    }


def test_pages_can_be_read_aloud_and_without_a_script(site: dict[str, str]) -> None:
    """Tables have captions and header cells with a scope, in labelled regions; drawings a title and a description,
    images an alternative text; headings skip no level; nothing is hidden or of use to a script alone."""
    for text in site.values():
        page = Page(text)
        for table in page.all("table"):
            assert table.children[0].tag == "caption"
            assert table.children[0].text.strip()
        assert all(header.attributes.get("scope") for header in page.all("th"))
        regions = [e for e in page.elements if "scroll" in e.attributes.get("class", "").split()]
        assert all(r.attributes["tabindex"] == "0" and r.attributes["aria-label"] for r in regions)
        tables = [child for region in regions for child in region.children if child.tag == "table"]
        assert len(tables) == len(page.all("table"))
        for drawing in (e for e in page.all("svg") if e.attributes.get("class") != "lens"):
            assert [child.tag for child in drawing.children[:2]] == ["title", "desc"]
            assert all(child.text.strip() for child in drawing.children[:2])
        assert all(image.attributes["alt"].strip() for image in page.all("img"))
        levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4")]
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert not page.all("button", "input", "select", "noscript")
        assert not [e for e in page.elements if "hidden" in e.attributes]


def test_nothing_of_a_drivers_is_markup(site: dict[str, str]) -> None:
    """The only script is ours, named by its hash in the page's policy; nothing is loaded; hostile text is text."""
    for name, text in site.items():
        page = Page(text)
        policy = next(m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes)
        assert re.fullmatch(
            r"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-[\w+/]+='", policy
        )
        assert len(page.all("script")) == 1
        assert not page.all("link", "iframe", "object", "embed", "base", "form")
        for element in page.elements:
            assert not [a for a in element.attributes if a.startswith("on")]
            source = element.attributes.get("src", "data:")
            assert source.startswith("data:image/svg+xml;base64,") or source == "data:"
            assert re.fullmatch(r"([a-z0-9-]+\.html)?(#[\w-]+)?", element.attributes.get("href", "")), name
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "long" * 1600 not in text
        assert re.fullmatch(r"[a-z0-9-]{1,80}\.html", name)


@given(st.lists(st.text(), max_size=12))
def test_file_names_are_safe_and_never_the_same(titles: list[str]) -> None:
    """Whatever drivers are called, each has a file of its own, of plain letters, on any file system."""
    names = FileNames()
    given_out = [names.take("driver", title) for title in titles]
    assert len(set(given_out)) == len(titles)
    assert all(re.fullmatch(r"driver[a-z0-9-]{0,60}\.html", name) for name in given_out)


def test_names_that_fold_into_one_are_kept_apart() -> None:
    """Names that differ in what a file name can't hold, or look like another's number, get numbers of their own."""
    names = FileNames()
    titles = ("a/b", "A b", "../a/b", "a-b 2", "", "\x1b[31m", "<b>")
    assert [names.take("driver", title) for title in titles] == [
        "driver-a-b.html",
        "driver-a-b-2.html",
        "driver-a-b-3.html",
        "driver-a-b-2-2.html",
        "driver.html",
        "driver-31m.html",
        "driver-b.html",
    ]


def _sections(page: Page) -> dict[str, Element]:
    return {section.attributes["aria-labelledby"]: section for section in page.all("section")}


def test_driver_page_tells_what_the_report_does(usual: dict[str, Page]) -> None:
    """A driver's page has its publication, level, verdict, what is supported and what is not, results, and timings."""
    sections = _sections(usual["driver-acme-fast.html"])
    assert "for the level full" in sections["verdict"].text
    assert "Non-conformant" in sections["verdict"].text
    attributes = sections["attributes"].text
    supported, unsupported = attributes[attributes.index("Supported") :].split("Not supported")
    assert "handle_scope.source-specific" in supported
    assert "handle_scope.unrestricted" in unsupported
    assert len([row for row in sections["clauses"].text.split("\n") if re.match(r"^[AQRHC]-\d+", row)]) == 15
    assert re.search(r"create_snapshot\s*iscsi-sim\s*3\s*12 ms\s*9 ms\s*100 ms", sections["timings"].text)
    assert faulty().checks[-2].reproduce in sections["failures"].text


def test_witness_leads_to_its_timeline(usual: dict[str, Page]) -> None:
    """A failure links to the drawing of its own run, in which the moments of its witness are marked."""
    page = usual["driver-acme-fast.html"]
    link = next(a for a in page.all("a") if a.text == "See it in the timeline")
    (figure,) = [f for f in page.all("figure") if f"#{f.attributes['id']}" == link.attributes["href"]]
    assert "test_q_9[create_snapshot] on iscsi-sim" in figure.text
    assert "shown write issued" in figure.text
    marks = [e for e in page.elements if e.attributes.get("class") == "witness-mark"]
    assert len(marks) == 2
    from_clause = next(a for a in usual["clause-q-9.html"].all("a") if a.text == "See it in the timeline")
    assert from_clause.attributes["href"] == "driver-acme-fast.html" + link.attributes["href"]


def test_clause_page_says_what_it_demands_and_what_checks_it(usual: dict[str, Page]) -> None:
    """A clause's page has its wording, rulings, the result of each driver on each testbed, its checks, its witness."""
    page = usual["clause-q-9.html"]
    sections = _sections(page)
    assert "What a listed copying method (retype) makes MUST be an image <b>." in sections["wording"].text
    assert [e.text for e in page.all("em", "code") if e.text in ("listed", "retype")] == ["listed", "retype"]
    assert "Why? So." in sections["wording"].text
    assert re.search(r"lvm-publication\s*✓ passed", sections["results"].text)
    assert re.search(r"acme-fast\s*✗ failed\s*exercised\s*✗ iscsi-sim: failed", sections["results"].text)
    assert "test_q_9[create_snapshot]" in sections["checks"].text
    assert "shown write: stamp" in sections["witnesses"].text


def test_scenario_page_answers_its_question(usual: dict[str, Page]) -> None:
    """A scenario's page has its question, each variant's measures and intervals, differences, plots, and flows with
    their quiesce windows."""
    page = usual["scenario-native-against-fallback.html"]
    sections = _sections(page)
    assert page.all("h1")[0].text == "What does it cost to replicate a snapshot by the fallback?"
    assert re.search(
        r"completion copy\s*41\.7 s\s*40\.2 s … 43\.2 s\s*133\.2 s\s*131\.7 s … 134\.7 s", sections["measures"].text
    )
    assert re.search(r"empty in every variant \(1\)\s*windows", sections["measures"].text)
    assert re.search(r"fallback\s*91\.5 s\s*90\.1 s\s*92\.9 s\s*3\s*more", sections["differences"].text)
    assert page.all("img")[0].attributes["alt"] == "The fallback costs three times as much at every size."
    assert len(page.all("figure")) == 3
    windows = [e for e in page.all("rect") if e.attributes["class"] == "quiesce"]
    assert [w.children[0].text for w in windows] == ["quiesce: from 120.5 s for 1.5 s"]
    assert "the connection was lost" in sections["failed"].text


def test_bars_stand_where_their_times_are(usual: dict[str, Page]) -> None:
    """In the drawing each bar's place and width are its begin and length as parts of the whole span."""
    bars = [e for e in usual["scenario-native-against-fallback.html"].all("rect") if e.attributes["class"] == "step"]
    clone, migrate, snapshot = bars[1:]
    span = 133_190
    for bar, begin, length in ((clone, 0, 29_990), (migrate, 29_990, 90_000), (snapshot, 119_990, 13_200)):
        assert float(bar.attributes["x"]) == pytest.approx(begin / span * 100_000, abs=0.02)
        assert float(bar.attributes["width"]) == pytest.approx(length / span * 100_000, abs=0.02)


@given(st.integers(1, 10**15))
def test_axis_is_labelled_at_round_times(span_ns: int) -> None:
    """Whatever the span, there are some numbers on the axis but not many, evenly spaced from 0, all within it."""
    found = ticks(span_ns)
    assert 2 <= len(found) <= 9
    assert found[0].at == 0
    assert found[-1].at <= 1.000001
    assert all(b.at - a.at == pytest.approx(found[1].at, abs=1e-5) for a, b in pairwise(found))


def test_drivers_of_one_name_in_two_runs_have_pages_of_their_own() -> None:
    """Runs are told apart on the index and on each clause's page."""
    texts = site_texts([report(reference()), report(reference())])
    assert {"driver-lvm-publication.html", "driver-lvm-publication-2.html"} <= set(texts)
    assert "run 2" in Page(texts["clause-q-9.html"]).all("table")[0].text


def test_pages_of_an_earlier_time_go(tmp_path: Path) -> None:
    """Writing pages again removes those of drivers that are no more, and leaves whatever else is there."""
    write_site(tmp_path, [run()])
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    write_site(tmp_path, [report(reference())])
    assert not (tmp_path / "driver-acme-fast.html").exists()
    assert (tmp_path / "driver-lvm-publication.html").exists()
    assert (tmp_path / "mine.html").exists()


def test_command_makes_pages_of_what_runs_left(tmp_path: Path) -> None:
    """`activity-harness pages` takes directories of runs and studies, plots included; it says where the index is."""
    write_report(report(), tmp_path / "run")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text(study().model_dump_json())
    (tmp_path / "study" / "cost.svg").write_text(PLOT)
    (tmp_path / "study" / "latency-native.svg").write_text("<svg></svg>")
    (tmp_path / "study" / "timeline-native.svg").write_text("<svg></svg>")
    out = tmp_path / "pages"
    done = CliRunner().invoke(make_app(), ["pages", str(tmp_path / "run"), str(tmp_path / "study"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "pages of 1 run and 1 study" in done.output
    page = Page((out / "scenario-native-against-fallback.html").read_text())
    assert [image.attributes["alt"] for image in page.all("img")] == [
        "The fallback costs three times as much at every size.",
        "Foreground latencies of native, seed 1: 2 while writes were held or an operation went on with a median of "
        "1.5 ms, none at other times.",
    ]
    assert (out / "index.html").exists()


@pytest.mark.parametrize(
    "content", [None, "{}", json.dumps({"schema_version": "backend-activity/study/9"}), "nonsense"]
)
def test_command_says_what_is_no_result(tmp_path: Path, content: str | None) -> None:
    """What is neither a report nor a study is a usage error that names the file, or the directory without any."""
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    where = tmp_path if content is None else tmp_path / "x.json"
    done = CliRunner().invoke(make_app(), ["pages", str(where), "--out", str(tmp_path / "out")])
    assert done.exit_code == 4
    assert str(where) in done.output.replace("\n", "")
    assert not (tmp_path / "out").exists()


def test_walk_over_drivers_gets_a_page_of_its_own_and_one_beside_the_others(tmp_path: Path) -> None:
    """A walk is written as data and as a page that stands alone; `pages` reads it again, and its index leads to it."""
    assert write_walk(tmp_path, walk()) == tmp_path / "drivers.html"
    alone = Page((tmp_path / "drivers.html").read_text())
    assert not [link for link in alone.all("a") if not link.attributes["href"].startswith("#")]
    (rows, methods, matrix) = alone.all("table")
    told = " ".join(rows.text.split())
    assert re.search(r"AcmeDriver acme, 1\.0 ?2 ?0 ?0 ?0 ?migrate_volume", told)
    assert re.search(r"Share nas, 1\.3 ?0 ?2 ?0 ?0 ?none", told)
    assert "migrate_volume" in methods.text and "own" in matrix.text
    assert "called at cinder/volume/manager.py:2702" in _sections(alone)["drafts"].text
    done = CliRunner().invoke(make_app(), ["pages", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    index = Page((tmp_path / "out" / "index.html").read_text())
    assert "in-tree-cinder-29-0-0.html" in [link.attributes["href"] for link in index.all("a")]


def test_a_study_of_another_version_is_told_as_one(tmp_path: Path) -> None:
    """Who gives a study that a later harness wrote is told which version of studies is read."""
    (tmp_path / "study.json").write_text('{"schema_version": "backend-activity/study/2"}')
    out = str(tmp_path / "out")
    done = CliRunner().invoke(make_app(), ["pages", str(tmp_path / "study.json"), "--out", out])
    assert done.exit_code == USAGE_ERROR
    assert "this version reads 'backend-activity/study/1'" in done.stderr
