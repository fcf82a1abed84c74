"""What is known of damaged records: found by examining a segment, mended with what another replica has.

A read that meets bytes which are not what was written (``soundness``) has the whole segment examined. What is damaged
is a *hole*: nothing in it is handed out, nothing around it is cut. Another replica's batches of the same offsets, which
are the same bytes unless the log is compacted, are put in its place (``replication/repairs.py`` fetches them). So
nothing that only this replica holds is ever given up, whoever leads.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import TYPE_CHECKING

from broker.storage.segment import Hole, Segment
from broker.storage.soundness import checked_batches, next_sound
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, BatchHeader
from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.storage.log import Log

logger = logging.getLogger(__name__)


BEFORE = -1
"""The position of what is missing before the first segment."""


class Damaged(KafkaError):
    """The records asked for are damaged here: KAFKA_STORAGE_ERROR, which clients retry, until nobody has them."""

    def __init__(self, log: Log, hole: Hole) -> None:
        code = ErrorCode.CORRUPT_MESSAGE if hole.is_hopeless else ErrorCode.KAFKA_STORAGE_ERROR
        super().__init__(code, f"{log.topic}-{log.partition}: damaged: {hole}")
        self.hole = hole


def holes_of(log: Log) -> list[tuple[Segment, Hole]]:
    """Every known hole, in order of offsets."""
    return [(segment, hole) for segment in log.segments for _, hole in sorted(segment.holes.items())]


def examine(log: Log, segment: Segment) -> None:
    """Check every batch of the segment, note its holes, index it anew, and have the holes mended.

    Raises OSError. It keeps the event loop for as long as reading the segment takes.
    """
    if segment not in log.segments:
        return
    index = log.segments.index(segment)
    limit = log.segments[index + 1].base if index + 1 < len(log.segments) else log.log_end_offset
    segment.gappy = log.config.compact
    holes = survey(log, segment, limit)
    may_end_early = segment.gappy or segment.ends_early or segment is log.segments[-1]
    end = holes[-1].following if holes and holes[-1].end == segment.size else _end_of(segment, holes)
    if end < limit and not may_end_early:
        holes.append(Hole(segment.size, segment.size, end, limit))
    before = segment.holes.get(BEFORE)
    segment.holes = {hole.position: hole for hole in ([before] if before else []) + holes}
    segment.rebuild_indexes(log.config.index_interval_bytes)
    log.positions.forget()
    if holes:
        logger.error("%s-%d: segment %d is damaged: %s", log.topic, log.partition, segment.base, holes)
        log.on_damaged()
    else:
        logger.warning(
            "%s-%d: segment %d was examined, its index was built anew", log.topic, log.partition, segment.base
        )


def survey(log: Log, segment: Segment, limit: int) -> list[Hole]:
    """The holes of a segment whose records are below ``limit``; notes whether offsets are missing between batches."""
    holes: list[Hole] = []
    position, expected = 0, segment.base
    while True:
        for at, head in checked_batches(segment, position):
            if at < 0:
                continue
            if not _belongs(log, segment, at, head, expected, limit):
                break
            segment.gappy = segment.gappy or head.base_offset > expected
            position, expected = at + head.size, head.next_offset
        if position >= segment.size:
            return holes
        epochs = log.leader_epochs.between(expected, limit)
        found = next_sound(segment, position, expected, limit, epochs, lambda head: in_its_epoch(log, head))
        end, following = (segment.size, limit) if found is None else (found[0], found[1].base_offset)
        holes.append(Hole(position, end, expected, following))
        position, expected = end, following


def _belongs(log: Log, segment: Segment, at: int, head: BatchHeader, expected: int, limit: int) -> bool:
    """Whether a batch whose CRC holds may lie here, as its offsets and its epoch say, which the CRC does not cover."""
    if not expected <= head.base_offset <= head.next_offset <= limit:
        return False
    if not in_its_epoch(log, head):
        return False
    after = at + head.size
    if head.base_offset == expected or after + HEADER_SIZE > segment.size:
        return True
    return batches.header(segment.pread(HEADER_SIZE, after)).base_offset >= head.next_offset


def in_its_epoch(log: Log, head: BatchHeader) -> bool:
    """Whether the batch's leader epoch is the one that the log's epoch file says, where it says any."""
    known, _ = log.leader_epochs.run_at(head.base_offset)
    return known < 0 or known == head.leader_epoch


def epochs_agree(log: Log) -> bool:
    """Whether the batches around the beginning of each epoch in the file are of that epoch. Raises Unsound, OSError."""
    for _, start in log.leader_epochs.entries():
        for offset in (start - 1, start):
            if not log.segments[0].base <= offset < log.log_end_offset:
                continue
            segment = log.segments_from(offset)[0]
            for _, head in segment.batches(segment.position_of(offset)):
                if not in_its_epoch(log, head):
                    return False
                break
    return True


def _end_of(segment: Segment, holes: list[Hole]) -> int:
    """The offset after the last batch."""
    end, start = (holes[-1].following, holes[-1].end) if holes else (segment.base, 0)
    for _, head in segment.batches(start):
        end = head.next_offset
    return end


# mending


def mend(log: Log, segment: Segment, hole: Hole, records: batches.Buffer) -> bool:
    """Put another replica's batches into the hole; whether something was mended, perhaps not all of it.

    ``records``: what that replica has from ``hole.first`` on. False when they do not fit in here byte for byte; then
    the whole segment has to be replaced. Raises OSError.
    """
    taken, following = fitting(records, hole)
    size = hole.end - hole.position
    is_all = following == hole.following
    if not taken or taken > size or is_all != (taken == size):
        return False
    data = memoryview(records)[:taken]
    if segment.pread(taken, hole.position) == data:  # then it was the epochs that were wrong
        segment.holes = {}
        rebuild_epochs(log, hole.first)
        examine(log, segment)
        return True
    segment.overwrite(hole.position, data)
    kept = {at: each for at, each in segment.holes.items() if each is not hole}
    if not is_all:
        rest = Hole(hole.position + taken, hole.end, following, hole.following)
        kept[rest.position] = rest
    segment.holes = kept
    segment.rebuild_indexes(log.config.index_interval_bytes)
    log.positions.forget()
    logger.warning("%s-%d: offsets [%d, %d) are mended", log.topic, log.partition, hole.first, following)
    return True


def fitting(records: batches.Buffer, hole: Hole) -> tuple[int, int]:
    """(bytes, next offset) of the whole, sound batches that begin with the hole and end within it."""
    taken, following = 0, hole.first
    for at, head in batches.headers(records):
        fits = head.magic == 2 and head.base_offset == following and head.next_offset <= hole.following
        if not fits or not batches.crc_matches(records, at):
            break
        taken, following = at + head.size, head.next_offset
    return taken, following


def rebuild_epochs(log: Log, first: int) -> None:
    """The epochs that the batches themselves name, from offset ``first`` on, where the file named others."""
    later = [entry for entry in log.leader_epochs.entries() if entry[1] >= log.log_end_offset]
    log.leader_epochs.truncate_from_end(first)
    heads = [head for each in log.segments_from(first) for _, head in each.batches() if head.next_offset > first]
    for head, behind in pairwise([*heads, *heads[-1:]]):
        is_damaged = behind.leader_epoch < head.leader_epoch  # no CRC covers it
        if head.leader_epoch > log.leader_epochs.latest and not is_damaged:
            log.leader_epochs.assign(head.leader_epoch, head.base_offset)
    for epoch, start in later:
        log.leader_epochs.assign(epoch, start)
    logger.warning("%s-%d: leader epochs from %d on taken from the batches", log.topic, log.partition, first)


def missing_before(log: Log, known_start: int) -> None:
    """Where the epoch file says that the log began earlier than its first segment does, a file is gone.

    Deleting segments sets the beginning of the first epoch forward. Believed, a leader's new beginning would have its
    followers delete what it has lost.
    """
    first, entries = log.segments[0], log.leader_epochs.entries()
    start = max(entries[0][1], known_start) if entries else first.base
    if start < first.base:
        first.holes = {**first.holes, BEFORE: Hole(BEFORE, BEFORE, start, first.base)}
        log.log_start_offset = start
        logger.error(
            "%s-%d: offsets [%d, %d) are missing before the first segment", log.topic, log.partition, start, first.base
        )


def accept(log: Log, segment: Segment, hole: Hole) -> None:
    """Nobody has anything there either: nothing is missing."""
    if hole.position == BEFORE:
        log.log_start_offset = max(log.log_start_offset, segment.base)
        log.leader_epochs.truncate_from_start(log.log_start_offset)
    elif hole.end == hole.position == segment.size:
        segment.ends_early = True
    segment.holes = {at: each for at, each in segment.holes.items() if each is not hole}
