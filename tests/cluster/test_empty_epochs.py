"""A leader that wrote nothing in its epoch, and gave leadership back: its log holds an epoch that nobody else knows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.cluster.clusters import Cluster

pytestmark = pytest.mark.timeout(120)


def elect_preferred(cluster: Cluster, topic: str) -> None:
    """By hand, in ZooKeeper."""
    client = KazooClient(f"127.0.0.1:{cluster.zookeeper_port}")
    client.start(20)
    try:
        partitions = [{"topic": topic, "partition": 0}]
        client.create(
            "/admin/preferred_replica_election", json.dumps({"version": 1, "partitions": partitions}).encode()
        )
    finally:
        client.stop()
        client.close()


async def test_it_follows_again_and_the_high_watermark_goes_on(tmp_path: Path) -> None:
    """It must forget that epoch, though there is no record to cut; else it would be told for ever that it diverges."""
    async with Cluster(tmp_path, auto_leader_rebalance_enable="false") as cluster:
        await cluster.create("orders", [[0, 1, 2]], min_insync_replicas="2")
        await cluster.produce("orders", [b"before"])
        cluster.kill(0)
        interim = await cluster.leader("orders", not_=0, ask=1)
        cluster.start(0)
        await cluster.registered(0, 1, 2)
        await cluster.isr("orders", {0, 1, 2})
        await asyncio.to_thread(elect_preferred, cluster, "orders")
        assert await cluster.leader("orders", not_=interim) == 0
        await cluster.produce("orders", [b"after"])
        assert await cluster.read("orders") == [b"before", b"after"]
        await asyncio.sleep(2.5)  # longer than replica.lag.time.max.ms: who makes no progress would leave the ISR
        await cluster.isr("orders", {0, 1, 2}, limit=1)
