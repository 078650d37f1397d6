"""A small certified run on disk, and ways to change it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report_samples import CLAUSES, faulty, report

from harness import __version__
from harness.results import ClauseInfo, Identity, Report, Waiver
from reports.certificate import certificate_text, make_certificate, sha256
from reports.files import write_report
from reports.plain import to_json

TABLE: dict[str, ClauseInfo] = {info.id: info for info in CLAUSES}
"""The clauses of the samples."""


def small_report() -> Report:
    """One driver with identity and waiver, and few checks, so that checking it takes little time."""
    driver = faulty()
    driver.identity = Identity(vendor="Acme", product="Arrays", version="2.1", contact="storage@acme.example")
    driver.driver_version = "2.1"
    driver.configuration_digest = "0" * 64
    driver.waivers = [
        Waiver(clause="Q-10", versions="<3", reason="r", owner="o", bug="b", expires="2999-12-31", driver="acme")
    ]
    for check in driver.checks:
        check.timeline = None
        check.profile = check.testbed
    made = report(driver).model_copy(deep=True)  # the table of clauses is shared
    made.harness_version = __version__
    made.started_on = "2027-06-30"
    made.errors = []
    return made


def write(directory: Path) -> Path:
    """Write the small report; returns its certificate."""
    return write_report(small_report(), directory).with_name("certificate.json")


def certify_again(directory: Path, made: Report) -> Path:
    """Write a report that was forged, and a certificate that fits it."""
    text = to_json(made)
    page = (directory / "report.html").read_bytes()
    (directory / "report.json").write_text(text)
    certificate = make_certificate(made, sha256(text.encode()), sha256(page))
    (directory / "certificate.json").write_text(certificate_text(certificate))
    return directory / "certificate.json"


Place = tuple[str | int, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in a JSON document, inner ones too."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*here, name)
        yield from places(inner, (*here, name))


def changed(document: Any, place: Place) -> list[Any]:
    """The document with the value at one place altered, retyped and removed, as often as that is another document."""
    altered = []
    for act in ("alter", "retype", "remove"):
        other = copy.deepcopy(document)
        around = other
        for name in place[:-1]:
            around = around[name]
        if act == "remove":
            del around[place[-1]]
        elif act == "retype":
            around[place[-1]] = _retyped(around[place[-1]])
        else:
            around[place[-1]] = _another(around[place[-1]])
        if json.dumps(other) != json.dumps(document):
            altered.append(other)
    return altered


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x" if value else "x"
        case list():
            return [*value, *(value[-1:] or ["x"])]
        case dict():
            return {**value, "x": next(iter(value.values()), "x")}
    return "x"


def _retyped(value: Any) -> Any:
    """A value of another type that Python calls equal, where there is one."""
    if isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, int) else value
