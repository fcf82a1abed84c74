"""Replicas move between the log directories of their broker, while they are written; strays are set aside."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from broker.wire.messages.describe_log_dirs import DescribeLogDirsPartition, DescribeLogDirsRequest
from broker.wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(120)

RATE = "replica.alter.log.dirs.io.max.bytes.per.second"


def two_dirs(cluster: Cluster) -> None:
    for node in cluster.nodes.values():
        node.process.settings["log.dirs"] = ",".join(f"{node.data}/{name}" for name in "ab")


async def alter(cluster: Cluster, broker_id: int, topic: str, path: str) -> int:
    topics = [AlterReplicaLogDirTopic(name=topic, partitions=[0])]
    request = AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path=path, topics=topics)])
    reply = await cluster._ask(broker_id).send(ApiKey.ALTER_REPLICA_LOG_DIRS, 2, request)
    return int(reply.results[0].partitions[0].error_code)


async def described(cluster: Cluster, broker_id: int, topic: str) -> dict[str, DescribeLogDirsPartition]:
    """By directory, those that hold the topic's partition 0."""
    request = DescribeLogDirsRequest(topics=None)
    reply = await cluster._ask(broker_id).send(ApiKey.DESCRIBE_LOG_DIRS, 4, request)
    return {
        result.log_dir: partition
        for result in reply.results
        for each in result.topics
        for partition in each.partitions
        if each.name == topic and partition.partition_index == 0
    }


async def set_broker(cluster: Cluster, broker_id: int, name: str, value: str | None) -> None:
    config = AlterableConfig(name=name, config_operation=0 if value is not None else 1, value=value)
    resource = AlterConfigsResource(resource_type=4, resource_name=str(broker_id), configs=[config])
    request = IncrementalAlterConfigsRequest(resources=[resource])
    reply = await cluster._ask(broker_id).send(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, request)
    assert reply.responses[0].error_code == 0, reply.responses[0].error_message


async def moved(cluster: Cluster, broker_id: int, topic: str, path: str) -> None:
    async def is_so() -> bool:
        found = await described(cluster, broker_id, topic)
        return list(found) == [path] and not found[path].is_future_key

    await eventually(f"{topic} is in {path} alone", is_so)


def here(cluster: Cluster, broker_id: int, topic: str) -> tuple[str, str]:
    """(the directory that holds the partition, the other one)."""
    dirs = cluster.nodes[broker_id].process.settings["log.dirs"].split(",")
    held = [each for each in dirs if (Path(each) / f"{topic}-0").exists()]
    assert len(held) == 1
    return held[0], next(each for each in dirs if each != held[0])


async def test_leader_and_follower_move_to_another_disk_while_they_are_written(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, brokers=2)
    two_dirs(cluster)
    async with cluster:
        await cluster.create("orders", [[0, 1]], segment_bytes="600000")
        big = [b"%04d" % number + b"x" * 5000 for number in range(100)]
        for _ in range(4):
            await cluster.produce("orders", big)
        old, target = here(cluster, 0, "orders")
        assert await alter(cluster, 0, "wanted", old) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        await cluster.create("wanted", [[0]])  # in the directory with more in it, as it was asked for
        assert here(cluster, 0, "wanted")[0] == old
        await set_broker(cluster, 0, RATE, "300000")
        assert await alter(cluster, 0, "orders", "/nowhere") == ErrorCode.LOG_DIR_NOT_FOUND
        assert await alter(cluster, 0, "unknown", target) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await alter(cluster, 0, "orders", target) == ErrorCode.NONE

        async def half_filled() -> bool:
            found = await described(cluster, 0, "orders")
            return target in found and found[target].partition_size > 0

        await eventually("a part is copied", half_filled)
        found = await described(cluster, 0, "orders")
        assert found[target].is_future_key and not found[old].is_future_key
        assert found[target].offset_lag > 0 and found[target].partition_size < found[old].partition_size
        assert await alter(cluster, 0, "orders", old) == ErrorCode.NONE  # given up
        await moved(cluster, 0, "orders", old)
        assert await alter(cluster, 0, "orders", target) == ErrorCode.NONE
        await eventually("a part is copied again", half_filled)
        cluster.kill(0)
        cluster.start(0)
        await cluster.isr("orders", {0, 1})
        found = await described(cluster, 0, "orders")
        assert found[target].is_future_key and found[target].offset_lag > 0
        follower_old, follower_target = here(cluster, 1, "orders")
        assert await alter(cluster, 1, "orders", follower_target) == ErrorCode.NONE
        writing = asyncio.ensure_future(_write(cluster))
        await set_broker(cluster, 0, RATE, None)
        await moved(cluster, 0, "orders", target)
        await moved(cluster, 1, "orders", follower_target)
        values = [value for _ in range(4) for value in big] + await writing
        await cluster.isr("orders", {0, 1})
        assert await cluster.read("orders") == values
        await cluster.stop(0)
        assert await cluster.leader("orders", not_=0) == 1
        assert await cluster.read("orders") == values
        assert [each for each in Path(follower_old).iterdir() if each.name.endswith("-future")] == []


async def _write(cluster: Cluster) -> list[bytes]:
    written: list[bytes] = []
    for number in range(30):
        batch = [b"new-%d-%d" % (number, index) for index in range(10)]
        await cluster.produce("orders", batch)
        written += batch
    return written


async def forget(cluster: Cluster, topic: str) -> None:
    """Its znodes are wiped by hand, as in many a tutorial, behind the controller's back."""
    client = KazooClient(f"127.0.0.1:{cluster.zookeeper_port}")
    await asyncio.to_thread(client.start)
    try:
        for path in (f"/brokers/topics/{topic}", f"/config/topics/{topic}"):
            await asyncio.to_thread(client.delete, path, recursive=True)
    finally:
        await asyncio.to_thread(client.stop)
        client.close()


async def test_records_of_a_wiped_topic_never_come_back_under_a_new_one_of_its_name(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=2) as cluster:
        await cluster.create("orders", [[1]])
        await cluster.create("kept", [[1]])
        for topic in ("orders", "kept"):
            await cluster.produce(topic, [b"old"])
        await cluster.stop(1)
        await forget(cluster, "orders")
        await cluster.stop(0)  # its metadata would say for ever that the topic exists, as Kafka's does
        cluster.start(0)
        data = cluster.nodes[1].data

        def stray() -> list[str]:
            return [each.name for each in data.iterdir() if each.name.endswith("-stray")]

        async def created() -> bool:
            return await cluster.talk(0).create("orders", assignment=[[0, 1]]) == ErrorCode.NONE

        await eventually("it is created again", created)
        await cluster.produce("orders", [b"new"], ask=0)
        cluster.start(1)
        await cluster.isr("orders", {0, 1})
        [name] = stray()
        assert name.startswith("orders-0.") and b"old" in (data / name / f"{0:020d}.log").read_bytes()
        assert b"old" not in (data / "orders-0" / f"{0:020d}.log").read_bytes()
        assert "set aside as" in cluster.nodes[1].process.output()
        assert await cluster.read("orders") == [b"new"]
        assert await cluster.read("kept") == [b"old"]
