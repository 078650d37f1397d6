"""The clauses of SPECIFICATION.md as data. Ids are never reused; a changed meaning gets a new id.

Their wording and the rulings on them are read from SPECIFICATION.md and RULINGS.md, so that a report can show both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.results import ClauseInfo

SPECIFICATION_VERSION = "1.0"
"""The version of SPECIFICATION.md, whose clauses these are."""


_HERE = Path(__file__).parent
_CLAUSE_ROW = re.compile(r"^\| (?P<id>[A-Z]-\d+) \| [DT,]+ \| (?P<text>.+) \|$", re.MULTILINE)
_RULING_ROW = re.compile(r"^\| (?P<clauses>[^|]*) \| (?P<question>[^|]*) \| (?P<answer>.*) \|$", re.MULTILINE)
_RANGE = re.compile(r"([A-Z])-(\d+)(?: to [A-Z]-(\d+))?")


def _wording() -> dict[str, str]:
    text = (_HERE / "SPECIFICATION.md").read_text(encoding="utf-8")
    return {row["id"]: row["text"] for row in _CLAUSE_ROW.finditer(text)}


def _rulings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in _RULING_ROW.finditer((_HERE / "RULINGS.md").read_text(encoding="utf-8")):
        for letter, first, last in _RANGE.findall(row["clauses"]):
            for number in range(int(first), int(last or first) + 1):
                found.setdefault(f"{letter}-{number}", []).append(f"{row['question']} {row['answer']}")
    return found


_WORDING = _wording()
_RULINGS = _rulings()


def _clause(line: str) -> ClauseInfo:
    clause_id, who, flags, title = (part.strip() for part in line.split("|", 3))
    return ClauseInfo(
        id=clause_id,
        who=who,
        mandatory="a" not in flags,
        title=title,
        checked="u" not in flags,
        core="c" in flags,
        text=_WORDING.get(clause_id, ""),
        rulings=_RULINGS.get(clause_id, []),
    )


# id | who | flags: a advisory, c core (the level), u no check in this version of the suites | title
_TABLE = """
A-1 | D | c | The publication is a mapping with string keys
A-2 | D | c | Read again at any time, it is equal to what was read first
A-3 | D | - | Unknown keys are ignored with a warning
A-4 | T | - | What is not published means the safest choice
A-5 | D | c | Values have the types that the specification gives
A-6 | D | c | Every method listed as stateless is one that the driver implements
A-7 | D | c | A claim has its hook
A-8 | D,T | - | An unknown compression technique is never selected
A-9 | D | c | The handle scope is one of the four
A-10 | T | - | A publication is judged per driver and configuration
Q-1 | T | c | Before a method that is not listed runs on an attached volume, the volume is quiesced
Q-2 | T,D | c | While quiesced, nothing but the method's own effect is applied to the volume
Q-3 | T | c | The volume is released on every exit
Q-4 | T | c | Each held write is applied exactly once and then acknowledged
Q-5 | T | - | Overlapping read-only activities share one quiesce
Q-6 | T | - | Where a volume can't be quiesced in time, the method is not invoked
Q-7 | D | c | A listed method changes no volume state
Q-8 | D | - | A listed method does not hold foreground I/O for long
Q-9 | D | c | A listed method makes a point-in-time image, or loses no acknowledged write
Q-10 | D | c | What a method makes of a quiesced volume equals the content at the quiesce point
Q-11 | T | - | An unattached volume and a snapshot are not quiesced
Q-12 | D | a | A method that could be listed, is
Q-13 | T | - | Delete, detach, extend or a second invocation during an activity is refused or harmless
R-1 | T | c | Both ends publish replication and are of one family: the native way is taken
R-2 | T | c | Otherwise the fallback is taken, in its four steps
R-3 | D | c | The destination snapshot equals the source snapshot
R-4 | D | c | The source snapshot and volume are unchanged
R-5 | D | - | The destination snapshot is not usable before it is complete
R-6 | T | - | Users neither see the anonymous volume nor pay for it
R-7 | T | - | Where migrating moved the volume, the source clone counts as deleted
R-8 | D,T | c | The destination snapshot survives the deletion of its volume, or the volume is kept as an anchor
R-9 | T,D | - | After a fault at any step and one clean-up nothing is left
R-10 | D,T | - | Replicating again to the same id makes no second copy
R-11 | T | - | The fallback does not quiesce the user's volume
R-12 | T | - | A migration that fails past its cut-over does not delete the only good copy
H-1 | D | c | Where the scope says yes, status and abort work
H-2 | D | c | Where the scope says no, they are refused as an unknown handle is
H-3 | D | - | The scope holds after the first connection is gone and after a restart
H-4 | D | - | A connection-specific activity reaches its end after its connection was lost
H-5 | D | - | Hosts and users are known by name, not by address
H-6 | D | c | Handles are unique
H-7 | D | c | Progress never goes back, outcomes stay readable, terminal states never change
H-8 | T | - | After a restart the taskflow reattaches where the scope allows
H-9 | T | - | A failed look-up says nothing about the outcome
C-1 | T | c | The first acceptable technique on offer is chosen, and the driver called with exactly that one
C-2 | T | - | Without one, the driver is called with none and the taskflow compresses
C-3 | D,T | c | One decoding restores the volume
C-4 | T | - | The decision is taken before the method is invoked, and recorded with its reason
C-5 | D | c | Each chunk's label is the technique that was really used
C-6 | D | - | Chunks that do not shrink may be stored as they are
C-7 | T | - | Where no technique is published, the taskflow compresses
"""

CLAUSES: Mapping[str, ClauseInfo] = MappingProxyType(
    {clause.id: clause for clause in map(_clause, _TABLE.strip().splitlines())}
)
"""Every clause by its id, in the order of the specification."""
