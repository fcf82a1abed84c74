"""Offset and time indexes in Kafka's file formats (kafka.log.OffsetIndex, TimeIndex; facts E.4).

An index only shortens a scan, so entries wait in memory and go to the file by the page, when the segment is sealed,
flushed or closed: a crash loses some, and recovery rebuilds the indexes of every segment past the recovery point. No
descriptor stays open. Kafka preallocates the active segment's index, so zeros after the last entry are no damage.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from broker.host.files import Files, append_all, sync_file

PAGE = 4096
"""Bytes of entries that wait in memory; also what a lookup reads at once."""


class IndexCorrupt(OSError):
    """The file is no index of this segment: at load it is rebuilt from the log, later it is a failure of the disk."""


class Index:
    """A sorted file of fixed entries, its last ones in memory. ``key`` picks the column that a lookup compares."""

    __slots__ = ("_files", "_path", "_pending", "_written")
    entry: Struct

    def __init__(self, files: Files, path: str, written: int | None = None) -> None:
        """``written``: entries in the file, None: to be counted when first needed, without its zero padding."""
        self._files = files
        self._path = path
        self._written = written
        self._pending: bytearray | None = None

    def __len__(self) -> int:
        pending = len(self._pending) // self.entry.size if self._pending else 0
        return self.written + pending

    @property
    def written(self) -> int:
        if self._written is None:
            self._written = self._count()
        return self._written

    def path_is(self, path: str) -> None:
        """The file has moved with its directory."""
        self._path = path

    def add(self, *columns: int) -> None:
        """Append an entry; the file follows a page at a time."""
        if self._pending is None:
            self._pending = bytearray()
        self._pending += self.entry.pack(*columns)
        if len(self._pending) >= PAGE:
            self.write_out()

    def write_out(self) -> None:
        """Write what waits in memory, over any zero padding."""
        if not self._pending:
            return
        end = self.written * self.entry.size
        file = self._files.open(self._path, create=True)
        try:
            if file.size() != end:
                file.truncate(end)
            append_all(file, self._pending)
        finally:
            file.close()
        self._written = self.written + len(self._pending) // self.entry.size
        self._pending = None

    def trim(self) -> None:
        """Cut the zero padding off, so that the file is there, and holds its entries and nothing else."""
        end = self.written * self.entry.size
        found = self._files.stat(self._path)
        if found is None or found.size != end:
            file = self._files.open(self._path, create=True)
            try:
                file.truncate(end)
            finally:
                file.close()

    async def sync(self) -> None:
        """Write out and fsync."""
        self.write_out()
        if self._files.stat(self._path) is not None:
            await sync_file(self._files, self._path)

    def last(self) -> tuple[int, ...] | None:
        if self._pending:
            return self.entry.unpack_from(self._pending, len(self._pending) - self.entry.size)
        count = self.written
        if count == 0:
            return None
        file = self._files.open(self._path)
        try:
            return self.entry.unpack(file.pread(self.entry.size, (count - 1) * self.entry.size))
        finally:
            file.close()

    def floor(self, column: int, value: int) -> tuple[int, ...] | None:
        """The last entry whose ``column`` is at most ``value``."""
        if self._pending and self.entry.unpack_from(self._pending, 0)[column] <= value:
            return self._floor_in(self._pending, column, value)
        count = self.written
        if count == 0:
            return None
        file = self._files.open(self._path)
        try:
            size = self.entry.size
            low, high = 0, count
            per_page = PAGE // size
            while high - low > per_page:
                middle = (low + high) // 2
                if self.entry.unpack(file.pread(size, middle * size))[column] <= value:
                    low = middle
                else:
                    high = middle
            return self._floor_in(file.pread((high - low) * size, low * size), column, value)
        finally:
            file.close()

    def truncate(self, column: int, value: int) -> None:
        """Drop the entries whose ``column`` is ``value`` or more (the column must never fall)."""
        self.write_out()
        self._truncate_count(self._first_at_least(column, value))

    def replace(self, entries: bytes | bytearray) -> None:
        """Make the file hold ``entries`` and nothing else; one that does already is not touched."""
        self._pending = None
        self._written = len(entries) // self.entry.size
        if self._files.stat(self._path) is not None and self._files.read(self._path) == entries:
            return
        file = self._files.open(self._path, create=True)
        try:
            file.truncate(0)
            append_all(file, entries)
        finally:
            file.close()

    def _truncate_count(self, count: int) -> None:
        self._written = count
        if self._files.stat(self._path) is not None:
            file = self._files.open(self._path)
            try:
                file.truncate(count * self.entry.size)
            finally:
                file.close()

    def _first_at_least(self, column: int, value: int) -> int:
        count = self.written
        if count == 0:
            return 0
        file = self._files.open(self._path)
        try:
            size = self.entry.size
            return _bisect(count, lambda at: self.entry.unpack(file.pread(size, at * size))[column] >= value)
        finally:
            file.close()

    def _floor_in(self, entries: bytes | bytearray, column: int, value: int) -> tuple[int, ...] | None:
        size, unpack = self.entry.size, self.entry.unpack_from
        at = _bisect(len(entries) // size, lambda index: unpack(entries, index * size)[column] > value)
        return unpack(entries, (at - 1) * size) if at else None

    def _count(self) -> int:
        """Entries in the file, without the zeros of Kafka's preallocation. Raises IndexCorrupt."""
        found = self._files.stat(self._path)
        if found is None or found.size == 0:
            return 0
        size = self.entry.size
        if found.size % size:
            raise IndexCorrupt(f"{self._path}: {found.size} bytes are no multiple of {size}")
        file = self._files.open(self._path)
        try:
            zero = bytes(size)
            count = found.size // size
            if file.pread(size, (count - 1) * size) != zero:
                return count
            return _bisect(count, lambda at: file.pread(size, at * size) == zero)
        finally:
            file.close()


