"""A broker's entry into the cluster, against real ZooKeeper servers."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from broker.cluster.registration import (
    Registration,
    RegistrationRefused,
    generate_broker_id,
    make_skeleton,
    read_or_create_cluster_id,
)
from broker.host import real_host
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, CreateMode, Exists, GetData
from broker.zk.znodes import BrokerZnode, Endpoint
from tests.zk.conftest import MakeClient
from tests.zk.servers import ZkServer

HERE = Endpoint("PLAINTEXT", "127.0.0.1", 19092, "PLAINTEXT")
THERE = Endpoint("PLAINTEXT", "127.0.0.1", 19093, "PLAINTEXT")


async def cluster(make_client: MakeClient, server: ZkServer, name: str, timeout_ms: int = 6000) -> ZooKeeperClient:
    """A cluster of its own, by chroot."""
    client = make_client(f"{server.connect}/{name}", session_timeout_ms=timeout_ms)
    await client.start()
    await make_skeleton(client)
    return client


async def test_the_skeleton_is_made_once_and_found_again(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = await cluster(make_client, shared_server, "skeleton")
    await make_skeleton(client)
    found = await client.request([GetData(path) for path in znodes.PERSISTENT_PATHS])
    assert [result.data for result in found] == [None] * len(znodes.PERSISTENT_PATHS)


async def test_all_brokers_agree_on_the_cluster_id(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = await cluster(make_client, shared_server, "id")
    ids = await asyncio.gather(*(read_or_create_cluster_id(client, real_host()) for _ in range(3)))
    assert len(set(ids)) == 1
    assert len(ids[0]) == 22


async def test_generated_broker_ids_are_above_the_reserved_ones_and_differ(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = await cluster(make_client, shared_server, "seq")
    assert [await generate_broker_id(client, 1000) for _ in range(3)] == [1001, 1002, 1003]


async def test_the_broker_epoch_is_the_creation_zxid_of_the_node(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = await cluster(make_client, shared_server, "epoch")
    registration = Registration(client, real_host(), 1, [HERE], rack="r1")
    epoch = await registration.register()
    [found] = await client.request([GetData(znodes.broker_id(1))])
    assert found.stat is not None
    assert (found.stat.czxid, found.stat.version, found.stat.ephemeral_owner) == (epoch, 1, client.session_id)
    broker = BrokerZnode.decode(1, found.data)
    assert (broker.endpoints, broker.rack, broker.features) == ((HERE,), "r1", {})
    assert await registration.register() == epoch, "its own node is accepted"


async def test_an_endpoint_of_another_live_broker_is_refused(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = await cluster(make_client, shared_server, "endpoint")
    await Registration(client, real_host(), 1, [HERE]).register()
    with pytest.raises(RegistrationRefused, match=r"PLAINTEXT://127.0.0.1:19092 is advertised by broker 1 already"):
        await Registration(client, real_host(), 2, [HERE]).register()


async def test_an_id_of_a_broker_that_answers_is_refused_at_once(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    first, second = [await cluster(make_client, shared_server, "taken") for _ in range(2)]
    listener = await real_host().net.listen("127.0.0.1", 0, asyncio.Protocol)
    alive = Endpoint("PLAINTEXT", "127.0.0.1", listener.port, "PLAINTEXT")
    await Registration(first, real_host(), 1, [alive]).register()
    async with asyncio.timeout(3):
        with pytest.raises(RegistrationRefused, match=r"broker.id=1 is taken by a live broker at PLAINTEXT://127"):
            await Registration(second, real_host(), 1, [HERE]).register()
    listener.close()


async def test_the_node_of_a_dead_life_is_waited_for_and_said(
    shared_server: ZkServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    dead = ZooKeeperClient(real_host(), f"{shared_server.connect}/dead", session_timeout_ms=1000)
    await dead.start()
    await make_skeleton(dead)
    await Registration(dead, real_host(), 1, [HERE]).register()
    dead._transport.drop()
    dead._timer.cancel()
    client = await cluster(make_client, shared_server, "dead", timeout_ms=3000)
    registration = Registration(client, real_host(), 1, [HERE])
    with caplog.at_level(logging.WARNING):
        epoch = await registration.register()
    assert epoch == registration.broker_epoch > 0
    assert "broker 1: still registered by session" in caplog.text


async def test_after_an_expiry_the_node_is_made_anew_with_a_new_epoch(
    shared_server: ZkServer, make_client: MakeClient, tmp_path: Path
) -> None:
    """The old node may still be there under the session that is over: it is ours, and it is replaced."""
    client = await cluster(make_client, shared_server, "again")
    registration = Registration(client, real_host(), 1, [HERE])
    other = await cluster(make_client, shared_server, "again")
    registration._sessions = [other.session_id]
    path = znodes.broker_id(1)
    await other.request([Create(path, b"{}", CreateMode.EPHEMERAL)])
    [before] = await other.request([Exists(path)])
    epoch = await registration.register()
    assert before.stat is not None
    assert epoch > before.stat.czxid


async def test_dynamic_listeners_change_the_node_in_place(shared_server: ZkServer, make_client: MakeClient) -> None:
    client = await cluster(make_client, shared_server, "listeners")
    registration = Registration(client, real_host(), 1, [HERE], feature_versions=False)
    epoch = await registration.register()
    await registration.update_endpoints([THERE])
    [found] = await client.request([GetData(znodes.broker_id(1))])
    assert found.stat is not None
    assert found.stat.czxid == epoch
    assert BrokerZnode.decode(1, found.data).endpoints == (THERE,)
    assert b'"version":4' in (found.data or b"")
