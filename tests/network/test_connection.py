"""Order, holding, back-pressure and the end of connections, on a real loopback listener."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest

from broker.api.cluster import api_versions
from broker.api.context import NO_REPLY, Close, Context, Later
from broker.network.departures import TOGETHER, Departures
from broker.wire import codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from broker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from broker.wire.messages.fetch import (
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)
from broker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.wire.messages.metadata import MetadataRequest, MetadataResponse
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from tests.network.world import until, world


def produce_request(acks: int = -1) -> ProduceRequest:
    data = [PartitionProduceData(index=4, records=b"batch")]
    return ProduceRequest(acks=acks, topic_data=[TopicProduceData(name="orders", partition_data=data)])


def metadata(ctx: Context, request: MetadataRequest) -> MetadataResponse:
    return MetadataResponse(controller_id=len(request.topics or []))


async def test_a_request_is_answered_in_its_version() -> None:
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        for version in range(1, 13):
            assert (await client.call(ApiKey.METADATA, version, MetadataRequest())).controller_id == 0


async def test_a_handler_learns_where_a_request_came_from() -> None:
    seen: list[Context] = []

    def handler(ctx: Context, request: MetadataRequest) -> MetadataResponse:
        seen.append(ctx)
        return MetadataResponse()

    async with world({ApiKey.METADATA: handler}) as there:
        client = await there.client()
        await client.call(ApiKey.METADATA, 9, MetadataRequest())
        (ctx,) = seen
        assert (ctx.listener, ctx.principal, ctx.client_host) == ("PLAINTEXT", "User:ANONYMOUS", "127.0.0.1")
        assert (ctx.client_id, ctx.api_key, ctx.version) == ("test", ApiKey.METADATA, 9)
        assert ctx.connection.name.startswith(f"127.0.0.1:{there.server.port('PLAINTEXT')}-127.0.0.1:")


async def test_a_produce_that_waits_does_not_hold_up_the_append_of_the_next_and_replies_keep_their_order() -> None:
    waiting: list[Later] = []

    def produce(ctx: Context, request: ProduceRequest) -> Later:
        waiting.append(Later())
        return waiting[-1]

    async with world({ApiKey.PRODUCE: produce, ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        for number in range(3):
            client.send(ApiKey.PRODUCE, 9, produce_request(), number)
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 3)
        await until(lambda: len(waiting) == 3)
        waiting[2].complete(ProduceResponse(throttle_time_ms=2))
        waiting[0].complete(ProduceResponse(throttle_time_ms=0))
        waiting[1].complete(ProduceResponse(throttle_time_ms=1))
        answers = [await client.receive() for _ in range(4)]
        assert [number for number, _ in answers] == [0, 1, 2, 3]
        assert [body.throttle_time_ms for _, body in answers[:3]] == [0, 1, 2]


async def test_a_request_that_holds_is_answered_before_the_next_is_begun() -> None:
    begun: list[int] = []
    held: list[Later] = []

    def produce(ctx: Context, request: ProduceRequest) -> Later:
        begun.append(ctx.correlation_id)
        held.append(Later(holds=True))
        return held[-1]

    async with world({ApiKey.PRODUCE: produce}) as there:
        client = await there.client()
        client.send(ApiKey.PRODUCE, 9, produce_request(), 1)
        client.send(ApiKey.PRODUCE, 9, produce_request(), 2)
        await until(lambda: begun == [1])
        other = await there.client()
        other.send(ApiKey.PRODUCE, 9, produce_request(), 3)
        await until(lambda: begun == [1, 3])
        held[0].complete(ProduceResponse())
        await until(lambda: begun == [1, 3, 2])
        held[2].complete(ProduceResponse())
        assert [(await client.receive())[0] for _ in range(2)] == [1, 2]


async def test_a_coroutine_handler_holds_what_is_behind_it() -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def create_topics(ctx: Context, request: CreateTopicsRequest) -> CreateTopicsResponse:
        order.append("create begins")
        await gate.wait()
        order.append("create ends")
        return CreateTopicsResponse()

    def after(ctx: Context, request: MetadataRequest) -> MetadataResponse:
        order.append("metadata")
        return MetadataResponse()

    async with world({ApiKey.CREATE_TOPICS: create_topics, ApiKey.METADATA: after}) as there:
        client = await there.client()
        client.send(ApiKey.CREATE_TOPICS, 7, CreateTopicsRequest(), 1)
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 2)
        await until(lambda: order == ["create begins"])
        gate.set()
        assert [(await client.receive())[0] for _ in range(2)] == [1, 2]
        assert order == ["create begins", "create ends", "metadata"]


async def test_acks_0_gets_no_reply() -> None:
    async with world({ApiKey.PRODUCE: lambda ctx, request: NO_REPLY, ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        client.send(ApiKey.PRODUCE, 9, produce_request(0), 1)
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 2)
        assert (await client.receive())[0] == 2


async def test_acks_0_with_an_error_closes_without_a_reply() -> None:
    def produce(ctx: Context, request: ProduceRequest) -> Any:
        raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    async with world({ApiKey.PRODUCE: produce}) as there:
        client = await there.client()
        client.send(ApiKey.PRODUCE, 9, produce_request(0))
        assert await client.at_end()


async def test_a_handler_may_close_once_earlier_replies_are_out() -> None:
    waiting = Later()
    answers: list[Any] = [waiting, Close("enough")]
    async with world({ApiKey.METADATA: lambda ctx, request: answers.pop(0)}) as there:
        client = await there.client()
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 1)
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 2)
        client.send(ApiKey.METADATA, 9, MetadataRequest(), 3)
        await until(lambda: not answers)
        waiting.complete(MetadataResponse(controller_id=7))
        assert (await client.receive())[1].controller_id == 7
        assert await client.at_end()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_kafka_error_becomes_a_reply_and_the_connection_goes_on(waits: bool) -> None:
    def refuse(ctx: Context, request: CreateTopicsRequest) -> Any:
        raise KafkaError(ErrorCode.NOT_CONTROLLER, "ask another")

    async def refuse_later(ctx: Context, request: CreateTopicsRequest) -> Any:
        refuse(ctx, request)

    async with world({ApiKey.CREATE_TOPICS: refuse_later if waits else refuse}) as there:
        client = await there.client()
        for _ in range(2):
            reply = await client.call(ApiKey.CREATE_TOPICS, 7, CreateTopicsRequest(topics=[CreatableTopic(name="t")]))
            assert [(t.name, t.error_code, t.error_message) for t in reply.topics] == [("t", 41, "ask another")]


@pytest.mark.parametrize("waits", [False, True])
async def test_any_other_exception_is_logged_once_answered_and_ends_the_connection(
    waits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(ctx: Context, request: FetchRequest) -> Any:
        raise LookupError("our own fault")

    async def fail_later(ctx: Context, request: FetchRequest) -> Any:
        fail(ctx, request)

    async with world({ApiKey.FETCH: fail_later if waits else fail}) as there:
        client = await there.client()
        topics = [FetchTopic(topic="t", partitions=[FetchPartition(partition=3)])]
        reply = await client.call(ApiKey.FETCH, 4, FetchRequest(topics=topics))
        assert reply.responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_SERVER_ERROR
        assert await client.at_end()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "FETCH v4" in errors[0].message and "FetchTopic(topic='t'" in errors[0].message


async def test_a_reply_that_cannot_be_encoded_is_an_error_too(caplog: pytest.LogCaptureFixture) -> None:
    def handler(ctx: Context, request: HeartbeatRequest) -> HeartbeatResponse:
        return HeartbeatResponse(error_code=1 << 40)

    async with world({ApiKey.HEARTBEAT: handler}) as there:
        client = await there.client()
        assert (await client.call(ApiKey.HEARTBEAT, 4, HeartbeatRequest())).error_code == -1
        assert await client.at_end()


async def test_api_versions_is_answered_in_version_0_when_its_version_is_unknown() -> None:
    async with world({ApiKey.API_VERSIONS: api_versions}) as there:
        client = await there.client()
        body = codec.write(ApiVersionsRequest(client_software_name="x", client_software_version="1"), 3)
        header = b"\x00\x12\x00\x7f" + (77).to_bytes(4, "big") + b"\x00\x01x\x00"
        client.writer.write((len(header) + len(body)).to_bytes(4, "big") + header + body)
        payload = await client.receive_raw()
        reply = codec.read(ApiVersionsResponse, 0, payload, 4)
        assert (int.from_bytes(payload[:4], "big"), reply.error_code) == (77, ErrorCode.UNSUPPORTED_VERSION)
        assert [(each.api_key, each.min_version, each.max_version) for each in reply.api_keys] == [(18, 0, 4)]
        request = ApiVersionsRequest(client_software_name="x-y", client_software_version="1.0")
        assert (await client.call(ApiKey.API_VERSIONS, 4, request)).error_code == 0
        request = ApiVersionsRequest(client_software_name="x y", client_software_version="1.0")
        assert (await client.call(ApiKey.API_VERSIONS, 4, request)).error_code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00\x03\x00\x7f\x00\x00\x00\x01\x00\x01x\x00",  # Metadata of a version that is not served
        b"\x7f\x00\x00\x00\x00\x00\x00\x01\x00\x01x",  # an API that nobody knows
        b"\x00\x01\x00\x00\x00\x00\x00\x01\x00\x01x",  # an API that is known and not served
        b"\x00\x03\x00\x01\x00\x00\x00\x01\x00\x01x\x7f\xff\xff\xff",  # a count beyond the bytes
        b"\x00\x03",  # less than a header
        b"",
    ],
)
async def test_what_cannot_be_served_closes_with_one_line(payload: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "broker.network.connection")
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        client.writer.write(len(payload).to_bytes(4, "big") + payload)
        assert await client.at_end()
        assert len([record for record in caplog.records if " closed: " in record.message]) == 1


@pytest.mark.parametrize("size", [-1, 2**31 - 1, 1001])
async def test_frames_of_a_refused_size_close_with_one_line(size: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "broker.network.connection")
    async with world({ApiKey.METADATA: metadata}, socket_request_max_bytes=1000) as there:
        client = await there.client()
        client.writer.write(size.to_bytes(4, "big", signed=True) + b"rest")
        assert await client.at_end()
        (line,) = [record.message for record in caplog.records if " closed: " in record.message]
        assert f"a frame of {size} bytes" in line


async def test_a_request_may_arrive_byte_by_byte() -> None:
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        client.asked[5] = (ApiKey.METADATA, 9)
        for byte in codec.encode_request(ApiKey.METADATA, 9, 5, "slow", MetadataRequest()):
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.receive())[0] == 5


async def test_a_client_that_does_not_read_is_not_served_further_until_it_does() -> None:
    begun = 0
    rows = [PartitionData(partition_index=0, records=bytes(1_000_000))]
    reply = FetchResponse(responses=[FetchableTopicResponse(topic="t", partitions=rows)])

    def fetch(ctx: Context, request: FetchRequest) -> FetchResponse:
        nonlocal begun
        begun += 1
        return reply

    async with world({ApiKey.FETCH: fetch}) as there:
        client = await there.client()
        for number in range(100):
            client.send(ApiKey.FETCH, 4, FetchRequest(), number)
        await client.writer.drain()
        await until(lambda: begun > 0)
        seen = -1
        while seen != begun:
            seen = begun
            await asyncio.sleep(0.05)
        assert begun < 30
        assert [(await client.receive())[0] for _ in range(100)] == list(range(100))
        assert begun == 100


async def test_waiting_requests_are_bounded() -> None:
    waiting: list[Later] = []

    def handler(ctx: Context, request: HeartbeatRequest) -> Later:
        waiting.append(Later())
        return waiting[-1]

    async with world({ApiKey.HEARTBEAT: handler}) as there:
        client = await there.client()
        for number in range(1000):
            client.send(ApiKey.HEARTBEAT, 0, HeartbeatRequest(), number)
        await until(lambda: len(waiting) == 256)
        for number in range(1000):
            waiting[number].complete(HeartbeatResponse())
            assert (await client.receive())[0] == number


async def test_requests_that_wait_are_dropped_with_their_connection() -> None:
    dropped: list[str] = []
    later = Later(on_drop=lambda: dropped.append("gone"))
    async with world({ApiKey.METADATA: lambda ctx, request: later}) as there:
        client = await there.client()
        client.send(ApiKey.METADATA, 9, MetadataRequest())
        await until(lambda: there.server.connections[0].waiting == 1)
        client.writer.close()
        await until(lambda: dropped == ["gone"])
        assert later.dropped
        later.complete(MetadataResponse())
        assert there.server.connections == []


async def test_a_later_that_is_answered_twice_is_a_bug_that_shows() -> None:
    later = Later()
    later.complete(NO_REPLY)
    with pytest.raises(RuntimeError):
        later.complete(NO_REPLY)


async def test_a_later_that_was_answered_before_it_was_returned_is_sent_at_once() -> None:
    def handler(ctx: Context, request: MetadataRequest) -> Later:
        later = Later()
        later.complete(MetadataResponse(controller_id=3))
        return later

    async with world({ApiKey.METADATA: handler}) as there:
        client = await there.client()
        assert (await client.call(ApiKey.METADATA, 9, MetadataRequest())).controller_id == 3


async def test_ready_frames_are_sent_as_they_are() -> None:
    def handler(ctx: Context, request: MetadataRequest) -> Any:
        frame = codec.encode_response(ApiKey.METADATA, 9, ctx.correlation_id, MetadataResponse(controller_id=8))
        return frame if ctx.correlation_id else [frame[:7], memoryview(frame)[7:]]

    async with world({ApiKey.METADATA: handler}) as there:
        client = await there.client()
        for number in (0, 1):
            client.send(ApiKey.METADATA, 9, MetadataRequest(), number)
            assert (await client.receive())[1].controller_id == 8


async def test_replies_that_are_ready_together_leave_together() -> None:
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        await until(lambda: len(there.server.connections) == 1)
        (connection,) = there.server.connections
        transport = connection._transport
        assert transport is not None
        writes: list[bytes] = []
        recorder = type("Recorder", (), {"write": lambda self, data: writes.append(data)})
        frame = codec.encode_request(ApiKey.METADATA, 9, 0, "test", MetadataRequest())
        connection._transport = recorder()
        room = connection.get_buffer(-1)
        room[: 5 * len(frame)] = frame * 5
        connection.buffer_updated(5 * len(frame))
        assert not writes, "other connections may have replies in this turn"
        await until(lambda: bool(writes))
        connection._transport = transport
        assert len(writes) == 1
        client.asked[0] = (ApiKey.METADATA, 9)
        transport.write(writes[0])
        assert [(await client.receive())[0] for _ in range(5)] == [0] * 5


async def test_departures_do_not_wait_for_more_than_so_many() -> None:
    departures = Departures()
    left: list[int] = []
    for number in range(TOGETHER + 1):
        departures.add(partial(left.append, number))
        assert len(left) == (TOGETHER if number >= TOGETHER - 1 else 0)
    await until(lambda: len(left) == TOGETHER + 1)
    assert left == list(range(TOGETHER + 1))


async def test_what_was_answered_is_sent_before_the_connection_ends() -> None:
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        client.send(ApiKey.METADATA, 9, MetadataRequest())
        client.writer.write(b"\x80\0\0\0")
        assert (await client.receive())[0] == 0
        assert await client.at_end()
