"""A raw Kafka connection for load: prepared frames out, replies matched by order, nothing decoded that need not be."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from broker.wire.codec import decode_response, encode_request
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.wire.messages.delete_topics import DeleteTopicsRequest
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch

PRODUCE, FETCH, METADATA, CREATE_TOPICS, DELETE_TOPICS = 8, 11, 8, 4, 3
CLIENT_ID = "bench"
NOW_MS = int(time.time() * 1000)
"""Of every record: what is older than a week would be deleted 30 s after a broker's start."""


class Connection(asyncio.Protocol):
    """One connection; :meth:`send` takes a whole frame and calls back with the reply's payload, in order."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = asyncio.Event()
        self._buffer = bytearray()
        self._waiting: deque[Callable[[bytes], None]] = deque()
        self._failed: deque[asyncio.Future[bytes]] = deque()

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        for future in self._failed:
            if not future.done():
                future.set_exception(ConnectionResetError("the broker closed the connection"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at, end = 0, len(buffer)
        while end - at >= 4:
            size = int.from_bytes(buffer[at : at + 4], "big")
            if end - at - 4 < size:
                break
            self._waiting.popleft()(bytes(memoryview(buffer)[at + 4 : at + 4 + size]))
            at += 4 + size
        if at:
            del buffer[:at]

    def send(self, frame: bytes, on_reply: Callable[[bytes], None]) -> None:
        self._waiting.append(on_reply)
        self.transport.write(frame)

    async def call(self, frame: bytes) -> bytes:
        if self.lost.is_set():
            raise ConnectionResetError("the broker closed the connection")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._failed.append(future)

        def answered(payload: bytes) -> None:
            if not future.done():
                future.set_result(payload)

        self.send(frame, answered)
        try:
            return await future
        finally:
            self._failed.remove(future)

    async def request(self, key: ApiKey, version: int, body: Any) -> Any:
        payload = await self.call(encode_request(key, version, 1, CLIENT_ID, body))
        return decode_response(key, version, payload)[1]

    def close(self) -> None:
        self.transport.close()


def batch_of(size: int, record: int = 100) -> bytes:
    """One v2 batch of about ``size`` bytes, in records of ``record`` bytes."""
    count = max(1, size // (record + 8))
    value = bytes(i * 31 & 0xFF for i in range(record))
    return bytes(
        build_batch([Record(offset=i, timestamp=NOW_MS, key=None, value=value, headers=()) for i in range(count)])
    )


def mixed_batch(size: int) -> bytes:
    """One v2 batch of about ``size`` bytes, in records of 20 to 180 bytes with keys."""
    dice = random.Random(1)
    count = size // 116
    values = [bytes(dice.randrange(20, 181)) for _ in range(count)]
    return bytes(
        build_batch([Record(i, NOW_MS + i // 100, b"key-%d" % (i % 1000), value) for i, value in enumerate(values)])
    )


def produce_frame(topic: str, partitions: list[int], batch: bytes, acks: int) -> bytes:
    data = [PartitionProduceData(index=p, records=batch) for p in partitions]
    body = ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[TopicProduceData(name=topic, partition_data=data)])
    return encode_request(ApiKey.PRODUCE, PRODUCE, 1, CLIENT_ID, body)


def produce_error(payload: bytes) -> int:
    """The error of the first partition of a Produce v8 reply, without decoding the rest."""
    (name_length,) = struct.unpack_from(">h", payload, 8)
    (error,) = struct.unpack_from(">h", payload, 10 + name_length + 8)
    return int(error)


def produced_offset(payload: bytes) -> int:
    (name_length,) = struct.unpack_from(">h", payload, 8)
    (offset,) = struct.unpack_from(">q", payload, 10 + name_length + 10)
    return int(offset)


def fetch_frame(topic: str, partition: int, offset: int, max_bytes: int, max_wait_ms: int = 500) -> bytes:
    body = FetchRequest(
        replica_id=-1,
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=max_bytes,
        session_id=0,
        session_epoch=-1,
        topics=[
            FetchTopic(
                topic=topic,
                partitions=[FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=max_bytes)],
            )
        ],
    )
    return encode_request(ApiKey.FETCH, FETCH, 1, CLIENT_ID, body)


def metadata_frame(topics: list[str] | None) -> bytes:
    named = None if topics is None else [MetadataRequestTopic(name=name) for name in topics]
    body = MetadataRequest(topics=named, allow_auto_topic_creation=False)
    return encode_request(ApiKey.METADATA, METADATA, 1, CLIENT_ID, body)


async def metadata(port: int, topics: list[str] | None = None) -> MetadataResponse:
    """Ask one broker on a connection of its own."""
    connection = await Connection.open(port)
    try:
        reply = decode_response(ApiKey.METADATA, METADATA, await connection.call(metadata_frame(topics)))[1]
    finally:
        connection.close()
    assert isinstance(reply, MetadataResponse)
    return reply


async def create_topic(port: int, topic: str, partitions: int, replicas: int, **configs: str) -> None:
    """Create through the controller and wait until every partition has a leader in that broker's metadata."""
    from broker.wire.messages.create_topics import CreatableTopicConfig

    view = await metadata(port, [])
    controller = next(b.port for b in view.brokers if b.node_id == view.controller_id)
    connection = await Connection.open(controller)
    wanted = CreatableTopic(
        name=topic,
        num_partitions=partitions,
        replication_factor=replicas,
        configs=[CreatableTopicConfig(name=k.replace("_", "."), value=v) for k, v in configs.items()],
    )
    body = CreateTopicsRequest(topics=[wanted], timeout_ms=60_000)
    reply: CreateTopicsResponse = await connection.request(ApiKey.CREATE_TOPICS, CREATE_TOPICS, body)
    connection.close()
    assert reply.topics[0].error_code == 0, f"creating {topic}: error {reply.topics[0].error_code}"


async def leader_port(port: int, topic: str, partition: int = 0) -> int:
    """The port of the partition's leader; waits until there is one that is alive."""
    while True:
        view = await metadata(port, [topic])
        ports = {b.node_id: b.port for b in view.brokers}
        for found in view.topics[0].partitions:
            if found.partition_index == partition and found.leader_id in ports:
                return ports[found.leader_id]
        await asyncio.sleep(0.05)


async def until_led(ports: list[int], topic: str, partitions: int) -> None:
    """Wait until every broker's metadata has a leader, which is alive, for each of the topic's partitions."""
    for port in ports:
        while True:
            view = await metadata(port, [topic])
            alive = {broker.node_id for broker in view.brokers}
            led = [found for found in view.topics[0].partitions if found.leader_id in alive and not found.error_code]
            if len(led) == partitions:
                break
            await asyncio.sleep(0.01)


async def delete_topics(port: int, topics: list[str]) -> None:
    """Delete through the controller; what went already is no error."""
    view = await metadata(port, [])
    controller = next(b.port for b in view.brokers if b.node_id == view.controller_id)
    connection = await Connection.open(controller)
    body = DeleteTopicsRequest(topic_names=topics, timeout_ms=60_000)
    await connection.request(ApiKey.DELETE_TOPICS, DELETE_TOPICS, body)
    connection.close()
