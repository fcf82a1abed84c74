"""Cutting a log: segments, indexes, epochs, producers and high watermark in one go (UnifiedLog.truncateTo).

Every function raises OSError; ``Log`` turns it into LogDirFailed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.storage.recovery import replay_producers
from broker.storage.segment import SNAPSHOT, Segment

if TYPE_CHECKING:
    from broker.storage.log import Log


def truncate_to(log: Log, offset: int) -> bool:
    """Cut everything from ``offset`` on; False when there was nothing to cut.

    Where ``offset`` lies inside of a batch the whole batch goes, and the log ends where it began. Kafka's ends at
    ``offset``; then the leader's batch does not fit in any more, and what is appended instead leaves a gap that looks
    like damage after a restart.
    """
    if offset >= log.log_end_offset:
        log.leader_epochs.truncate_from_end(offset)
        return False
    if offset < log.segments[0].base:
        restart_at(log, offset)
        return True
    gone = [segment for segment in log.segments if segment.base > offset]
    log.segments = log.segments[: len(log.segments) - len(gone)]
    log.positions.forget()
    log.discard(gone[::-1])
    end = _end_of_whole(log, offset)
    log.segments[-1].truncate_to(offset)
    log.may_lack_committed = log.may_lack_committed or end < min(offset, log.high_watermark)
    _end_at(log, end)
    _remove_snapshots_above(log, end)
    if not log.producers.roll_back(end):
        for _ in replay_producers(log):
            pass
    return True


def _end_of_whole(log: Log, offset: int) -> int:
    """Where the batch, or the damage, begins that ``offset`` lies in; not below the log's start, which may, too."""
    segment = log.segments[-1]
    hole = segment.hole_of(offset)
    if hole is None:
        found = next(segment.batches(segment.position_of(offset)), None)
        first = offset if found is None else min(found[1].base_offset, offset)
    else:
        first = hole.first
    return first if first >= log.log_start_offset else offset


def restart_at(log: Log, offset: int) -> None:
    """Drop everything; the log is empty and begins at ``offset``."""
    gone, log.segments = log.segments, []
    log.positions.forget()
    log.leader_epochs.clear()  # first: beside a log that begins at ``offset`` they would tell of one that is missing
    log.discard(gone[::-1])
    _remove_snapshots_above(log, -1)
    log.segments = [Segment.create(log.dir.files, log.dir.open_files, log.directory, offset, 0)]
    log.producers.producers.clear()
    log.log_start_offset = offset
    log.log_end_offset = log.recovery_point = log.high_watermark = offset
    log.rewinds += 1
    log.dir.on_truncated(log)


def _end_at(log: Log, offset: int) -> None:
    log.log_end_offset = offset
    log.log_start_offset = min(log.log_start_offset, offset)
    log.rewinds += 1
    log.recovery_point = min(log.recovery_point, offset)
    log.dir.on_truncated(log)
    log.high_watermark = min(log.high_watermark, offset)
    log.leader_epochs.truncate_from_end(offset)


def _remove_snapshots_above(log: Log, offset: int) -> None:
    for name in log.dir.files.listdir(log.directory):
        if name.endswith(SNAPSHOT) and int(name.removesuffix(SNAPSHOT)) > offset:
            log.dir.files.unlink(f"{log.directory}/{name}")
