"""Which segments have had their time (UnifiedLog.deleteOldSegments; facts E.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.storage.segment import Segment

if TYPE_CHECKING:
    from broker.storage.log import Log


def delete_old_segments(log: Log, now_ms: int) -> int:
    """Delete by log start always, by time and size under policy delete; how many segments went."""
    active = log.segments[-1]
    start = log.log_start_offset
    gone = _drop_while(log, now_ms, lambda segment, next_base: segment is not active and next_base <= start)
    if not log.config.delete:
        return gone
    if log.config.retention_ms >= 0:
        oldest = now_ms - log.config.retention_ms
        gone += _drop_while(log, now_ms, lambda segment, _: segment.expiry_timestamp() < oldest)
    if log.config.retention_bytes >= 0:
        gone += _drop_by_size(log, now_ms)
    return gone


def _drop_by_size(log: Log, now_ms: int) -> int:
    excess = log.size - log.config.retention_bytes

    def is_excess(segment: Segment, _: int) -> bool:
        nonlocal excess
        if excess < segment.size:
            return False
        excess -= segment.size
        return True

    return _drop_while(log, now_ms, is_excess)


def _drop_while(log: Log, now_ms: int, is_old: Callable[[Segment, int], bool]) -> int:
    """Drop from the oldest on while ``is_old(segment, next base)``; never past the high watermark, never an empty
    active segment."""
    count = 0
    for index, segment in enumerate(log.segments):
        is_active = index + 1 == len(log.segments)
        next_base = log.log_end_offset if is_active else log.segments[index + 1].base
        if (is_active and segment.size == 0) or log.high_watermark < next_base or not is_old(segment, next_base):
            break
        count += 1
    if count:
        log.drop_oldest(count, now_ms)
    return count
