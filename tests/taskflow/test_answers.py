"""What is wrong with an answer of an activity hook is told as it is."""

from __future__ import annotations

import pytest

from harness.activity import ActivityState, ActivityStatus
from harness.taskflow.answers import WrongAnswer, read_answer


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        ("start_activity", "", "returned an empty str; a handle has at least one character"),
        ("start_activity", 7, "returned int; a handle is a str"),
        ("get_activity", ActivityStatus(ActivityState.RUNNING, poll_after=1e12), "from 0 to 86,400"),
    ],
)
def test_wrong_answer_is_told_as_it_is(method: str, answer: object, told: str) -> None:
    """An empty handle is not called one of the wrong type, and a pause too long is measured against the longest."""
    with pytest.raises(WrongAnswer, match=told):
        read_answer(method, answer)
