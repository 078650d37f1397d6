"""The event queue: the order of what is due at one instant."""

from __future__ import annotations

from harness.runtime.agenda import Agenda


def test_what_waits_for_the_end_of_an_instant_comes_behind_all_of_it() -> None:
    """`alarm_last` comes behind what was due at its instant, and behind what came to be due there only then."""
    env = Agenda()
    seen: list[str] = []

    def first() -> None:
        env.alarm_last(lambda: seen.append("last"))
        env.alarm(0, second)

    def second() -> None:
        seen.append("second")
        env.alarm(0, lambda: seen.append("third"))

    env.alarm(5, first)
    env.alarm(6, lambda: seen.append("a later instant"))
    while env.next_at() is not None:
        env.step()
    assert seen == ["second", "third", "last", "a later instant"]
