"""Settings of brokers and topics act on running brokers: deletion, sizes, codecs, elections, racks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from broker.wire import batch as batches
from broker.wire.compression import Codec
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from broker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(120)

TOPIC, BROKER = 2, 4
UNCLEAN = 1


async def set_to(cluster: Cluster, kind: int, resource: str, *, ask: int = 0, **settings: str | None) -> None:
    configs = [
        AlterableConfig(name=name.replace("_", "."), config_operation=0 if value is not None else 1, value=value)
        for name, value in settings.items()
    ]
    resources = [AlterConfigsResource(resource_type=kind, resource_name=resource, configs=configs)]
    reply = await cluster._ask(ask).send(
        ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, IncrementalAlterConfigsRequest(resources=resources)
    )
    assert reply.responses[0].error_code == 0, reply.responses[0].error_message


async def test_with_deletion_disabled_no_topic_goes_whoever_asks(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1, delete_topic_enable="false") as cluster:
        await cluster.create("orders", [[0]])
        await cluster.produce("orders", [b"kept"])
        old = DeleteTopicsRequest(topic_names=["orders"], timeout_ms=5000)
        new = DeleteTopicsRequest(topics=[DeleteTopicState(name="orders")], timeout_ms=5000)
        for version, request, code in (
            (1, old, ErrorCode.INVALID_REQUEST),
            (3, old, ErrorCode.TOPIC_DELETION_DISABLED),
            (6, new, ErrorCode.TOPIC_DELETION_DISABLED),
        ):
            reply = await cluster._ask(0).send(ApiKey.DELETE_TOPICS, version, request)
            assert reply.responses[0].error_code == code
        client = KazooClient(f"127.0.0.1:{cluster.zookeeper_port}")
        await asyncio.to_thread(client.start)
        try:
            await asyncio.to_thread(client.create, "/admin/delete_topics/orders")

            async def taken_away() -> bool:
                return await asyncio.to_thread(client.exists, "/admin/delete_topics/orders") is None

            await eventually("the mark is taken away", taken_away)
        finally:
            await asyncio.to_thread(client.stop)
            client.close()
        said = cluster.nodes[0].process.output()
        assert "This will have no impact if delete.topic.enable is not set to true" in said
        assert await cluster.read("orders") == [b"kept"]
        assert (cluster.nodes[0].data / "orders-0").exists()
        await acts_at_once(cluster)


async def acts_at_once(cluster: Cluster) -> None:
    """Of all brokers, of one, of a topic: the nearest wins, the next one acts when it is taken away."""

    async def answers(values: list[bytes], code: ErrorCode) -> None:
        async def is_so() -> bool:
            return (await cluster._ask(0).produce("orders", values)).error_code == code

        await eventually(f"a produce of {len(values[0])} bytes is answered {code.name}", is_so)

    async def kept_as(codec: Codec) -> None:
        async def is_so() -> bool:
            answer = await cluster._ask(0).produce("orders", [b"y" * 100])
            found = await cluster._ask(0).fetch("orders", offset=answer.base_offset)
            return batches.header(found.records or b"").codec == codec

        await eventually(f"batches are kept as {codec.name}", is_so)

    large = [b"x" * 5000]
    await set_to(cluster, BROKER, "", message_max_bytes="1000")
    await answers(large, ErrorCode.MESSAGE_TOO_LARGE)
    await set_to(cluster, BROKER, "0", message_max_bytes="9000")
    await answers(large, ErrorCode.NONE)
    await set_to(cluster, TOPIC, "orders", max_message_bytes="2000")
    await answers(large, ErrorCode.MESSAGE_TOO_LARGE)
    await set_to(cluster, TOPIC, "orders", max_message_bytes=None)
    await answers(large, ErrorCode.NONE)
    await set_to(cluster, BROKER, "", compression_type="gzip")
    await kept_as(Codec.GZIP)
    await set_to(cluster, TOPIC, "orders", compression_type="zstd")
    await kept_as(Codec.ZSTD)
    await set_to(cluster, TOPIC, "orders", compression_type="uncompressed")
    await kept_as(Codec.NONE)


async def elect_unclean(cluster: Cluster, topic: str, ask: int) -> int:
    wanted = [TopicPartitions(topic=topic, partitions=[0])]
    request = ElectLeadersRequest(election_type=UNCLEAN, topic_partitions=wanted, timeout_ms=10_000)
    reply = await cluster._ask(ask).send(ApiKey.ELECT_LEADERS, 2, request)
    return int(reply.replica_election_results[0].partition_result[0].error_code)


async def test_an_unclean_leader_comes_by_setting_or_by_hand_loses_what_it_had_not_and_gives_way_to_the_preferred(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path, leader_imbalance_check_interval_seconds="1")
    for broker_id, rack in enumerate(("a", "b", "b")):
        cluster.nodes[broker_id].process.settings["broker.rack"] = rack
    async with cluster:
        controller = int((await cluster._ask(0).metadata()).controller_id)
        await placed_by_rack(cluster, controller)
        follower, leader = [each for each in cluster.nodes if each != controller]
        topics = ("by-setting", "by-hand")
        for topic in topics:
            await cluster.create(topic, [[leader, follower]])
            await cluster.produce(topic, [b"both"])
        cluster.kill(follower)
        for topic in topics:
            await cluster.isr(topic, {leader}, ask=[controller])
            await cluster.produce(topic, [b"leader alone"], ask=controller)
        cluster.kill(leader)
        for topic in topics:

            async def leaderless(topic: str = topic) -> bool:
                return (await cluster.partition(topic, ask=controller)).leader_id == -1

            await eventually(f"{topic} has no leader", leaderless)
        cluster.start(follower)
        await cluster.registered(controller, follower)
        for topic in topics:
            assert (await cluster.partition(topic, ask=controller)).leader_id == -1
        await set_to(cluster, TOPIC, "by-setting", ask=controller, unclean_leader_election_enable="true")
        assert await cluster.leader("by-setting", ask=controller) == follower
        assert await elect_unclean(cluster, "by-hand", controller) == ErrorCode.NONE
        assert await elect_unclean(cluster, "by-hand", controller) == ErrorCode.ELECTION_NOT_NEEDED
        cluster.start(leader)
        for topic in topics:
            await cluster.isr(topic, {leader, follower})
            await cluster.produce(topic, [b"after"])
            assert await cluster.leader(topic, not_=follower) == leader  # put back where it is preferred
            assert await cluster.read(topic) == [b"both", b"after"]


async def placed_by_rack(cluster: Cluster, controller: int) -> None:
    """Broker 0 is alone in its rack: with two replicas it has one of every partition."""
    assert await cluster._ask(controller).create("spread", partitions=6, replicas=2) == ErrorCode.NONE
    found = (await cluster._ask(controller).metadata("spread")).topics[0].partitions
    assert len(found) == 6 and all(0 in each.replica_nodes for each in found)
    assert {node for each in found for node in each.replica_nodes} == {0, 1, 2}
