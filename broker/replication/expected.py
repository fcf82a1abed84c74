"""Followers that are about to fetch more: for a while, none of their fetches is held for long.

Who has just come to lead a partition waits for its followers, and what is written with acks=all waits with it. But a
follower that reads other partitions from the same leader has a fetch parked there, and cannot ask for the new one
before that is answered: up to replica.fetch.wait.max.ms later, the longest part of a failover. Kafka lets it wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EXPECTED_S: Final = 1.0
SHORT_WAIT_S: Final = 0.02


class ExpectedFollowers:
    """Broker ids, each with the time until which it is expected; monotonic seconds."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}

    def expect(self, replicas: Iterable[int], now: float) -> None:
        """This broker leads a partition, or leads it in a new epoch, that ``replicas`` follow."""
        self._until.update(dict.fromkeys(replicas, now + EXPECTED_S))

    def wait_of(self, replica: int, asked: float, now: float) -> float:
        """How long a fetch of ``replica`` may be held that asked for ``asked`` seconds."""
        until = self._until.get(replica)
        if until is None:
            return asked
        if until <= now:
            del self._until[replica]
            return asked
        return min(asked, SHORT_WAIT_S)
