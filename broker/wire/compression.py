"""The four codecs of record batches, with a cap on what may come out (org.apache.kafka.common.compress).

Kafka's own forms: snappy as a xerial stream (a bare block is read too), lz4 as a frame of independent blocks
(Java refuses linked ones), gzip of any number of members, zstd frames.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

import cramjam

from broker.wire.batch import Buffer

XERIAL_MAGIC = b"\x82SNAPPY\x00"
XERIAL_HEADER = XERIAL_MAGIC + b"\x00\x00\x00\x01\x00\x00\x00\x01"
XERIAL_BLOCK = 32 * 1024
MIN_ROOM = 16 * 1024
_INT = Struct(">i")


class Codec(IntEnum):
    """Bits 0-2 of a batch's attributes."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


DEFAULT_LEVELS = {Codec.GZIP: 6, Codec.LZ4: 9, Codec.ZSTD: 3}


class Damaged(ValueError):
    """The compressed bytes do not decode."""


class TooLarge(ValueError):
    """More comes out than the cap allows."""


def compress(codec: int, data: Buffer, level: int | None = None) -> bytes:
    """Compress with ``codec``; ``level`` None is Kafka's default for it, as is gzip's -1 (zstd has levels below 0)."""
    if level is None or (codec == Codec.GZIP and level < 0):
        level = DEFAULT_LEVELS.get(Codec(codec))
    if codec == Codec.NONE:
        return bytes(data)
    if codec == Codec.GZIP:
        return bytes(cramjam.gzip.compress(data, level=level))
    if codec == Codec.SNAPPY:
        return _compress_xerial(data)
    if codec == Codec.LZ4:
        compressor = cramjam.lz4.Compressor(level=level, content_checksum=False, block_linked=False)
        compressor.compress(bytes(data))
        return bytes(compressor.finish())
    return bytes(cramjam.zstd.compress(data, level=level))


def inflate_into(codec: int, data: Buffer, out: bytearray | memoryview) -> int:
    """Decompress ``data`` into ``out``, whose size is the cap; how many bytes came out.

    Raises TooLarge when ``out`` is too small, Damaged for anything else that is wrong, an unknown codec included.
    """
    try:
        if codec == Codec.ZSTD:
            return cramjam.zstd.decompress_into(data, out)
        if codec == Codec.LZ4:
            return cramjam.lz4.decompress_into(data, out)
        if codec == Codec.GZIP:
            return cramjam.gzip.decompress_into(data, out)
        if codec == Codec.SNAPPY:
            return _inflate_snappy(data, out)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise TooLarge(f"more than {len(out)} bytes come out") from error
        raise Damaged(str(error)) from error
    raise Damaged(f"unknown codec {codec}")


def inflate(codec: int, data: Buffer, cap: int, headroom: int = 0) -> memoryview:
    """Decompress at most ``cap`` bytes into a buffer of its own, after ``headroom`` zero bytes.

    The buffer is as large as the data announces, or is guessed and doubled: Python touches every byte of a buffer that
    it makes, so that one of the size of the cap would cost more than the inflating.
    """
    announced = announced_size(codec, data)
    room = min(cap, max(MIN_ROOM, 4 * len(data) if announced is None else announced))
    while True:
        out = memoryview(bytearray(headroom + room))
        try:
            return out[: headroom + inflate_into(codec, data, out[headroom:])]
        except TooLarge:
            if room >= cap:
                raise
            room = min(cap, 4 * room)


def announced_size(codec: int, data: Buffer) -> int | None:
    """What the compressed bytes say of their inflated size, which nobody has checked; None if they do not say."""
    try:
        if codec == Codec.SNAPPY:
            return sum(cramjam.snappy.decompress_raw_len(block) for block in _snappy_blocks(data))
    except (cramjam.DecompressionError, Damaged):
        return None
    if codec == Codec.GZIP and len(data) >= 18:
        return int.from_bytes(data[-4:], "little")
    return None


def _compress_xerial(data: Buffer) -> bytes:
    view = memoryview(data)
    parts: list[bytes] = [XERIAL_HEADER]
    for start in range(0, len(view), XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[start : start + XERIAL_BLOCK]))
        parts += (_INT.pack(len(block)), block)
    return b"".join(parts)


def _snappy_blocks(data: Buffer) -> list[memoryview]:
    view = memoryview(data)
    if len(view) < len(XERIAL_HEADER) or bytes(view[:8]) != XERIAL_MAGIC:
        return [view]
    blocks, at = [], len(XERIAL_HEADER)
    while at < len(view):
        if at + 4 > len(view):
            raise Damaged("snappy: cut block length")
        size = _INT.unpack_from(view, at)[0]
        at += 4
        if size < 0 or at + size > len(view):
            raise Damaged("snappy: cut block")
        blocks.append(view[at : at + size])
        at += size
    return blocks


def _inflate_snappy(data: Buffer, out: bytearray | memoryview) -> int:
    target, done = memoryview(out), 0
    for block in _snappy_blocks(data):
        if cramjam.snappy.decompress_raw_len(block) > len(target) - done:
            raise TooLarge(f"more than {len(target)} bytes come out")
        done += cramjam.snappy.decompress_raw_into(block, target[done:])
    return done
