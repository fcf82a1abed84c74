"""What a consumer that reads on asks for next, read and checked while its last reply is on the way (Kafka has none).

A consumer asks, waits, takes in what came, and asks again; reading meanwhile takes a fifth off each of its turns.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from broker.host import Clock, LogDirFailed
from broker.storage.results import ReadResult
from broker.wire.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.replication.hosted import HostedPartition
    from broker.storage.log import Log

LARGEST: Final = 2 << 20
PATIENCE: Final = 0.1
_NOTHING: Final = ReadResult(b"")


class ReadAhead:
    """One read of the whole broker, of LARGEST bytes at most.

    The next one begins when this one was asked for, or was in vain for PATIENCE seconds: however many read, and
    however they jump, hardly anything is read for nothing.
    """

    __slots__ = ("_clock", "_found", "_is_hosted", "_until", "_upper", "_what")

    def __init__(self, clock: Clock, is_hosted: Callable[[HostedPartition], bool]) -> None:
        self._clock = clock
        self._is_hosted = is_hosted
        self._what: tuple[object, ...] = ()
        self._upper = 0
        self._found = _NOTHING
        self._until = 0.0

    def plan(self, hosted: HostedPartition, offset: int, most: int, upper: int, min_one: bool) -> None:
        """Read in the next turn of the event loop, after the reply that is being made."""
        now = self._clock.monotonic()
        if now < self._until or most > LARGEST:
            return
        self._until = now + PATIENCE
        asyncio.get_running_loop().call_soon(self._read, hosted, hosted.log, offset, most, upper, min_one)

    def _read(self, hosted: HostedPartition, log: Log, offset: int, most: int, upper: int, min_one: bool) -> None:
        if not self._is_hosted(hosted) or hosted.log is not log:
            return
        try:
            found = log.read(offset, most, upper, min_one)
        except (KafkaError, LogDirFailed):
            return  # whoever asks for it reads, and is told
        if len(found.records) <= LARGEST:
            self._what, self._upper, self._found = same_read(log, offset, most, min_one), upper, found

    def take(self, what: tuple[object, ...], upper: int) -> ReadResult | None:
        """What was read, if it is what a read would find now; where it was cut for its size, the log may have grown.

        ``what``: see :func:`same_read`.
        """
        if self._what != what:
            return None
        found, grown = self._found, upper - self._upper
        self._what, self._found, self._until = (), _NOTHING, 0.0
        return found if grown == 0 or (grown > 0 and found.goes_on_at >= 0) else None


def same_read(log: Log, offset: int, most: int, min_one: bool) -> tuple[object, ...]:
    """Equal for two reads that find the same, as long as they may read up to the same offset."""
    return log, log.rewinds, log.log_start_offset, log.dir.is_offline, offset, most, min_one
