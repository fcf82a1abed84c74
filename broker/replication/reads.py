"""Fetches, from the request's partitions to bytes (ReplicaManager.fetchMessages, Partition.fetchRecords).

Records come out as the log's bytes, unparsed. A follower's fetch also moves the leader's partition machine. A fetch
that finds less than it asks for is parked with its session, which is told when there is news (DelayedFetch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.host import Clock, LogDirFailed, Timer
from broker.replication.fetch_sessions import FetchSession, Reader
from broker.replication.partition import Effects
from broker.replication.quota import Throttles
from broker.replication.read_ahead import ReadAhead, same_read
from broker.storage.results import ReadResult
from broker.wire.batch import Buffer
from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition
    from broker.storage.log import Log

SHARED: Final = 2 << 20
"""Bytes of the last read that are kept for the next reader: one read of the whole broker, not of each partition."""
_NOTHING: Final = b""
_UNKNOWN: Final = -1


class FetchLimits(NamedTuple):
    """``max_wait`` in seconds. ``committed``: read_committed, up to the last stable offset."""

    min_bytes: int
    max_bytes: int
    max_wait: float
    committed: bool


class PartitionRead(NamedTuple):
    """One partition of a fetch reply; offsets are as of before the read; ``diverging`` is (epoch, end offset).

    ``aborted`` is None where nobody asked, or nothing was looked at.
    """

    reader: Reader
    error: int
    high_watermark: int
    last_stable_offset: int
    log_start: int
    records: Buffer
    diverging: tuple[int, int] | None = None
    aborted: tuple[tuple[int, int], ...] | None = None


class Reads:
    """``resolve(reader)`` finds the hosted partition or raises KafkaError; ``perform`` does a machine's effects."""

    def __init__(
        self,
        clock: Clock,
        resolve: Callable[[Reader], HostedPartition],
        is_hosted: Callable[[HostedPartition], bool],
        perform: Callable[[HostedPartition, Effects], None],
        throttles: Throttles,
    ) -> None:
        self._clock = clock
        self._resolve = resolve
        self._perform = perform
        self._throttles = throttles
        self._asked: tuple[object, ...] = ()
        self._answer: Buffer = _NOTHING
        self._ahead = ReadAhead(clock, is_hosted)

    def fetch(self, session: FetchSession, full: bool, limits: FetchLimits) -> list[PartitionRead] | ParkedFetch:
        """Read, or park when there is too little and the client would wait (facts D.5).

        A full fetch answers every partition, an incremental one those with something new.
        """
        if session.parked is not None:
            session.parked.finish()  # asked again from another connection
        found = self.read(session, full, limits, first=True)
        if limits.max_wait <= 0 or not session.readers:
            return found
        size = 0
        for read in found:
            if _answers_at_once(read):
                return found
            size += len(read.records)
        return found if size >= limits.min_bytes else ParkedFetch(self, self._clock, session, full, limits)

    def read(self, session: FetchSession, full: bool, limits: FetchLimits, *, first: bool) -> list[PartitionRead]:
        """Everything that is to be said now. ``first``: the request has just come, so followers' progress is taken."""
        session.is_reading = True
        readers: Iterable[Reader] = list(session.readers.values() if full else session.news)
        found: list[PartitionRead] = []
        remaining = limits.max_bytes
        min_one = True
        for reader in readers:
            read = self._read(reader, remaining, min_one, limits.committed, first)
            if read.records:
                remaining -= len(read.records)
                min_one = False
                reader.requeue()
            if full or read.records or _answers_at_once(read) or _is_new(reader, read):
                found.append(read)
            elif self._is_quiet(reader, read, limits):
                reader.settle()
        session.is_reading = False
        return found

    def _read(self, reader: Reader, remaining: int, min_one: bool, committed: bool, first: bool) -> PartitionRead:
        try:
            hosted = self._resolve(reader)
            log = hosted.log
            before = log.log_end_offset
            high_watermark, stable, start = log.high_watermark, log.last_stable_offset, log.log_start_offset
            diverging = _divergence(log, reader) if reader.last_epoch >= 0 else None
            if diverging is not None:
                return PartitionRead(reader, 0, high_watermark, stable, start, _NOTHING, diverging)
            upper = log.durability.end if reader.replica_id >= 0 else stable if committed else high_watermark
            records: Buffer = _NOTHING
            throttled = reader.replica_id >= 0 and bool(log.config.leader_replication_throttled_replicas)
            if throttled and self._is_held_back(hosted, reader):
                upper = start
            if reader.offset < upper and (remaining > 0 or min_one):
                most = min(reader.max_bytes, max(remaining, 0))
                records, goes_on_at = self._bytes(log, reader.offset, most, upper, min_one)
                if goes_on_at >= 0 and reader.replica_id < 0:
                    self._ahead.plan(hosted, goes_on_at, most, upper, min_one)
                if throttled:
                    self._count(log, records)
            elif not start <= reader.offset <= before:
                raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
            if first and reader.replica_id >= 0:
                self._progress(hosted, reader, before)
        except KafkaError as error:
            return PartitionRead(reader, int(error.code), _UNKNOWN, _UNKNOWN, _UNKNOWN, _NOTHING)
        except LogDirFailed:
            code = int(ErrorCode.KAFKA_STORAGE_ERROR)
            return PartitionRead(reader, code, _UNKNOWN, _UNKNOWN, _UNKNOWN, _NOTHING)
        return PartitionRead(reader, 0, high_watermark, stable, start, records, None, () if committed else None)

    def _bytes(self, log: Log, offset: int, most: int, upper: int, min_one: bool) -> ReadResult:
        """One read and check for all who ask the same one after the other: followers, and readers at the end."""
        what = same_read(log, offset, most, min_one)
        asked = what, upper
        if asked == self._asked:
            return ReadResult(self._answer)
        found = self._ahead.take(what, upper) or log.read(offset, most, upper, min_one)
        if len(found.records) <= SHARED:
            self._asked, self._answer = asked, found.records
        return found

    def _is_held_back(self, hosted: HostedPartition, reader: Reader) -> bool:
        """A follower outside of the ISR gets no records beyond leader.replication.throttled.rate (KIP-73)."""
        names, throttled = self._throttles.names, hosted.log.config.leader_replication_throttled_replicas
        return (
            reader.replica_id not in hosted.partition.isr
            and names(throttled, hosted.index)
            and self._throttles.leader.is_exceeded(self._clock.monotonic())
        )

    def _count(self, log: Log, records: Buffer) -> None:
        """What throttled replicas are sent counts, whether they are in the ISR or not."""
        if self._throttles.names(log.config.leader_replication_throttled_replicas, log.partition):
            self._throttles.leader.record(len(records), self._clock.monotonic())

    def _progress(self, hosted: HostedPartition, reader: Reader, leader_end: int) -> None:
        effects = hosted.partition.follower_fetched(
            reader.replica_id, reader.offset, reader.log_start, leader_end, reader.session.fetched_at
        )
        if len(hosted.deletions):
            hosted.deletions.release()
        if effects:
            self._perform(hosted, effects)

    def _is_quiet(self, reader: Reader, read: PartitionRead, limits: FetchLimits) -> bool:
        """Whether the reader need not be looked at before it is told: at its end, and in the ISR if a follower."""
        hosted = reader.hosted
        if hosted is None or hosted.log.high_watermark != read.high_watermark:
            return False  # this very fetch moved the high watermark; the next reply tells
        if reader.replica_id < 0:
            return reader.offset >= (read.last_stable_offset if limits.committed else read.high_watermark)
        partition = hosted.partition
        return reader.offset >= partition.end and reader.replica_id in partition.isr and partition.pending is None

    def available(self, reader: Reader, limits: FetchLimits) -> int:
        """Bytes that a parked fetch would get, -1 if it must be answered whatever it gets (facts D.5)."""
        try:
            hosted = self._resolve(reader)
            log = hosted.log
            diverges = reader.last_epoch >= 0 and _divergence(log, reader) is not None
        except KafkaError:
            return -1
        if diverges or not log.log_start_offset <= reader.offset <= log.log_end_offset:
            return -1
        if reader.replica_id >= 0:
            upper = log.durability.end
            if log.config.leader_replication_throttled_replicas and self._is_held_back(hosted, reader):
                return 0
        else:
            upper = log.last_stable_offset if limits.committed else log.high_watermark
        if reader.offset >= upper:
            return 0
        return min(log.bytes_available(reader.offset, upper), max(reader.max_bytes, 1))


