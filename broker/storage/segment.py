"""One segment of a log: ``.log`` with its ``.index`` and ``.timeindex`` (kafka.log.LogSegment; facts E.3, E.4)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from broker.host.files import File, Files
from broker.storage.index import NewOffsetIndex, NewTimeIndex, OffsetIndex, TimeIndex
from broker.storage.soundness import Unsound
from broker.wire.batch import HEADER, HEADER_SIZE, LOG_OVERHEAD, BatchHeader, Buffer

LOG = ".log"
INDEX = ".index"
TIME_INDEX = ".timeindex"
TXN_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"
SUFFIXES = (LOG, INDEX, TIME_INDEX, TXN_INDEX, SNAPSHOT)

SCAN_CHUNK = 8192
"""Bytes read at once while walking headers: two index intervals."""
MAX_INT = 0x7FFFFFFF
UNKNOWN = -2


class Hole:
    """Bytes [position, end) of a segment that are not what was written; records [first, following) lie, or lay, there.

    ``is_hopeless``: whoever else may have them was asked in vain.
    """

    __slots__ = ("end", "first", "following", "is_hopeless", "position")

    def __init__(self, position: int, end: int, first: int, following: int) -> None:
        self.position = position
        self.end = end
        self.first = first
        self.following = following
        self.is_hopeless = False

    def __repr__(self) -> str:
        return f"offsets [{self.first}, {self.following}), bytes [{self.position}, {self.end})"


_NO_HOLES: Final[Mapping[int, Hole]] = MappingProxyType({})


class OpenFiles:
    """The segments whose ``.log`` is open, oldest first, so that idle partitions do not hold descriptors for ever."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: dict[Segment, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, segment: Segment) -> None:
        self._open[segment] = None
        if len(self._open) > self.limit:
            next(iter(self._open)).close()

    def closed(self, segment: Segment) -> None:
        self._open.pop(segment, None)