class OffsetIndex(Index):
    """(last offset of a batch relative to the segment's base, file position of that batch)."""

    __slots__ = ()
    entry = Struct(">ii")

    def check(self) -> None:
        """Kafka's sanity check. Raises IndexCorrupt."""
        last = self.last()
        if last is not None and last[0] < 0:
            raise IndexCorrupt(f"{self._path}: last offset {last[0]} is below the segment's base")


class TimeIndex(Index):
    """(largest timestamp so far, last offset of the batch that has it, relative to the segment's base)."""

    __slots__ = ()
    entry = Struct(">qi")

    def check(self) -> None:
        """Kafka's sanity check. Raises IndexCorrupt."""
        last = self.last()
        if last is None:
            return
        file = self._files.open(self._path)
        try:
            first = self.entry.unpack(file.pread(self.entry.size, 0))
        finally:
            file.close()
        if last[1] < 0 or last[0] < first[0]:
            raise IndexCorrupt(f"{self._path}: last entry {last} comes before the first {first}")


class NewOffsetIndex(OffsetIndex):
    """An index being built, all in memory: ``entries`` is what its file will hold."""

    __slots__ = ()

    def write_out(self) -> None:
        """Later, by ``replace`` of the index that it is for."""

    @property
    def entries(self) -> bytearray:
        return self._pending or bytearray()


class NewTimeIndex(TimeIndex):
    """As NewOffsetIndex."""

    __slots__ = ()

    def write_out(self) -> None:
        """Later, by ``replace`` of the index that it is for."""

    @property
    def entries(self) -> bytearray:
        return self._pending or bytearray()


def _bisect(count: int, is_past: Callable[[int], bool]) -> int:
    """The first of ``count`` positions for which ``is_past`` holds; ``count`` if it holds for none."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if is_past(middle):
            high = middle
        else:
            low = middle + 1
    return low
