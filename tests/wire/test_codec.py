"""The codec on its own: every version of every message there and back, unknown tags, and bytes that lie."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any
from uuid import UUID

import pytest

from broker.wire import codec, schema
from broker.wire.errors import Malformed
from broker.wire.keys import ApiKey, is_flexible, newest_version
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ReplicaState
from broker.wire.messages.leader_and_isr import LeaderAndIsrRequest
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.schema import Array, Field, Kind, shape_of
from tests.wire.random_messages import random_message

KEYS = list(ApiKey)


def classes(key: ApiKey) -> list[tuple[type, int]]:
    both = (codec.request_class(key), codec.response_class(key))
    return [(cls, version) for cls in both for version in range(newest_version(key) + 1)]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_version_comes_back_as_it_went(key: ApiKey) -> None:
    for cls, version in classes(key):
        for seed in range(5):
            message = random_message(cls, version, Random(seed))
            written = codec.write(message, version)
            for buffer in (written, bytearray(written), memoryview(b"xx" + written)[2:]):
                assert codec.read(cls, version, buffer) == message


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_classes_and_the_table_of_keys_agree(key: ApiKey) -> None:
    for cls in (codec.request_class(key), codec.response_class(key)):
        shape = shape_of(cls)
        assert shape.key == key
        assert shape.versions == (0, newest_version(key))
        for version in range(newest_version(key) + 1):
            assert shape.is_flexible(version) == is_flexible(key, version)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_a_message_cut_anywhere_is_malformed(key: ApiKey) -> None:
    for cls, version in classes(key):
        written = codec.write(random_message(cls, version, Random(version), most=2), version)
        for length in range(len(written)):
            with pytest.raises(Malformed):
                codec.read(cls, version, written[:length])


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_bytes_that_lie_give_a_message_or_malformed_and_no_other_end(key: ApiKey) -> None:
    random = Random(7)
    for cls, version in classes(key):
        written = codec.write(random_message(cls, version, random, most=2), version)
        for _ in range(40):
            lying = bytearray(written)
            at = random.randrange(len(lying) + 1)
            lying[at : at + 4] = random.choice(
                (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\x07", b"\x80")
            )
            try:
                codec.read(cls, version, lying)
            except Malformed:
                continue


@cache
def with_unknown_tags(cls: type) -> type:
    """A class like ``cls`` whose every struct carries two tagged fields that ``cls`` has never heard of."""
    fields = []
    for field in shape_of(cls).fields:
        type_ = field.type.element if isinstance(field.type, Array) else field.type
        if not isinstance(type_, Kind):
            other = with_unknown_tags(type_)
            type_ = Array(other) if isinstance(field.type, Array) else other
            field = Field(field.name, type_, *[getattr(field, name) for name in Field.__slots__[2:]])
        fields.append(field)
    every = (0, schema.HIGHEST)
    fields += [
        Field("unknown_small", schema.INT32, every, schema.NEVER, every, 100, 0),
        Field("unknown_large", schema.STRING, every, schema.NEVER, every, 20_000, ""),
    ]
    made = type(cls.__name__, (), {"__slots__": tuple(field.name for field in fields), "__init__": schema._first_init})
    shape = shape_of(cls)
    made.SHAPE = schema.Shape(made, tuple(fields), shape.key, shape.versions, shape.flexible)  # type: ignore[attr-defined]
    return made


def translate(message: Any, cls: type) -> Any:
    """``message`` as an object of ``cls``, with something in the unknown fields."""
    values: dict[str, Any] = {"unknown_small": 7, "unknown_large": "u" * 200}
    for field in shape_of(type(message)).fields:
        value = getattr(message, field.name)
        target = next(each.type for each in shape_of(cls).fields if each.name == field.name)
        if isinstance(value, list) and not isinstance(target.element, Kind):
            value = [translate(each, target.element) for each in value]
        elif value is not None and not isinstance(target, Kind | Array):
            value = translate(value, target)
        values[field.name] = value
    return cls(**values)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_unknown_tagged_fields_are_skipped_at_every_level_of_every_flexible_version(key: ApiKey) -> None:
    for cls, version in classes(key):
        if not is_flexible(key, version):
            continue
        message = random_message(cls, version, Random(version))
        other = with_unknown_tags(cls)
        written = codec.write(translate(message, other), version)
        assert len(written) > len(codec.write(message, version)) + 200
        assert codec.read(cls, version, written) == message


def test_a_count_of_two_billion_costs_nothing() -> None:
    with pytest.raises(Malformed, match="2147483647 announced, 1 bytes left"):
        codec.read(MetadataRequest, 0, b"\x7f\xff\xff\xff\x00")
    with pytest.raises(Malformed):
        codec.read(MetadataRequest, 9, b"\xff\xff\xff\xff\x0f\x00")
    with pytest.raises(Malformed):
        codec.read(ProduceRequest, 3, b"\xff\xff\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01t\x7f\xff\xff\xff")


def test_null_is_refused_where_a_version_has_none_and_kept_where_it_has() -> None:
    assert codec.read(MetadataRequest, 1, b"\xff\xff\xff\xff").topics is None
    with pytest.raises(Malformed, match="null"):
        codec.read(MetadataRequest, 0, b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match="version 0 cannot carry"):
        codec.write(MetadataRequest(topics=None), 0)
    by_id = MetadataRequest(topics=[MetadataRequestTopic(topic_id=UUID(int=5), name=None)])
    assert codec.read(MetadataRequest, 12, codec.write(by_id, 12)) == by_id


def test_fields_that_a_version_lacks_are_left_out_and_read_as_defaults() -> None:
    reply = MetadataResponse(
        throttle_time_ms=9, cluster_id="c", topics=[MetadataResponseTopic(name="t", is_internal=True)]
    )
    old = codec.read(MetadataResponse, 0, codec.write(reply, 0))
    assert (old.throttle_time_ms, old.cluster_id, old.topics[0].is_internal) == (0, None, False)
    assert old.topics[0].name == "t"


def test_a_message_has_kafkas_defaults_and_fresh_lists() -> None:
    one, other = FetchRequest(), FetchRequest()
    assert (one.replica_id, one.max_bytes, one.session_epoch, one.replica_state) == (-1, 0x7FFFFFFF, -1, ReplicaState())
    one.topics.append(FetchTopic(topic="t", partitions=[FetchPartition(partition=1)]))
    assert other.topics == []
    assert one != other
    assert repr(one) == "FetchRequest(topics=[FetchTopic(topic='t', partitions=[FetchPartition(partition=1)])])"
    with pytest.raises(TypeError):
        FetchRequest(topic="t")  # type: ignore[call-arg]


def test_records_are_views_of_the_frame_and_other_bytes_are_copies() -> None:
    data = PartitionProduceData(index=1, records=b"batch")
    frame = bytearray(codec.write(ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=[data])]), 9))
    records = codec.read(ProduceRequest, 9, frame).topic_data[0].partition_data[0].records
    assert isinstance(records, memoryview) and records.obj is frame
    records[0:1] = b"B"
    assert b"Batch" in frame


def test_text_that_is_not_utf_8_is_read_as_java_reads_it() -> None:
    assert codec.read(MetadataRequest, 0, b"\x00\x00\x00\x01\x00\x02a\xff").topics == [
        MetadataRequestTopic(name="a\ufffd")
    ]


def test_trailing_bytes_are_ignored() -> None:
    assert codec.read(LeaderAndIsrRequest, 4, codec.write(LeaderAndIsrRequest(), 4) + b"more") == LeaderAndIsrRequest()


def test_request_headers_are_0_1_or_2_as_the_version_asks() -> None:
    cases = ((7, 0, 0), (7, 1, 1), (7, 3, 2), (18, 2, 1), (18, 3, 2), (0, 8, 1), (0, 9, 2), (17, 1, 1))
    for key, version, expected in cases:
        assert codec.request_header_version(key, version) == expected
        body = codec.request_class(key)()
        frame = codec.encode_request(key, version, 77, None if expected == 0 else "me", body)
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        header = codec.decode_request_header(frame[4:])
        assert header[:4] == (key, version, 77, None if expected == 0 else "me")
        assert codec.decode_request(header, frame[4:]) == body


def test_a_header_may_have_no_client_id_and_unknown_tags() -> None:
    header = codec.decode_request_header(b"\x00\x03\x00\x09\x00\x00\x00\x05\xff\xff\x02\x00\x01z\x05\x02yy body")
    assert header == (3, 9, 5, None, 18)


def test_an_unknown_api_has_a_header_that_can_be_read() -> None:
    assert codec.decode_request_header(b"\x7f\x00\x00\x09\x00\x00\x00\x05\x00\x02me rest") == (0x7F00, 9, 5, "me", 12)


def test_a_header_cut_anywhere_is_malformed() -> None:
    whole = b"\x00\x03\x00\x09\x00\x00\x00\x05\x00\x02me\x01\x00\x01z"
    assert codec.decode_request_header(whole).body_at == len(whole)
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            codec.decode_request_header(whole[:length])


def test_reply_headers_are_flexible_but_for_api_versions() -> None:
    for key, version, size in ((3, 8, 4), (3, 9, 5), (18, 3, 4), (18, 4, 4)):
        body = codec.response_class(key)()
        frame = codec.encode_response(key, version, 9, body)
        assert len(frame) == 4 + size + len(codec.write(body, version))
        assert codec.decode_response(key, version, frame[4:]) == (9, body)


def test_large_records_leave_as_they_are() -> None:
    from broker.wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData

    for version in range(18):
        large, small = bytes(100_000), b"small"
        rows = [PartitionData(partition_index=i, records=each) for i, each in enumerate((large, small, None, large))]
        body = FetchResponse(responses=[FetchableTopicResponse(topic="t", topic_id=UUID(int=1), partitions=rows)])
        parts = codec.encode_response_parts(1, version, 3, body)
        assert b"".join(parts) == codec.encode_response(1, version, 3, body)
        assert sum(part is large for part in parts) == 2
