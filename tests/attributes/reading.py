"""Reads files as the command line does, in a cell: what is told of each, or that it was taken."""

from __future__ import annotations

from conformance.session import UsageProblem, make_settings
from reports.plain import ReportError, load_report


def read(option: str, path: str) -> str:
    """Read a file for an option of the command line; what is wrong with it, or "taken"."""
    try:
        match option:
            case "--attributes":
                make_settings(attributes=[path])
            case "--driver-config":
                make_settings(drivers=["reference"], driver_config=path)
            case "--schedule":
                make_settings(schedule=path)
            case _:
                load_report(path)
    except (UsageProblem, ReportError) as error:
        return str(error)
    return "taken"
