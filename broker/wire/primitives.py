"""What generated codecs call for the less common cases (org.apache.kafka.common.protocol.ByteBufferAccessor)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, pack, unpack_from
from typing import Any, Final
from uuid import UUID

from broker.wire.errors import Malformed

CALLED_BY_CODECS: Final = (
    "is_null",
    "more_uvarint",
    "read_numbers",
    "read_uvarint",
    "skip_tags",
    "too_short",
    "uuid_of",
    "uvarint",
    "write_numbers",
)
_FEW: Final = 16
_READ_FEW: Final = {
    letter: tuple(Struct(f">{count}{letter}").unpack_from for count in range(_FEW)) for letter in "bhHiqd"
}
_WRITE_FEW: Final = {letter: tuple(Struct(f">{count}{letter}").pack for count in range(_FEW)) for letter in "bhHiqd"}


def read_numbers(letter: str, count: int, buf: Any, pos: int) -> list[Any]:
    """``count`` numbers of struct ``letter`` at ``pos``; the caller has checked that they fit."""
    if count < _FEW:
        return list(_READ_FEW[letter][count](buf, pos))
    return list(unpack_from(f">{count}{letter}", buf, pos))


def write_numbers(letter: str, values: list[Any]) -> bytes:
    """``values`` one after another. Raises struct.error where one does not fit."""
    count = len(values)
    if count < _FEW:
        return _WRITE_FEW[letter][count](*values)
    return pack(f">{count}{letter}", *values)


def read_uvarint(buf: Any, pos: int) -> tuple[int, int]:
    """An unsigned varint of at most five bytes: (value, next position)."""
    first: int = buf[pos]
    if first < 0x80:
        return first, pos + 1
    return more_uvarint(buf, pos + 1, first)


def more_uvarint(buf: Any, pos: int, first: int) -> tuple[int, int]:
    """The rest of a varint whose first byte, already read, has its high bit set."""
    value = first & 0x7F
    for shift in (7, 14, 21, 28):
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFF, pos
    raise Malformed("a varint of more than five bytes")


def uvarint(value: int) -> bytes:
    """``value`` as an unsigned varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def skip_tags(buf: Any, pos: int, count: int, end: int) -> int:
    """The position behind ``count`` tagged fields that nobody knows; ``count`` may be the first byte of its varint."""
    if count > 0x7F:
        count, pos = more_uvarint(buf, pos, count)
    for _ in range(count):
        _, pos = read_uvarint(buf, pos)
        size, pos = read_uvarint(buf, pos)
        pos += size
        if pos > end:
            raise Malformed(f"a tagged field of {size} bytes where fewer are left")
    return pos


@lru_cache(maxsize=8192)
def uuid_of(raw: bytes) -> UUID:
    """The UUID of 16 bytes; topic ids come again and again, and making one takes a microsecond."""
    return UUID(bytes=raw)


def too_short(what: str, wanted: int, left: int) -> Malformed:
    return Malformed(f"{what}: {wanted} announced, {left} bytes left")


def is_null(what: str) -> Malformed:
    return Malformed(f"{what} is null where this version has no null")
