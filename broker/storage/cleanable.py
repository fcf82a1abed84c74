"""Which part of a log is dirty, how dirty, and whether it may be cleaned yet (LogCleanerManager; facts E.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from broker.storage.cleaning import Job, Source

if TYPE_CHECKING:
    from broker.storage.log import Log
    from broker.storage.segment import Segment


class Dirt(NamedTuple):
    """``[first_dirty, end)`` may be cleaned; ``ratio`` is its share of the bytes below ``end``.

    ``overdue``: its oldest record has waited for max.compaction.lag.ms.
    """

    first_dirty: int
    end: int
    ratio: float
    overdue: bool


def dirt_of(log: Log, checkpoint: int, now_ms: int) -> Dirt | None:
    """What is to be cleaned, None when it is not (enough). ``checkpoint``: how far earlier cleans came; 0 if never.

    A checkpoint below the log start or past the active segment is of another time: all counts as dirty then.
    """
    active = log.segments[-1].base
    first_dirty = checkpoint if log.log_start_offset <= checkpoint <= active else log.log_start_offset
    end = first_uncleanable(log, first_dirty, now_ms)
    if first_dirty >= end:
        return None
    clean = dirty = 0
    oldest_ms = -1
    for segment, following in _closed(log):
        if segment.base >= end:
            break
        if following <= first_dirty:
            clean += segment.size
            continue
        dirty += segment.size
        if segment.size:
            oldest_ms = max(oldest_ms, segment.age_ms(now_ms, now_ms))
    if not dirty:
        return None
    ratio = dirty / (clean + dirty)
    overdue = oldest_ms > log.config.max_compaction_lag_ms
    if ratio <= log.config.min_cleanable_dirty_ratio and not overdue:
        return None
    return Dirt(first_dirty, end, ratio, overdue)


def first_uncleanable(log: Log, first_dirty: int, now_ms: int) -> int:
    """Where the clean must end: the active segment, what is not stable, or what is younger than min.compaction.lag.ms.

    A transaction that is open may yet be aborted.
    """
    end = min(log.segments[-1].base, log.last_stable_offset)
    for producer in log.producers.producers.values():
        if 0 <= producer.txn_first_offset < end:
            end = producer.txn_first_offset
    lag_ms = log.config.min_compaction_lag_ms
    if lag_ms > 0:
        for segment, following in _closed(log):
            if following > first_dirty and segment.expiry_timestamp() > now_ms - lag_ms:
                return min(end, segment.base)
    return end


def job_for(log: Log, dirt: Dirt, now_ms: int, memory: int) -> Job:
    """The work in plain data. ``memory``: bytes for keys."""
    sources = [
        Source(segment.base, following, segment.size, len(segment.index), len(segment.times))
        for segment, following in _closed(log)
        if segment.base < dirt.end
    ]
    producers = {number: (known.last_offset, known.epoch) for number, known in log.producers.producers.items()}
    config = log.config
    return Job(
        log.directory,
        sources,
        dirt.first_dirty,
        dirt.end,
        producers,
        now_ms,
        config.delete_retention_ms,
        config.segment_bytes,
        config.segment_index_bytes,
        config.index_interval_bytes,
        memory,
    )


def _closed(log: Log) -> list[tuple[Segment, int]]:
    """(segment, base of the following one) of all but the active one."""
    return [(segment, after.base) for segment, after in zip(log.segments, log.segments[1:], strict=False)]
