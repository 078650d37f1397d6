"""Choices are functions of seed, check and name; schedules replay."""

import json
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.schedule import Fault, Schedule, random_source

names = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=8, unique=True)


def draw(schedule: Schedule, name: str) -> object:
    """One choice, of a kind that the name decides."""
    kinds = (
        lambda: schedule.integer(name, -5, 5),
        lambda: schedule.fraction(name, 2.0, 3.0),
        lambda: schedule.identifier(name),
        lambda: schedule.pick(name, "abcde"),
    )
    return kinds[len(name) % 4]()


@given(st.integers(), names, st.randoms(use_true_random=False))
def test_choice_does_not_depend_on_the_order_of_asking(seed: int, asked: list[str], source: random.Random) -> None:
    """The same seed gives the same choices in whatever order, and a repeated question the same answer."""
    first, second = Schedule(seed, "check"), Schedule(seed, "check")
    ours = {name: draw(first, name) for name in asked}
    shuffled = list(asked)
    source.shuffle(shuffled)
    assert {name: draw(second, name) for name in shuffled} == ours
    assert {name: draw(second, name) for name in asked} == ours


@given(st.integers(), names)
def test_replay_answers_from_the_record(seed: int, asked: list[str]) -> None:
    """A saved schedule answers as before though its seed was changed, and only what it lacks comes from the seed."""
    first = Schedule(seed, "check")
    ours = {name: draw(first, name) for name in asked}
    data = json.loads(first.to_json())
    data["seed"] = seed + 1
    replayed = Schedule.from_json(json.dumps(data))
    assert {name: draw(replayed, name) for name in asked} == ours
    assert replayed.integer("not asked before", 0, 10**9) == Schedule(seed + 1, "check").integer(
        "not asked before", 0, 10**9
    )


def test_seed_check_and_name_all_matter() -> None:
    """Another seed, check or name gives another choice, and joined names are not confused."""
    answers = {
        Schedule(seed, check).integer(name, 0, 10**12) for seed in (1, 2) for check in "ab" for name in ("x", "y")
    }
    assert len(answers) == 8
    assert random_source(1, "ab", "c").random() != random_source(1, "a", "bc").random()


@given(st.integers(), st.integers(-50, 50), st.integers(0, 50))
def test_bounds_are_kept(seed: int, low: int, width: int) -> None:
    """Integers and fractions lie within their bounds, both included."""
    schedule = Schedule(seed, "check")
    assert low <= schedule.integer("i", low, low + width) <= low + width
    assert low <= schedule.fraction("f", low, low + width) <= low + width


def test_identifiers_are_uuids_that_vary_with_the_seed() -> None:
    """An identifier is a version 4 UUID, another for each seed."""
    found = [Schedule(seed, "check").identifier("volume") for seed in range(20)]
    assert len(set(found)) == 20
    assert all(uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text for text in found)


def test_faults_are_saved() -> None:
    """A schedule's JSON holds the faults that were injected."""
    schedule = Schedule(1, "check")
    schedule.add(Fault("job.fail", verb="copy", fraction=0.5))
    assert json.loads(schedule.to_json())["faults"][0]["fraction"] == 0.5


def test_unknown_fault_is_refused() -> None:
    """A fault that no testbed knows is refused with those that are known."""
    with pytest.raises(ValueError, match=r"'job\.explode'; known are connection\.break"):
        Fault("job.explode")


def test_a_fault_has_one_trigger() -> None:
    """A fault happens at an event or at an instant that is not before the run; both at once are refused."""
    assert Fault("job.fail", at_ns=0).at_ns == 0
    for trigger in ({"on": "gate.hold", "at_ns": 5}, {"at_ns": -1}):
        with pytest.raises(ValueError, match="at an event or at an instant"):
            Fault("job.fail", **trigger)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a schedule"),
        ("[]", "schema"),
        ('{"schema": "backend-activity/schedule/2", "seed": 1, "choices": {}}', "'schema' must be"),
        ('{"schema": "backend-activity/schedule/1", "seed": "1", "choices": {}}', "'seed' must be an integer"),
        ('{"schema": "backend-activity/schedule/1", "seed": 1, "choices": []}', "'choices' a table"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, message: str) -> None:
    """A file that is no schedule is refused with what is wrong."""
    with pytest.raises(ValueError, match=message):
        Schedule.from_json(text)
