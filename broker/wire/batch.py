"""Record batches, format v2, on buffers: header fields, CRC, patching in place (DefaultRecordBatch, facts E.1).

Every function takes any buffer (bytes, bytearray, memoryview) and a position; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from crc32c import crc32c

Buffer = bytes | bytearray | memoryview

LOG_OVERHEAD = 12
"""Base offset and batch length: what precedes the bytes that the length counts."""
HEADER_SIZE = 61
"""Bytes of a v2 batch before its first record."""
MAGIC_AT = 16
CRC_AT = 17
ATTRIBUTES_AT = 21

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40

NO_TIMESTAMP = -1
NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1
NO_SEQUENCE = -1
NO_LEADER_EPOCH = -1

HEADER = Struct(">qiibIhiqqqhii")
_PREFIX = Struct(">qi")
_OFFSET = Struct(">q")
_INT = Struct(">i")
_CRC = Struct(">I")
_ATTRIBUTES = Struct(">h")


class BatchHeader(NamedTuple):
    """The 61 bytes before the records. ``length`` counts the bytes after itself; ``size`` is the whole batch."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        return self.length + LOG_OVERHEAD

    @property
    def last_offset(self) -> int:
        """Not base + count - 1: compaction leaves gaps."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def has_log_append_time(self) -> bool:
        return bool(self.attributes & LOG_APPEND_TIME)

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; sequences wrap from 2**31 - 1 to 0."""
        if self.base_sequence < 0:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF


def header(buffer: Buffer, at: int = 0) -> BatchHeader:
    """Read the header at ``at``. Raises struct.error when fewer than 61 bytes are there."""
    return BatchHeader._make(HEADER.unpack_from(buffer, at))


def size_at(buffer: Buffer, at: int = 0) -> int:
    """Bytes that the batch (of any magic) at ``at`` claims to take, its 12 bytes of prefix included."""
    size: int = _INT.unpack_from(buffer, at + 8)[0]
    return size + LOG_OVERHEAD


def magic_at(buffer: Buffer, at: int = 0) -> int:
    return buffer[at + MAGIC_AT]


def headers(buffer: Buffer, at: int = 0) -> Iterator[tuple[int, BatchHeader]]:
    """(position, header) of each whole v2 batch from ``at``; stops at an incomplete or impossible one."""
    end = len(buffer)
    while at + HEADER_SIZE <= end:
        found = BatchHeader._make(HEADER.unpack_from(buffer, at))
        size = found.length + LOG_OVERHEAD
        if size < HEADER_SIZE or at + size > end:
            return
        yield at, found
        at += size


def checksum(data: Buffer) -> int:
    """CRC-32C (Castagnoli), as everything of format v2 and the producer snapshots use it."""
    return crc32c(data)


def computed_crc(buffer: Buffer, at: int = 0, size: int | None = None) -> int:
    """CRC-32C over attributes ... end of the batch at ``at`` (its size is read from it unless given)."""
    end = at + (size_at(buffer, at) if size is None else size)
    view = buffer if isinstance(buffer, memoryview) else memoryview(buffer)
    return crc32c(view[at + ATTRIBUTES_AT : end])


def crc_matches(buffer: Buffer, at: int = 0) -> bool:
    stored: int = _CRC.unpack_from(buffer, at + CRC_AT)[0]
    return stored == computed_crc(buffer, at)


def patch(buffer: bytearray | memoryview, at: int, base_offset: int, leader_epoch: int) -> None:
    """Assign offsets and leader epoch in place; the CRC covers neither."""
    _OFFSET.pack_into(buffer, at, base_offset)
    _INT.pack_into(buffer, at + 12, leader_epoch)


def patch_timestamps(buffer: bytearray | memoryview, at: int, *, log_append_time: bool, max_timestamp: int) -> None:
    """Set timestamp type and maximum in place and recompute the CRC; the records' deltas are left (facts E.2)."""
    attributes = _ATTRIBUTES.unpack_from(buffer, at + ATTRIBUTES_AT)[0]
    wanted = attributes | LOG_APPEND_TIME if log_append_time else attributes & ~LOG_APPEND_TIME
    _ATTRIBUTES.pack_into(buffer, at + ATTRIBUTES_AT, wanted)
    _OFFSET.pack_into(buffer, at + 35, max_timestamp)
    _CRC.pack_into(buffer, at + CRC_AT, computed_crc(buffer, at))
