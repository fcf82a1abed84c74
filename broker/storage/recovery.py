"""Opening a partition's directory: leftovers, recovery after a crash, log end, producers (LogLoader; facts E.8).

Generators that yield after every few megabytes or files, so that loading shares the event loop. After a clean stop no
segment data is read but the headers after the last index entry; after a crash every batch from the recovery point on
is checked and the log is cut before the first that is not whole.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

from broker.storage import checkpoints
from broker.storage.checkpoints import CheckpointCorrupt
from broker.storage.damage import epochs_agree, examine, missing_before, rebuild_epochs
from broker.storage.index import IndexCorrupt
from broker.storage.leader_epochs import NEVER, LeaderEpochs
from broker.storage.producer_state import SnapshotCorrupt
from broker.storage.segment import (
    CLEANED,
    DELETED,
    INDEX,
    LOG,
    MAX_INT,
    SNAPSHOT,
    SWAP,
    TIME_INDEX,
    TXN_INDEX,
    Hole,
    Segment,
)
from broker.storage.soundness import Unsound, checked_batches, next_sound
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, BatchHeader
from broker.wire.records import read_control

if TYPE_CHECKING:
    from broker.storage.log import Log

logger = logging.getLogger(__name__)

BATCHES_PER_STEP = 4096


class OldFormat(ValueError):
    """A segment holds messages of format 0 or 1, which this broker does not read; cutting them would lose data."""


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """What the log dir's checkpoint files say of one partition, and whether the dir was left cleanly."""

    clean: bool
    recovery_point: int = 0
    log_start_offset: int = 0
    high_watermark: int = 0


def open_log(log: Log, known: Checkpointed, now_ms: int) -> Iterator[None]:
    """Fill ``log`` from its directory (which must be there). Raises OSError, CheckpointCorrupt, OldFormat."""
    names = _without_leftovers(log, log.dir.files.listdir(log.directory))
    _load_segments(log, names, now_ms)
    yield
    recovery_point = 0 if not _load_epochs(log) else known.recovery_point
    log.leader_epochs.hold()
    if known.clean and recovery_point == known.recovery_point:
        yield from _end_after_clean_stop(log, names)
    else:
        yield from _recover(log, recovery_point, names, max(known.recovery_point, known.high_watermark))
    _settle_offsets(log, known, now_ms)
    _check_epochs(log)
    if log.log_end_offset - log.recovery_point >= log.config.flush_messages:
        log.durability.require()  # found in the page cache of a process that was killed, perhaps not on the disk
    log.leader_epochs.release()
    snapshots = _remove_stray_snapshots(log)
    yield from replay_producers(log, snapshots)
    _load_topic_id(log)


def create_log(log: Log, now_ms: int) -> None:
    """Make the directory and the first segment of a new ``log``. Raises OSError."""
    files = log.dir.files
    files.mkdir(log.directory)
    log.segments = [Segment.create(files, log.dir.open_files, log.directory, 0, now_ms)]
    log.segments[0].jitter_ms = log.random_jitter()


def replay_producers(log: Log, snapshots: Sequence[int] | None = None) -> Iterator[None]:
    """Producer state from the newest good snapshot up to the log end, and the batches after it.

    ``snapshots``: their offsets, ascending, where they are known.
    """
    start = _restore_snapshot(log, _snapshots_of(log) if snapshots is None else snapshots)
    if start >= log.log_end_offset:
        return
    count = 0
    for segment in log.segments:
        following = log.segments[log.segments.index(segment) + 1].base if segment is not log.segments[-1] else None
        if following is not None and following <= start:
            continue
        for position, head in segment.batches(segment.position_of(start) if segment.base < start else 0):
            count += 1
            if count % BATCHES_PER_STEP == 0:
                yield
            if head.producer_id < 0:
                continue
            if not head.is_control:
                log.producers.appended(head, head.base_offset, head.max_timestamp)
                continue
            marker = read_control(segment.pread(head.size, position))
            if marker is not None:
                log.producers.ended(head.producer_id, head.producer_epoch, marker, head.max_timestamp)


def _snapshots_of(log: Log) -> list[int]:
    names = log.dir.files.listdir(log.directory)
    return sorted(_base(name) for name in names if name.endswith(SNAPSHOT))


