"""The rows of the table: each takes a running cluster and returns named figures."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bench import load
from bench.client import Connection, batch_of, create_topic, leader_port, metadata, metadata_frame, produce_frame
from bench.engines import Cluster

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Row:
    """``brokers``: how many the row needs. ``better``: whether a higher or a lower figure is better."""

    name: str
    brokers: int
    measure: Callable[[Cluster, float], Awaitable[Figures]]
    better: str


ROWS: list[Row] = []


def row(name: str, brokers: int, better: str) -> Callable[[Callable[[Cluster, float], Awaitable[Figures]]], object]:
    def register(measure: Callable[[Cluster, float], Awaitable[Figures]]) -> object:
        ROWS.append(Row(name, brokers, measure, better))
        return measure

    return register


async def topic_of(cluster: Cluster, name: str, partitions: int = 1, replicas: int = 1, **configs: str) -> int:
    """A new topic, and the port of the leader of its partition 0. The name carries the clock, so that it is new."""
    await create_topic(cluster.port, name, partitions, replicas, **configs)
    return await leader_port(cluster.port, name)


def fresh(prefix: str) -> str:
    return f"{prefix}-{time.perf_counter_ns()}"


@row("idle memory, MB (1 broker + ZooKeeper)", 1, "lower")
async def idle_memory_one(cluster: Cluster, seconds: float) -> Figures:
    await asyncio.sleep(1)
    return {"MB": cluster.memory_mb()}


@row("idle memory, MB (3 brokers + ZooKeeper)", 3, "lower")
async def idle_memory_three(cluster: Cluster, seconds: float) -> Figures:
    await asyncio.sleep(1)
    return {"MB": cluster.memory_mb()}


async def _produce(cluster: Cluster, seconds: float, size: int, replicas: int, acks: int, in_flight: int) -> Figures:
    topic = fresh("produce")
    port = await topic_of(cluster, topic, 1, replicas, retention_bytes="1000000000")
    batch = batch_of(size)
    frame = produce_frame(topic, [0], batch, acks)
    await load.produce([port], [frame], len(batch), min(2.0, seconds), in_flight)
    done = await load.produce([port], [frame], len(batch), seconds, in_flight)
    return {"MB/s": done.mb_per_second, "req/s": done.per_second}


@row("produce 16 KiB, acks=1, 5 in flight", 1, "higher")
async def produce_16k(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, 16_384, 1, 1, 5)


@row("produce 1 MB, acks=1, 5 in flight", 1, "higher")
async def produce_1m(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, 1_000_000, 1, 1, 5)


@row("produce 16 KiB, acks=all, 3 replicas, 5 in flight", 3, "higher")
async def produce_16k_all(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, 16_384, 3, -1, 5)


@row("produce 1 MB, acks=all, 3 replicas, 5 in flight", 3, "higher")
async def produce_1m_all(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, 1_000_000, 3, -1, 5)


async def _latency(cluster: Cluster, seconds: float, replicas: int, acks: int) -> Figures:
    topic = fresh("latency")
    port = await topic_of(cluster, topic, 1, replicas)
    frame = produce_frame(topic, [0], batch_of(100), acks)
    await load.produce([port], [frame], 100, min(2.0, seconds), 1)
    done = await load.produce([port], [frame], 100, seconds, 1)
    return {"p50 ms": done.percentile_ms(50), "p99 ms": done.percentile_ms(99)}


@row("latency 100 B, acks=1, one at a time", 1, "lower")
async def latency_one(cluster: Cluster, seconds: float) -> Figures:
    return await _latency(cluster, seconds, 1, 1)


@row("latency 100 B, acks=all, 3 replicas", 3, "lower")
async def latency_all(cluster: Cluster, seconds: float) -> Figures:
    return await _latency(cluster, seconds, 3, -1)


@row("produce to a waiting fetch", 1, "lower")
async def end_to_end(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("e2e")
    port = await topic_of(cluster, topic)
    frame = produce_frame(topic, [0], batch_of(100), 1)
    await load.end_to_end(port, topic, frame, 200)
    done = await load.end_to_end(port, topic, frame, int(200 * seconds))
    return {"p50 ms": done.percentile_ms(50), "p99 ms": done.percentile_ms(99)}


async def _consume(cluster: Cluster, seconds: float, batch_size: int, fetch_bytes: int) -> Figures:
    topic = fresh("consume")
    port = await topic_of(cluster, topic)
    batch = batch_of(batch_size)
    connection = await Connection.open(port)
    frame = produce_frame(topic, [0], batch, 1)
    end = 0
    for _ in range(100_000_000 // len(batch)):
        payload = await connection.call(frame)
        assert load.produce_error(payload) == 0
        end = load.produced_offset(payload) + 1
    connection.close()
    await load.consume(port, topic, batch_size, fetch_bytes, min(2.0, seconds), end)
    before = cluster.cpu_seconds()
    done = await load.consume(port, topic, batch_size, fetch_bytes, seconds, end)
    cpu = (cluster.cpu_seconds() - before) / done.seconds * 100
    return {"MB/s": done.mb_per_second, "broker CPU %": cpu}


@row("consume 1 MiB fetches of 1 MB batches", 1, "higher")
async def consume_1m(cluster: Cluster, seconds: float) -> Figures:
    return await _consume(cluster, seconds, 1_000_000, 1 << 20)


@row("consume 64 KiB fetches of 16 KiB batches", 1, "higher")
async def consume_16k(cluster: Cluster, seconds: float) -> Figures:
    return await _consume(cluster, seconds, 16_384, 65_536)


async def _metadata(cluster: Cluster, seconds: float, connections: int) -> Figures:
    topic = fresh("metadata")
    port = await topic_of(cluster, topic, 3)
    await load.repeat([port] * connections, metadata_frame([topic]), min(2.0, seconds))
    done = await load.repeat([port] * connections, metadata_frame([topic]), seconds)
    return {"req/s": done.per_second}


@row("metadata, 1 connection", 1, "higher")
async def metadata_1(cluster: Cluster, seconds: float) -> Figures:
    return await _metadata(cluster, seconds, 1)


@row("metadata, 50 connections", 1, "higher")
async def metadata_50(cluster: Cluster, seconds: float) -> Figures:
    return await _metadata(cluster, seconds, 50)


@row("produce 100 B, 200 connections, 8 partitions", 1, "higher")
async def many_connections(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("many")
    port = await topic_of(cluster, topic, 8)
    frames = [produce_frame(topic, [partition], batch_of(100), 1) for partition in range(8)]
    await load.produce([port] * 200, frames, 100, min(2.0, seconds), 1)
    done = await load.produce([port] * 200, frames, 100, seconds, 1)
    return {"req/s": done.per_second, "p99 ms": done.percentile_ms(99)}


@row("1000 partitions in one request", 1, "higher")
async def many_partitions(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("wide")
    port = await topic_of(cluster, topic, 1000)
    frame = produce_frame(topic, list(range(1000)), batch_of(100), 1)
    connection = await Connection.open(port)
    began = time.perf_counter()
    assert load.produce_error(await connection.call(frame)) == 0
    first = time.perf_counter() - began
    connection.close()
    done = await load.produce([port], [frame], 1, seconds, 1)
    return {"batches/s": done.per_second * 1000, "first s": first}


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


@row("write gap after SIGTERM of the leader", 3, "lower")
async def gap_sigterm(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGTERM)


@row("write gap after kill -9 of the leader", 3, "lower")
async def gap_sigkill(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGKILL)


@row("write gap after kill -9 of the leader that is also the controller", 3, "lower")
async def gap_sigkill_controller(cluster: Cluster, seconds: float) -> Figures:
    return await _failover(cluster, signal.SIGKILL, of_controller=True)