class ParkedFetch:
    """A fetch that waits for its least bytes, an error, or its time. ``on_done`` is set right after it was parked."""

    __slots__ = ("_full", "_limits", "_reads", "_session", "_timer", "on_done")

    def __init__(self, reads: Reads, clock: Clock, session: FetchSession, full: bool, limits: FetchLimits) -> None:
        self._reads = reads
        self._session = session
        self._full = full
        self._limits = limits
        self.on_done: Callable[[list[PartitionRead]], None] | None = None
        self._timer: Timer | None = clock.call_later(limits.max_wait, self.finish)
        session.parked = self

    def look(self) -> None:
        """Answer if there is enough now; where any byte is enough, reading tells."""
        if self._timer is None:
            return
        limits, total = self._limits, 0
        if limits.min_bytes <= 1:
            found = self._reads.read(self._session, self._full, limits, first=False)
            for read in found:
                if read.records or _answers_at_once(read):
                    self._answer(found)
                    break
            return
        for reader in list(self._session.news):
            available = self._reads.available(reader, limits)
            total += available
            if available < 0 or total >= limits.min_bytes:
                self.finish()
                return

    def finish(self) -> None:
        """Answer with what there is."""
        if self._timer is not None:
            self._answer(self._reads.read(self._session, self._full, self._limits, first=False))

    def _answer(self, found: list[PartitionRead]) -> None:
        self.drop()
        if self.on_done is not None:
            self.on_done(found)

    def drop(self) -> None:
        """The connection is gone, or the answer is being made."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._session.parked is self:
            self._session.parked = None


def _divergence(log: Log, reader: Reader) -> tuple[int, int] | None:
    """Where our log parts from the reader's (epoch, offset), None if that is a prefix of ours (facts D.7).

    Raises KafkaError OFFSET_OUT_OF_RANGE when we cannot know, or no longer hold that offset.
    """
    if reader.last_epoch == log.leader_epochs.latest and reader.offset <= log.log_end_offset:
        return None
    epoch, end = log.leader_epochs.end_offset_for(reader.last_epoch, log.log_end_offset)
    if epoch < 0 or end < 0 or reader.offset < log.log_start_offset:
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
    if epoch < reader.last_epoch or end < reader.offset:
        return epoch, end
    return None


def _answers_at_once(read: PartitionRead) -> bool:
    return bool(read.error) or read.diverging is not None


def _is_new(reader: Reader, read: PartitionRead) -> bool:
    return reader.is_unreported(read.high_watermark, read.log_start)
