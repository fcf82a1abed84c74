"""What bounds a broker's memory, whatever its clients do; each bound is a setting."""

from __future__ import annotations

import asyncio
import struct
import time

import pytest

from broker.api.context import Context, Later
from broker.config import ConfigError, KafkaConfig
from broker.network.connection import MOST_UNSENT, Connection
from broker.network.memory import RequestMemory
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchableTopicResponse, FetchRequest, FetchResponse, PartitionData
from broker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from tests.network.world import Client, World, until, world

MB = 1_000_000


def produced(ctx: Context, request: ProduceRequest) -> ProduceResponse:
    return ProduceResponse()


def large_produce(size: int = MB) -> ProduceRequest:
    data = [PartitionProduceData(index=0, records=bytes(size))]
    return ProduceRequest(acks=1, topic_data=[TopicProduceData(name="orders", partition_data=data)])


async def the_connection(there: World) -> Connection:
    await until(lambda: bool(there.server.connections))
    return there.server.connections[-1]


async def begin(client: Client, announced: int, sent: int) -> None:
    """Announce a frame, and send some of it."""
    client.writer.write(struct.pack(">i", announced) + bytes(sent))
    await client.writer.drain()


async def test_a_frame_that_is_announced_and_not_sent_costs_what_was_sent() -> None:
    async with world({ApiKey.PRODUCE: produced}) as there:
        client = await there.client()
        await begin(client, 100 * MB, 1000)
        connection = await the_connection(there)
        await until(lambda: connection.frames.untaken == 1004)
        assert connection.frames.memory <= 4096
        await begin(client, 0, 200_000 - 4)
        await until(lambda: connection.frames.untaken == 201_004)
        assert connection.frames.memory < 3 * 201_004


async def test_socket_request_max_bytes_is_the_most_that_a_request_may_cost() -> None:
    async with world({ApiKey.PRODUCE: produced}, socket_request_max_bytes=MB) as there:
        refused = await there.client()
        await begin(refused, MB + 1, 100)
        assert await refused.at_end()
        taken = await there.client()
        assert isinstance(await taken.call(ApiKey.PRODUCE, 8, large_produce(MB - 100)), ProduceResponse)
        assert (await the_connection(there)).frames.memory <= 2.2 * MB


async def test_idle_connections_cost_four_kilobytes_each_however_large_their_requests_were() -> None:
    async with world({ApiKey.PRODUCE: produced}, max_connections=101) as there:
        clients = [await there.client() for _ in range(100)]
        for client in clients:
            await client.call(ApiKey.PRODUCE, 8, large_produce(100_000))
        assert sum(connection.frames.memory for connection in there.server.connections) > 100 * 100_000
        for connection in there.server.connections:
            connection.tidy(time.monotonic() + 60, 600, 10)
        assert sum(connection.frames.memory for connection in there.server.connections) == 100 * 4096
        await there.client()
        assert await (await there.client()).at_end(), "max.connections"
        await clients[0].call(ApiKey.PRODUCE, 8, large_produce(100_000))


async def test_a_client_that_does_not_read_costs_no_more_than_one_reply_beyond_the_bound() -> None:
    size = 200_000
    rows = [PartitionData(partition_index=0, records=bytes(size))]
    reply = FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=rows)])

    def fetch(ctx: Context, request: FetchRequest) -> FetchResponse:
        return reply

    async with world({ApiKey.FETCH: fetch}) as there:
        client = await there.client()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(200):
            client.send(ApiKey.FETCH, 4, FetchRequest(), number)
        connection = await the_connection(there)
        transport = connection._transport
        assert transport is not None
        await until(lambda: transport.get_write_buffer_size() > MOST_UNSENT)
        await asyncio.sleep(0.05)
        assert transport.get_write_buffer_size() <= MOST_UNSENT + size + 1000
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await client.receive())[0] for _ in range(200)] == list(range(200))


async def test_queued_max_requests_bounds_what_is_under_way_on_a_connection() -> None:
    waiting: list[Later] = []

    def handler(ctx: Context, request: HeartbeatRequest) -> Later:
        waiting.append(Later())
        return waiting[-1]

    async with world({ApiKey.HEARTBEAT: handler}, queued_max_requests=7) as there:
        client = await there.client()
        for number in range(20):
            client.send(ApiKey.HEARTBEAT, 0, HeartbeatRequest(), number)
        await until(lambda: len(waiting) == 7)
        connection = await the_connection(there)
        assert connection.waiting == 7
        for number in range(20):
            waiting[number].complete(HeartbeatResponse())
            assert (await client.receive())[0] == number
            assert connection.waiting <= 7


async def test_queued_max_request_bytes_bounds_all_that_is_being_received() -> None:
    bounds = {"queued_max_request_bytes": 2 * MB, "socket_request_max_bytes": MB}
    async with world({ApiKey.PRODUCE: produced}, **bounds) as there:
        stalled = [await there.client() for _ in range(8)]
        for client in stalled:
            await begin(client, MB, 300_000)
        quick = await there.client()
        quick.send(ApiKey.PRODUCE, 8, ProduceRequest(acks=1, topic_data=[]))
        assert isinstance((await quick.receive())[1], ProduceResponse), "small requests go on"
        await until(lambda: sum(c.frames.untaken > 290_000 for c in there.server.connections) == 2)
        await asyncio.sleep(0.05)
        held = sorted(connection.frames.untaken for connection in there.server.connections)
        assert held[-2:] == [300_004] * 2 and held[-3] <= 64 * 1024, held

        for number, client in enumerate(stalled):  # each that goes, in its turn, lets another one go on
            if number % 2:
                client.writer.transport.abort()
        await until(lambda: sum(c.frames.untaken > 290_000 for c in there.server.connections) == 2)
        for number, client in enumerate(stalled):
            if not number % 2:
                client.writer.transport.abort()
        last = await there.client()
        assert isinstance(await last.call(ApiKey.PRODUCE, 8, large_produce(MB - 100)), ProduceResponse)
        assert isinstance(await last.call(ApiKey.PRODUCE, 8, large_produce(MB - 100)), ProduceResponse)


def test_whoever_waits_for_memory_is_served_in_order_and_may_leave() -> None:
    memory = RequestMemory(100)
    told: list[str] = []
    tries = {name: (lambda name=name: told.append(name)) for name in "abc"}
    assert memory.reserve(90, tries["a"]) and memory.reserve(90, tries["a"]), "any size, while something is left"
    assert not memory.reserve(1, tries["b"]) and not memory.reserve(1, tries["c"]) and not memory.reserve(1, tries["a"])
    memory.forget(tries["c"])
    memory.release(70)
    assert told == []
    memory.release(20)
    assert told == ["b", "a"]


def test_a_bound_below_one_request_is_refused_as_kafka_refuses_it() -> None:
    with pytest.raises(ConfigError, match=r"queued\.max\.request\.bytes"):
        KafkaConfig.of(1, queued_max_request_bytes=1000)
