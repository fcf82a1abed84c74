"""Batches and records: what we build others read, what others build we read, and what lies is refused."""

from __future__ import annotations

import pickle
import random

import pytest
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.wire import batch as batches
from broker.wire import validation
from broker.wire.compression import Codec, Damaged, TooLarge, compress, inflate
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import (
    ControlRecord,
    MalformedRecords,
    Record,
    build_batch,
    control_batch,
    read_all,
    read_control,
    read_records,
    recompress,
)
from broker.wire.validation import InvalidRecords, NeedsWorker, Rules, Walked, validate, walk

NOW = 1_700_000_000_000
some_bytes = st.none() | st.binary(max_size=200)
record = st.builds(
    Record,
    offset=st.just(0),
    timestamp=st.integers(0, 1 << 42),
    key=some_bytes,
    value=some_bytes,
    headers=st.lists(st.tuples(st.text(max_size=10), some_bytes), max_size=3).map(tuple),
)


@given(
    records=st.lists(record, min_size=1, max_size=20), codec=st.sampled_from(list(Codec)), base=st.integers(0, 1 << 40)
)
@settings(max_examples=150, deadline=None)
def test_what_is_built_is_read_by_us_and_by_aiokafka(records: list[Record], codec: Codec, base: int) -> None:
    built = build_batch(records, base_offset=base, codec=codec, leader_epoch=3)
    expected = [each._replace(offset=base + index) for index, each in enumerate(records)]
    assert batches.crc_matches(built)
    assert list(read_records(built)) == expected
    assert list(read_all(built + built[:50])) == expected
    theirs = DefaultRecordBatch(bytes(built))
    assert theirs.validate_crc()
    read = [Record(each.offset, each.timestamp, each.key, each.value, tuple(each.headers)) for each in theirs]
    assert read == expected
    head = batches.header(built)
    assert (head.size, head.last_offset, head.leader_epoch, head.codec) == (
        len(built),
        base + len(records) - 1,
        3,
        codec,
    )
    plain = recompress(built, Codec.NONE)
    assert list(read_records(plain)) == expected
    assert batches.crc_matches(plain)


@pytest.mark.parametrize("codec", list(Codec))
def test_what_aiokafka_builds_is_read_and_passes(codec: Codec) -> None:
    builder = DefaultRecordBatchBuilder(2, int(codec), 0, -1, -1, -1, 1 << 20)
    for index in range(50):
        builder.append(index, NOW + index, b"k%d" % index, b"v" * index * 20, [("h", b"1")])
    built = bytes(builder.build())
    assert [each.key for each in read_records(built)] == [b"k%d" % index for index in range(50)]
    assert validate(built, Rules(compacted=True), NOW) == Walked(50, NOW + 49)


@pytest.mark.parametrize("codec", list(Codec)[1:])
def test_inflating_never_gives_more_than_the_cap(codec: Codec) -> None:
    data = bytes(100_000)
    packed = compress(codec, data)
    assert bytes(inflate(codec, packed, 100_000)) == data
    with pytest.raises(TooLarge):
        inflate(codec, packed, 99_999)
    with pytest.raises(Damaged):
        inflate(codec, packed[:-2], 200_000)
    with pytest.raises(Damaged):
        inflate(codec, b"\xff" * 30, 200_000)


def test_a_bare_snappy_block_and_several_gzip_members_are_read() -> None:
    import cramjam

    bare = bytes(cramjam.snappy.compress_raw(b"hello " * 100))
    assert bytes(inflate(Codec.SNAPPY, bare, 10_000)) == b"hello " * 100
    members = compress(Codec.GZIP, b"one ") + compress(Codec.GZIP, b"two")
    assert bytes(inflate(Codec.GZIP, members, 100)) == b"one two"
    assert compress(Codec.SNAPPY, b"x").startswith(b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")


def test_control_records() -> None:
    for commit in (True, False):
        marker = control_batch(5, 1000, 2, ControlRecord(commit, 9), NOW)
        head = batches.header(marker)
        assert (head.is_control, head.is_transactional, head.base_sequence, head.producer_id) == (True, True, -1, 1000)
        assert read_control(marker) == ControlRecord(commit, 9)
        assert list(read_all(marker)) == []
    with pytest.raises(MalformedRecords):
        read_control(build_batch([Record(0, 0, b"\x00", None)], base_offset=0))


def test_own_offsets_may_have_gaps() -> None:
    kept = [Record(10, 1, b"a", b"1"), Record(15, 2, b"b", b"2")]
    built = build_batch(kept)
    assert list(read_records(built)) == kept
    assert batches.header(built).last_offset == 15


def test_sequences_wrap() -> None:
    head = batches.header(build_batch([Record(0, 0, None, b"")] * 3, base_offset=0, base_sequence=0x7FFFFFFF))
    assert head.last_sequence == 1


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
def test_damaged_records_are_refused_with_a_code_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, compiled: bool, codec: Codec
) -> None:
    if not compiled:
        monkeypatch.setattr(validation, "compiled_reader", lambda: None)
    good = build_batch(
        [Record(0, NOW, b"key", b"value %d" % index, (("name", b"x"),)) for index in range(10)],
        base_offset=0,
        codec=codec,
    )
    assert walk(good, batches.header(good), Rules(), NOW) == Walked(10, NOW)
    dice = random.Random(5)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            damaged[dice.randrange(batches.HEADER_SIZE, len(damaged))] = dice.randrange(256)
        try:
            walk(damaged, batches.header(damaged), Rules(), NOW)
        except KafkaError as error:
            assert error.code in (ErrorCode.INVALID_RECORD, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.MESSAGE_TOO_LARGE)
            refused += 1
        except NeedsWorker:
            refused += 1
    assert refused > 500


@given(junk=st.binary(max_size=300))
@settings(deadline=None)
def test_junk_behind_a_header_is_refused_with_a_code(junk: bytes) -> None:
    head = batches.header(build_batch([Record(0, 0, None, b"")], base_offset=0))
    for codec in Codec:
        made = bytearray(batches.HEADER_SIZE) + junk
        batches.HEADER.pack_into(made, 0, *head._replace(length=len(made) - 12, attributes=codec))
        made[17:21] = batches.computed_crc(made).to_bytes(4, "big")
        try:
            validate(made, Rules(), NOW)
        except KafkaError as error:
            assert error.code in (ErrorCode.INVALID_RECORD, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.MESSAGE_TOO_LARGE)


def test_refusals_travel_to_and_from_a_worker() -> None:
    refusal = InvalidRecords(ErrorCode.INVALID_RECORD, "no", [(1, "without key")])
    again = pickle.loads(pickle.dumps(refusal))
    assert (again.code, again.message, again.record_errors) == (refusal.code, "no", [(1, "without key")])
    code = pickle.loads(pickle.dumps(KafkaError(ErrorCode.CORRUPT_MESSAGE, "bad"))).code
    assert code == ErrorCode.CORRUPT_MESSAGE
    assert pickle.loads(pickle.dumps(Rules(compacted=True))) == Rules(compacted=True)


def test_a_worker_refuses_what_inflates_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "WORKER_OUTPUT", 1 << 20)
    bomb = build_batch([Record(0, 0, None, bytes(2 << 20))], base_offset=0, codec=Codec.ZSTD)
    with pytest.raises(KafkaError) as caught:
        validate(bomb, Rules(), NOW)
    assert caught.value.code == ErrorCode.MESSAGE_TOO_LARGE
