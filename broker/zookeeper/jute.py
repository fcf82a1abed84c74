"""Jute, ZooKeeper's serialisation: big-endian numbers, length-prefixed buffers and strings (org.apache.jute).

A record is its fields in order and nothing around them. Length or count -1 is null, which is not the same as empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import TypeVar

T = TypeVar("T")

INT = Struct(">i")
LONG = Struct(">q")
_unpack_int = INT.unpack_from
_unpack_long = LONG.unpack_from
_pack_int = INT.pack

NULL = b"\xff\xff\xff\xff"
TRUE = b"\x01"
FALSE = b"\x00"


class JuteError(Exception):
    """The bytes end before the record does, or a length is impossible (ZooKeeper answers MARSHALLING_ERROR)."""


class Reader:
    """Reads fields one after another from ``data[pos:end]``; raises JuteError where bytes are missing."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    def boolean(self) -> bool:
        """One byte; any but zero is true."""
        pos = self.pos
        if pos >= self.end:
            raise JuteError("truncated boolean")
        self.pos = pos + 1
        return self.data[pos] != 0

    def int32(self) -> int:
        pos = self.pos
        if pos + 4 > self.end:
            raise JuteError("truncated int")
        self.pos = pos + 4
        value: int = _unpack_int(self.data, pos)[0]
        return value

    def int64(self) -> int:
        pos = self.pos
        if pos + 8 > self.end:
            raise JuteError("truncated long")
        self.pos = pos + 8
        value: int = _unpack_long(self.data, pos)[0]
        return value

    def buffer(self) -> bytes | None:
        """Bytes, or None where the length is -1."""
        start = self.pos + 4
        if start > self.end:
            raise JuteError("truncated buffer length")
        length = _unpack_int(self.data, self.pos)[0]
        if length < 0:
            if length != -1:
                raise JuteError(f"buffer length {length}")
            self.pos = start
            return None
        end = start + length
        if end > self.end:
            raise JuteError("truncated buffer")
        self.pos = end
        return self.data[start:end]

    def string(self) -> str | None:
        """UTF-8; ill-formed bytes become U+FFFD as in Java, which no valid path holds."""
        raw = self.buffer()
        return None if raw is None else raw.decode("utf-8", "replace")

    def text(self) -> str:
        """A string where null reads as empty."""
        raw = self.buffer()
        return raw.decode("utf-8", "replace") if raw else ""

    def path(self) -> str:
        """A string that must not be null."""
        raw = self.buffer()
        if raw is None:
            raise JuteError("null path")
        return raw.decode("utf-8", "replace")

    def vector(self, item: Callable[[], T]) -> list[T] | None:
        """``count`` times ``item()``; None where the count is -1."""
        count = self.int32()
        if count < 0:
            if count != -1:
                raise JuteError(f"vector count {count}")
            return None
        if count > self.end - self.pos:
            raise JuteError("truncated vector")
        return [item() for _ in range(count)]

    def skip(self, size: int) -> None:
        if size < 0 or self.pos + size > self.end:
            raise JuteError("truncated record")
        self.pos += size


def pack_int(value: int) -> bytes:
    return _pack_int(value)


def pack_long(value: int) -> bytes:
    return LONG.pack(value)


def pack_boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


def pack_buffer(value: bytes | None) -> bytes:
    return NULL if value is None else _pack_int(len(value)) + value


def pack_string(value: str | None) -> bytes:
    if value is None:
        return NULL
    raw = value.encode("utf-8", "surrogatepass")
    return _pack_int(len(raw)) + raw


def pack_vector(items: Iterable[bytes] | None) -> bytes:
    """``items`` are already encoded."""
    if items is None:
        return NULL
    parts = list(items)
    return _pack_int(len(parts)) + b"".join(parts)


def pack_strings(items: Iterable[str] | None) -> bytes:
    return NULL if items is None else pack_vector([pack_string(item) for item in items])
