"""One clean of one log, in a worker: map its keys' newest offsets, then write its segments anew (kafka.log.Cleaner).

A generator that reads closed segments by path and writes ``.cleaned`` files beside them; it changes no file that is the
log's. ``cleaner`` has it run by ``workers.steps``, syncs what it wrote and swaps it in.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from broker.host import File, Files
from broker.host.files import append_all
from broker.storage.compaction import Compaction, keys_of
from broker.storage.index import NewOffsetIndex, NewTimeIndex
from broker.storage.offset_map import OffsetMap
from broker.storage.segment import CLEANED, INDEX, LOG, MAX_INT, TIME_INDEX, TXN_INDEX, OpenFiles, Segment
from broker.wire import batch as batches
from broker.wire.batch import HEADER_SIZE, BatchHeader, Buffer
from broker.wire.records import MalformedRecords, read_control

CHUNK = 1024 * 1024
"""Bytes read, and written, at once."""
STEP = 2 * CHUNK
"""Bytes read between two steps: some 50 ms."""
GROUP_SEGMENTS = 50
"""Segments that become one at the most: the event loop renames their files in one go."""

_ABORTED = Struct(">hqqqq")


class Source(NamedTuple):
    """A closed segment; ``next_base`` is where the following one begins."""

    base: int
    next_base: int
    size: int
    index_entries: int
    time_entries: int


class Job(NamedTuple):
    """What to clean: all that lies below ``end`` (the first uncleanable offset), dirty from ``first_dirty`` on.

    ``producers``: see Compaction. ``memory``: bytes for the keys.
    """

    directory: str
    sources: Sequence[Source]
    first_dirty: int
    end: int
    producers: Mapping[int, tuple[int, int]]
    now_ms: int
    delete_retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    index_interval_bytes: int
    memory: int


class Progress(NamedTuple):
    """So many bytes were read and written since the last step."""

    transferred: int


class Cleaned(NamedTuple):
    """These segments have become one of ``size`` bytes, whose ``.cleaned`` files are complete.

    ``changed``: whether anything is different at all.
    """

    bases: tuple[int, ...]
    size: int
    changed: bool


class Done(NamedTuple):
    """All is clean below ``end``; it is ``first_dirty`` still where an undecided transaction is in the way."""

    end: int
    keys: int


Step = Progress | Cleaned | Done


def clean(files: Files, job: Job) -> Iterator[Step]:
    """Clean. Raises OSError, and ValueError (MalformedRecords and others) for a log that cannot be cleaned."""
    survey = Survey(job)
    yield from survey.run(files)
    end = survey.end
    if end > job.first_dirty:
        aborted = frozenset(survey.aborted)
        last = min(end, survey.last)
        rules = Compaction(survey.offsets, aborted, end, last, job.producers, job.now_ms, job.delete_retention_ms)
        for group in grouped(job, end):
            yield from _rewrite(files, job, group, rules, end)
    yield Done(end, len(survey.offsets))


class Survey:
    """The first reading: newest offsets of keys, and which transactions of the dirty part were aborted.

    Records of a transaction count once its marker is met; where that lies past the part, the clean ends before them
    (``end``). ``last``: where the last batch that was looked at ends.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._pending: dict[int, list[tuple[int, list[tuple[bytes, int]]]]] = {}
        self.offsets = OffsetMap(job.memory)
        self.aborted: list[int] = []
        self.end = job.first_dirty
        self.last = job.first_dirty

    def run(self, files: Files) -> Iterator[Progress]:
        since = 0
        for whole, head in self._dirty(files):
            if self.offsets.is_full and self.end > self._job.first_dirty:
                return
            since += head.size
            if since >= STEP:
                yield Progress(since)
                since = 0
            if head.next_offset > self._job.first_dirty:
                self._note(whole, head)
        if not self._pending:
            self.end = self._job.end

    def _dirty(self, files: Files) -> Iterator[tuple[bytes, BatchHeader]]:
        job = self._job
        for source in job.sources:
            if source.next_base > job.first_dirty:
                for whole, head in read_batches(files, _path(job, source.base, LOG), source.size):
                    if head.base_offset >= job.end:
                        return
                    yield whole, head

    def _note(self, whole: bytes, head: BatchHeader) -> None:
        self.last = head.next_offset
        if head.is_control:
            self._decide(whole, head)
        elif head.record_count:
            keys = list(keys_of(whole, head))
            if head.is_transactional:
                self._pending.setdefault(head.producer_id, []).append((head.base_offset, keys))
            else:
                self._put(keys)
        first = min((batches_[0][0] for batches_ in self._pending.values()), default=head.next_offset)
        self.end = min(first, self._job.end)

    def _decide(self, whole: bytes, head: BatchHeader) -> None:
        marker = read_control(whole)
        if marker is None:
            return
        for base, keys in self._pending.pop(head.producer_id, []):
            if marker.commit:
                self._put(keys)
            else:
                self.aborted.append(base)

    def _put(self, keys: list[tuple[bytes, int]]) -> None:
        put = self.offsets.put
        for key, offset in keys:
            put(key, offset)


