"""One partition's log: append, read, truncate, roll, retention (kafka.log.UnifiedLog). [interface; bodies follow]"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from broker.wire.batch import Buffer

if TYPE_CHECKING:
    from broker.config import LogConfig
    from broker.storage.leader_epochs import LeaderEpochs
    from broker.storage.producer_state import ProducerState


class Origin(IntEnum):
    """Who appends (AppendOrigin): sequences are checked, and control batches refused, for clients only."""

    CLIENT = 0
    COORDINATOR = 1


class AppendInfo(NamedTuple):
    """What an append did. ``log_append_time`` is -1 for CreateTime. ``size`` is in bytes, 0 for a duplicate.

    A ``duplicate`` (an idempotent producer's retry, facts G.2) carries the offsets and timestamp of the original;
    nothing was written. The producer is answered with ``first_offset``, ``log_append_time``, ``log_start_offset``;
    acks=all waits for a high watermark past ``last_offset`` all the same.
    """

    first_offset: int
    last_offset: int
    max_timestamp: int
    log_append_time: int
    log_start_offset: int
    size: int
    records: int
    duplicate: bool


class ReadResult(NamedTuple):
    """Whole batches from the one that holds ``offset`` on; ``records`` is empty at the end of what may be read."""

    records: bytes
    offset: int


class TimestampAndOffset(NamedTuple):
    """An answer of a ListOffsets lookup; (-1, -1, -1) when nothing is found."""

    timestamp: int
    offset: int
    leader_epoch: int


class Log:
    """Plain ``def`` throughout: nothing is awaited between a check and its act. One writer: the event loop.

    A failing disk raises ``host.LogDirFailed(dir)`` after telling ``LogDirs`` (which takes the dir offline).
    """

    topic: str
    partition: int
    topic_id: UUID | None
    config: LogConfig
    directory: str  # the partition's directory; its parent is the log dir
    log_dir: str
    log_start_offset: int
    log_end_offset: int  # published only after the write
    high_watermark: int  # set by replication; clamped by truncation
    recovery_point: int
    leader_epochs: LeaderEpochs  # .latest -> int (-1 none), .end_offset_for(epoch, leo) -> (epoch, end), .assign(epoch, start)
    producers: ProducerState

    def append_as_leader(
        self, records: Buffer, leader_epoch: int, now_ms: int, *, origin: Origin = Origin.CLIENT, walked: Walked | None = None
    ) -> AppendInfo:
        """Check and append one v2 batch, assigning offsets and ``leader_epoch`` in place (bytes are copied first).

        ``walked``: what ``broker.wire.validation.validate`` found in a worker; then CRC and walk are
        skipped. Raises KafkaError as facts E.2 and G.2 list: CORRUPT_MESSAGE, INVALID_RECORD (may be a
        ``InvalidRecords`` with per-record errors), MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP,
        OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNSUPPORTED_FOR_MESSAGE_FORMAT (magic 0 and 1); then
        nothing was written. Raises LogDirFailed when the write fell short; nothing is acknowledged, the tail is cut.
        """
        raise NotImplementedError

    def append_as_follower(self, records: Buffer) -> AppendInfo | None:
        """Append a leader's batches verbatim (a cut trailing batch is ignored; None when nothing whole is there).

        Raises KafkaError CORRUPT_MESSAGE for a bad CRC or size, ValueError when the first offset is below the log end.
        Leader epochs and producer state follow the batches.
        """
        raise NotImplementedError

    def read(self, offset: int, max_bytes: int, upper_offset: int, min_one: bool = True) -> ReadResult:
        """Whole batches from ``offset`` to below ``upper_offset``, at most ``max_bytes`` unless ``min_one`` must exceed it.

        The first batch may begin before ``offset`` (clients skip). Raises KafkaError OFFSET_OUT_OF_RANGE outside
        [log start, log end]. Unparsed: one pread.
        """
        raise NotImplementedError

    def bytes_available(self, offset: int, upper_offset: int) -> int:
        """Bytes between two offsets by arithmetic on positions, for fetch.min.bytes; reads no records."""
        raise NotImplementedError

    def offset_for_timestamp(self, timestamp: int, upper_offset: int) -> TimestampAndOffset:
        """First record with a timestamp >= ``timestamp`` below ``upper_offset``; (-1, -1, -1) if none."""
        raise NotImplementedError

    def earliest(self) -> TimestampAndOffset:
        """Log start offset, timestamp -1, with the epoch there."""
        raise NotImplementedError

    def latest(self, upper_offset: int) -> TimestampAndOffset:
        """``upper_offset`` (HW, LSO or LEO, as the caller may see), timestamp -1, with the latest epoch."""
        raise NotImplementedError

    def max_timestamp(self) -> TimestampAndOffset:
        """The record with the largest timestamp (KIP-734); (-1, -1, -1) for an empty log."""
        raise NotImplementedError

    def truncate_to(self, offset: int) -> bool:
        """Cut everything from ``offset`` on; epochs, producer state, indexes and high watermark follow in this call."""
        raise NotImplementedError

    def truncate_fully_and_start_at(self, offset: int) -> None:
        """Drop everything; the log is empty and begins at ``offset``."""
        raise NotImplementedError

    def increment_log_start_offset(self, offset: int) -> bool:
        """Move the log start forward (DeleteRecords, follower). Raises OFFSET_OUT_OF_RANGE above the high watermark."""
        raise NotImplementedError

    def delete_old_segments(self, now_ms: int) -> int:
        """Retention by start offset, time and size (facts E.6); how many segments went."""
        raise NotImplementedError

    def size(self) -> int:
        """Bytes of all segments."""
        raise NotImplementedError
