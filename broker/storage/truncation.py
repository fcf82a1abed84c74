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

    Where ``offset`` lies inside of a batch the whole batch goes; the log ends at ``offset`` all the same, as in Kafka.
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
    log.discard(gone)
    log.segments[-1].truncate_to(offset)
    _end_at(log, offset)
    _remove_snapshots_above(log, offset)
    if not log.producers.roll_back(offset):
        for _ in replay_producers(log, 0):
            pass
    return True


def restart_at(log: Log, offset: int) -> None:
    """Drop everything; the log is empty and begins at ``offset``."""
    gone, log.segments = log.segments, []
    log.positions.forget()
    log.discard(gone)
    _remove_snapshots_above(log, -1)
    log.segments = [Segment.create(log.dir.files, log.dir.open_files, log.directory, offset, 0)]
    log.leader_epochs.clear()
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