def _restore_snapshot(log: Log, offsets: Sequence[int]) -> int:
    """Load the newest usable snapshot; the offset from which batches must be replayed."""
    log.producers.producers = {}
    for offset in reversed(offsets):
        path = log.producers.snapshot_path(offset)
        if offset > log.log_end_offset:
            log.dir.files.unlink(path)
            continue
        try:
            log.producers.restore(offset)
        except SnapshotCorrupt as error:
            logger.warning(
                "%s-%d: producer snapshot %d is damaged (%s), removed", log.topic, log.partition, offset, error
            )
            log.dir.files.unlink(path)
            continue
        return max(offset, log.log_start_offset)
    return log.log_start_offset


def _without_leftovers(log: Log, names: list[str]) -> list[str]:
    """Finish or undo what a crash interrupted: deletion, cleaning, swapping; the names that are left."""
    files, directory = log.dir.files, log.directory
    cleaned = [_base(name) for name in names if name.endswith(CLEANED)]
    swaps = [name for name in names if name.endswith(SWAP)]
    for name in [name for name in swaps if cleaned and _base(name) >= min(cleaned)]:
        files.unlink(f"{directory}/{name}")  # before the cleaned ones, without which it would look complete
        swaps.remove(name)
    for name in [name for name in names if name.endswith((DELETED, CLEANED, ".tmp"))]:
        files.unlink(f"{directory}/{name}")
        names = [each for each in names if each != name]
    if not swaps:
        return [name for name in names if not name.endswith(SWAP)]
    _complete_swaps(log, swaps, names)
    return files.listdir(directory)


def _complete_swaps(log: Log, swaps: list[str], names: list[str]) -> None:
    """The segments that ``.swap`` files replace go, then the suffix goes (a crash between repeats it)."""
    files, directory = log.dir.files, log.directory
    logs = [name for name in swaps if name.endswith(LOG + SWAP)]
    for swap in logs:
        first, end = _base(swap), _end_of_swap(log, swap)
        for name in names:
            if name.endswith((LOG, INDEX, TIME_INDEX, TXN_INDEX)) and first <= _base(name) < end:
                files.unlink(f"{directory}/{name}")
    for name in swaps:
        files.rename(f"{directory}/{name}", f"{directory}/{name.removesuffix(SWAP)}")


def _end_of_swap(log: Log, name: str) -> int:
    path = f"{log.directory}/{name}"
    file = log.dir.files.open(path)
    try:
        end, position, size = _base(name) + 1, 0, file.size()
        while position + HEADER_SIZE <= size:
            head = batches.header(file.pread(HEADER_SIZE, position))
            if head.size < HEADER_SIZE:
                break
            end, position = head.next_offset, position + head.size
        return end
    finally:
        file.close()


def _load_segments(log: Log, names: list[str], now_ms: int) -> None:
    files, present = log.dir.files, set(names)
    for name in names:
        if name.endswith((INDEX, TIME_INDEX, TXN_INDEX)) and f"{name.split('.')[0]}{LOG}" not in present:
            files.unlink(f"{log.directory}/{name}")
    for name in names:
        if name.endswith(LOG):
            found = files.stat(f"{log.directory}/{name}")
            size = found.size if found else 0
            segment = Segment(files, log.dir.open_files, log.directory, _base(name), size)
            segment.created_ms = now_ms
            log.segments.append(segment)
    log.segments.sort(key=lambda segment: segment.base)


def _load_epochs(log: Log) -> bool:
    """False when the checkpoint is damaged, or empty beside data: then the epochs must come from the batches."""
    try:
        log.leader_epochs = LeaderEpochs.load(log.dir.files, log.directory)
    except CheckpointCorrupt as error:
        logger.warning("%s-%d: %s; rebuilt from the log", log.topic, log.partition, error)
        log.leader_epochs = LeaderEpochs(log.dir.files, log.directory)
        return False
    return log.leader_epochs.latest >= 0 or not any(segment.size for segment in log.segments)


