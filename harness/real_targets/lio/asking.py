"""Questions to an agent that configures LIO, wherever it runs; see `lio_agent.py` for what they look like."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from harness.real_targets.iscsi.target import TargetFailed

from .channel import Channel, ChannelBroken

_CHOICE = random.SystemRandom()  # an answer to somebody before must not be taken for ours


class AskedAgent:
    """An agent at the other end of a channel; `who` it is and its `last_words` are for messages."""

    def __init__(self, channel: Channel, who: str, last_words: Callable[[], str]) -> None:
        self._channel = channel
        self._who = who
        self._last_words = last_words

    def ask(self, do: str, **arguments: Any) -> Any:
        """Let the agent do something and return its answer. Raises `TargetFailed`."""
        with self._channel.turn:
            try:
                question = _CHOICE.getrandbits(48)
                self._channel.send({"do": do, "question": question, **arguments})
                answer = self._channel.receive()
                while answer.get("question") != question:  # an answer for which somebody did not wait
                    answer = self._channel.receive()
            except ChannelBroken as error:
                raise TargetFailed(f"{self._who}, {do}: {error}{self._last_words()}") from error
        if "error" in answer:
            raise TargetFailed(f"{self._who}, {do}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()
