"""Memory, creation, restarts and failovers of a cluster."""

from __future__ import annotations

import asyncio
import signal
import statistics
import time

from bench import load
from bench.client import batch_of, create_topic, metadata, produce_frame, until_led
from bench.engines import Cluster
from bench.row import Figures, Times, fresh, row, topic_of

SESSION_SECONDS = 20.0
"""A killed broker's session has expired by then, so that Apache's can start again at all."""


@row("idle memory, 1 broker + ZooKeeper", 1, cluster="idle", MB=Times(5))
async def idle_memory_one(cluster: Cluster, seconds: float) -> Figures:
    await asyncio.sleep(1)
    return {"MB": cluster.memory_mb()}


@row("idle memory, 3 brokers + ZooKeeper", 3, cluster="idle", MB=Times(5))
async def idle_memory_three(cluster: Cluster, seconds: float) -> Figures:
    await asyncio.sleep(1)
    return {"MB": cluster.memory_mb()}


async def _created(cluster: Cluster, partitions: int, replicas: int, times: int) -> Figures:
    """Seconds from the request until every broker's metadata has a leader for every partition; a median."""
    taken = []
    for _ in range(times):
        topic = fresh("create")
        began = time.perf_counter()
        await create_topic(cluster.port, topic, partitions, replicas)
        await until_led(cluster.ports, topic, partitions)
        taken.append(time.perf_counter() - began)
        cluster.topics.append(topic)
    return {"s": statistics.median(taken)}


@row("create a topic of 1 partition, 3 replicas", 3, s=Times(5))
async def create_one(cluster: Cluster, seconds: float) -> Figures:
    return await _created(cluster, 1, 3, 5)


@row("create a topic of 300 partitions, 3 replicas", 3, s=Times(5))
async def create_300(cluster: Cluster, seconds: float) -> Figures:
    return await _created(cluster, 300, 3, 1)


@row("create a topic of 1000 partitions, 1 replica", 1, s=Times(6))
async def create_1000(cluster: Cluster, seconds: float) -> Figures:
    return await _created(cluster, 1000, 1, 1)


WIDE = "two-thousand"


@row("memory with 2000 partitions, 1 broker + ZooKeeper", 1, cluster="2000 partitions", MB=Times(8))
async def memory_2000(cluster: Cluster, seconds: float) -> Figures:
    """One small batch is in each, so that none of them is empty when the broker starts again."""
    await create_topic(cluster.port, WIDE, 2000, 1)
    await until_led(cluster.ports, WIDE, 2000)
    frames = [produce_frame(WIDE, list(range(at, at + 500)), batch_of(100), 1) for at in range(0, 2000, 500)]
    await load.produce([cluster.port] * 4, frames, 1, 60.0, 1, most=4)
    await asyncio.sleep(2)
    return {"MB": cluster.memory_mb()}


async def _restarted(cluster: Cluster, how: signal.Signals) -> Figures:
    """Seconds from exec until all 2000 partitions are led again, which an acknowledged record then confirms."""
    cluster.kill(0, how)
    while cluster.processes["broker-0"].poll() is None:
        await asyncio.sleep(0.01)
    if how == signal.SIGKILL:
        await asyncio.sleep(SESSION_SECONDS)
    began = time.perf_counter()
    cluster.start_broker(0)
    await cluster.wait_for_brokers(1)
    await until_led(cluster.ports, WIDE, 2000)
    taken = time.perf_counter() - began
    await load.produce([cluster.port], [produce_frame(WIDE, [1999], batch_of(100), 1)], 100, 5.0, 1, most=1)
    return {"s": taken}


@row("restart with 2000 partitions, clean", 1, cluster="2000 partitions", s=Times(6))
async def restart_clean(cluster: Cluster, seconds: float) -> Figures:
    return await _restarted(cluster, signal.SIGTERM)


@row("restart with 2000 partitions, after kill -9", 1, cluster="2000 partitions", s=Times(8))
async def restart_killed(cluster: Cluster, seconds: float) -> Figures:
    return await _restarted(cluster, signal.SIGKILL)


async def _replicated_topic(cluster: Cluster, *, on_controller: bool) -> tuple[str, int]:
    """A topic with three replicas that is led by the controller, or is not; and the port of its leader."""
    while True:
        topic = fresh("failover")
        port = await topic_of(cluster, topic, 1, 3, min_insync_replicas="2")
        view = await metadata(cluster.port, [])
        if on_controller == (port == next(b.port for b in view.brokers if b.node_id == view.controller_id)):
            return topic, port


async def _failover(cluster: Cluster, how: signal.Signals, *, of_controller: bool = False) -> Figures:
    """The longest silence of a steady acks=all producer."""
    topic, port = await _replicated_topic(cluster, on_controller=of_controller)
    frame = produce_frame(topic, [0], batch_of(100), -1)
    gap = load.Gap()
    sender = asyncio.ensure_future(load.steady(cluster.ports, topic, frame, gap))
    await asyncio.sleep(2)
    gap.longest = 0.0
    leader = cluster.ports.index(port)
    cluster.kill(leader, how)
    process = cluster.processes[f"broker-{leader}"]
    while process.poll() is None:
        await asyncio.sleep(0.01)
    before = gap.acknowledged
    while gap.acknowledged < before + 100:
        await asyncio.sleep(0.05)
    gap.stop = True
    await sender
    cluster.start_broker(leader)
    await cluster.wait_for_brokers(cluster.size)
    return {"gap ms": 1000 * gap.longest}


@row("write gap after SIGTERM of the leader", 3, gap_ms=Times(6))
async def gap_sigterm(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGTERM)


@row("write gap after kill -9 of the leader", 3)
async def gap_sigkill(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGKILL)


@row("write gap after kill -9 of the leader that is also the controller", 3)
async def gap_sigkill_controller(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGKILL, of_controller=True)
