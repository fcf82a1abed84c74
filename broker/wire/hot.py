"""Ways of their own for what a broker does most: Produce and Fetch of one partition (there is no such class in Kafka).

Measured on 2 cores, Python 3.11, beside the compiled codec: reading a Produce of 100 B 0.95 µs (1.45), the reply to it
0.4 µs (2.7 with its objects), the reply to a Fetch 0.8 µs (4.6). A Fetch request is read by the compiled reader, in
1.4 to 1.9 µs. Results are the same objects and the same bytes in every version; what is not of the common form goes the
ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Any, Final
from uuid import UUID

from broker.wire.codec import encode_response, encode_response_parts
from broker.wire.compiler import reader
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
from broker.wire.primitives import more_uvarint, uvarint
from broker.wire.schema import shape_of

Buffer = bytes | bytearray | memoryview
RequestReader = Callable[[Any, int, int], tuple[Any, int]]

COPIED: Final = 8192
"""Records up to this size are copied into the reply: one part is sent faster than three."""


def hot_reader(api_key: int, version: int) -> RequestReader | None:
    """``read(buffer, position, end) -> (request, position behind it)`` of an API that has a reader here."""
    if api_key != ApiKey.PRODUCE or version < 3:
        return None
    ordinary = reader(shape_of(ProduceRequest), version)
    return _compact_produce(ordinary) if version >= 9 else _plain_produce(ordinary)


def _plain_produce(ordinary: RequestReader) -> RequestReader:
    head = Struct(">hhiih").unpack_from  # transactional id's length, acks, timeout, topics, the name's length
    partition = Struct(">iii").unpack_from  # partitions, index, the records' length

    def read(buf: Any, pos: int, end: int) -> tuple[ProduceRequest, int]:
        if end - pos < 26:
            return ordinary(buf, pos, end)
        transactional, acks, timeout_ms, topics, length = head(buf, pos)
        stop = pos + 14 + length
        if transactional != -1 or topics != 1 or length < 0 or stop + 12 > end:
            return ordinary(buf, pos, end)
        partitions, index, size = partition(buf, stop)
        at = stop + 12
        if partitions != 1 or size < 0 or at + size > end:
            return ordinary(buf, pos, end)
        name = str(buf[pos + 14 : stop], "utf-8", "replace")
        return _request(acks, timeout_ms, name, index, memoryview(buf)[at : at + size]), at + size

    return read


def _compact_produce(ordinary: RequestReader) -> RequestReader:
    head = Struct(">BhiBB").unpack_from
    partition = Struct(">BiB").unpack_from

    def read(buf: Any, pos: int, end: int) -> tuple[ProduceRequest, int]:
        if end - pos < 18:
            return ordinary(buf, pos, end)
        transactional, acks, timeout_ms, topics, length = head(buf, pos)
        stop = pos + 8 + length
        if transactional or topics != 2 or not 0 < length < 128 or stop + 9 > end:
            return ordinary(buf, pos, end)
        partitions, index, size = partition(buf, stop)
        at = stop + 6
        if size > 127:
            size, at = more_uvarint(buf, at, size)
        done = at + size - 1
        if partitions != 2 or not size or done + 3 > end or buf[done] or buf[done + 1] or buf[done + 2]:
            return ordinary(buf, pos, end)
        name = str(buf[pos + 9 : stop], "utf-8", "replace")
        return _request(acks, timeout_ms, name, index, memoryview(buf)[at:done]), done + 3

    return read


def _request(acks: int, timeout_ms: int, name: str, index: int, records: memoryview) -> ProduceRequest:
    data = PartitionProduceData.__new__(PartitionProduceData)
    data.index, data.records = index, records
    topic = TopicProduceData.__new__(TopicProduceData)
    topic.name, topic.partition_data = name, [data]
    request = ProduceRequest.__new__(ProduceRequest)
    request.transactional_id, request.acks, request.timeout_ms, request.topic_data = None, acks, timeout_ms, [topic]
    return request


_FRAME: Final = Struct(">ii").pack
_FLEXIBLE_FRAME: Final = Struct(">iix").pack
_PRODUCED: Final = Struct(">ihqqqi").pack
_PRODUCED_8: Final = Struct(">ihqqqihi").pack
_PRODUCED_9: Final = Struct(">ihqqqBxxxix").pack


def produce_reply(
    version: int,
    correlation_id: int,
    topic: str,
    partition: int,
    error_code: int,
    base_offset: int,
    log_append_time_ms: int = -1,
    log_start_offset: int = -1,
    throttle_time_ms: int = 0,
) -> bytes:
    """The whole frame of a Produce reply with one partition and no message."""
    if version < 5:
        row = PartitionProduceResponse(
            index=partition,
            error_code=error_code,
            base_offset=base_offset,
            log_append_time_ms=log_append_time_ms,
            log_start_offset=log_start_offset,
        )
        responses = [TopicProduceResponse(name=topic, partition_responses=[row])]
        body = ProduceResponse(responses=responses, throttle_time_ms=throttle_time_ms)
        return encode_response(ApiKey.PRODUCE, version, correlation_id, body)
    if version >= 9:
        head = compact_topic(topic)
        tail = _PRODUCED_9(
            partition, error_code, base_offset, log_append_time_ms, log_start_offset, 1, throttle_time_ms
        )
        return _FLEXIBLE_FRAME(5 + len(head) + len(tail), correlation_id) + head + tail
    head = plain_topic(topic)
    values = (partition, error_code, base_offset, log_append_time_ms, log_start_offset)
    tail = _PRODUCED_8(*values, 0, -1, throttle_time_ms) if version == 8 else _PRODUCED(*values, throttle_time_ms)
    return _FRAME(4 + len(head) + len(tail), correlation_id) + head + tail


@lru_cache(maxsize=4096)
def plain_topic(topic: str) -> bytes:
    """One topic, its name, one partition, as int32 counts and an int16 length."""
    name = topic.encode()
    return b"\0\0\0\1" + len(name).to_bytes(2, "big") + name + b"\0\0\0\1"


@lru_cache(maxsize=4096)
def compact_topic(topic: str | UUID) -> bytes:
    """One topic, its name or id, one partition, as compact counts."""
    if isinstance(topic, UUID):
        return b"\2" + topic.bytes + b"\2"
    name = topic.encode()
    return b"\2" + uvarint(len(name) + 1) + name + b"\2"


_FETCHED_7: Final = Struct(">ihqqqii").pack  # index, error, high watermark, stable, start, aborted, records
_FETCHED_11: Final = Struct(">ihqqqiii").pack
_FETCHED_12: Final = Struct(">ihqqqbi").pack
_FETCH_FRAME: Final = Struct(">iiihi").pack
_FLEXIBLE_FETCH_FRAME: Final = Struct(">iixihi").pack


def fetch_reply(
    version: int,
    correlation_id: int,
    session_id: int,
    topic: str,
    topic_id: UUID,
    partition: int,
    error_code: int,
    high_watermark: int,
    last_stable_offset: int,
    log_start_offset: int,
    records: Buffer,
    preferred_read_replica: int = -1,
    throttle_time_ms: int = 0,
    *,
    committed: bool = False,
) -> list[Buffer]:
    """The frame, in parts, of a Fetch reply with one partition and no tagged fields.

    The aborted transactions are none, as an empty list if ``committed``, else as null.
    """
    if version < 7:
        row = PartitionData(
            partition_index=partition,
            error_code=error_code,
            high_watermark=high_watermark,
            last_stable_offset=last_stable_offset,
            log_start_offset=log_start_offset,
            aborted_transactions=[] if committed else None,
            records=records,
        )
        responses = [FetchableTopicResponse(topic=topic, partitions=[row])]
        body = FetchResponse(throttle_time_ms=throttle_time_ms, responses=responses)
        return list(encode_response_parts(ApiKey.FETCH, version, correlation_id, body))
    size = len(records)
    values = (partition, error_code, high_watermark, last_stable_offset, log_start_offset)
    if version >= 12:
        head = compact_topic(topic if version == 12 else topic_id)
        row_bytes = _FETCHED_12(*values, committed, preferred_read_replica) + uvarint(size + 1)
        length = 18 + len(head) + len(row_bytes) + size
        front = _FLEXIBLE_FETCH_FRAME(length, correlation_id, throttle_time_ms, 0, session_id) + head + row_bytes
        return [front, records, b"\0\0\0"] if size > COPIED else [b"".join((front, records, b"\0\0\0"))]
    head = plain_topic(topic)
    if version == 11:
        row_bytes = _FETCHED_11(*values, committed - 1, preferred_read_replica, size)
    else:
        row_bytes = _FETCHED_7(*values, committed - 1, size)
    length = 14 + len(head) + len(row_bytes) + size
    front = _FETCH_FRAME(length, correlation_id, throttle_time_ms, 0, session_id) + head + row_bytes
    return [front, records] if size > COPIED else [b"".join((front, records))]
