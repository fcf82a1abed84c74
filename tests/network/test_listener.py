"""How many connections may be, how long they may be idle, and that none is served before its time."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from contextlib import suppress

import pytest

from broker.api.context import Context, Later
from broker.config import ConfigError, KafkaConfig
from broker.network.listener import parse_overrides
from broker.wire.keys import ApiKey
from broker.wire.messages.metadata import MetadataRequest, MetadataResponse
from tests.network.world import World, until, world


def metadata(ctx: Context, request: MetadataRequest) -> MetadataResponse:
    return MetadataResponse(controller_id=1)


async def test_connections_above_the_limit_of_their_address_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world({ApiKey.METADATA: metadata}, max_connections_per_ip=2) as there:
        clients = [await there.client() for _ in range(3)]
        assert await clients[2].at_end()
        assert "max.connections.per.ip=2 is reached for 127.0.0.1" in caplog.text
        for client in clients[:2]:
            assert (await client.call(ApiKey.METADATA, 9, MetadataRequest())).controller_id == 1
        clients[0].writer.close()
        await until(lambda: len(there.server.connections) == 1)
        assert (await (await there.client()).call(ApiKey.METADATA, 9, MetadataRequest())).controller_id == 1


async def test_connections_above_the_limit_of_the_broker_are_closed() -> None:
    async with world({ApiKey.METADATA: metadata}, max_connections=1) as there:
        first, second = await there.client(), await there.client()
        assert (await first.call(ApiKey.METADATA, 9, MetadataRequest())).controller_id == 1
        assert await second.at_end()


def test_overrides_that_are_no_counts_are_refused_at_start() -> None:
    assert KafkaConfig.of(max_connections_per_ip_overrides="10.0.0.1:5, [::1]:3").max_connections_per_ip_overrides
    with pytest.raises(ConfigError, match="address:count"):
        KafkaConfig.parse({"zookeeper.connect": "z:1", "max.connections.per.ip.overrides": "10.0.0.1=5"})


async def test_an_address_may_have_a_limit_of_its_own() -> None:
    assert parse_overrides("127.0.0.1:1, [::1]:2,host:0") == {"127.0.0.1": 1, "::1": 2, "host": 0}
    async with world({ApiKey.METADATA: metadata}, max_connections_per_ip_overrides="127.0.0.1:1") as there:
        await there.client()
        assert await (await there.client()).at_end()


async def test_idle_connections_are_closed_and_those_that_wait_for_a_reply_are_not() -> None:
    later = Later()
    answers = [later]
    settings = {"connections_max_idle_ms": 100}
    async with world({ApiKey.METADATA: lambda ctx, request: answers.pop()}, **settings) as there:
        idle, waiting = await there.client(), await there.client()
        waiting.send(ApiKey.METADATA, 9, MetadataRequest())
        assert await idle.at_end()
        await asyncio.sleep(0.2)
        later.complete(MetadataResponse(controller_id=4))
        assert (await waiting.receive())[1].controller_id == 4


async def test_connections_that_come_early_are_served_when_the_broker_is_ready() -> None:
    there = World({ApiKey.METADATA: metadata})
    await there.server.bind()
    try:
        client = await there.client()
        client.send(ApiKey.METADATA, 9, MetadataRequest())
        await until(lambda: len(there.server.connections) == 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.receive()
                pytest.fail("answered before serve()")
        there.server.serve()
        assert (await client.receive())[1].controller_id == 1
    finally:
        there.server.close()
        for each in there.clients:
            each.writer.close()
        await until(lambda: not there.server.connections)


async def test_a_server_that_stops_accepting_goes_on_with_the_connections_it_has() -> None:
    async with world({ApiKey.METADATA: metadata}) as there:
        client = await there.client()
        await until(lambda: len(there.server.connections) == 1)
        there.server.stop_accepting()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await there.client()
        assert (await client.call(ApiKey.METADATA, 9, MetadataRequest())).controller_id == 1


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_comes_as_the_server_closes_is_ended_and_not_forgotten(turns: int) -> None:
    there = World({ApiKey.METADATA: metadata})
    await there.server.bind()
    there.server.serve()
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", there.server.port("PLAINTEXT"))) as client:
        client.setblocking(False)
        for _ in range(turns):
            await asyncio.sleep(0)
        there.server.close()
        gc.disable()  # what nobody holds any more is not to be ended by the collector
        try:
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    assert await loop.sock_recv(client, 1) == b""
        finally:
            gc.enable()
    await until(lambda: not there.server.connections)
