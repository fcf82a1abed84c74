"""Reading a log: whole batches, unparsed, but checked (UnifiedLog.read, LogSegment.read; ``soundness``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from broker.storage.damage import Damaged, examine
from broker.storage.results import ReadResult
from broker.storage.segment import Segment
from broker.storage.soundness import Unsound, check
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, LOG_OVERHEAD
from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.storage.log import Log

Found = TypeVar("Found")
_NOTHING: Final = ReadResult(b"")


def read(log: Log, offset: int, max_bytes: int, upper: int, min_one: bool) -> ReadResult:
    """Sound batches from ``offset`` to below ``upper``. Raises Damaged, OSError."""
    return examined(log, lambda strict: _read(log, offset, max_bytes, upper, min_one, strict=strict))


def examined(log: Log, look: Callable[[bool], Found]) -> Found:
    """What ``look(strict)`` finds; where a segment is not sound, it is examined, and looked into once more.

    Not strictly then: what the examination let pass is so. Raises Damaged, KafkaError CORRUPT_MESSAGE, OSError.
    """
    try:
        return look(True)
    except Unsound as found:
        examine(log, found.segment)
    try:
        return look(False)
    except Unsound as found:
        message = f"{log.topic}-{log.partition}: segment {found.segment.base} cannot be read"
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, message) from found


def _read(log: Log, offset: int, max_bytes: int, upper: int, min_one: bool, *, strict: bool) -> ReadResult:
    at = log.index_of(offset)
    while offset < upper and at < len(log.segments):
        segment = log.segments[at]
        if segment.base >= upper:
            break
        start = log.position(segment, offset)
        end = log.end_position(at, upper)
        if segment.holes:
            if (hole := segment.hole_of(offset)) is not None:
                raise Damaged(log, hole)
            end = min([end, *(position for position in segment.holes if position > start)])
        if start < end:
            return _sound(log, at, max(offset, segment.base), start, end, max_bytes, upper, min_one, strict)
        at += 1
        if strict and start == segment.size and at < len(log.segments) and offset < log.segments[at].base:
            _check_gap(log, segment)
    return _NOTHING


def _check_gap(log: Log, segment: Segment) -> None:
    """Records are missing before the next segment: only where some may be (compaction), or nobody has any."""
    if not (segment.ends_early or segment.gappy or log.config.compact):
        raise Unsound(segment)


def _sound(
    log: Log, at: int, offset: int, start: int, end: int, max_bytes: int, upper: int, min_one: bool, strict: bool
) -> ReadResult:
    """What lies in [start, end) of segment number ``at``, up to ``max_bytes``, cut at the last whole sound batch."""
    segment, is_last = log.segments[at], at + 1 == len(log.segments)
    limit = log.log_end_offset if is_last else log.segments[at + 1].base
    gappy = segment.gappy or log.config.compact
    data = segment.pread(min(max_bytes, end - start), start) if max_bytes > 0 else b""
    found = check(data, offset, limit, log.leader_epochs, gappy=gappy)
    if found.size == 0 and found.is_sound:
        if not min_one:
            return _NOTHING
        data = _first(segment, start, end, data)
        found = check(data, offset, limit, log.leader_epochs, gappy=gappy)
    size = found.size
    if size == 0 or (strict and not found.is_sound):
        raise Unsound(segment)
    stop = start + size
    following = _following(segment, data, size, stop) if stop < end else limit if end == segment.size else upper
    may_differ = gappy or stop in segment.holes or (segment.ends_early and stop == segment.size)
    if strict and following != found.following and not may_differ:
        raise Unsound(segment)
    records = data if size == len(data) else memoryview(data)[:size]
    if stop == end:
        return ReadResult(records)
    log.positions.read_ended(found.following, stop)
    return ReadResult(records, found.following)


def _following(segment: Segment, data: bytes, size: int, stop: int) -> int:
    """The base offset of the batch at ``stop``, ``size`` bytes into ``data``."""
    return int.from_bytes(data[size : size + 8] if len(data) - size >= 8 else segment.pread(8, stop), "big")


def _first(segment: Segment, start: int, end: int, data: bytes) -> bytes:
    """The first batch whole, however large."""
    prefix = data if len(data) >= LOG_OVERHEAD else segment.pread(min(LOG_OVERHEAD, end - start), start)
    size = batches.size_at(prefix) if len(prefix) >= LOG_OVERHEAD else 0
    if not HEADER_SIZE <= size <= end - start:
        raise Unsound(segment)
    return segment.pread(size, start)
