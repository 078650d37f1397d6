"""Writes what people read of a run: JSON, HTML, certificate, JUnit, Markdown, badge, plots. Knows results only.

`write_report` writes `report.json` (schema: `report.schema.json`), `report.html`, `junit.xml`, `badge.json` and
`certificate.json` (schema: `certificate.schema.json`), `load_report` reads the first back, `summary` prints what
matters to a terminal. All treat what a driver chose as data: nothing of it is markup.
"""

from __future__ import annotations

from reports.files import write_report
from reports.plain import ReportError, load_report
from reports.terminal import summary

__all__ = ["ReportError", "load_report", "summary", "write_report"]