def _check_epochs(log: Log) -> None:
    """A digit of the epoch file that has become another one would let replicas diverge: the batches know better."""
    try:
        agree = epochs_agree(log)
    except Unsound as error:
        logger.warning("%s-%d: %s", log.topic, log.partition, error)
        examine(log, error.segment)
        agree = epochs_agree(log)
    if not agree:
        rebuild_epochs(log, log.segments[0].base)


def _load_topic_id(log: Log) -> None:
    """A file that a power loss left torn is removed: the controller says the id again."""
    try:
        log.topic_id = checkpoints.read_topic_id(log.dir.files, log.directory)
    except CheckpointCorrupt as error:
        logger.warning("%s-%d: %s; removed", log.topic, log.partition, error)
        log.dir.files.unlink(f"{log.directory}/{checkpoints.PARTITION_METADATA}")


def _end_after_clean_stop(log: Log, names: list[str]) -> Iterator[None]:
    """The log end from the headers after the last index entry; indexes that are missing or unsound are rebuilt."""
    present = set(names)
    for segment in log.segments:
        stem = f"{segment.base:020d}"
        if segment.size and not {stem + INDEX, stem + TIME_INDEX} <= present:
            segment.rebuild_indexes(log.config.index_interval_bytes)
            yield
    if not log.segments:
        return
    active = log.segments[-1]
    try:
        active.index.check()
        active.times.check()
        log.log_end_offset = _walk_to_end(active)
    except IndexCorrupt as error:
        logger.warning("%s-%d: %s; recovering the segment", log.topic, log.partition, error)
        log.leader_epochs.truncate_from_end(active.base)
        yield from _recover_segment(log, active)
    log.recovery_point = log.log_end_offset


def _looks_sound(log: Log, index: int) -> bool:
    """Whether a segment's indexes end as they should, its batches at its end, and the next segment begins there.

    In a compacted log it may begin later.
    """
    segment = log.segments[index]
    try:
        segment.index.check()
        segment.times.check()
        end, following = _walk_to_end(segment), log.segments[index + 1].base
        return end == following or (log.config.compact and end < following)
    except IndexCorrupt:
        return False


def _walk_to_end(segment: Segment) -> int:
    """The offset after the last batch. Raises IndexCorrupt when the walk does not end at the end of the file."""
    if segment.size == 0:
        return segment.base
    last = segment.index.last()
    end, position = segment.base, last[1] if last else 0
    for at, head in segment.batches(position):
        end, position = head.next_offset, at + head.size
    if position != segment.size:
        raise IndexCorrupt(f"{segment.path(LOG)}: batches end at byte {position} of {segment.size}")
    return end


def _recover(log: Log, recovery_point: int, names: list[str], protected: int) -> Iterator[None]:
    """Check every segment from the one that holds the recovery point on; cut at the first bad byte.

    Below ``protected``, what was synced or committed, nothing is cut that has sound batches after it: it is a hole, to
    be mended with what another replica has.
    Those before were synced, but a truncation may have cut into them since and not have reached the disk whole; where
    one looks so, the check begins there.
    """
    log.log_end_offset = log.segments[0].base if log.segments else 0
    first = max((index for index, each in enumerate(log.segments) if each.base <= recovery_point), default=0)
    first = next((index for index in range(first) if not _looks_sound(log, index)), first)
    trusted = log.segments[first].base if log.segments else 0
    epochs = [epoch for epoch, _ in log.leader_epochs.entries()]
    log.leader_epochs.truncate_from_end(trusted)
    for name in [name for name in names if name.endswith(SNAPSHOT) and _base(name) > trusted]:
        log.dir.files.unlink(f"{log.directory}/{name}")  # perhaps of offsets that were truncated and written anew
    for index in range(first, len(log.segments)):
        segment = log.segments[index]
        until = log.segments[index + 1].base if index + 1 < len(log.segments) else None
        if (yield from _recover_segment(log, segment, until, protected, epochs)):
            for later in log.segments[:index:-1]:
                logger.warning("%s-%d: segment %d follows a cut, removed", log.topic, log.partition, later.base)
                log.dir.remove_later(later.rename_away(), 0)
            del log.segments[index + 1 :]
            break
    if log.segments and log.log_end_offset < log.segments[-1].base:
        log.log_end_offset = log.segments[-1].base
    log.recovery_point = min(recovery_point, log.log_end_offset)


