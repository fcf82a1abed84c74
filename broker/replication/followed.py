"""A followed partition: its log, and the machine that says what to do with it (ReplicaFetcherThread)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from broker.replication.follower import Effect, Follower, RestartAt, Truncate
from broker.replication.leader_session import Key
from broker.wire import batch as batches

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition

logger = logging.getLogger(__name__)


class Followed:
    """A partition with the machine that follows its leader.

    ``in_sync``: when the leader last answered we had all that was committed there; who is so is never throttled.
    """

    __slots__ = ("follower", "hosted", "in_sync")

    def __init__(self, hosted: HostedPartition, follower: Follower) -> None:
        self.hosted = hosted
        self.follower = follower
        self.in_sync = False

    @property
    def key(self) -> Key:
        return self.hosted.topic, self.hosted.index

    def do(self, effect: Effect | None) -> None:
        """Perform an effect of the follower machine on the log, but Append, which needs the records."""
        log = self.hosted.log
        if isinstance(effect, Truncate):
            logger.info("%s truncate from %d to %d", self.hosted, log.log_end_offset, effect.offset)
            log.truncate_to(effect.offset)
        elif isinstance(effect, RestartAt):
            logger.info("%s restart at %d, where its leader begins", self.hosted, effect.offset)
            log.truncate_fully_and_start_at(effect.offset)
        else:
            return
        self.hosted.partition.truncated(log.high_watermark)
        self.follower.at(log.log_end_offset)

    def append(self, records: batches.Buffer) -> None:
        """The leader's batches, verbatim. Raises KafkaError CORRUPT_MESSAGE, ValueError, LogDirFailed."""
        log = self.hosted.log
        if log.log_start_offset == log.log_end_offset and len(records) >= batches.HEADER_SIZE:
            first = batches.header(records)
            if first.base_offset < log.log_end_offset < first.next_offset:
                # the leader's log starts within this batch (DeleteRecords), and we hold nothing that contradicts it
                log.truncate_fully_and_start_at(first.base_offset)
        log.append_as_follower(records)
        self.follower.at(log.log_end_offset)
