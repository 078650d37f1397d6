"""The simulated machine of the LVM driver answers as the real one does, command by command.

What the real one answered is recorded in `recorded/`: the quick tests hold the simulated machine against that, the long
ones the machine with LVM 2.03.16 and LIO. `python -m tests.hosting.test_both_machines` records anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell, CellLimits, Kind
from harness.real_targets.lvm.testbed import LvmTestbed

RECORDED = Path(__file__).with_name("recorded")
CASES = [
    *((configuration, life) for configuration in ("lvm_thin", "lvm_thick") for life in ("life", "commands", "in use")),
    ("lvm_thick", "revert"),  # with lvm_type thin the driver has none
]
REAL_S = 900.0
"""Seconds that a life on the real machine may take: an emulator runs it."""


def said(cell: Cell, testbed: str, configuration: str, life: str) -> list[dict[str, Any]]:
    """What was said in a life on a testbed."""
    arguments = {"testbed": testbed, "configuration": configuration, "life": life}
    outcome = cell.call("tests.hosting.both_machines:transcript", arguments, life, REAL_S)
    assert outcome.kind is Kind.RETURNED, outcome
    found: list[dict[str, Any]] = outcome.value
    return found


def recorded(configuration: str, life: str) -> Path:
    """Where the real machine's answers are."""
    return RECORDED / f"{configuration} {life}.json"


@pytest.mark.parametrize(("configuration", "life"), CASES)
def test_the_simulated_machine_answers_as_the_real_one_did(cell: Cell, configuration: str, life: str) -> None:
    """The driver gives the same commands, and each ends with the same status, output and complaint as recorded."""
    expected = json.loads(recorded(configuration, life).read_text(encoding="utf-8"))
    assert said(cell, "iscsi-sim", configuration, life) == expected


@pytest.fixture(scope="module")
def real() -> Iterator[Cell]:
    """A cell in which the real machine is; it ends with it."""
    lacks = LvmTestbed.missing()
    if lacks:
        pytest.skip(lacks)
    opened = Cell(CellLimits(wall_s=REAL_S), virtual=False, hash_seed=0)
    yield opened
    opened.close()


@pytest.mark.long
@pytest.mark.parametrize(("configuration", "life"), CASES)
def test_the_real_machine_answers_as_recorded(real: Cell, configuration: str, life: str) -> None:
    """LVM and LIO in the machine answer each command as recorded, and volumes show what was recorded."""
    expected = json.loads(recorded(configuration, life).read_text(encoding="utf-8"))
    assert said(real, "lvm", configuration, life) == expected


@pytest.mark.long
def test_a_command_that_the_real_machine_lacks_is_an_error_of_the_harness(real: Cell) -> None:
    """A command that is not in the guest is never answered: the error shows it."""
    outcome = real.call("tests.hosting.both_machines:lacking", {"testbed": "lvm"}, "lacking", REAL_S)
    assert outcome.error_type == "HostingError"
    assert "`nosuch thing`" in str(outcome.error)


@pytest.mark.long
def test_a_host_copies_between_volumes_of_the_real_machine(real: Cell) -> None:
    """What a host copies from one volume to another is on the other one, block by block."""
    outcome = real.call("tests.hosting.both_machines:host_copy", {"testbed": "lvm"}, "host copy", REAL_S)
    assert outcome.kind is Kind.RETURNED, outcome
    assert len(outcome.value["from"]) == 10
    assert outcome.value["to"] == outcome.value["from"]


def record() -> None:
    """Record what the real machine answers."""
    cell = Cell(CellLimits(wall_s=REAL_S), virtual=False, hash_seed=0)
    try:
        for configuration, life in CASES:
            lines = ",\n ".join(json.dumps(each) for each in said(cell, "lvm", configuration, life))
            recorded(configuration, life).write_text(f"[{lines}]\n", encoding="utf-8")
            print(f"recorded {configuration} {life}", flush=True)
    finally:
        cell.close()


if __name__ == "__main__":
    record()
