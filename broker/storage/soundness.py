"""Whether stored bytes are the batches that were written: checked before anything is handed out.

Kafka checks the CRC of stored batches when it recovers a log, and its clients check it again. Here all that leaves a
log is checked: the CRC, and what the CRC does not cover by what is known besides: offsets follow on one another and end
where the next segment begins, leader epochs are those of the log's epoch file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from broker.storage.admission import has_readable_marker
from broker.wire import batch as batches
from broker.wire.batch import ATTRIBUTES_AT, HEADER_SIZE, LOG_OVERHEAD, BatchHeader, Buffer

if TYPE_CHECKING:
    from broker.storage.leader_epochs import LeaderEpochs
    from broker.storage.segment import Segment

CHUNK = 4 * 1024 * 1024
"""Bytes read at once, and between two yields, while a segment is checked."""
WINDOW = 1 << 20
"""Bytes searched at once for the next sound batch."""
_PREFIX = Struct(">qiibIhi")
_EPOCH_AT = 12


class Unsound(Exception):
    """What lies in ``segment`` cannot be what was written there, or its index is wrong: examine it."""

    def __init__(self, segment: Segment) -> None:
        super().__init__(f"segment {segment.base} is not sound")
        self.segment = segment


class Checked(NamedTuple):
    """The first ``size`` bytes are whole, sound batches, the next of which has to begin at ``following``.

    ``is_sound``: what comes after them is nothing, or the beginning of a batch that was cut.
    """

    size: int
    following: int
    is_sound: bool


def check(data: Buffer, offset: int, limit: int, epochs: LeaderEpochs, *, gappy: bool) -> Checked:
    """Walk what was read to be handed out from ``offset`` on, which lies below ``limit``.

    ``gappy``: offsets may be missing (compaction); otherwise the first batch holds ``offset``, the next ones follow on.
    """
    view = data if isinstance(data, memoryview) else memoryview(data)
    at, end, following, run_epoch, run_end = 0, len(view), offset, -1, -1
    while end - at >= HEADER_SIZE:
        base, length, epoch, magic, crc, _, delta = _PREFIX.unpack_from(view, at)
        size, after = length + LOG_OVERHEAD, base + delta + 1
        if magic != 2 or size < HEADER_SIZE or delta < 0 or after > limit or after <= following:
            return Checked(at, following, False)
        if at + size > end:
            break
        if base != following and ((at and base < following) or (base > following and not gappy)):
            return Checked(at, following, False)
        if base >= run_end:
            run_epoch, run_end = epochs.run_at(base)
        if (epoch != run_epoch and run_epoch >= 0) or crc != batches.checksum(view[at + ATTRIBUTES_AT : at + size]):
            return Checked(at, following, False)
        at += size
        following = after
    return Checked(at, following, True)


def checked_batches(segment: Segment, position: int = 0) -> Iterator[tuple[int, BatchHeader]]:
    """(position, header) of each batch whose size, magic and CRC hold; (-1, ...) now and then: a pause is due."""
    start, chunk = 0, b""
    while position + HEADER_SIZE <= segment.size:
        if not start <= position <= start + len(chunk) - HEADER_SIZE:
            start, chunk = position, segment.pread(min(CHUNK, segment.size - position), position)
            yield -1, batches.header(chunk)
        head = batches.header(chunk, position - start)
        size = head.size
        if size < HEADER_SIZE or position + size > segment.size or head.magic != 2 or head.last_offset_delta < 0:
            return
        if position + size > start + len(chunk):
            start, chunk = position, segment.pread(min(max(CHUNK, size), segment.size - position), position)
        if head.crc != batches.computed_crc(chunk, position - start, size):
            return
        if head.is_control and not has_readable_marker(chunk, position - start):
            return
        yield position, head
        position += size


Fits = Callable[[BatchHeader], bool]
"""Whether a batch may lie here, as far as its epoch says."""


def sound_at(segment: Segment, position: int, first: int, limit: int, fits: Fits) -> BatchHeader | None:
    """The batch at ``position`` if it is whole, sound, and within offsets [first, limit)."""
    if position + HEADER_SIZE > segment.size:
        return None
    head = batches.header(segment.pread(HEADER_SIZE, position))
    is_whole = HEADER_SIZE <= head.size <= segment.size - position and head.magic == 2 and head.last_offset_delta >= 0
    if not is_whole or head.base_offset < first or head.next_offset > limit or not fits(head):
        return None
    return head if head.crc == batches.computed_crc(segment.pread(head.size, position)) else None


def next_sound(
    segment: Segment, damaged: int, first: int, limit: int, epochs: Iterable[int], fits: Fits
) -> tuple[int, BatchHeader] | None:
    """Where sound batches of offsets [first, limit) go on after the damaged one at position ``damaged``.

    Where its length is right, behind it; otherwise the nearest place that begins with one of ``epochs``.
    """
    size = batches.size_at(segment.pread(LOG_OVERHEAD, damaged)) if damaged + LOG_OVERHEAD <= segment.size else 0
    if size >= HEADER_SIZE and (head := sound_at(segment, damaged + size, first, limit, fits)) is not None:
        return damaged + size, head
    wanted = [epoch.to_bytes(4, "big") + b"\x02" for epoch in epochs]
    start = damaged + 1
    while start + HEADER_SIZE <= segment.size:
        window = segment.pread(min(WINDOW + HEADER_SIZE, segment.size - start), start)
        for at in _places(window, wanted):
            if (head := sound_at(segment, start + at, first, limit, fits)) is not None:
                return start + at, head
        start += WINDOW
    return None


def _places(window: bytes, wanted: list[bytes]) -> list[int]:
    """Where batches of these leader epochs may begin, ascending."""
    found = []
    for epoch_and_magic in wanted:
        at = window.find(epoch_and_magic, _EPOCH_AT)
        while at >= 0:
            found.append(at - _EPOCH_AT)
            at = window.find(epoch_and_magic, at + 1)
    return sorted(place for place in found if place < WINDOW)
