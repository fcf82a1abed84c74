"""The loads: what producers, consumers and metadata requests get out of a running cluster."""

from __future__ import annotations

import time

from bench import load
from bench.client import (
    Connection,
    batch_of,
    metadata_frame,
    mixed_batch,
    produce_error,
    produce_frame,
    produced_offset,
)
from bench.engines import Cluster
from bench.row import AtMost, Figures, Times, fresh, row, topic_of


async def _produce(cluster: Cluster, seconds: float, batch: bytes, replicas: int, acks: int) -> Figures:
    topic = fresh("produce")
    port = await topic_of(cluster, topic, 1, replicas)
    frame = produce_frame(topic, [0], batch, acks)
    await load.produce_warm(port, frame, len(batch), min(2.0, seconds), replicas, load.MOST // 4)
    done = await load.produce_warm(port, frame, len(batch), seconds, replicas)
    return {"MB/s": done.mb_per_second, "req/s": done.per_second}


@row("produce 16 KiB, acks=1, 5 in flight", 1, MB_per_s=Times(5))
async def produce_16k(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, batch_of(16_384), 1, 1)


@row("produce 1 MB, acks=1, 5 in flight", 1, MB_per_s=Times(1.5))
async def produce_1m(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, batch_of(1_000_000), 1, 1)


@row("produce 1 MB of records of mixed sizes, acks=1, 5 in flight", 1)
async def produce_mixed(cluster: Cluster, seconds: float) -> Figures:
    """Not asked for: the rows above have records of one size, which the broker may check by columns."""
    return await _produce(cluster, seconds, mixed_batch(1_000_000), 1, 1)


@row("produce 16 KiB, acks=all, 3 replicas, 5 in flight", 3, MB_per_s=Times(15))
async def produce_16k_all(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, batch_of(16_384), 3, -1)


@row("produce 1 MB, acks=all, 3 replicas, 5 in flight", 3, MB_per_s=Times(4))
async def produce_1m_all(cluster: Cluster, seconds: float) -> Figures:
    return await _produce(cluster, seconds, batch_of(1_000_000), 3, -1)


async def _latency(cluster: Cluster, seconds: float, replicas: int, acks: int) -> Figures:
    topic = fresh("latency")
    port = await topic_of(cluster, topic, 1, replicas)
    frame = produce_frame(topic, [0], batch_of(100), acks)
    await load.produce([port], [frame], 100, min(2.0, seconds), 1)
    done = await load.produce([port], [frame], 100, seconds, 1)
    return {"p50 ms": done.percentile_ms(50), "p99 ms": done.percentile_ms(99)}


@row("latency 100 B, acks=1, one at a time", 1, p50_ms=Times(2), p99_ms=Times(2))
async def latency_one(cluster: Cluster, seconds: float) -> Figures:
    return await _latency(cluster, seconds, 1, 1)


@row("latency 100 B, acks=all, 3 replicas", 3, p50_ms=Times(2), p99_ms=Times(5))
async def latency_all(cluster: Cluster, seconds: float) -> Figures:
    return await _latency(cluster, seconds, 3, -1)


@row("produce to a waiting fetch", 1, p50_ms=Times(3), p99_ms=Times(5))
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
        assert produce_error(payload) == 0
        end = produced_offset(payload) + 1
    connection.close()
    await load.consume(port, topic, batch_size, fetch_bytes, min(2.0, seconds), end)
    before = cluster.cpu_seconds()
    done = await load.consume(port, topic, batch_size, fetch_bytes, seconds, end)
    spent = cluster.cpu_seconds() - before
    return {"MB/s": done.mb_per_second, "broker CPU ms a MB": 1000 * spent / (done.payload / 1e6)}


@row("consume 1 MiB fetches of 1 MB batches", 1, MB_per_s=Times(1.3), broker_CPU_ms_a_MB=Times(2))
async def consume_1m(cluster: Cluster, seconds: float) -> Figures:
    return await _consume(cluster, seconds, 1_000_000, 1 << 20)


@row("consume 64 KiB fetches of 16 KiB batches", 1, MB_per_s=Times(1.4))
async def consume_16k(cluster: Cluster, seconds: float) -> Figures:
    return await _consume(cluster, seconds, 16_384, 65_536)


async def _metadata(cluster: Cluster, seconds: float, connections: int) -> Figures:
    topic = fresh("metadata")
    port = await topic_of(cluster, topic, 3)
    await load.repeat([port] * connections, metadata_frame([topic]), min(2.0, seconds))
    done = await load.repeat([port] * connections, metadata_frame([topic]), seconds)
    return {"req/s": done.per_second}


@row("metadata, 1 connection", 1, req_per_s=Times(1.6))
async def metadata_1(cluster: Cluster, seconds: float) -> Figures:
    return await _metadata(cluster, seconds, 1)


@row("metadata, 50 connections", 1, req_per_s=Times(2))
async def metadata_50(cluster: Cluster, seconds: float) -> Figures:
    return await _metadata(cluster, seconds, 50)


@row("produce 100 B, 200 connections, 8 partitions", 1, req_per_s=Times(1.5), p99_ms=Times(2))
async def many_connections(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("many")
    port = await topic_of(cluster, topic, 8)
    frames = [produce_frame(topic, [partition], batch_of(100), 1) for partition in range(8)]
    await load.produce([port] * 200, frames, 100, min(2.0, seconds), 1)
    done = await load.produce([port] * 200, frames, 100, seconds, 1)
    return {"req/s": done.per_second, "p99 ms": done.percentile_ms(99)}


@row("one producer, 50 tail readers", 1, deliveries_per_s=Times(2), p99_ms=Times(2))
async def tail_readers(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("tail")
    port = await topic_of(cluster, topic)
    frame = produce_frame(topic, [0], batch_of(100), 1)
    await load.tail(port, topic, frame, 50, min(2.0, seconds))
    done = await load.tail(port, topic, frame, 50, seconds)
    return {"deliveries/s": done.per_second, "p99 ms": done.percentile_ms(99)}


@row("1000 partitions in one request", 1, batches_per_s=Times(1.5), first_s=AtMost(1))
async def many_partitions(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("wide")
    port = await topic_of(cluster, topic, 1000)
    frame = produce_frame(topic, list(range(1000)), batch_of(100), 1)
    connection = await Connection.open(port)
    began = time.perf_counter()
    assert produce_error(await connection.call(frame)) == 0
    first = time.perf_counter() - began
    connection.close()
    done = await load.produce([port], [frame], 1, seconds, 1)
    return {"batches/s": done.per_second * 1000, "first s": first}
