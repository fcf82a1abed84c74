"""Cuts a byte stream into frames: int32 size, then payload (org.apache.kafka.common.network.NetworkReceive).

The buffer grows by doubling as bytes arrive, never by the size that a frame announces, so a peer costs about twice what
it really sent. A payload is a writable view of the buffer and stays valid as long as anyone holds it: a buffer that is
still looked at is left alone and replaced; two large ones take turns, since new memory costs more than the bytes in it.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_SIZE: Final = Struct(">i")
_LEAST: Final = 4096
_ROOM: Final = 1024
_LARGE: Final = 65536
_KEPT: Final = 4 << 20


class FrameRefused(Exception):
    """A frame announces a size that is negative or above the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a frame of {size} bytes, {'less than none' if size < 0 else f'the limit is {limit}'}")
        self.size = size


class FrameBuffer:
    """Receives into :meth:`writable`, is told by :meth:`arrived`, gives out payloads by :meth:`take`."""

    __slots__ = ("_buffer", "_end", "_spare", "_start", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray(_LEAST)
        self._spare: bytearray | None = None
        self._start = 0
        self._end = 0

    def writable(self) -> memoryview:
        """Free space, never empty, for the next read."""
        buffer, start, end = self._buffer, self._start, self._end
        if start == end:
            return memoryview(self._renewed() if end else buffer)
        held = end - start
        wanted = 4 + _SIZE.unpack_from(buffer, start)[0] if held >= 4 else _ROOM
        if wanted <= held:  # a frame waits to be taken, and more was under way
            wanted = held + _ROOM
        if start + wanted > len(buffer) and (start or end == len(buffer)):
            self._move(wanted)
            buffer, start, end = self._buffer, self._start, self._end
        if wanted > _LARGE:  # stop where a large frame ends, so that the next one begins in front and is not moved
            return memoryview(buffer)[end : start + wanted]
        return memoryview(buffer)[end:]

    def _renewed(self) -> bytearray:
        """The buffer for a new beginning: larger where the last read filled it, as more is likely to wait."""
        size = len(self._buffer)
        wanted = size * 2 if self._end == size < _LARGE else min(size, _KEPT)
        if wanted != size or _is_viewed(self._buffer):
            self._replace(wanted)
        self._start = self._end = 0
        return self._buffer

    def _move(self, wanted: int) -> None:
        """Bring the partial frame to the front; to a larger buffer where this one is full, or still looked at."""
        buffer, partial = self._buffer, self._buffer[self._start : self._end]
        size = len(buffer)
        if self._end == size < _LARGE:
            size *= 2
        elif len(partial) >= size // 2 and wanted > size:
            size = max(min(wanted, size * 2), len(partial) + _ROOM)
        if size != len(buffer) or _is_viewed(buffer):
            buffer = self._replace(size)
        buffer[: len(partial)] = partial
        self._start, self._end = 0, len(partial)

    def _replace(self, size: int) -> bytearray:
        """Go on in a buffer of ``size``: the one before this one, if it is that large and nobody looks at it now."""
        before, self._spare = self._spare, self._buffer if len(self._buffer) == size >= _LARGE else None
        free = before is not None and len(before) == size and not _is_viewed(before)
        self._buffer = before if free and before is not None else bytearray(size)
        return self._buffer

    def arrived(self, count: int) -> None:
        """``count`` bytes were written into what :meth:`writable` gave."""
        self._end += count

    def take(self) -> memoryview | None:
        """The payload of the next whole frame, or None. Raises FrameRefused."""
        start = self._start
        left = self._end - start - 4
        if left < 0:
            return None
        (size,) = _SIZE.unpack_from(self._buffer, start)
        if not 0 <= size <= self.limit:
            raise FrameRefused(size, self.limit)
        if left < size:
            return None
        self._start = stop = start + 4 + size
        return memoryview(self._buffer)[start + 4 : stop]

    @property
    def untaken(self) -> int:
        """Bytes that arrived and were not taken."""
        return self._end - self._start

    @property
    def announced(self) -> int:
        """Bytes of the large frame that has begun to arrive and is not whole; 0 where there is none."""
        held = self._end - self._start
        size: int = _SIZE.unpack_from(self._buffer, self._start)[0] if held >= 4 else 0
        return size if size > _LARGE and held < 4 + size else 0

    def shrink(self) -> None:
        """Give memory back while nothing is under way."""
        if self._start == self._end and len(self._buffer) > _LEAST:
            self._buffer, self._spare = bytearray(_LEAST), None
            self._start = self._end = 0

    @property
    def memory(self) -> int:
        """Bytes held."""
        return len(self._buffer) + (len(self._spare) if self._spare is not None else 0)


def _is_viewed(buffer: bytearray) -> bool:
    """Whether a view of ``buffer`` lives: then it refuses to change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return True
    buffer.pop()
    return False
