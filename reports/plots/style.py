"""What all plots share: colours, line styles and hatches that are told apart in print and by colour-blind readers.

The colours are Okabe and Ito's (Color Universal Design, 2008); none carries a meaning alone: a series differs from the
others by its marker and line style, an area by its hatch.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import secrets
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
INK, MUTED, GRID = "#1b1f24", "#57606b", "#d5dae0"

DPI = 150


@dataclass(frozen=True)
class Look:
    """How a series or an area is drawn."""

    colour: str
    line: Any
    marker: str
    hatch: str

    @property
    def pale(self) -> str:
        """The colour mixed with white, for areas."""
        parts = [int(self.colour[at : at + 2], 16) for at in (1, 3, 5)]
        return "#" + "".join(f"{255 - (255 - part) * 28 // 100:02x}" for part in parts)


LOOKS = (
    Look(BLUE, "-", "o", ""),
    Look(VERMILION, "--", "s", "///"),
    Look(GREEN, "-.", "^", "..."),
    Look(PURPLE, ":", "D", "xx"),
    Look(BLACK, (0, (5, 1)), "v", "\\\\\\"),
    Look(SKY, (0, (3, 1, 1, 1)), "P", "++"),
    Look(ORANGE, (0, (1, 1)), "X", "--"),
)
"""One for each series, in order; no two share a colour, a line style, a marker or a hatch."""


def look(number: int) -> Look:
    """The look of the `number`-th series; beyond the last one they begin again."""
    return LOOKS[number % len(LOOKS)]


_SETTINGS: Any = {
    "svg.hashsalt": "plot",
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is no formula
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the reader's own matplotlibrc says
        matplotlib.rcParams.update(_SETTINGS)
        yield


def drawn(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """For functions that draw: the same settings whatever those of the process are."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _settings():
            return draw(*args, **kwargs)

    return in_style


def new_axes(width: float = 7.2, height: float = 4.4) -> tuple[Figure, Axes]:
    """A figure of that size (inches) with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def logarithmic(axis: Any, scale: Callable[[str], None]) -> None:
    """Make an axis logarithmic, its ticks at 1, 2 and 5 and labelled with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    scale("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 200 * low else (1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def time_unit(span_ns: float) -> tuple[str, float]:
    """The unit that keeps numbers of that size short, and its nanoseconds."""
    for unit, size in (("h", 3600e9), ("min", 60e9), ("s", 1e9), ("ms", 1e6)):
        if span_ns >= 2 * size:
            return unit, size
    return "µs", 1e3


def save(figure: Figure, directory: Path, name: str) -> tuple[Path, Path]:
    """Write `<name>.png` and `<name>.svg`, each whole or not at all; the same figure gives the same files.

    Raises OSError if the disk doesn't take them.
    """
    with _settings(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # in SVG the reader's fonts count, not ours
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
        figure.savefig(svg, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    written = directory / f"{name}.png", directory / f"{name}.svg"
    for path, stream in zip(written, (png, svg), strict=True):
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(stream.getvalue())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return written
