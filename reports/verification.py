"""Whether a certificate holds: its schema, the files it names by hash, and everything that follows from them.

Counts, clauses and verdicts are worked out anew from the checks in the report; nothing is believed because it is
written there, and no check of this version's suites may be absent. What can't be found out: whether the checks in the
report went as they say, whether a report by another version has all of that version's checks, and whether the identity
is true. All three are the word of whoever signs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import __version__
from harness.judging import judge_driver
from harness.results import SCHEMA as REPORT_SCHEMA
from harness.results import ClauseInfo, Report
from reports.all_checks import Whole, missing_checks
from reports.certificate import SCHEMA, Certificate, certificate_text, make_certificate, sha256
from reports.files import HTML_NAME, JSON_NAME
from reports.plain import ReportError, parse_model, read_bytes, read_json
from reports.signature import SignatureError, check_signature
from reports.text import one_line

_MOST = 20
"""How many differences are told."""


@dataclass
class Verification:
    """What came of checking a certificate: it holds if there are no problems. `notes` say what was not checked."""

    certificate: Certificate | None = None
    signer: str | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(
    path: Path,
    clauses: Mapping[str, ClauseInfo],
    *,
    whole: Whole | None = None,
    report: Path | None = None,
    signature: Path | None = None,
    signers: Path | None = None,
) -> Verification:
    """Check the certificate at `path`; `report` defaults to the `report.json` beside it.

    `clauses` are those of this version of the suites, which a report by this version must have; it must have their
    checks as well, by `whole`. Raises `ReportError` where the certificate can't be read at all.
    """
    data = read_bytes(path)
    found = Verification()
    try:
        found.certificate = parse_model(Certificate, SCHEMA, "certificate", data, "schema")
    except ReportError as error:
        found.problems.append(str(error))
        return found
    document = read_json(data, "schema")
    _against_report(found, document, report or path.with_name(JSON_NAME), clauses, whole)
    _page(found, path.with_name(HTML_NAME))
    if signature is None or signers is None:
        found.notes.append("no signature was checked: nothing here tells who made it, or that the checks were run")
    else:
        try:
            found.signer = check_signature(data, signature, signers)
        except SignatureError as error:
            found.problems.append(f"signature: {error}")
    if any(driver.identity is not None for driver in found.certificate.drivers):
        found.notes.append("vendor, product, version and contact are the vendor's own word; no check can prove them")
    return found


def _against_report(
    found: Verification, document: Any, path: Path, clauses: Mapping[str, ClauseInfo], whole: Whole | None
) -> None:
    assert found.certificate is not None
    try:
        data = read_bytes(path)
    except ReportError as error:
        found.problems.append(f"report: {error}; name it with --report, it is needed to check the certificate")
        return
    told = found.certificate.report_sha256
    if sha256(data) != told:
        found.problems.append(
            f"report: {path} has the SHA-256 {sha256(data)}, the certificate is of one with {one_line(told, 80)}"
        )
    try:
        report = parse_model(Report, REPORT_SCHEMA, "report", data, str(path))
    except ReportError as error:
        found.problems.append(f"report: {error}")
        return
    found.problems += _clause_table(report, clauses)
    if report.harness_version != __version__:
        found.notes.append(
            f"the report is by version {one_line(report.harness_version, 40)}, this is {__version__}: "
            "whether it has all checks of that version can't be told here"
        )
    elif whole is not None:
        problems, notes = missing_checks(report, whole)
        found.problems += problems
        found.notes += notes
    found.problems += _verdicts(report)
    expected = make_certificate(report, sha256(data), found.certificate.html_sha256)
    found.problems += differences(json.loads(certificate_text(expected)), document)


def _page(found: Verification, path: Path) -> None:
    assert found.certificate is not None
    try:
        actual = sha256(read_bytes(path))
    except ReportError:
        found.notes.append(f"{path.name} is not beside the certificate, so its SHA-256 was not compared")
        return
    if actual != found.certificate.html_sha256:
        told = one_line(found.certificate.html_sha256, 80)
        found.problems.append(f"page: {path} has the SHA-256 {actual}, the certificate is of one with {told}")


def _clause_table(report: Report, clauses: Mapping[str, ClauseInfo]) -> list[str]:
    if report.harness_version != __version__:
        return []
    known = list(clauses.values())
    if report.clauses == known:
        return []
    others = {info.id: info for info in report.clauses}
    changed = [info.id for info in known if others.get(info.id) != info]
    changed += [info.id for info in report.clauses if info.id not in clauses]
    return [
        f"clauses: the report says that it is by version {__version__}, as this one is, but its table of clauses is "
        f"another one ({', '.join(changed[:_MOST]) or 'in another order'})"
    ]


def _verdicts(report: Report) -> list[str]:
    lines = []
    for driver in report.drivers:
        name = one_line(driver.description.driver, 80)
        rows, verdict, reasons = judge_driver(report, driver)
        if verdict is not driver.verdict:
            lines.append(f"verdict: the report says of {name} {driver.verdict}, its checks come to {verdict}")
        elif reasons != driver.reasons:
            lines.append(f"verdict: the reasons that the report gives for {name} do not follow from its checks")
        lines += [
            f"verdict: the report says of {name} {one_line(told.clause, 40)} {told.outcome}, "
            f"its checks come to {row.clause} {row.outcome}"
            for row, told in zip(rows, driver.clauses, strict=False)
            if row != told
        ][:_MOST]
        if len(rows) != len(driver.clauses):
            lines.append(f"verdict: the report has {len(driver.clauses)} rows of clauses for {name}, not {len(rows)}")
    return lines


def differences(expected: Any, found: Any) -> list[str]:
    """Where the certificate says something else than what follows from the report; each place in one line."""
    lines = list(_differences(expected, found, ""))
    more = len(lines) - _MOST
    return [*lines[:_MOST], *([f"content: and {more} more"] if more > 0 else [])]


def _differences(expected: Any, found: Any, place: str) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in dict.fromkeys([*expected, *found]):
            inner = f"{place}.{name}" if place else str(name)
            if name not in found:
                yield f"content: {one_line(inner, 200)} is missing"
            elif name not in expected:
                yield f"content: {one_line(inner, 200)} does not follow from the report"
            else:
                yield from _differences(expected[name], found[name], inner)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, f"{place}[{number}]")
    elif json.dumps(expected) != json.dumps(found):  # unlike ==, this tells true from 1
        yield (
            f"content: {one_line(place, 200)} is {one_line(json.dumps(found), 120)}, "
            f"from the report follows {one_line(json.dumps(expected), 120)}"
        )
