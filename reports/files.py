"""Writing reports so that a reader finds a whole one or none: never half, even if the run is killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from harness.results import Report
from reports.plain import ReportError, to_json

JSON_NAME = "report.json"
HTML_NAME = "report.html"


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


def write_all(directory: Path, texts: dict[str, str]) -> None:
    """Write files of these names and texts; the old ones stay until every new one is whole on the disk."""
    token = secrets.token_hex(4)
    pending = {directory / f".{name}.{token}.tmp": directory / name for name in texts}
    try:
        for temporary, target in pending.items():
            _write_through(temporary, texts[target.name])
        for temporary, target in pending.items():
            os.replace(temporary, target)
    finally:
        for temporary in pending:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    _sync_directory(directory)


def write_report(report: Report, directory: str | Path) -> Path:
    """Write `report.json` and `report.html` to `directory`, made if need be; returns the path of `report.html`.

    Both are complete before either replaces an older one. Raises `ReportError` if the disk doesn't take them.
    """
    from reports.page import render  # Jinja2 and matplotlib cost half a second, and most users of reports need neither

    directory = Path(directory)
    texts = {JSON_NAME: to_json(report), HTML_NAME: render(report)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_all(directory, texts)
    except OSError as error:
        raise ReportError(f"{directory}: the report can't be written: {error.strerror or error}") from error
    return directory / HTML_NAME