class Segment:
    """Batches from ``base`` on. ``size`` is what was written whole; the file is opened when first needed.

    Every call may raise OSError; ``Log`` turns it into LogDirFailed.
    """

    __slots__ = (
        "_closing",
        "_directory",
        "_file",
        "_files",
        "_first_timestamp",
        "_largest_offset",
        "_largest_timestamp",
        "_open_files",
        "_syncing",
        "_unindexed",
        "base",
        "created_ms",
        "ends_early",
        "gappy",
        "holes",
        "index",
        "jitter_ms",
        "size",
        "times",
    )

    def __init__(self, files: Files, open_files: OpenFiles, directory: str, base: int, size: int) -> None:
        """A segment that is there (or, with size 0, about to be)."""
        self._files = files
        self._open_files = open_files
        self._directory = directory
        self.base = base
        self.size = size
        self.index = OffsetIndex(files, self.path(INDEX))
        self.times = TimeIndex(files, self.path(TIME_INDEX))
        self.created_ms = 0
        self.jitter_ms = 0
        self.holes: Mapping[int, Hole] = _NO_HOLES
        self.gappy = False
        """Whether offsets are known to be missing between sound batches (the topic was compacted once)."""
        self.ends_early = False
        """Whether nobody has what seems to be missing before the next segment."""
        self._file: File | None = None
        self._largest_timestamp = UNKNOWN
        self._largest_offset = -1
        self._first_timestamp = UNKNOWN
        self._unindexed = 0
        self._syncing = 0
        self._closing = False

    @classmethod
    def create(cls, files: Files, open_files: OpenFiles, directory: str, base: int, now_ms: int) -> Segment:
        """A new, empty segment in place of what lay there. ``now_ms`` 0: its age counts from its first use.

        Its indexes come into being with their first entries, or when it is sealed: making a file is what the creation
        of many partitions takes most of its time for.
        """
        made = cls(files, open_files, directory, base, 0)
        for suffix in (LOG, INDEX, TIME_INDEX, TXN_INDEX):
            if files.stat(made.path(suffix)) is not None:
                files.unlink(made.path(suffix))
        files.open(made.path(LOG), create=True).close()
        made.created_ms = now_ms
        made._largest_timestamp = -1
        made._largest_offset = base
        made.index = OffsetIndex(files, made.path(INDEX), 0)
        made.times = TimeIndex(files, made.path(TIME_INDEX), 0)
        return made

    def path(self, suffix: str) -> str:
        return f"{self._directory}/{self.base:020d}{suffix}"

    def moved_to(self, directory: str) -> None:
        """The partition's directory was renamed; open descriptors stay good."""
        self._directory = directory
        self.index.path_is(self.path(INDEX))
        self.times.path_is(self.path(TIME_INDEX))

    @property
    def file(self) -> File:
        if self._file is None:
            self._file = self._files.open(self.path(LOG))
            self._open_files.opened(self)
        return self._file

    def close(self) -> None:
        """Let go of the descriptor; the next use opens it again. While a sync runs it is kept until the sync ends."""
        self._open_files.closed(self)
        if self._syncing:
            self._closing = True
        elif self._file is not None:
            self._file.close()
            self._file = None

    def append(self, data: Buffer) -> None:
        """Write ``data`` at the end, or nothing: a short write is cut off again and raises OSError."""
        file = self._file or self.file
        try:
            taken = file.append(data)
        except OSError:
            self._cut_back(file)
            raise
        if taken != len(data):
            self._cut_back(file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)

    def appended(self, last_offset: int, size: int, max_timestamp: int, interval: int) -> None:
        """Account for one batch of what ``append`` wrote, with an index entry every ``interval`` bytes."""
        if max_timestamp > self._largest_timestamp:
            self._largest_timestamp = max_timestamp
            self._largest_offset = last_offset
        if self._first_timestamp == UNKNOWN and self.size == 0:
            self._first_timestamp = max_timestamp
        if self._unindexed > interval:
            self.index.add(last_offset - self.base, self.size)
            self.index_time()
            self._unindexed = 0
        self._unindexed += size
        self.size += size

    def index_time(self) -> None:
        """Add the largest timestamp to the time index unless it is there (forced at roll, close and recovery)."""
        timestamp, offset = self.largest_timestamp()
        last = self.times.last()
        if timestamp >= 0 and (last is None or timestamp > last[0]):
            self.times.add(timestamp, offset - self.base)

    def seal(self) -> None:
        """Nothing more will be appended: complete both indexes on disk."""
        self.index_time()
        self.index.write_out()
        self.index.trim()
        self.times.write_out()
        self.times.trim()

    def pread(self, size: int, position: int) -> bytes:
        """Exactly ``size`` bytes; fewer mean that the file was cut under us."""
        data = (self._file or self.file).pread(size, position)
        while len(data) < size:
            more = self.file.pread(size - len(data), position + len(data))
            if not more:
                raise OSError(errno.EIO, f"{len(data)} bytes at {position}, expected {size}", self.path(LOG))
            data += more
        return data

    def batches(self, position: int = 0, end: int | None = None) -> Iterator[tuple[int, BatchHeader]]:
        """(position, header) of each batch; headers only are read where batches are large. Passes over known holes,
        stops at the first bytes that can be no whole batch."""
        limit = self.size if end is None else end
        chunk, start = b"", position
        while position + HEADER_SIZE <= limit:
            if position in self.holes and self.holes[position].end > position:
                position = self.holes[position].end
                continue
            if position + HEADER_SIZE > start + len(chunk):
                start = position
                chunk = self.pread(min(SCAN_CHUNK, limit - position), position)
            head = BatchHeader._make(HEADER.unpack_from(chunk, position - start))
            size = head.length + LOG_OVERHEAD
            if size < HEADER_SIZE or position + size > limit or head.magic != 2:
                return
            yield position, head
            position += size

    def position_of(self, offset: int) -> int:
        """Where the first batch with a last offset >= ``offset`` starts; ``size`` when there is none.

        Raises Unsound where index and batches contradict one another, or batches end before the segment does.
        """
        entry = self.index.floor(0, offset - self.base) if self.size > SCAN_CHUNK else None
        at = start = entry[1] if entry else 0
        for position, head in self.batches(start):
            if entry and position == start and not self.base <= head.base_offset <= self.base + entry[0]:
                raise Unsound(self)
            if head.last_offset >= offset:
                return position
            at = position + head.size
        while at in self.holes and self.holes[at].end > at:
            at = self.holes[at].end
        if at != self.size:
            raise Unsound(self)
        return self.size

    def hole_of(self, offset: int) -> Hole | None:
        """The known hole that ``offset`` lies in."""
        return next((hole for hole in self.holes.values() if hole.first <= offset < hole.following), None)

    def largest_timestamp(self) -> tuple[int, int]:
        """(largest timestamp, last offset of the batch that has it); (-1, base) when there is none."""
        if self._largest_timestamp == UNKNOWN:
            last = self.times.last()
            self._largest_timestamp, offset = last or (-1, 0)
            self._largest_offset = self.base + offset
            if last is not None and not self._has_batch(self._largest_offset, self._largest_timestamp):
                newest = max(self.batches(), key=lambda found: found[1].max_timestamp, default=None)
                if newest is not None:  # a time index that was damaged must not have retention delete what is young
                    self._largest_timestamp, self._largest_offset = newest[1].max_timestamp, newest[1].last_offset
        return self._largest_timestamp, self._largest_offset

    def _has_batch(self, offset: int, timestamp: int) -> bool:
        """Whether the batch that holds ``offset`` has this largest timestamp."""
        try:
            found = next(self.batches(self.position_of(offset)), None)
        except Unsound:
            return False
        return found is not None and found[1].max_timestamp == timestamp

    def age_ms(self, now_ms: int, newest_timestamp: int) -> int:
        """How long the segment has been filling, by record time, or by the clock where records have none (E.5)."""
        if self._first_timestamp == UNKNOWN and self.size:
            self._first_timestamp = next((head.max_timestamp for _, head in self.batches()), -1)
        if self._first_timestamp >= 0:
            return newest_timestamp - self._first_timestamp
        if not self.created_ms:
            self.created_ms = now_ms
        return now_ms - self.created_ms

    def expiry_timestamp(self) -> int:
        """What retention by time looks at: the largest timestamp, or the file's mtime where there is none."""
        timestamp, _ = self.largest_timestamp()
        if timestamp >= 0:
            return timestamp
        found = self._files.stat(self.path(LOG))
        return found.mtime_ms if found else 0

    def is_full(self, append_size: int, segment_bytes: int, index_bytes: int) -> bool:
        """By size of the log or of an index."""
        return (
            self.size > segment_bytes - append_size
            or len(self.index) >= index_bytes // OffsetIndex.entry.size
            or len(self.times) >= index_bytes // TimeIndex.entry.size - 1
        )

    def truncate_to(self, offset: int) -> int:
        """Cut the batch that holds ``offset`` and all after it; how many bytes went."""
        hole = self.hole_of(offset)
        position = self.position_of(offset) if hole is None else hole.position
        cut = self.size - position
        if cut == 0:
            return 0
        self.file.truncate(position)
        self.size = position
        self.holes = {at: each for at, each in self.holes.items() if each.end <= position and each.following <= offset}
        self.index.truncate(0, offset - self.base)
        self.times.truncate(1, offset - self.base)
        self._unindexed = 0
        self._find_largest_timestamp()
        if position == 0:
            self._first_timestamp = UNKNOWN
        return cut

    def rebuild_indexes(self, interval: int) -> None:
        """Index the batches of the file anew, on disk too; their CRCs are the caller's business."""
        end = self.size
        index, times = self.index, self.times
        new_index, new_times = NewOffsetIndex(self._files, "", 0), NewTimeIndex(self._files, "", 0)
        self.index, self.times = new_index, new_times
        self._largest_timestamp, self._largest_offset = -1, self.base
        self._first_timestamp = UNKNOWN
        self._unindexed = 0
        self.size = 0
        for position, head in self.batches(0, end):
            self.size = position
            self.appended(head.last_offset, head.size, head.max_timestamp, interval)
        self.size = end
        self.index_time()
        index.replace(new_index.entries)
        times.replace(new_times.entries)
        self.index, self.times = index, times

    def cut(self, size: int) -> None:
        """Drop what follows byte ``size`` (a torn or corrupt tail); indexes must be rebuilt."""
        self.file.truncate(size)
        self.size = size

    async def sync(self) -> None:
        """fsync the log file. Raises OSError: then nothing can be trusted."""
        file = self.file
        self._syncing += 1
        try:
            await file.sync()
        finally:
            self._syncing -= 1
            if self._closing and not self._syncing:
                self._closing = False
                self.close()

    async def sync_indexes(self) -> None:
        """Write out and fsync both indexes. Raises OSError."""
        await self.index.sync()
        await self.times.sync()

    def overwrite(self, position: int, data: Buffer) -> None:
        """Put ``data``, what was written there once, in the place of damaged bytes."""
        self._files.overwrite(self.path(LOG), position, data)

    def rename_away(self) -> list[str]:
        """Mark every file of the segment for removal (``.deleted``); the new paths."""
        self.close()
        renamed = []
        for suffix in SUFFIXES:
            path = self.path(suffix)
            if self._files.stat(path) is not None:
                self._files.rename(path, path + DELETED)
                renamed.append(path + DELETED)
        return renamed

    def _find_largest_timestamp(self) -> None:
        """After a cut: the last time index entry, or something after it that was not indexed yet."""
        last = self.times.last()
        self._largest_timestamp, offset = last or (-1, 0)
        self._largest_offset = self.base + offset
        start = self.position_of(self._largest_offset) if last else 0
        for _, head in self.batches(start):
            if head.max_timestamp > self._largest_timestamp:
                self._largest_timestamp, self._largest_offset = head.max_timestamp, head.last_offset

    def _cut_back(self, file: File) -> None:
        """Best effort: if even this fails, recovery cuts the torn tail."""
        try:
            file.truncate(self.size)
        except OSError:
            self.close()
