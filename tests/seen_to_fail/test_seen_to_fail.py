"""Every check has been seen to fail, for the right reason: `witnesses.json` says on what."""

from __future__ import annotations

import pytest

from conformance.suite import cases
from tests.seen_to_fail.suspects import Suspect
from tests.seen_to_fail.witnesses import UNSEEN, by_suspect, not_failed, witnesses

GROUPED = by_suspect(witnesses())


def test_every_check_was_seen_to_fail_or_says_why_not() -> None:
    """Each check of the suites has a witness that it fails on, or a reason why there is none, and not both."""
    names = {case.name for case in cases()}
    assert names == set(witnesses()) ^ set(UNSEEN)


@pytest.mark.long
@pytest.mark.parametrize("suspect", GROUPED, ids=lambda s: " ".join(filter(None, (s.name, s.where, s.testbed))))
def test_check_fails_on_its_witness(suspect: Suspect) -> None:
    """Each check fails on what is faulty, by a clause which that breaks."""
    assert not not_failed(suspect, GROUPED[suspect])
