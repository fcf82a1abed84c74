"""Partitions move between brokers while they are written, and nothing is left where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from broker.wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(120)


async def controller_of(cluster: Cluster) -> int:
    return int((await cluster._ask(min(cluster.nodes)).metadata()).controller_id)


async def to_controller(cluster: Cluster, key: ApiKey, request: Any) -> Any:
    return await cluster._ask(await controller_of(cluster)).send(key, 0, request)


async def move(cluster: Cluster, topic: str, target: Sequence[int] | None) -> int:
    partitions = [ReassignablePartition(partition_index=0, replicas=None if target is None else list(target))]
    request = AlterPartitionReassignmentsRequest(topics=[ReassignableTopic(name=topic, partitions=partitions)])
    reply = await to_controller(cluster, ApiKey.ALTER_PARTITION_REASSIGNMENTS, request)
    assert reply.error_code == 0
    return int(reply.responses[0].partitions[0].error_code)


async def on_the_way(cluster: Cluster) -> list[Any]:
    reply = await to_controller(cluster, ApiKey.LIST_PARTITION_REASSIGNMENTS, ListPartitionReassignmentsRequest())
    return [(topic.name, each) for topic in reply.topics for each in topic.partitions]


async def placed(cluster: Cluster, topic: str, replicas: list[int]) -> None:
    async def is_so() -> bool:
        found = await cluster.partition(topic)
        return found.replica_nodes == replicas and sorted(found.isr_nodes) == sorted(replicas)

    await eventually(f"{topic} is on {replicas}", is_so)


@pytest.mark.parametrize("ibp", ["3.9", "2.6"])
async def test_a_partition_moves_while_it_is_written(tmp_path: Path, ibp: str) -> None:
    async with Cluster(tmp_path, inter_broker_protocol_version=ibp) as cluster:
        await cluster.create("orders", [[0]])
        written: list[bytes] = []

        async def write(count: int) -> None:
            for _ in range(count):
                batch = [f"{len(written) + index}".encode() for index in range(20)]
                await cluster.produce("orders", batch)
                written.extend(batch)

        await write(20)
        writing = asyncio.ensure_future(write(60))
        assert await move(cluster, "orders", [1, 2]) == ErrorCode.NONE
        await placed(cluster, "orders", [1, 2])
        await writing
        assert await on_the_way(cluster) == []
        found = await cluster.read("orders")
        assert list(dict.fromkeys(found)) == written

        async def gone() -> bool:
            return not (cluster.nodes[0].data / "orders-0").exists()

        await eventually("the old replica's files are set aside", gone)
        assert await move(cluster, "orders", None) == ErrorCode.NO_REASSIGNMENT_IN_PROGRESS
        assert await move(cluster, "orders", [1, 7]) == ErrorCode.INVALID_REPLICA_ASSIGNMENT


async def test_a_move_that_cannot_end_is_listed_and_can_be_cancelled(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        controller = await controller_of(cluster)
        other, silent = [node for node in cluster.nodes if node != controller]
        await cluster.create("orders", [[controller, other]])
        await cluster.produce("orders", [b"one"])
        cluster.pause(silent)
        assert await move(cluster, "orders", [controller, silent]) == ErrorCode.NONE
        [(topic, moving)] = await on_the_way(cluster)
        assert (topic, moving.replicas) == ("orders", [controller, silent, other])
        assert (moving.adding_replicas, moving.removing_replicas) == ([silent], [other])
        assert await move(cluster, "orders", None) == ErrorCode.NONE
        assert await on_the_way(cluster) == []
        cluster.resume(silent)
        await placed(cluster, "orders", [controller, other])
        assert await cluster.read("orders") == [b"one"]
