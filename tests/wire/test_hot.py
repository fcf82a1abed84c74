"""What has a way of its own gives what the ordinary way gives."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest

from broker.wire import codec
from broker.wire.compiler import reader
from broker.wire.errors import Malformed
from broker.wire.hot import fetch_reply, hot_reader, produce_reply
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from broker.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from broker.wire.schema import shape_of
from tests.wire.random_messages import random_message

RECORDS = (b"", b"x", bytes(126), bytes(127), bytes(9000), bytes(70_000))


def hot_read(version: int, payload: bytes | bytearray | memoryview) -> ProduceRequest:
    read = hot_reader(ApiKey.PRODUCE, version) or reader(shape_of(ProduceRequest), version)
    try:
        request, at = read(payload, 0, len(payload))
    except (IndexError, codec.struct.error) as error:
        raise Malformed(str(error)) from error
    assert at <= len(payload)
    assert isinstance(request, ProduceRequest)
    return request


@pytest.mark.parametrize("version", range(12))
def test_every_produce_is_read_as_the_codec_reads_it(version: int) -> None:
    random = Random(version)
    common = [
        ProduceRequest(
            acks=-1,
            timeout_ms=30_000,
            topic_data=[TopicProduceData(name=name, partition_data=[PartitionProduceData(index=7, records=records)])],
        )
        for name in ("t", "größe", "n" * 126, "n" * 127, "n" * 249)
        for records in RECORDS
    ]
    for message in common + [random_message(ProduceRequest, version, random, most=2) for _ in range(200)]:
        written = codec.write(message, version)
        for buffer in (written, bytearray(written), memoryview(bytearray(written + b"behind"))):
            assert hot_read(version, buffer) == codec.read(ProduceRequest, version, buffer) == message


@pytest.mark.parametrize("version", range(12))
def test_a_produce_that_is_cut_or_lies_is_refused_as_the_codec_refuses_it(version: int) -> None:
    data = [PartitionProduceData(index=7, records=bytes(200))]
    written = codec.write(ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=data)]), version)
    for length in range(len(written)):
        with pytest.raises(Malformed):
            hot_read(version, written[:length])
    random = Random(3)
    for _ in range(500):
        lying = bytearray(written)
        lying[random.randrange(30)] = random.choice((0, 1, 2, 127, 128, 255))
        outcomes = []
        for read in (hot_read, lambda version, payload: codec.read(ProduceRequest, version, payload)):
            try:
                outcomes.append(read(version, lying))
            except Malformed:
                outcomes.append(None)
        assert outcomes[0] == outcomes[1]


def test_unknown_tags_of_a_produce_are_skipped() -> None:
    data = [PartitionProduceData(index=7, records=b"abc")]
    message = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=data)])
    written = codec.write(message, 9)
    assert written.endswith(b"abc\0\0\0")
    tag = b"\x01\x63\x02zz"
    for tags in ((tag, b"\0", b"\0"), (b"\0", tag, b"\0"), (b"\0", b"\0", tag)):
        assert hot_read(9, written[:-3] + b"".join(tags)) == message


@pytest.mark.parametrize("version", range(12))
def test_a_produce_reply_is_what_the_codec_writes(version: int) -> None:
    for topic in ("t", "größe", "n" * 126, "n" * 249):
        row = PartitionProduceResponse(
            index=3, error_code=0, base_offset=1 << 40, log_append_time_ms=5, log_start_offset=6
        )
        topics = [TopicProduceResponse(name=topic, partition_responses=[row])]
        body = ProduceResponse(responses=topics, throttle_time_ms=9)
        expected = codec.encode_response(ApiKey.PRODUCE, version, 77, body)
        assert produce_reply(version, 77, topic, 3, 0, 1 << 40, 5, 6, 9) == expected


@pytest.mark.parametrize("version", range(18))
@pytest.mark.parametrize("records", RECORDS, ids=len)
def test_a_fetch_reply_is_what_the_codec_writes(version: int, records: bytes) -> None:
    topic_id = UUID(int=0x1234)
    row = PartitionData(
        partition_index=3,
        error_code=1,
        high_watermark=10,
        last_stable_offset=9,
        log_start_offset=8,
        aborted_transactions=None,
        preferred_read_replica=2,
        records=records,
    )
    topics = [FetchableTopicResponse(topic="orders", topic_id=topic_id, partitions=[row])]
    body = FetchResponse(throttle_time_ms=5, session_id=6, responses=topics)
    expected = codec.encode_response(ApiKey.FETCH, version, 77, body)
    parts = fetch_reply(version, 77, 6, "orders", topic_id, 3, 1, 10, 9, 8, records, 2, 5)
    assert b"".join(parts) == expected
    assert len(parts) == 1 or any(part is records for part in parts)
    row.aborted_transactions = []
    expected = codec.encode_response(ApiKey.FETCH, version, 77, body)
    parts = fetch_reply(version, 77, 6, "orders", topic_id, 3, 1, 10, 9, 8, records, 2, 5, committed=True)
    assert b"".join(parts) == expected
