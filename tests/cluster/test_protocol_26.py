"""inter.broker.protocol.version=2.6: ISR changes by ZooKeeper, truncation by OffsetForLeaderEpoch, no topic ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.clusters import Cluster

pytestmark = pytest.mark.timeout(180)


def lines(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix}-{index}".encode() for index in range(count)]


async def test_a_killed_leader_is_replaced_and_comes_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path, inter_broker_protocol_version="2.6") as cluster:
        await cluster.create("orders", [[1, 2, 0]])
        await cluster.produce("orders", lines("before", 100))
        cluster.kill(1)
        assert await cluster.leader("orders", not_=1) == 2
        await cluster.isr("orders", {0, 2})
        await cluster.produce("orders", lines("during", 100))
        cluster.start(1)
        await cluster.isr("orders", {0, 1, 2})
        cluster.kill(2)
        assert await cluster.leader("orders", not_=2) in (0, 1)
        assert await cluster.read("orders") == lines("before", 100) + lines("during", 100)


async def test_a_follower_that_pauses_leaves_the_isr_and_comes_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=2, inter_broker_protocol_version="2.6") as cluster:
        await cluster.create("orders", [[0, 1]])
        await cluster.nodes[1].inbound.cut()
        await cluster.produce("orders", lines("before", 10), ask=0)
        cluster.pause(1)
        await cluster.isr("orders", {0}, ask=(0,))
        await cluster.produce("orders", lines("during", 10), ask=0)
        cluster.resume(1)
        await cluster.nodes[1].inbound.heal()
        await cluster.isr("orders", {0, 1})
        assert await cluster.read("orders") == lines("before", 10) + lines("during", 10)