def _recover_segment(
    log: Log, segment: Segment, until: int | None = None, protected: int = 0, epochs: Sequence[int] = ()
) -> Generator[None, None, bool]:
    """Check all batches of ``segment``, cut after the last good one, rebuild its indexes, assign its epochs.

    What reaches past ``until``, the next segment's base, was truncated before that segment was begun, and goes too.
    The epochs of earlier segments must be known, and no later ones. Returns whether the log ends here for damage.
    """
    run = _Run(segment, until)
    holes: dict[int, Hole] = {}
    while True:
        yield from run.go_on(log)
        hole = None if run.is_at_end else _hole_at(log, run, epochs)
        if hole is None:
            break
        if run.expected >= protected:
            log.may_lack_committed = True
            break
        logger.error("%s-%d: segment %d is damaged: %s", log.topic, log.partition, segment.base, hole)
        holes[hole.position] = hole
        run.pass_over(hole)
    good, expected = run.good, run.expected
    cut = segment.size - good
    if cut:
        _refuse_old_format(segment, good)
        logger.warning(
            "%s-%d: segment %d: %d bytes after offset %d are no whole batch, cut",
            *(log.topic, log.partition, segment.base, cut, expected),
        )
        segment.cut(good)
    segment.holes = holes
    segment.rebuild_indexes(log.config.index_interval_bytes)
    log.log_end_offset = max(expected, log.log_end_offset) if good else max(log.log_end_offset, segment.base)
    # a power loss took the end of a segment that was not synced, and left the next one: what is missing is missing
    ends_short = until is not None and protected <= expected < until and not log.config.compact
    return (bool(cut) and not run.overlaps) or ends_short


class _Run:
    """Sound batches of a segment that is recovered: up to byte ``good``, next offset ``expected``."""

    def __init__(self, segment: Segment, until: int | None) -> None:
        self.segment = segment
        self.until = until
        self.good = 0
        self.expected = segment.base
        self.overlaps = False
        self.is_old = False
        self.hole: Hole | None = None

    @property
    def is_at_end(self) -> bool:
        return self.good >= self.segment.size

    @property
    def was_truncated(self) -> bool:
        """What follows is sound, but should no longer be there."""
        return self.overlaps or self.is_old

    def pass_over(self, hole: Hole) -> None:
        self.good, self.expected, self.hole = hole.end, hole.following, hole
        self.overlaps = self.is_old = False

    def go_on(self, log: Log) -> Iterator[None]:
        for position, head in checked_batches(self.segment, self.good):
            if position < 0:
                yield
                continue
            # offsets and epochs only ascend: what follows was truncated once, and came back with a power loss
            self.is_old = head.base_offset < self.expected or 0 <= head.leader_epoch < log.leader_epochs.latest
            self.overlaps = not self.is_old and self.until is not None and head.last_offset >= self.until
            if self.was_truncated or not self._follows_on(log, position, head):
                return
            if head.leader_epoch > log.leader_epochs.latest:
                if self._is_of_no_epoch(log, position, head):
                    return
                log.leader_epochs.assign(head.leader_epoch, self._began(log, head))
            self.good, self.expected = position + head.size, head.next_offset

    def _follows_on(self, log: Log, position: int, head: BatchHeader) -> bool:
        """Whether a base offset that leaves some out can be right, as no CRC says: what follows tells."""
        if head.base_offset == self.expected:
            return True
        after = position + head.size
        if after + HEADER_SIZE > self.segment.size:
            return log.config.compact and head.last_offset - self.segment.base <= MAX_INT
        return batches.header(self.segment.pread(HEADER_SIZE, after)).base_offset >= head.next_offset

    def _began(self, log: Log, head: BatchHeader) -> int:
        """Where the epoch of ``head`` began: it may have been within the hole before it, as the file knows."""
        began = log.leader_epochs.held().get(head.leader_epoch, NEVER)
        within = self.hole is not None and self.hole.first <= began < head.base_offset == self.hole.following
        return began if within else head.base_offset

    def _is_of_no_epoch(self, log: Log, position: int, head: BatchHeader) -> bool:
        """Whether a new leader epoch, which no CRC covers, is damage: neither the file nor the batch behind it has it.

        Believed, all that follows would be taken for older than it.
        """
        known = [epoch for epoch, start in log.leader_epochs.held().items() if start <= head.base_offset]
        if known[-1:] == [head.leader_epoch]:
            return False
        segment, after = self.segment, position + head.size
        if after + HEADER_SIZE > segment.size:
            segment, after = next((each for each in log.segments if each.base == self.until), segment), 0
        if segment.size < after + HEADER_SIZE:
            return False
        behind = batches.header(segment.pread(HEADER_SIZE, after))
        is_next = behind.magic == 2 and behind.base_offset >= head.next_offset
        return is_next and log.leader_epochs.latest <= behind.leader_epoch < head.leader_epoch


