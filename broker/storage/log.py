"""One partition's log: append, read, truncate, roll (kafka.log.UnifiedLog; facts E).

Everything here but ``flush`` is plain ``def``: nothing is awaited between a check and its act, and the event loop is
the one writer. The log end is published only after the write; a write that fell short is cut off again and never
acknowledged.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from broker.storage import checkpoints, flushing, reading, retention, timestamps, truncation
from broker.storage.admission import by_segment, follower_batches, leader_header
from broker.storage.leader_epochs import LeaderEpochs
from broker.storage.log_dir import LogDir
from broker.storage.positions import Positions
from broker.storage.producer_state import AppendedBatch, ProducerState
from broker.storage.results import AppendInfo, Origin, ReadResult, UnexpectedAppendOffset
from broker.storage.segment import MAX_INT, Segment
from broker.storage.soundness import Unsound
from broker.storage.timestamps import TimestampAndOffset
from broker.wire import batch as batches
from broker.wire.batch import BatchHeader, Buffer
from broker.wire.compression import Codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import read_control, recompress
from broker.wire.validation import NO_BOUND, Rules, Walked, check_header, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.config import LogConfig

CODECS = {"uncompressed": Codec.NONE, "gzip": Codec.GZIP, "snappy": Codec.SNAPPY, "lz4": Codec.LZ4, "zstd": Codec.ZSTD}

__all__ = ["AppendInfo", "Log", "Origin", "ReadResult", "TimestampAndOffset", "UnexpectedAppendOffset"]


class Log:
    """A failing disk raises ``host.LogDirFailed(dir)`` after taking the log's directory offline.

    ``high_watermark`` is set by replication and clamped by truncation. ``recovery_point``: everything below is synced;
    ``rewinds`` counts truncations.
    """

    __slots__ = (
        "_codec",
        "_flush_messages",
        "_level",
        "_roll_ms",
        "_writes_log_append_time",
        "config",
        "dir",
        "directory",
        "durability",
        "high_watermark",
        "leader_epochs",
        "log_end_offset",
        "log_start_offset",
        "may_lack_committed",
        "on_damaged",
        "partition",
        "positions",
        "producers",
        "recovery_point",
        "rewinds",
        "rules",
        "segments",
        "synced_rewinds",
        "topic",
        "topic_id",
    )

    def __init__(self, log_dir: LogDir, directory: str, topic: str, partition: int, config: LogConfig) -> None:
        """An unopened log: ``recovery.open_log`` fills in segments and offsets."""
        self.dir = log_dir
        self.directory = directory
        self.topic = topic
        self.partition = partition
        self.topic_id: UUID | None = None
        self.segments: list[Segment] = []
        self.log_start_offset = 0
        self.log_end_offset = 0
        self.high_watermark = 0
        self.recovery_point = 0
        self.rewinds = self.synced_rewinds = 0
        self.durability = flushing.Durability(self)
        self.may_lack_committed = False
        """Recovery found less than was committed, or cut what had more behind it: others should lead."""
        self.on_damaged: Callable[[], None] = _nobody_mends
        self.leader_epochs = LeaderEpochs(log_dir.files, directory)
        self.producers = ProducerState(log_dir.files, directory)
        self.positions = Positions()
        self.configure(config)

    def __repr__(self) -> str:
        return f"Log({self.topic}-{self.partition} [{self.log_start_offset}, {self.log_end_offset}))"

    def configure(self, config: LogConfig) -> None:
        """New settings, in force from the next append on."""
        self.config = config
        self._flush_messages = config.flush_messages
        self._roll_ms = min(config.segment_ms, config.max_compaction_lag_ms) if config.compact else config.segment_ms
        self._codec = CODECS.get(config.compression_type, -1)
        self._level = _level_of(config)
        self._writes_log_append_time = config.message_timestamp_type == "LogAppendTime"
        before, after = config.timestamp_before_max_ms, config.timestamp_after_max_ms
        name = f"{self.topic}-{self.partition}"
        before, after = min(before, NO_BOUND), min(after, NO_BOUND)
        self.rules = Rules(config.compact, self._writes_log_append_time, before, after, name)

    @property
    def log_dir(self) -> str:
        """The log directory above the partition's."""
        return self.dir.path

    @property
    def last_stable_offset(self) -> int:
        """Where read_committed stops (facts D.13): the high watermark while no transactions are written here."""
        return self.high_watermark

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    # --- append

    def append_as_leader(
        self,
        records: Buffer,
        leader_epoch: int,
        now_ms: int,
        *,
        origin: Origin = Origin.CLIENT,
        walked: Walked | None = None,
    ) -> AppendInfo:
        """Check and append one v2 batch, assigning offsets and ``leader_epoch`` in place (bytes are copied first).

        ``walked``: what ``broker.wire.validation.validate`` found in a worker; then CRC and walk are skipped.
        Raises KafkaError as facts E.2 and G.2 list: CORRUPT_MESSAGE, INVALID_RECORD (may be an ``InvalidRecords`` with
        per-record errors), MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP, OUT_OF_ORDER_SEQUENCE_NUMBER,
        INVALID_PRODUCER_EPOCH, UNSUPPORTED_FOR_MESSAGE_FORMAT (magic 0 and 1), or NeedsWorker; then nothing was
        written. Raises LogDirFailed when the write fell short; then nothing is acknowledged and the tail is cut.
        """
        if self.dir.is_offline:
            self.dir.check_online()
        head = leader_header(records)
        size = len(records)
        if origin == Origin.CLIENT:
            check_header(head, size)
            self._check_size(size)
            if walked is None:
                if head.crc != batches.computed_crc(records, 0, size):
                    raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "record batch: CRC does not match")
                walked = walk(records, head, self.rules, now_ms)
        elif walked is None:
            walked = Walked(head.record_count, head.max_timestamp)
        if self._codec not in (-1, head.codec) and not head.is_control:
            records = recompress(records, self._codec, self._level)
            size = len(records)
            self._check_size(size)
        if size > self.config.segment_bytes:
            message = f"{size} bytes exceed the segment size of {self.config.segment_bytes}"
            raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, message)
        if head.producer_id >= 0 and origin == Origin.CLIENT:
            original = self.producers.check(head)
            if original is not None:
                return self._duplicate_of(original)
        first = self.log_end_offset
        last = first + head.last_offset_delta
        timestamp = now_ms if self._writes_log_append_time else walked.max_timestamp
        try:
            segment = self._segment_for(size, timestamp, last, now_ms)
            own = bytearray(records) if isinstance(records, bytes) or memoryview(records).readonly else records
            batches.patch(own, 0, first, leader_epoch)
            if self._writes_log_append_time or timestamp != head.max_timestamp:
                batches.patch_timestamps(own, 0, log_append_time=self._writes_log_append_time, max_timestamp=timestamp)
            if leader_epoch > self.leader_epochs.written:
                self.leader_epochs.assign(leader_epoch, first)
            segment.append(own)
            segment.appended(last, size, timestamp, self.config.index_interval_bytes)
        except OSError as error:
            self.dir.fail(error)
        if head.producer_id >= 0:
            self._remember_producer(head, own, 0, first, timestamp)
        self.positions.appended(last + 1, segment.size)
        self.log_end_offset = last + 1
        if last + 1 - self.recovery_point >= self._flush_messages:
            self.durability.require()
        stamp = now_ms if self._writes_log_append_time else -1
        return AppendInfo(first, last, timestamp, stamp, self.log_start_offset, size, head.record_count, False)

    def _duplicate_of(self, original: AppendedBatch) -> AppendInfo:
        first, last, stamp = original.first_offset, original.last_offset, original.timestamp
        return AppendInfo(first, last, stamp, stamp, self.log_start_offset, 0, 0, True)

    def append_as_follower(self, records: Buffer) -> AppendInfo | None:
        """Append a leader's batches verbatim (a cut trailing batch is ignored; None when nothing whole is there).

        Raises KafkaError CORRUPT_MESSAGE for a bad CRC or size and UNSUPPORTED_FOR_MESSAGE_FORMAT for magic 0 and 1,
        both with nothing written, and UnexpectedAppendOffset when the first offset is below the log end. Leader epochs
        and producer state follow the batches.
        """
        self.dir.check_online()
        found = follower_batches(records, self.log_end_offset, f"{self.topic}-{self.partition}")
        if not found:
            return None
        first, last = found[0][1], found[-1][1]
        written = sum(self._append_verbatim(records, part) for part in by_segment(found, self.config.segment_bytes))
        timestamp = max(head.max_timestamp for _, head in found)
        count = sum(head.record_count for _, head in found)
        return AppendInfo(
            first.base_offset, last.last_offset, timestamp, -1, self.log_start_offset, written, count, False
        )

    def _append_verbatim(self, records: Buffer, found: list[tuple[int, BatchHeader]]) -> int:
        start, last = found[0][0], found[-1][1]
        end = found[-1][0] + last.size
        newest = max(head.max_timestamp for _, head in found)
        interval = self.config.index_interval_bytes
        try:
            segment = self._segment_for(end - start, newest, last.last_offset, newest, found[0][1].base_offset)
            segment.append(memoryview(records)[start:end])
            for at, head in found:
                if head.leader_epoch > self.leader_epochs.written:
                    self.leader_epochs.assign(head.leader_epoch, head.base_offset)
                segment.appended(head.last_offset, head.size, head.max_timestamp, interval)
                if head.producer_id >= 0:
                    self._remember_producer(head, records, at, head.base_offset, head.max_timestamp)
                self.positions.appended(head.next_offset, segment.size)
        except OSError as error:
            self.dir.fail(error)
        self.log_end_offset = last.next_offset
        if self.log_end_offset - self.recovery_point >= self._flush_messages:
            self.durability.require()
        return end - start

    def _check_size(self, size: int) -> None:
        if size > self.config.max_message_bytes:
            message = f"record batch of {size} bytes exceeds max.message.bytes {self.config.max_message_bytes}"
            raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, message)

    def _remember_producer(self, head: BatchHeader, records: Buffer, at: int, first: int, timestamp: int) -> None:
        if not head.attributes & batches.CONTROL:
            self.producers.appended(head, first, timestamp)
            return
        marker = read_control(records, at)
        if marker is not None:
            self.producers.ended(head.producer_id, head.producer_epoch, marker, timestamp)

    # --- roll

    def _segment_for(self, size: int, timestamp: int, last: int, now_ms: int, first: int | None = None) -> Segment:
        """The segment that takes the next ``size`` bytes, rolled if it must be (facts E.5)."""
        segment, config = self.segments[-1], self.config
        too_old = segment.size > 0 and segment.age_ms(now_ms, timestamp) > self._roll_ms - segment.jitter_ms
        if (
            segment.is_full(size, config.segment_bytes, config.segment_index_bytes)
            or too_old
            or last - segment.base > MAX_INT
        ):
            return self.roll(now_ms, self.log_end_offset if first is None else max(first, self.log_end_offset))
        return segment

    def roll(self, now_ms: int, base: int | None = None) -> Segment:
        """Seal the active segment and begin one at ``base`` (the log end); an empty active segment there is kept."""
        base = self.log_end_offset if base is None else base
        active = self.segments[-1]
        if active.size == 0 and active.base == base:
            return active
        active.seal()
        self.producers.take_snapshot(base)
        made = Segment.create(self.dir.files, self.dir.open_files, self.directory, base, now_ms)
        made.jitter_ms = self.random_jitter()
        self.segments.append(made)
        if active.size == 0:
            self.segments.remove(active)
            self.discard([active])
        self.positions.rolled()
        self.dir.request_flush(self)
        return made

    def random_jitter(self) -> int:
        """By how much a new segment is rolled before segment.ms, so that logs do not all roll at once."""
        most = min(self.config.segment_jitter_ms, self.config.segment_ms)
        return self.dir.dice.random.randrange(most) if most else 0

    async def flush(self) -> None:
        """fsync everything up to the log end, then move the recovery point there. Raises OSError: stop the broker."""
        await flushing.flush(self)

    def segments_from(self, offset: int) -> list[Segment]:
        """The segment that holds ``offset`` and all after it."""
        return self.segments[self.index_of(offset) :]

    # --- read

    def read(self, offset: int, max_bytes: int, upper_offset: int, min_one: bool = True) -> ReadResult:
        """Whole batches from ``offset`` to below ``upper_offset``, at most ``max_bytes`` save for ``min_one``.

        The first batch may begin before ``offset`` (clients skip). Raises KafkaError OFFSET_OUT_OF_RANGE outside
        [log start, log end], and ``damage.Damaged`` where what is stored is not what was written. Unparsed: one pread.
        """
        if not self.log_start_offset <= offset <= self.log_end_offset:
            message = f"offset {offset} is outside of [{self.log_start_offset}, {self.log_end_offset}]"
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, message)
        if self.dir.is_offline:
            self.dir.check_online()
        try:
            upper = min(upper_offset, self.log_end_offset)
            return reading.read(self, offset, max_bytes, upper, min_one)
        except OSError as error:
            self.dir.fail(error)

    def bytes_available(self, offset: int, upper_offset: int) -> int:
        """Bytes between two offsets by arithmetic on positions, for fetch.min.bytes; reads no records.

        Where it cannot be told (damage), so many that they are read.
        """
        offset, upper = max(offset, self.log_start_offset), min(upper_offset, self.log_end_offset)
        if offset >= upper:
            return 0
        with self.dir:
            first, total = self.index_of(offset), 0
            try:
                for at in range(first, len(self.segments)):
                    if self.segments[at].base >= upper:
                        break
                    total += self.end_position(at, upper)
                return total - self.position(self.segments[first], offset)
            except Unsound:
                return MAX_INT

    def index_of(self, offset: int) -> int:
        """Which segment may hold ``offset``: the last that begins at or below it."""
        if offset >= self.segments[-1].base:
            return len(self.segments) - 1
        return max(0, bisect_right(self.segments, offset, key=_BASE) - 1)

    def end_position(self, at: int, upper: int) -> int:
        """Where reading below ``upper`` ends in segment number ``at``."""
        segment = self.segments[at]
        next_base = self.segments[at + 1].base if at + 1 < len(self.segments) else self.log_end_offset
        return segment.size if upper >= next_base else self.position(segment, upper)

    def position(self, segment: Segment, offset: int) -> int:
        """Where the batch that holds ``offset`` (or the next one) starts."""
        if offset <= segment.base:
            return 0
        hinted = self.positions.hinted(offset)
        if hinted is not None:
            return hinted
        if segment is self.segments[-1]:
            if offset >= self.log_end_offset:
                return segment.size
            in_tail = self.positions.in_tail(offset)
            if in_tail is not None:
                return in_tail
        return segment.position_of(offset)

    # --- lookups

    def offset_for_timestamp(self, timestamp: int, upper_offset: int) -> TimestampAndOffset:
        """First record with a timestamp >= ``timestamp`` below ``upper_offset``; (-1, -1, -1) if none."""
        with self.dir:
            return reading.examined(self, lambda _: timestamps.offset_for_timestamp(self, timestamp, upper_offset))

    def max_timestamp(self) -> TimestampAndOffset:
        """The record with the largest timestamp (KIP-734); (-1, -1, -1) for an empty log."""
        with self.dir:
            return reading.examined(self, lambda _: timestamps.max_timestamp(self))

    def earliest(self) -> TimestampAndOffset:
        """Log start offset, timestamp -1, with the epoch there."""
        return TimestampAndOffset(-1, self.log_start_offset, self.leader_epochs.epoch_at(self.log_start_offset))

    def latest(self, upper_offset: int) -> TimestampAndOffset:
        """``upper_offset`` (HW, LSO or LEO, as the caller may see), timestamp -1, with the latest epoch."""
        return TimestampAndOffset(-1, upper_offset, self.leader_epochs.latest)

    # --- truncation

    def truncate_to(self, offset: int) -> bool:
        """Cut everything from ``offset`` on; epochs, producer state, indexes and high watermark follow in this call.

        False when there was nothing to cut.
        """
        self.dir.check_online()
        with self.dir:
            return reading.examined(self, lambda _: truncation.truncate_to(self, offset))

    def truncate_fully_and_start_at(self, offset: int) -> None:
        """Drop everything; the log is empty and begins at ``offset``."""
        self.dir.check_online()
        with self.dir:
            truncation.restart_at(self, offset)

    # --- log start, retention

    def increment_log_start_offset(self, offset: int) -> bool:
        """Move the log start forward (DeleteRecords, follower); False if it is there already.

        Raises KafkaError OFFSET_OUT_OF_RANGE above the high watermark.
        """
        if offset > self.high_watermark:
            message = f"offset {offset} is above the high watermark {self.high_watermark}"
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, message)
        if offset <= self.log_start_offset:
            return False
        self.log_start_offset = offset
        with self.dir:
            self.leader_epochs.truncate_from_start(offset)
        return True

    def delete_old_segments(self, now_ms: int) -> int:
        """Retention by log start, time and size (facts E.6); how many segments went."""
        self.dir.check_online()
        with self.dir:
            return retention.delete_old_segments(self, now_ms)

    def drop_oldest(self, count: int, now_ms: int) -> None:
        """Remove the first ``count`` segments; if that is all of them, a new one begins at the log end first."""
        if count == len(self.segments):
            self.roll(now_ms)
        gone, self.segments = self.segments[:count], self.segments[count:]
        self.positions.forget()
        self.log_start_offset = max(self.log_start_offset, self.segments[0].base)
        # first, or a power loss in between would make the files that have had their time look lost
        self.leader_epochs.truncate_from_start(self.log_start_offset)
        self.discard(gone)

    def discard(self, segments: Sequence[Segment]) -> None:
        """Rename the files of segments that are no longer of the log; they go after file.delete.delay.ms.

        In this order: of the renames a power loss keeps some of the first ones, and what is left must be without a gap.
        """
        paths = [path for segment in segments for path in segment.rename_away()]
        if paths:
            self.dir.remove_later(paths, self.config.file_delete_delay_ms)

    # --- life

    def set_topic_id(self, topic_id: UUID) -> None:
        """Adopt and write down the topic's id (``partition.metadata``)."""
        with self.dir:
            checkpoints.write_topic_id(self.dir.files, self.directory, topic_id)
        self.topic_id = topic_id

    def seal(self) -> None:
        """Before a clean stop: complete the indexes and take a snapshot at the log end, so that nothing is replayed."""
        with self.dir:
            self.segments[-1].seal()
            self.producers.take_snapshot(self.log_end_offset)

    def close(self) -> None:
        """Let go of every descriptor."""
        for segment in self.segments:
            segment.close()

    def rename(self, directory: str) -> None:
        """Move the whole directory (``-delete``)."""
        with self.dir:
            self.dir.files.rename(self.directory, directory)
        self.directory = directory
        self.leader_epochs.moved_to(directory)
        self.producers.moved_to(directory)
        for segment in self.segments:
            segment.moved_to(directory)


def _level_of(config: LogConfig) -> int | None:
    """What the codec that batches are kept in is told; None where it has no levels."""
    levels = {
        "gzip": config.compression_gzip_level,
        "lz4": config.compression_lz4_level,
        "zstd": config.compression_zstd_level,
    }
    return levels.get(config.compression_type)


_BASE = attrgetter("base")


def _nobody_mends() -> None:
    """Before replication is connected."""
