"""A killed broker is missed at once, under the default session of 18 s; a paused one is not."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.cluster.talk import Talk

pytestmark = pytest.mark.timeout(180)

SESSION = {"zookeeper_session_timeout_ms": "18000", "replica_lag_time_max_ms": "30000"}
MISSED_AT_ONCE_S = 5.0
"""Far below the session; a few hundred milliseconds where the machine is not shared."""


class Producer:
    """Idempotent, acks=all, one record after another: each is sent again, as the same, until it is acknowledged."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.cluster = cluster
        self.topic = topic
        self.acknowledged: list[bytes] = []
        self.longest_gap = 0.0
        self.last = time.monotonic()
        self.is_stopping = False
        self.talks = {broker: cluster.talk(broker, direct=True) for broker in cluster.nodes}

    async def run(self) -> None:
        leader: int | None = None
        for number in itertools.count():
            if self.is_stopping:
                return
            value = b"%d" % number
            while not (leader is not None and await self._is_taken(self.talks[leader], value, number)):
                leader = await self._leader()
                await asyncio.sleep(0.005)
            now = time.monotonic()
            self.longest_gap, self.last = max(self.longest_gap, now - self.last), now
            self.acknowledged.append(value)

    async def _is_taken(self, talk: Talk, value: bytes, sequence: int) -> bool:
        try:
            reply = await talk.produce(self.topic, [value], producer=(7, 0, sequence), timeout_ms=30_000)
        except OSError:
            return False
        return reply.error_code in (ErrorCode.NONE, ErrorCode.DUPLICATE_SEQUENCE_NUMBER)

    async def _leader(self) -> int | None:
        for broker, node in self.cluster.nodes.items():
            if not node.process.running:
                continue
            try:
                found = await asyncio.wait_for(self.talks[broker].partition(self.topic), 1)
            except (OSError, TimeoutError):
                continue
            if found is not None and found.leader_id in self.talks:
                return found.leader_id
        return None

    async def more(self, count: int) -> None:
        """Until so many more are acknowledged."""
        target = len(self.acknowledged) + count

        async def reached() -> bool:
            return len(self.acknowledged) >= target

        await eventually(f"{count} more records are acknowledged", reached, 40)


async def controller_of(cluster: Cluster) -> int:
    return (await cluster.talk(0, direct=True).metadata()).controller_id


async def kill_under_load(cluster: Cluster, leader: int, successors: list[int]) -> None:
    await cluster.create("orders", [[leader, *successors]], min_insync_replicas="2")
    producer = Producer(cluster, "orders")
    running = asyncio.ensure_future(producer.run())
    await producer.more(100)
    producer.longest_gap = 0.0
    cluster.kill(leader)
    await producer.more(100)
    assert producer.longest_gap < MISSED_AT_ONCE_S
    print(f"write gap {producer.longest_gap * 1000:.0f} ms")
    cluster.start(leader)
    await cluster.isr("orders", [leader, *successors])
    await producer.more(20)
    producer.is_stopping = True
    await running
    assert await cluster.read("orders") == producer.acknowledged, "every record that was acknowledged, once, in order"


async def test_a_killed_leader_is_replaced_long_before_its_session_ends(tmp_path: Path) -> None:
    async with Cluster(tmp_path, direct=True, **SESSION) as cluster:
        controller = await controller_of(cluster)
        leader = (controller + 1) % 3
        await kill_under_load(cluster, leader, [controller, (controller + 2) % 3])
        output = cluster.nodes[controller].process.output()
        assert f"broker {leader} refuses connections: replaced before its session ends" in output


async def test_a_killed_leader_that_is_the_controller_is_replaced_as_both(tmp_path: Path) -> None:
    async with Cluster(tmp_path, direct=True, **SESSION) as cluster:
        controller = await controller_of(cluster)
        await kill_under_load(cluster, controller, [(controller + 1) % 3, (controller + 2) % 3])


async def test_a_paused_leader_and_a_paused_controller_are_waited_for(tmp_path: Path) -> None:
    async with Cluster(tmp_path, direct=True, **SESSION) as cluster:
        controller = await controller_of(cluster)
        leader, other = (controller + 1) % 3, (controller + 2) % 3
        await cluster.create("orders", [[leader, controller, other]])
        cluster.pause(leader)
        await asyncio.sleep(2)
        view = await cluster.talk(other, direct=True).metadata("orders")
        assert view.topics[0].partitions[0].leader_id == leader
        assert {each.node_id for each in view.brokers} == {0, 1, 2}
        cluster.resume(leader)
        cluster.pause(controller)
        await asyncio.sleep(2)
        view = await cluster.talk(other, direct=True).metadata("orders")
        assert view.controller_id == controller
        cluster.resume(controller)
        await cluster.produce("orders", [b"after"])
        for node in cluster.nodes.values():
            assert "refuses connections" not in node.process.output()


async def test_without_the_setting_a_killed_leader_is_waited_for(tmp_path: Path) -> None:
    settings = {**SESSION, "zookeeper_session_timeout_ms": "6000", "kops_controller_fast_failover_enable": "false"}
    async with Cluster(tmp_path, direct=True, **settings) as cluster:
        controller = await controller_of(cluster)
        leader, other = (controller + 1) % 3, (controller + 2) % 3
        await cluster.create("orders", [[leader, controller, other]])
        began = time.monotonic()
        cluster.kill(leader)
        await cluster.leader("orders", not_=leader, ask=other)
        assert time.monotonic() - began > 3
