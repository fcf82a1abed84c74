"""The loads: closed loops over raw connections, timed from send to reply."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.client import Connection, fetch_frame, metadata, produce_error, produced_offset
from bench.memory import warm

MOST = 800_000_000
"""Bytes that a load of producers writes at most."""
PART, PART_SECONDS = 200_000_000, 1.0
"""What it writes, and how long, before memory is warmed anew (``bench.memory``)."""


@dataclass(slots=True)
class Measured:
    """What one load did: requests, payload bytes, seconds, and the latency of each request in seconds."""

    requests: int = 0
    payload: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def mb_per_second(self) -> float:
        return self.payload / self.seconds / 1e6

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def produce(
    ports: list[int], frames: Sequence[bytes], size: int, seconds: float, in_flight: int, most: int = MOST
) -> Measured:
    """``len(ports)`` connections, each with ``in_flight`` requests open, until ``seconds`` have passed.

    Connection k sends ``frames[k % len(frames)]`` again and again, each with ``size`` bytes of batches; after ``most``
    bytes it is enough, too: what is to be measured is the broker, not the disk to which the page cache is written back.
    """
    result = Measured()
    connections = [await Connection.open(port) for port in ports]
    started = time.perf_counter()
    deadline = started + seconds

    async def slot(connection: Connection, frame: bytes) -> None:
        now = time.perf_counter()
        while now < deadline and result.payload < most:
            began = now
            payload = await connection.call(frame)
            now = time.perf_counter()
            error = produce_error(payload)
            assert error == 0, f"produce answered error {error}"
            result.requests += 1
            result.payload += size
            result.latencies.append(now - began)

    numbered = list(enumerate(connections)) * in_flight
    await asyncio.gather(*(slot(connection, frames[number % len(frames)]) for number, connection in numbered))
    result.seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return result


async def produce_warm(port: int, frame: bytes, size: int, seconds: float, replicas: int, most: int = MOST) -> Measured:
    """:func:`produce` on one connection, 5 in flight, in parts that are over before warm memory is cold again."""
    result = Measured()
    while result.seconds < seconds and result.payload < most:
        warm(PART * replicas)
        part = await produce([port], [frame], size, min(PART_SECONDS, seconds - result.seconds), 5, PART)
        result.requests += part.requests
        result.payload += part.payload
        result.seconds += part.seconds
        result.latencies += part.latencies
    return result


async def repeat(ports: list[int], frame: bytes, seconds: float) -> Measured:
    """One request at a time per connection; the replies are not looked at (metadata)."""
    result = Measured(seconds=seconds)
    deadline = time.perf_counter() + seconds

    async def one(port: int) -> None:
        connection = await Connection.open(port)
        now = time.perf_counter()
        while now < deadline:
            began = now
            await connection.call(frame)
            now = time.perf_counter()
            result.requests += 1
            result.latencies.append(now - began)
        connection.close()

    await asyncio.gather(*(one(port) for port in ports))
    return result


async def consume(port: int, topic: str, batch_size: int, fetch_bytes: int, seconds: float, end: int) -> Measured:
    """Fetch from 0 to ``end`` again and again; ``end`` is an offset, each fetch asks for ``fetch_bytes``."""
    result = Measured()
    connection = await Connection.open(port)
    began = time.perf_counter()
    offset = 0
    while (now := time.perf_counter()) < began + seconds:
        payload = await connection.call(fetch_frame(topic, 0, offset, fetch_bytes))
        got, offset = fetched(payload, topic)
        assert got, f"fetch at {offset} gave nothing"
        result.requests += 1
        result.payload += got
        result.latencies.append(time.perf_counter() - now)
        if offset >= end:
            offset = 0
    result.seconds = time.perf_counter() - began
    connection.close()
    return result


def fetched(payload: bytes, topic: str) -> tuple[int, int]:
    """(bytes of records, next offset) of a Fetch v11 reply for one partition."""
    at = 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4 + 2 + 8 + 8 + 8
    aborted = int.from_bytes(payload[at : at + 4], "big", signed=True)
    at += 4 + max(0, aborted) * 16 + 4
    size = int.from_bytes(payload[at : at + 4], "big", signed=True)
    at += 4
    position, offset = at, 0
    while position + 61 <= at + size:
        length = int.from_bytes(payload[position + 8 : position + 12], "big")
        if position + 12 + length > at + size:
            break
        base = int.from_bytes(payload[position : position + 8], "big")
        offset = base + int.from_bytes(payload[position + 23 : position + 27], "big") + 1
        position += 12 + length
    return position - at, offset


async def end_to_end(port: int, topic: str, frame: bytes, rounds: int) -> Measured:
    """A fetch waits at the end of the log, one record is produced, the clock stops when the fetch answers."""
    result = Measured(requests=rounds)
    producer, consumer = await Connection.open(port), await Connection.open(port)
    offset = produced_offset(await producer.call(frame)) + 1
    for _ in range(rounds):
        waiting = asyncio.ensure_future(consumer.call(fetch_frame(topic, 0, offset, 1 << 20, 5000)))
        await asyncio.sleep(0.002)
        began = time.perf_counter()
        sent = asyncio.ensure_future(producer.call(frame))
        _, offset = fetched(await waiting, topic)
        result.latencies.append(time.perf_counter() - began)
        await sent
    result.seconds = sum(result.latencies)
    producer.close()
    consumer.close()
    return result


async def tail(port: int, topic: str, frame: bytes, readers: int, seconds: float) -> Measured:
    """One producer, one request at a time, and ``readers`` that wait at the end; a request is one delivery.

    The clock of a delivery starts when the record is sent, and the next one is sent when all readers have it.
    """
    result = Measured()
    producer = await Connection.open(port)
    consumers = [await Connection.open(port) for _ in range(readers)]
    offset = produced_offset(await producer.call(frame)) + 1
    deadline = time.perf_counter() + seconds
    started = began = time.perf_counter()

    def delivered(payload: bytes) -> None:
        got, next_offset = fetched(payload, topic)
        assert got and next_offset == offset + 1, "a reader was answered without the record"
        result.latencies.append(time.perf_counter() - began)

    while began < deadline:
        wanted = fetch_frame(topic, 0, offset, 1 << 20, 5000)
        payloads = [asyncio.ensure_future(consumer.call(wanted)) for consumer in consumers]
        await asyncio.sleep(0)
        began = time.perf_counter()
        produced = asyncio.ensure_future(producer.call(frame))
        for payload in payloads:
            payload.add_done_callback(lambda done: delivered(done.result()))
        await asyncio.gather(produced, *payloads)
        offset += 1
        result.requests += readers
    result.seconds = time.perf_counter() - started
    for connection in (producer, *consumers):
        connection.close()
    return result


@dataclass(slots=True)
class Gap:
    """A steady acks=all producer during a failover."""

    acknowledged: int = 0
    longest: float = 0.0
    offsets: list[int] = field(default_factory=list)
    stop: bool = False


async def steady(ports: list[int], topic: str, frame: bytes, gap: Gap) -> None:
    """Send one small batch after another to whoever leads; remember the longest time between two acknowledgements."""
    connection: Connection | None = None
    last = time.perf_counter()
    while not gap.stop:
        try:
            if connection is None:
                connection = await _to_leader(ports, topic)
            payload = await asyncio.wait_for(connection.call(frame), 1.0)
            if produce_error(payload):
                raise ConnectionError("not the leader any more")
            gap.offsets.append(produced_offset(payload))
        except (OSError, TimeoutError, StopIteration):
            if connection is not None:
                connection.close()
            connection = None
            await asyncio.sleep(0.005)
            continue
        now = time.perf_counter()
        gap.longest = max(gap.longest, now - last)
        gap.acknowledged += 1
        last = now


async def _to_leader(ports: list[int], topic: str) -> Connection:
    for port in ports:
        try:
            view = await asyncio.wait_for(metadata(port, [topic]), 1.0)
        except (OSError, TimeoutError):
            continue
        known = {b.node_id: b.port for b in view.brokers}
        leader = next((p.leader_id for t in view.topics for p in t.partitions), -1)
        if leader in known:
            try:
                return await Connection.open(known[leader])
            except OSError:
                continue
    raise ConnectionError("nobody leads")
