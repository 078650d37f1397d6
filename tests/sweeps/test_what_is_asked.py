"""What sweeps are asked for: a measure by its name, and the commands that the library's comments give."""

from __future__ import annotations

import shlex

import pandas
import pytest

from scenarios.reading import library, load_scenario
from scenarios.settings import with_settings
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.grid import axes_from
from scenarios.sweeps.scenario_runs import grid_of
from scenarios.sweeps.summary import choose_measure


def test_a_measure_of_several_has_to_be_named() -> None:
    """A measure that more than one operation has is not chosen by chance."""
    frame = pandas.DataFrame([{"run": 0, "refusals[backup]": 0.0, "refusals[snapshot]": 3.0}])
    with pytest.raises(SweepError, match=r"name one of refusals\[backup\], refusals\[snapshot\]"):
        choose_measure(frame, (), "refusals")
    assert choose_measure(frame, (), "refusals[snapshot]") == "refusals[snapshot]"


LINES = [
    (path.stem, line.split("activity-harness ")[1])
    for path in library().values()
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("#") and "activity-harness " in line
]


@pytest.mark.parametrize(("scenario", "line"), LINES)
def test_what_the_library_says_to_try_can_be_tried(scenario: str, line: str) -> None:
    """Each command in the comments of the library names its scenario, and settings and a grid that it can have."""
    verb, name, *options = shlex.split(line)
    assert verb in ("run", "sweep", "costs") and name == scenario
    given: dict[str, list[str]] = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        given.setdefault(option, []).append(value)
    found, _ = with_settings(load_scenario(name), given.get("--set", []))
    grid_of(found, axes_from(given.get("--vary", [])))
