"""The page holds what a reader needs, is sound HTML, and treats what a driver chose as data."""

from __future__ import annotations

import itertools
import re

import pytest
from report_markup import Page
from report_samples import MS, check, faulty, reference, report

from harness.results import (
    CheckResult,
    ClauseResult,
    Description,
    DriverReport,
    Evidence,
    Finding,
    Outcome,
    Report,
    Severity,
    Timeline,
    TimelineStep,
    Verdict,
)
from reports.page import MAX_FAILURES, facts, render

HOSTILE = '<script>alert("x")</script>\x1b[31mred\x07\u202egnp.exe {{ 7*7 }} $\\frac{1}{0}$ \ud800 ' + "long" * 5000


def hostile() -> Report:
    """A report in which every text that a driver may choose is hostile."""
    result = ClauseResult(
        clause="Q-9", outcome=Outcome.FAILED, message=HOSTILE, witness={HOSTILE: {HOSTILE: HOSTILE}, "n": [HOSTILE]}
    )
    step = TimelineStep(label=HOSTILE, start_ns=0, end_ns=5 * MS, kind=HOSTILE)
    bad = CheckResult(
        check=HOSTILE,
        title=HOSTILE,
        driver=HOSTILE,
        testbed=HOSTILE,
        seed=1,
        outcome=Outcome.FAILED,
        message=HOSTILE,
        clauses=[result],
        findings=[Finding(severity=Severity.VIOLATION, clause=HOSTILE, subject=HOSTILE, found=HOSTILE, remedy=HOSTILE)],
        digest=HOSTILE,
        testbed_note=HOSTILE,
        timeline=Timeline(title=HOSTILE, steps=[step], writes_ns=[(0, 1), (2, -1)]),
        output=HOSTILE,
        reproduce=HOSTILE,
    )
    about = Description(
        driver=HOSTILE,
        target=HOSTILE,
        vendor_code=True,
        published={HOSTILE: HOSTILE, "scope": object()},
        effective={},
        defaults=[HOSTILE],
        sources=[HOSTILE],
    )
    driver = DriverReport(description=about, verdict=Verdict.NON_CONFORMANT, reasons=[HOSTILE], checks=[bad])
    return report(driver, errors=(HOSTILE,)).model_copy(update={"command": HOSTILE, "testbeds": [HOSTILE]})


def empty() -> Report:
    """A report of a driver for which nothing was run."""
    about = Description(driver="d", target="d", vendor_code=False, published={}, effective={}, defaults=[])
    return report(DriverReport(description=about, verdict=Verdict.HARNESS_ERROR, reasons=["no check was run"]))


def broken() -> Report:
    """A report of a run in which checks broke and a waiver matched nothing."""
    bad = check("d", "test_x", outcome=Outcome.ERROR, message="ZeroDivisionError", run_ns=None, digest=None)
    about = empty().drivers[0].description
    driver = DriverReport(description=about, verdict=Verdict.HARNESS_ERROR, reasons=["test_x: broke"], checks=[bad])
    return report(driver, errors=("waiver Q-9 matched nothing",))


KINDS = {
    "usual": report,
    "hostile": hostile,
    "empty": empty,
    "broken": broken,
    "no drivers": lambda: report().model_copy(update={"drivers": []}),
}


@pytest.fixture(scope="module", params=KINDS)
def page(request: pytest.FixtureRequest) -> Page:
    """The page of each kind of report, parsed; unbalanced tags fail here."""
    return Page(render(KINDS[request.param]()))


@pytest.fixture(scope="module")
def usual() -> str:
    """The page of the sample run."""
    return render(report())


def test_ids_are_unique_and_references_lead_somewhere(page: Page) -> None:
    """No id occurs twice, figures of several drivers included, and every reference within the page has its target."""
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    wanted = [e.attributes[a][1:] for e in page.elements for a in ("href", "xlink:href") if a in e.attributes]
    wanted += [name for e in page.elements for name in e.attributes.get("aria-labelledby", "").split()]
    wanted += [name for e in page.elements for v in e.attributes.values() for name in re.findall(r"url\(#([^)]*)\)", v)]
    assert set(wanted) <= set(ids)


def test_tables_can_be_read_aloud(page: Page) -> None:
    """Every table has a caption first, every header cell a scope, every wide table a labelled region one can tab to."""
    for table in page.all("table"):
        assert table.children[0].tag == "caption"
        assert table.children[0].text.strip()
    assert all(header.attributes.get("scope") for header in page.all("th"))
    regions = [element for element in page.elements if "scroll" in element.attributes.get("class", "").split()]
    assert all(region.attributes["tabindex"] == "0" and region.attributes["aria-label"] for region in regions)
    assert len([table for region in regions for table in region.children if table.tag == "table"]) == len(
        page.all("table")
    )