def grouped(job: Job, end: int) -> Iterator[list[Source]]:
    """The segments that begin below ``end``, in runs that may become one (Cleaner.groupSegmentsBySize)."""
    group: list[Source] = []
    for source in job.sources:
        if source.base >= end:
            break
        if group and not _fits(job, [*group, source]):
            yield group
            group = []
        group.append(source)
    if group:
        yield group


def _fits(job: Job, group: list[Source]) -> bool:
    return (
        len(group) <= GROUP_SEGMENTS
        and sum(source.size for source in group) <= job.segment_bytes
        and sum(source.index_entries for source in group) <= job.segment_index_bytes // 8
        and sum(source.time_entries for source in group) < job.segment_index_bytes // 12
        and group[-1].next_base - 1 - group[0].base <= MAX_INT
    )


def _rewrite(files: Files, job: Job, group: list[Source], rules: Compaction, end: int) -> Iterator[Step]:
    made = _NewSegment(files, job, group[0].base)
    changed, transferred = len(group) > 1, 0
    try:
        for source in group:
            for whole, head in read_batches(files, _path(job, source.base, LOG), source.size):
                kept = rules.rewrite(whole, head)
                changed = changed or kept is not whole
                transferred += head.size
                if kept is not None:
                    made.append(kept, head if kept is whole else batches.header(kept))
                    transferred += len(kept)
                if transferred >= STEP:
                    yield Progress(transferred)
                    transferred = 0
        made.finish(_path(job, group[-1].base, LOG))
    finally:
        made.close()
    if changed:
        _carry_aborted(files, job, group, rules.markers, end)
    yield Progress(transferred)
    yield Cleaned(tuple(source.base for source in group), made.size, changed)


class _NewSegment:
    """A segment's ``.cleaned`` files, indexed by the same rule as any other's."""

    def __init__(self, files: Files, job: Job, base: int) -> None:
        self._files = files
        self._job = job
        self._base = base
        self._interval = job.index_interval_bytes
        self._accounts = Segment(files, OpenFiles(1), job.directory, base, 0)
        self._index, self._times = NewOffsetIndex(files, "", 0), NewTimeIndex(files, "", 0)
        self._accounts.index, self._accounts.times = self._index, self._times
        self._buffer = bytearray()
        self._file = self._create(LOG)

    @property
    def size(self) -> int:
        return self._accounts.size

    def append(self, data: Buffer, head: BatchHeader) -> None:
        self._buffer += data
        self._accounts.appended(head.last_offset, head.size, head.max_timestamp, self._interval)
        if len(self._buffer) >= CHUNK:
            self._write()

    def finish(self, last_original: str) -> None:
        """Write what is left and the indexes; the file is as old as the last of the originals."""
        self._write()
        self._accounts.index_time()
        for suffix, entries in ((INDEX, self._index.entries), (TIME_INDEX, self._times.entries)):
            file = self._create(suffix)
            try:
                append_all(file, entries)
            finally:
                file.close()
        found = self._files.stat(last_original)
        if found is not None:
            self._files.set_mtime(_path(self._job, self._base, LOG) + CLEANED, found.mtime_ms)

    def close(self) -> None:
        self._file.close()

    def _write(self) -> None:
        append_all(self._file, self._buffer)
        self._buffer.clear()

    def _create(self, suffix: str) -> File:
        return _create_cleaned(self._files, _path(self._job, self._base, suffix))


