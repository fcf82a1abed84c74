"""Records that are laid out alike are checked by columns; whatever those accept, the walk accepts as well."""

from __future__ import annotations

import random

import pytest

from broker.wire import batch as batches
from broker.wire.columns import PIECE, largest_timestamp_delta
from broker.wire.records import Record, build_batch, read_records

NOW = 1_700_000_000_000


def columns(batch: bytes | bytearray) -> int | None:
    return largest_timestamp_delta(memoryview(batch)[batches.HEADER_SIZE :], batches.header(batch).record_count)


def walked(batch: bytes | bytearray) -> int | None:
    """The largest timestamp delta of good records, by looking at each; None where one is not."""
    head = batches.header(batch)
    try:
        found = list(read_records(batch))
    except ValueError:
        return None
    if [record.offset for record in found] != list(range(head.record_count)):
        return None
    return max(record.timestamp for record in found) - head.base_timestamp


def alike(count: int, size: int, *, key: int | None = None, every: int = 50) -> bytearray:
    """Records of one size, whose time goes on by a millisecond ``every`` so many."""
    name = None if key is None else b"k" * key
    return build_batch([Record(i, NOW + i // every, name, b"%0*d" % (size, i)) for i in range(count)])


ALIKE = {
    "100 B, a MB": alike(9000, 100),
    "tiny": alike(20_000, 5),
    "with keys": alike(500, 40, key=8),
    "more time than a byte tells": alike(3000, 30, every=10),
    "deltas of one, two and three bytes": alike(10_000, 20, every=100_000),
    "growing numbers": build_batch([Record(i, NOW, None, b"message %d" % i) for i in range(3000)]),
    "without values": build_batch([Record(i, NOW, b"key", None) for i in range(100)]),
    "some before the first": build_batch([Record(i, NOW - i % 2, None, b"x" * 50) for i in range(200)]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_columns_tell_what_a_walk_tells(name: str) -> None:
    assert columns(ALIKE[name]) == walked(ALIKE[name]) is not None


def test_other_records_are_left_to_the_walk() -> None:
    dice = random.Random(3)
    mixed = build_batch([Record(i, NOW, None, bytes(dice.randrange(300))) for i in range(500)])
    headers = build_batch([Record(i, NOW, None, b"value", (("name", b"x"),)) for i in range(500)])
    few, large = alike(5, 100), alike(40, PIECE)
    earlier = build_batch([Record(i, NOW - i, None, b"x" * 50) for i in range(200)])
    for batch in (mixed, headers, few, large, earlier):
        assert columns(batch) is None
        assert walked(batch) is not None


@pytest.mark.parametrize("name", ["with keys", "more time than a byte tells", "growing numbers"])
def test_columns_accept_no_damage_that_a_walk_refuses(name: str) -> None:
    dice = random.Random(name)
    accepted = refused = 0
    for _ in range(150):
        damaged = bytearray(ALIKE[name])
        record = dice.randrange(batches.HEADER_SIZE, len(damaged) - 30)
        for _ in range(dice.randint(1, 2)):  # close to each other, so that one may make up for the other
            damaged[record + dice.randrange(30)] = dice.choice((0, 1, 2, 0x7F, 0x80, dice.randrange(256)))
        found = columns(damaged)
        assert found is None or found == walked(damaged)
        accepted += found is not None
        refused += found is None
    assert accepted > 10 and refused > 10


def test_a_count_that_lies_is_not_accepted() -> None:
    good = alike(100, 50)
    payload = memoryview(good)[batches.HEADER_SIZE :]
    for count in (99, 101, 24):
        assert largest_timestamp_delta(payload, count) is None
    assert largest_timestamp_delta(payload[:-1], 100) is None
    assert largest_timestamp_delta(memoryview(bytes(payload) + b"\0"), 100) is None


def test_a_varint_without_end_is_given_up_at_once() -> None:
    assert largest_timestamp_delta(memoryview(b"\x80" * 100_000), 1000) is None
    record = bytes(alike(1, 5)[batches.HEADER_SIZE :])
    assert largest_timestamp_delta(memoryview(record[:2] + b"\x80" * 100_000), 1000) is None