def _hole_at(log: Log, run: _Run, epochs: Sequence[int]) -> Hole | None:
    """The hole that begins where ``run`` has stopped; None where nothing sound comes after it."""
    if run.was_truncated and not (run.is_old and run.until is None):
        is_missing = run.until is not None and run.expected < run.until
        return Hole(run.good, run.segment.size, run.expected, run.until or 0) if is_missing else None
    limit = NEVER if run.until is None else run.until
    latest = log.leader_epochs.latest
    possible = dict.fromkeys([latest, *(epoch for epoch in epochs if epoch > latest)])

    def fits(head: BatchHeader) -> bool:
        return head.leader_epoch >= latest

    found = next_sound(run.segment, run.good, run.expected, limit, [each for each in possible if each >= 0], fits)
    if found is not None:
        return Hole(run.good, found[0], run.expected, found[1].base_offset)
    return None if run.until is None else Hole(run.good, run.segment.size, run.expected, run.until)


def _refuse_old_format(segment: Segment, position: int) -> None:
    """Raise OldFormat when what would be cut is a sound message of format 0 or 1 rather than damage."""
    if segment.size - position < 26:
        return
    prefix = segment.pread(17, position)
    size = batches.size_at(prefix)
    if prefix[16] > 1 or size < 26 or position + size > segment.size:
        return
    message = segment.pread(size, position)
    if int.from_bytes(message[12:16], "big") == crc32(message[16:]):
        raise OldFormat(f"{segment.path(LOG)}: message format {prefix[16]} at byte {position} is not supported")


def _settle_offsets(log: Log, known: Checkpointed, now_ms: int) -> None:
    files = log.dir.files
    if 0 < known.high_watermark < known.log_start_offset and log.segments:
        logger.error(
            "%s-%d: log start %d is above high watermark %d: one of them is damaged, the log start is left out",
            *(log.topic, log.partition, known.log_start_offset, known.high_watermark),
        )
        known = replace(known, log_start_offset=0)
    if not log.segments or log.log_end_offset < known.log_start_offset:
        for segment in log.segments[::-1]:
            log.dir.remove_later(segment.rename_away(), 0)
        start = known.log_start_offset
        log.segments = [Segment.create(files, log.dir.open_files, log.directory, start, now_ms)]
        log.log_end_offset = log.recovery_point = start
    log.log_start_offset = max(known.log_start_offset, log.segments[0].base)
    missing_before(log, known.log_start_offset)
    log.leader_epochs.truncate_from_end(log.log_end_offset)
    log.leader_epochs.truncate_from_start(log.log_start_offset)
    log.high_watermark = min(max(known.high_watermark, log.log_start_offset), log.log_end_offset)
    log.may_lack_committed = log.may_lack_committed or log.log_end_offset < known.high_watermark


def _remove_stray_snapshots(log: Log) -> list[int]:
    """Snapshots that belong to no segment go, save the newest (a clean stop's); the offsets of those that stay."""
    offsets = _snapshots_of(log)
    bases = {segment.base for segment in log.segments}
    for offset in offsets[:-1]:
        if offset not in bases:
            log.dir.files.unlink(log.producers.snapshot_path(offset))
    return [offset for offset in offsets if offset in bases or offset == offsets[-1]]


def _base(name: str) -> int:
    """The base offset in a segment file's name."""
    return int(name.split(".")[0])
