"""Records that are laid out alike, checked by columns (what LogValidator does one by one; Kafka has no such class).

Producers mostly send runs of records of one size. In such a run every field stands at the same place in each record, so
that a slice with the record's size as its step is a column: the lengths of record, key and value must all be equal,
the header counts zero, and the offset deltas must count upwards. Some ten slices then tell of thousands of records what
a walk tells of each: 0.02 µs a record, where a walk takes 0.13. Whatever is not of this form is left to the walk,
which also has the word on what is wrong.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from broker.wire.records import MalformedRecords, read_varint

LEAST: Final = 24
"""Records in a run, on average, below which the walk is as fast."""
PIECE: Final = 128 * 1024
"""Bytes that are looked at together: they stay in the processor's cache."""
_WIDER: Final = (0, 64, 8192, 65536)
"""Offset deltas from which on a varint takes a byte more; the columns end at the last."""
_FINAL: Final = bytes(range(0x80))
_CONTINUED: Final = bytes(range(0x80, 0x100))
_EVEN: Final = bytes(range(0, 0x100, 2))

Layout = tuple[int, list[int], int, int, int]
"""Size of a record, and positions in the first one: bytes that all share, timestamp delta, offset delta, key."""


def largest_timestamp_delta(payload: memoryview, count: int) -> int | None:
    """Of exactly ``count`` good records, which are all of ``payload``; None: they must be walked."""
    if count < LEAST:
        return None
    largest: int | None = None
    at = index = start = 0
    credit, data, held = 2, b"", 0
    while index < count:
        if at + PIECE // 2 > held < len(payload):
            data, start, held = bytes(payload[at : at + PIECE]), at, min(at + PIECE, len(payload))
        try:
            layout = _layout(data, at - start)
        except (IndexError, MalformedRecords):
            return None
        following = at - start + layout[0]
        if following < len(data) and data[following] != data[at - start]:
            return None
        length = _run(data, at - start, layout, index, count)
        credit += length // LEAST - 1
        if credit < 0 or not length:
            return None
        stamp = _largest_stamp(data, layout, length)
        if stamp is None:
            return None
        if largest is None or stamp > largest:
            largest = stamp
        index += length
        at += length * layout[0]
    return largest if at == len(payload) else None


def _layout(data: bytes, at: int) -> Layout:
    """Of the record at ``at``, as far as it can be one. Raises IndexError or MalformedRecords where it cannot."""
    length, body = read_varint(data, at)
    stamp = body + 1
    _, delta = read_varint(data, stamp)
    _, key = read_varint(data, delta)
    key_size, key_at = read_varint(data, key)
    value = key_at + key_size if key_size > 0 else key_at
    value_size, value_at = read_varint(data, value)
    last = value_at + value_size if value_size > 0 else value_at
    if key_size < -1 or value_size < -1 or last != body + length - 1 or data[last]:
        raise MalformedRecords("with headers, or not what it says")
    same = [at, last]
    if body - at > 1:
        same += range(at + 1, body)
    same += range(key, key_at)
    same += range(value, value_at)
    return last + 1 - at, same, stamp, delta, key


def _run(data: bytes, at: int, layout: Layout, index: int, count: int) -> int:
    """How many records from ``at`` on are laid out as the first of them is and count on from ``index``; 0: walk."""
    size, same, stamp, delta, key = layout
    width = key - delta
    if width >= len(_WIDER) or not _WIDER[width - 1] <= index < _WIDER[width]:
        return 0
    length = min(count - index, _WIDER[width] - index, (len(data) - at) // size)
    beyond = size * length
    for position in same:
        column = data[position : position + beyond : size]
        if column.count(column[0]) != length:
            length -= len(column.lstrip(column[:1]))
            beyond = size * length
    for position in range(stamp, delta - 1):
        column = data[position : position + beyond : size]
        length -= len(column.lstrip(_CONTINUED))
        beyond = size * length
    column = data[delta - 1 : delta - 1 + beyond : size]
    if not column.isascii():
        length -= len(column.lstrip(_FINAL))
        beyond = size * length
    first = index - _WIDER[width - 1]
    for position, expected in enumerate(_counting(width), delta):
        if data[position : position + beyond : size] != expected[first : first + length]:
            return 0
    return length


@cache
def _counting(width: int) -> tuple[bytes, ...]:
    """The columns of the zigzag varints of all offset deltas that take ``width`` bytes."""
    deltas = range(_WIDER[width - 1], _WIDER[width])
    last = width - 1
    columns = [bytes(delta * 2 >> 7 * place & 0x7F | 0x80 for delta in deltas) for place in range(last)]
    return *columns, bytes(delta * 2 >> 7 * last for delta in deltas)


def _largest_stamp(data: bytes, layout: Layout, length: int) -> int | None:
    """The largest timestamp delta of a run; None where it takes more to tell: some before the first, all far off."""
    size, _, stamp, delta, _ = layout
    low = data[stamp : stamp + size * length : size]
    if delta - stamp == 1:
        most = low[0]
        if low.count(most) != length:
            most = next((value for value in range(126, -1, -2) if value in low), 1)
        return None if most & 1 else most >> 1
    if low.translate(None, _EVEN):
        return None
    columns = [data[at : at + size * length : size] for at in range(delta - 1, stamp, -1)]
    value = 0
    for byte in max(zip(*columns, low, strict=True)):
        value = value << 7 | byte & 0x7F
    return value >> 1
