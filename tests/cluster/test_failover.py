"""Brokers that die, pause, are cut off and come back: the leader moves, and no acknowledged record is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode
from tests.cluster.clusters import Cluster, Node
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(180)


def lines(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix}-{index}".encode() for index in range(count)]


async def test_three_brokers_register_and_a_topic_spreads_over_them(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
        leaders = [await cluster.leader("orders", partition) for partition in range(3)]
        assert leaders == [0, 1, 2]
        for partition in range(3):
            await cluster.produce("orders", lines(f"p{partition}", 10), partition)
            assert await cluster.read("orders", partition) == lines(f"p{partition}", 10)


async def test_a_killed_leader_is_replaced_and_comes_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[1, 2, 0]])
        await cluster.produce("orders", lines("before", 100))
        cluster.kill(1)
        assert await cluster.leader("orders", not_=1) == 2
        await cluster.isr("orders", [0, 2])
        await cluster.produce("orders", lines("during", 100))
        assert await cluster.read("orders") == lines("before", 100) + lines("during", 100)
        cluster.start(1)
        await cluster.isr("orders", [0, 1, 2])
        cluster.kill(2)
        cluster.kill(0)
        await cluster.isr("orders", [1])
        assert await cluster.read("orders") == lines("before", 100) + lines("during", 100)


async def test_every_broker_killed_in_turn_loses_nothing(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[0, 1, 2]])
        written: list[bytes] = []
        for turn, victim in enumerate((0, 1, 2)):
            written += lines(f"turn{turn}", 50)
            await cluster.produce("orders", lines(f"turn{turn}", 50))
            cluster.kill(victim)
            await cluster.isr("orders", {0, 1, 2} - {victim})
            cluster.start(victim)
            await cluster.isr("orders", {0, 1, 2})
        assert await cluster.read("orders") == written


async def test_a_paused_leader_wakes_up_fenced(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[1, 0, 2]])
        await cluster.produce("orders", lines("before", 10))
        zombie = cluster.talk(1, direct=True)
        assert await zombie.end_offset("orders") == 10
        cluster.pause(1)
        leader = await cluster.leader("orders", not_=1)
        await cluster.isr("orders", {0, 2}, ask=(0, 2))
        await cluster.produce("orders", lines("during", 10), ask=leader)
        cluster.resume(1)
        reply = await zombie.produce("orders", lines("zombie", 5))
        assert reply.error_code != 0, "the zombie took a record that the cluster does not know"
        await cluster.isr("orders", {0, 1, 2})
        assert await cluster.read("orders") == lines("before", 10) + lines("during", 10)


async def test_a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[1, 0, 2]])
        await cluster.produce("orders", lines("before", 10))
        await cluster.nodes[1].cut()
        leader = await cluster.leader("orders", not_=1, ask=0)
        await cluster.isr("orders", {0, 2}, ask=(0, 2))
        isolated = await cluster.talk(1, direct=True).produce("orders", lines("isolated", 5), timeout_ms=1000)
        assert isolated.error_code != 0, "acks=all was given without the ISR"
        await cluster.produce("orders", lines("during", 10), ask=leader)
        await cluster.nodes[1].heal()
        await cluster.isr("orders", {0, 1, 2})
        assert await cluster.read("orders") == lines("before", 10) + lines("during", 10)


async def test_a_graceful_stop_hands_leadership_over_first(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[1, 0, 2], [1, 2, 0]])
        await cluster.produce("orders", lines("before", 10))
        assert await cluster.stop(1) == 0
        output = cluster.nodes[1].process.output()
        assert "controlled shutdown succeeded" in output
        assert (cluster.nodes[1].data / ".kafka_cleanshutdown").exists()
        assert await cluster.leader("orders", 0) == 0
        assert await cluster.leader("orders", 1) == 2
        cluster.start(1)
        await cluster.isr("orders", {0, 1, 2})
        assert await cluster.read("orders") == lines("before", 10)


async def test_the_controller_moves_when_it_dies(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[0, 1, 2]])
        first = (await cluster.talk(0).metadata()).controller_id
        rest = [broker_id for broker_id in cluster.nodes if broker_id != first]
        cluster.kill(first)

        async def moved() -> bool:
            return (await cluster.talk(rest[0]).metadata()).controller_id in rest

        await eventually("another controller", moved)
        await cluster.isr("orders", set(rest))
        await cluster.create("later", [rest])


async def test_min_insync_replicas_refuses_what_too_few_would_hold(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=2) as cluster:
        await cluster.create("orders", [[0, 1]], min_insync_replicas="2")
        await cluster.produce("orders", lines("both", 5))
        cluster.kill(1)
        await cluster.isr("orders", {0})
        talk = cluster.talk(0)
        refused = await talk.produce("orders", lines("one", 5))
        assert refused.error_code == ErrorCode.NOT_ENOUGH_REPLICAS
        assert (await talk.produce("orders", lines("alone", 5), acks=1)).error_code == 0
        cluster.start(1)
        await cluster.isr("orders", {0, 1})
        await cluster.produce("orders", lines("again", 5))
        assert await cluster.read("orders") == lines("both", 5) + lines("alone", 5) + lines("again", 5)


async def test_brokers_outlive_zookeeper(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[0, 1, 2]])
        await cluster.produce("orders", lines("before", 10))
        cluster.zookeeper.kill()
        await cluster.produce("orders", lines("without", 10))
        assert await cluster.read("orders") == lines("before", 10) + lines("without", 10)
        controller = (await cluster.talk(0).metadata()).controller_id
        refused = await cluster.talk(controller).create("later", replicas=1, timeout_ms=1000)
        assert refused == ErrorCode.REQUEST_TIMED_OUT
        cluster.zookeeper.start()
        await cluster.create("afterwards", [[2, 1, 0]])
        await cluster.produce("orders", lines("after", 10))
        assert await cluster.read("orders") == [*lines("before", 10), *lines("without", 10), *lines("after", 10)]


async def test_brokers_whose_sessions_all_expire_go_on_serving_and_register_again(tmp_path: Path) -> None:
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[0, 1, 2]])
        await cluster.produce("orders", lines("before", 10))
        for node in cluster.nodes.values():
            await node.to_zookeeper.cut()

        async def all_expired() -> bool:
            return "/brokers/ids/" not in await zookeeper_says(cluster, "dump")

        await eventually("ZooKeeper forgot the sessions", all_expired)
        await cluster.produce("orders", lines("without", 10))
        for node in cluster.nodes.values():
            await node.to_zookeeper.heal()
        for broker_id, node in cluster.nodes.items():

            async def registered(node: Node = node, line: str = f"broker {broker_id}: registered") -> bool:
                return node.process.output().count(line) >= 2

            await eventually(f"broker {broker_id} is registered again", registered)
        await cluster.create("afterwards", [[2, 1, 0]])
        await cluster.produce("orders", lines("after", 10))
        assert await cluster.read("orders") == [*lines("before", 10), *lines("without", 10), *lines("after", 10)]


async def zookeeper_says(cluster: Cluster, word: str) -> str:
    """The answer to a four-letter word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.zookeeper_port)
    writer.write(word.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()