def _create_cleaned(files: Files, path: str) -> File:
    """An empty ``.cleaned`` file, whatever lay there."""
    with contextlib.suppress(FileNotFoundError):
        files.unlink(path + CLEANED)
    return files.open(path + CLEANED, create=True)


def _carry_aborted(files: Files, job: Job, group: list[Source], markers: set[int], end: int) -> None:
    """Of the aborted transactions in the group's indexes (``.txnindex``) those whose markers stay with their data."""
    kept = bytearray()
    for source in group:
        path = _path(job, source.base, TXN_INDEX)
        if files.stat(path) is not None:
            entries = files.read(path)
            for at in range(0, len(entries) - _ABORTED.size + 1, _ABORTED.size):
                last = _ABORTED.unpack_from(entries, at)[3]
                if last in markers or last >= end:
                    kept += entries[at : at + _ABORTED.size]
    if kept:
        file = _create_cleaned(files, _path(job, group[0].base, TXN_INDEX))
        try:
            append_all(file, kept)
        finally:
            file.close()


class DamagedSegment(MalformedRecords):
    """In the segment file that begins at offset ``base``. (Its arguments go through a pickle.)"""

    def __init__(self, base: int, what: str) -> None:
        super().__init__(base, what)
        self.base, self.what = base, what

    def __str__(self) -> str:
        return f"segment {self.base}: {self.what}"


def read_batches(files: Files, path: str, size: int) -> Iterator[tuple[bytes, BatchHeader]]:
    """(its bytes, header) of every batch in the first ``size`` bytes of the file at ``path``.

    Raises OSError, and DamagedSegment for anything that is no whole batch of format v2 with the right CRC.
    """
    file = files.open(path)
    try:
        start, chunk = 0, b""
        position = 0
        while position < size:
            at = position - start
            if at + HEADER_SIZE > len(chunk) or at + batches.size_at(chunk, at) > len(chunk):
                start, at, chunk = position, 0, _read_from(file, position, size)
            whole, head = _whole_batch(chunk, at, path, position)
            yield whole, head
            position += head.size
    finally:
        file.close()


def _read_from(file: File, position: int, size: int) -> bytes:
    """A chunk, longer where the batch at its start is."""
    chunk = file.pread(min(CHUNK, size - position), position)
    if len(chunk) >= HEADER_SIZE and len(chunk) < batches.size_at(chunk) <= size - position:
        chunk = file.pread(batches.size_at(chunk), position)
    if not chunk:
        raise OSError(errno.EIO, f"the file ends at byte {position}, {size} were expected", os.path.basename(file.path))
    return chunk


def _whole_batch(chunk: bytes, at: int, path: str, position: int) -> tuple[bytes, BatchHeader]:
    if at + HEADER_SIZE <= len(chunk):
        head = batches.header(chunk, at)
        if head.magic == 2 and HEADER_SIZE <= head.size <= len(chunk) - at and head.last_offset_delta >= 0:
            whole = chunk[at : at + head.size]
            if head.crc == batches.computed_crc(whole, 0, head.size):
                return whole, head
    base = int(os.path.basename(path).partition(".")[0])
    raise DamagedSegment(base, f"no sound batch of format 2 at byte {position}")


def _path(job: Job, base: int, suffix: str) -> str:
    return f"{job.directory}/{base:020d}{suffix}"
