"""Writing reports so that a reader finds whole files of one run or none: never half, even if the run is killed.

Each file is written under another name and synced, and only then takes its own. Before the first one does, the files of
the last run go, so that no two runs are ever mixed; the certificate comes last, so where there is one, all are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.results import Report
from reports.badge import badge_text
from reports.certificate import certificate_text, make_certificate, sha256
from reports.junit import broken_run_text, junit_text
from reports.plain import ReportError, to_json

JSON_NAME = "report.json"
HTML_NAME = "report.html"
JUNIT_NAME = "junit.xml"
BADGE_NAME = "badge.json"
CERTIFICATE_NAME = "certificate.json"


def _write_through(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(directory: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can; the files themselves are safe already
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(directory: Path, names: Mapping[str, str]) -> None:
    """Remove what runs that were killed left of these files; those of a process that lives are its own."""
    for name in names:
        for left in directory.glob(f".{name}.*.tmp"):
            owner = left.name.removeprefix(f".{name}.").partition("-")[0]
            if owner.isdecimal() and not _lives(int(owner)):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def write_all(directory: Path, texts: Mapping[str, str]) -> None:
    """Write files of these names and texts; the old ones stay until every new one is whole on the disk.

    Then the old ones go, and the new ones come in the order of `texts`. Raises OSError where the disk takes no more.
    """
    _sweep(directory, texts)
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    pending = {directory / f".{name}.{token}.tmp": directory / name for name in texts}
    try:
        for temporary, target in pending.items():
            _write_through(temporary, texts[target.name])
        for target in list(pending.values())[:0:-1]:  # the last first; the first one is replaced at once
            target.unlink(missing_ok=True)
        for temporary, target in pending.items():
            os.replace(temporary, target)
    finally:
        for temporary in pending:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    _sync_directory(directory)


def report_texts(report: Report, others: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """The files of a report, by name, in the order in which they are to appear."""
    from reports.page import render  # Jinja2 and matplotlib cost half a second, and most users of reports need neither

    text, page = to_json(report), render(report)
    read_back = Report.model_validate(json.loads(text))  # the certificate is of what a reader finds there
    certificate = make_certificate(read_back, sha256(text.encode()), sha256(page.encode()))
    return {
        JSON_NAME: text,
        HTML_NAME: page,
        JUNIT_NAME: junit_text(read_back, others),
        BADGE_NAME: badge_text(read_back),
        CERTIFICATE_NAME: certificate_text(certificate),
    }


def write_report(report: Report, directory: str | Path, others: Sequence[tuple[str, str]] = ()) -> Path:
    """Write a report's files to `directory`, made if need be; returns the path of `report.html`.

    They are `report.json`, `report.html`, `junit.xml`, `badge.json` and `certificate.json`; `others` are failed tests
    that are no checks, each with its text, for JUnit. Raises `ReportError` if the disk doesn't take them.
    """
    directory = Path(directory)
    texts = report_texts(report, others)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_all(directory, texts)
    except OSError as error:
        raise ReportError(f"{directory}: the report can't be written: {error.strerror or error}") from error
    return directory / HTML_NAME


def write_broken_run(errors: Sequence[str], directory: Path) -> None:
    """Leave of a run that came to no report a `junit.xml` with its errors, and nothing that could be taken for one.

    Raises OSError if the disk doesn't take it.
    """
    for name in (CERTIFICATE_NAME, BADGE_NAME, HTML_NAME, JSON_NAME):
        (directory / name).unlink(missing_ok=True)
    write_all(directory, {JUNIT_NAME: broken_run_text(errors)})
