"""A study as a table for people: a row for each measure, a column for each variant, intervals, differences."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from harness.study_results import Difference, Estimate, Study

_PREFIXES = (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10))
"""Binary, as the sizes of volumes are: the copy of 64 GiB moves 64 GiB."""
_MOST_COMPARED = 3
"""For more variants the differences are left to the files: no terminal is wide enough."""
_SMALL = (("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9))


def study_table(study: Study, everything: bool = False) -> tuple[Table, int]:
    """The table, and how many measures were left out: those that are 0, or nothing, in every variant."""
    table = Table(title=escape(study.question), title_justify="left")
    table.add_column("measure", no_wrap=True)
    table.add_column("of")
    others = study.variants[1:] if len(study.variants) <= _MOST_COMPARED else ()
    for variant in study.variants:
        table.add_column(escape(variant), justify="right", overflow="fold")
    for variant in others:
        table.add_column(f"{escape(variant)} − {escape(study.baseline)}", justify="right", overflow="fold")
    found = {(estimate.key, estimate.variant): estimate for estimate in study.estimates}
    apart = {(difference.key, difference.variant): difference for difference in study.differences}
    left_out = 0
    for key in dict.fromkeys(estimate.key for estimate in study.estimates):
        cells = [found.get((key, variant)) for variant in study.variants]
        if not everything and not any(cell is not None and cell.mean for cell in cells):
            left_out += 1
            continue
        rest = [apart.get((key, variant)) for variant in others]
        name, _, of = key.partition("[")
        table.add_row(
            name, escape(of.removesuffix("]")), *[shown(cell) for cell in cells], *[shown(cell) for cell in rest]
        )
    return table, left_out


def shown(figure: Estimate | Difference | None) -> str:
    """A mean with half the width of its interval, in a unit that suits it: `68.8 ± 0.1 s`."""
    if figure is None or figure.mean is None:
        return "–"
    half = (figure.high - figure.low) / 2 if figure.low is not None and figure.high is not None else 0.0
    scale, unit = _scale(max(abs(figure.mean), half), figure.unit)
    text = _digits(figure.mean / scale, 4)
    if half > 0:
        text += f" ± {_digits(half / scale, 2)}"
    return f"{text} {unit}".rstrip()


def _digits(value: float, count: int) -> str:
    """A number with so many digits, without an exponent where a person would not write one."""
    if 10**count <= abs(value) < 1e7:
        return f"{value:,.0f}"
    if 1e-6 <= abs(value) < 1e-4:
        return f"{value:.{count + 5}f}".rstrip("0")
    return f"{value:.{count}g}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    size = abs(value)
    if unit == "s":
        for prefix, scale in _SMALL:
            if size >= scale:
                return scale, f"{prefix}s"
        return 1.0, "s"
    if unit in ("bytes", "byte·s"):
        name = "B" if unit == "bytes" else "B·s"
        for prefix, scale in _PREFIXES:
            if size >= scale:
                return scale, f"{prefix}{name}"
        return 1.0, name
    return 1.0, unit
