"""Writes what people read of a run: JSON, HTML, plots. Knows results only.

`write_report` writes `report.json` (schema: `report.schema.json`) and `report.html`, `load_report` reads the former
back, `summary` prints what matters to a terminal. All three treat what a driver chose as data: nothing of it is markup.
"""

from __future__ import annotations

from reports.files import write_report
from reports.plain import ReportError, load_report
from reports.terminal import summary

__all__ = ["ReportError", "load_report", "summary", "write_report"]
