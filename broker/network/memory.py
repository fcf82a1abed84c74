"""Memory for large requests while they are received (org.apache.kafka.common.memory.SimpleMemoryPool; KIP-72).

With ``queued.max.request.bytes`` a connection reads on in a large frame only after it got that many bytes here. As in
Kafka any size is given while something is left, so that what is held may exceed the bound by one request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

MOST_WAITING: Final = 256


class RequestMemory:
    """``limit`` in bytes. Whoever is refused is called back, in order, once there is something again."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._waiting: dict[Callable[[], None], None] = {}

    def reserve(self, size: int, again: Callable[[], None]) -> bool:
        """Take ``size`` bytes; or be called back by ``again``, to try anew."""
        if self.held >= self.limit:
            self._waiting[again] = None
            return False
        self.held += size
        return True

    def release(self, size: int) -> None:
        """Give back; those that wait try again, the first one first."""
        self.held -= size
        while self._waiting and self.held < self.limit:
            again = next(iter(self._waiting))
            del self._waiting[again]
            again()

    def forget(self, again: Callable[[], None]) -> None:
        """Whoever waited is gone."""
        self._waiting.pop(again, None)


class Bounds(NamedTuple):
    """Of one connection: ``frame_bytes`` of a request, ``requests`` under way, ``memory`` shared by all; None: any."""

    frame_bytes: int
    requests: int = MOST_WAITING
    memory: RequestMemory | None = None
