"""Offsets by timestamp (UnifiedLog.fetchOffsetByTimestamp; facts D.13, KIP-79, KIP-734)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from broker.storage.damage import Damaged
from broker.storage.segment import Segment
from broker.storage.soundness import Unsound
from broker.wire.batch import BatchHeader, crc_matches
from broker.wire.records import Record, read_records

if TYPE_CHECKING:
    from broker.storage.log import Log


class TimestampAndOffset(NamedTuple):
    """An answer of a ListOffsets lookup; (-1, -1, -1) when nothing is found."""

    timestamp: int
    offset: int
    leader_epoch: int


NOTHING = TimestampAndOffset(-1, -1, -1)


def offset_for_timestamp(log: Log, timestamp: int, upper_offset: int) -> TimestampAndOffset:
    """First record at or after the log start, below ``upper_offset``, with a timestamp >= ``timestamp``.

    Raises Unsound, and Damaged where damaged records may come before it.
    """
    for segment in log.segments:
        if segment.base >= upper_offset:
            break
        if segment.largest_timestamp()[0] < timestamp:
            continue
        if segment.holes:
            raise Damaged(log, next(iter(segment.holes.values())))
        found = _first_in(segment, timestamp, log.log_start_offset, upper_offset)
        if found is not None:
            return found
    return NOTHING


def max_timestamp(log: Log) -> TimestampAndOffset:
    """The record with the largest timestamp; of several the first."""
    best = max(log.segments, key=lambda segment: segment.largest_timestamp()[0], default=None)
    if best is None or best.largest_timestamp()[0] < 0:
        return NOTHING
    largest, _ = best.largest_timestamp()
    return _first_in(best, largest, log.log_start_offset, log.log_end_offset) or NOTHING


def _first_in(segment: Segment, timestamp: int, start_offset: int, upper_offset: int) -> TimestampAndOffset | None:
    entry = segment.times.floor(0, timestamp - 1)
    position = segment.position_of(segment.base + entry[1]) if entry else 0
    if entry and position == segment.size:
        raise Unsound(segment)
    for at, head in segment.batches(position):
        if entry and at == position and not segment.holes and head.max_timestamp != entry[0]:
            raise Unsound(segment)
        if head.base_offset >= upper_offset:
            return None
        if head.max_timestamp < timestamp or head.last_offset < start_offset:
            continue
        record = _first_record(segment, at, head, timestamp, start_offset)
        if record is not None and record.offset < upper_offset:
            return TimestampAndOffset(record.timestamp, record.offset, head.leader_epoch)
    return None


def _first_record(
    segment: Segment, position: int, head: BatchHeader, timestamp: int, start_offset: int
) -> Record | None:
    whole = segment.pread(head.size, position)
    if not crc_matches(whole):
        raise Unsound(segment)
    for record in read_records(whole):
        if record.timestamp >= timestamp and record.offset >= start_offset:
            return record
    return None
