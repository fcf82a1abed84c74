"""fsync of one log, and who must not go on before it (kafka.log.UnifiedLog.flush; flush.messages).

Kafka syncs within the append. Here the append returns and the sync is on its way, so whoever tells others how far this
log reaches asks ``Durability.end``: a follower before its next fetch, and the leader for its high watermark and for
what followers may read, since after a loss of power it may lead again in the same epoch and write others in the place
of what they hold. With ``flush.messages=1`` an acks=all write is thus on the disks of all in-sync replicas when it is
acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.storage import checkpoints, unsynced

if TYPE_CHECKING:
    from broker.storage.log import Log
    from broker.storage.segment import Segment

LOOK_AGAIN_SECONDS = 0.5


class Durability:
    """How far one log may be counted upon, as its flush.messages has it; ``on_settled`` is connected by replication."""

    __slots__ = ("_due", "_goal", "_log", "_waiting", "on_settled")

    def __init__(self, log: Log) -> None:
        self._log = log
        self._goal = 0
        self._due = False
        self._waiting: list[asyncio.Future[None]] = []
        self.on_settled: Callable[[], None] = _nobody_minds

    @property
    def is_settled(self) -> bool:
        """Whether what flush.messages wants on the disk is there."""
        log = self._log
        return log.recovery_point >= self._goal or log.recovery_point >= log.log_end_offset

    @property
    def end(self) -> int:
        """The log's end, or, while a sync is due, what is synced of it."""
        return self._log.log_end_offset if self.is_settled else self._log.recovery_point

    def require(self) -> None:
        """flush.messages records are not synced: ask for a flush, and count upon them only after it."""
        self._goal, self._due = self._log.log_end_offset, True
        self._log.dir.request_flush(self._log)

    def synced(self) -> None:
        """A flush has ended: release those who wait, if it was enough."""
        if not self._due or not self.is_settled:
            return
        self._due = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        self.on_settled()

    async def wait(self) -> None:
        """Until it is settled, or for half a second: the log may go away meanwhile, so the caller looks again."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await asyncio.wait([waiter], timeout=LOOK_AGAIN_SECONDS)


def _nobody_minds() -> None:
    """Before replication is connected."""


async def flush(log: Log) -> None:
    """fsync everything up to the log end, then move the recovery point there. Raises OSError: stop the broker."""
    try:
        await _flush(log)
    except OSError:
        unsynced.mark(log.dir.files, log.dir.path)
        raise


async def _flush(log: Log) -> None:
    checkpointed = log.synced_rewinds
    while (seen := log.rewinds) != checkpointed:
        # The checkpoint calls synced what was cut. It must know better before anything written there since is
        # synced: after a power loss between the two, old and new would be mixed and not looked at.
        await log.dir.checkpoint_recovery()
        checkpointed = seen
    end = log.log_end_offset
    if end > log.recovery_point or seen != log.synced_rewinds:
        for segment in log.segments_from(log.recovery_point - 1):
            await _sync(log, segment)
        if log.recovery_point == 0:  # the partition's directory itself may be new
            await checkpoints.sync_topic_id(log.dir.files, log.directory)
            await log.dir.files.fsync_dir(log.dir.path)
        await log.dir.files.fsync_dir(log.directory)
        await log.leader_epochs.sync()
        if log.rewinds == seen:
            log.recovery_point = max(log.recovery_point, end)
            log.synced_rewinds = seen
    else:
        await log.leader_epochs.sync()
    log.durability.synced()


async def _sync(log: Log, segment: Segment) -> None:
    """Sync a segment that may go away meanwhile; then its failure means nothing."""
    try:
        if segment in log.segments:
            await segment.sync()
        if segment in log.segments:
            await segment.sync_indexes()
    except OSError:
        if segment in log.segments:
            raise