def test_figures_have_an_alternative_text(page: Page) -> None:
    """Every drawing is an image with a title and a description that exist and are not empty."""
    by_id = {element.attributes.get("id"): element for element in page.elements}
    for figure in page.all("svg", "img"):
        assert figure.attributes["role"] == "img"
        names = figure.attributes["aria-labelledby"].split()
        assert [by_id[name].tag for name in names] == ["title", "desc"]
        assert all(by_id[name].text.strip() for name in names)


def test_nothing_is_loaded_or_run(page: Page) -> None:
    """The page refers to nothing outside itself, has no script and no handler, and forbids loading besides."""
    assert not page.all("script", "link", "iframe", "object", "embed", "img", "base", "form")
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.tag, name)
            if name in ("src", "href", "xlink:href", "action", "srcset", "data"):
                assert value.startswith("#"), (element.tag, name, value)
    styles = [style.text for style in page.all("style")] + [e.attributes.get("style", "") for e in page.elements]
    assert not any("@import" in style or re.search(r"url\((?!#)", style) for style in styles)
    policy = [m.attributes["content"] for m in page.all("meta") if "http-equiv" in m.attributes]
    assert policy
    assert policy[0].startswith("default-src 'none'")


def test_headings_do_not_skip_a_level(page: Page) -> None:
    """Headings form an outline: one first heading, and none more than a level below the one before."""
    levels = [int(heading.tag[1]) for heading in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_hostile_text_stays_text() -> None:
    """Markup, terminal escapes, direction marks, templates and endless names of a driver's come out harmless."""
    text = render(hostile())
    text.encode("utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert "{{ 7*7 }}" in text
    assert "long" * 1600 not in text
    assert len(text) < 300_000


def test_the_reader_finds_verdict_witness_and_rerun_line(usual: str) -> None:
    """A non-conformant driver's section says so in words, shows the witness and the one line that reruns the check."""
    page = Page(usual)
    section = page.all("section")[1]
    assert "Non-conformant" in section.text
    assert "At least one mandatory clause failed." in section.text
    witness = next(table for table in page.all("table") if table.attributes.get("class") == "witness")
    assert "shown write: stamp" in witness.text
    assert "418" in witness.text
    codes = [code.text for code in page.all("code")]
    assert faulty().checks[-2].reproduce in codes
    assert "handel_scope" in section.text
    assert "quiesce, invoke, release" in section.text


def test_unchecked_clauses_stand_apart(usual: str) -> None:
    """A clause without a check is in its own table, not among the results."""
    tables = [table for table in Page(usual).all("table") if "Open clauses" in table.text]
    assert len(tables) == 2
    results = [table for table in Page(usual).all("table") if table.attributes.get("class") == "clauses"]
    assert all("A-10" in table.text for table in tables)
    assert not any("A-10" in table.text for table in results)


def test_results_are_not_told_by_colour_alone(usual: str) -> None:
    """Every coloured label holds the result in words, or stands beside the word."""
    for item in [*Page(usual).all("td"), *Page(usual).all("li")]:
        for chip in (child for child in item.children if "chip" in child.attributes.get("class", "")):
            assert re.search("[a-z]{4}", chip.text), item.text


def test_navigation_reaches_every_driver(usual: str) -> None:
    """The navigation has a link to each driver and to the legend."""
    (navigation,) = Page(usual).all("nav")
    links = [e for e in Page(usual).all("a") if e.attributes["href"].startswith("#driver-")]
    assert [link.attributes["href"] for link in links] == ["#driver-1", "#driver-2"]
    assert "acme-fast" in navigation.text


def test_the_same_report_gives_the_same_page(usual: str) -> None:
    """Rendering is a function of the report: no date, no random id."""
    assert render(report()) == usual


def test_many_failures_are_bounded_and_counted() -> None:
    """Beyond a bound failures are counted, not shown, and the page says where they are."""
    bad = [
        check("d", f"test_{n}", ClauseResult(clause="Q-9", outcome=Outcome.FAILED, evidence=Evidence.EXERCISED))
        for n in range(MAX_FAILURES + 5)
    ]
    driver = reference().model_copy(update={"checks": bad})
    page = Page(render(report(driver)))
    assert len(page.all("article")) == MAX_FAILURES
    assert "5 more failures are in report.json" in page.all("main")[0].text


def test_a_witness_becomes_rows() -> None:
    """Groups in a witness are taken apart, lists and nothing are spelled out, and a huge one is bounded."""
    assert facts({"shown_write": {"block": 7}, "held": True, "blocks": [1, 2], "why": None}) == [
        ("shown write: block", "7"),
        ("held", "yes"),
        ("blocks", "1, 2"),
        ("why", "none"),
    ]
    assert facts({str(n): n for n in range(100)})[-1] == ("more", "60 further rows are in report.json")
