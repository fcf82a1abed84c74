"""A partition on this broker: its machine, its log, and who waits for it (kafka.server.HostedPartition.Online)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from broker.replication.partition import Effects, Partition, Role
from broker.replication.purgatory import AckQueue
from broker.wire.errors import ErrorCode

if TYPE_CHECKING:
    from broker.replication.fetch_sessions import Reader
    from broker.storage.log import Log


class HostedPartition:
    """``acks`` wait for the high watermark, ``deletions`` for the low one; readers are told when there is news.

    Readers stay registered from one fetch of their session to the next, so that parking costs nothing per partition.
    """

    __slots__ = ("acks", "deletions", "index", "log", "partition", "readers", "topic")

    def __init__(self, partition: Partition, log: Log) -> None:
        self.topic = partition.topic
        self.index = partition.index
        self.partition = partition
        self.log = log
        self.acks = AckQueue(partition.reached)
        self.deletions = AckQueue(self._deleted)
        self.readers: dict[Reader, None] = {}

    @property
    def topic_id(self) -> UUID | None:
        return self.log.topic_id

    @property
    def is_leader(self) -> bool:
        return self.partition.role is Role.LEADER

    def settle_quiet_followers(self) -> Effects:
        """Before the log grows: a follower whose session had nothing to say of this partition was at its end then.

        Incremental fetches do not name what did not change, yet each of them proves that the follower is still there.
        """
        effects: Effects = ()
        partition = self.partition
        for reader in self.readers:
            if reader.replica_id < 0 or reader.has_news:
                continue
            progress, at = partition.progress.get(reader.replica_id), reader.session.fetched_at
            if progress is not None and at > progress.fetched_at:
                effects += partition.follower_fetched(
                    reader.replica_id, reader.offset, reader.log_start, partition.end, at
                )
        return effects

    def grown(self) -> None:
        """New bytes at the end: what followers wait for."""
        for reader in list(self.readers) if self.readers else ():
            if reader.replica_id >= 0:
                reader.tell(wake=True)

    def committed(self) -> None:
        """A new high watermark: what producers and consumers wait for; followers hear of it with their next fetch."""
        if len(self.acks):
            self.acks.release()
        for reader in list(self.readers) if self.readers else ():
            reader.tell(wake=reader.replica_id < 0)

    def isr_changed(self) -> None:
        """A follower outside of the ISR is looked at with every fetch, so that it can join."""
        self.acks.release()
        for reader in list(self.readers):
            reader.tell(wake=False)

    def role_changed(self) -> None:
        """Whoever reads must hear what became of its partition."""
        for reader in list(self.readers):
            reader.tell(wake=True)

    def fail_waiters(self, error: ErrorCode) -> None:
        """NOT_LEADER_OR_FOLLOWER when leadership is lost, KAFKA_STORAGE_ERROR when the disk failed."""
        self.acks.fail(error)
        self.deletions.fail(error)
        self.role_changed()

    def _deleted(self, required: int) -> ErrorCode | None:
        if not self.is_leader:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        reached = self.partition.low_watermark(self.log.log_start_offset) >= required
        return ErrorCode.NONE if reached else None

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"
