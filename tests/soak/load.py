"""A load of idempotent writes by librdkafka, read back by two clients that know nothing of each other; the history."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from broker.wire import batch as batches
from broker.wire.errors import ErrorCode
from broker.wire.records import Record, read_all, read_records
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.sim.checker import History, Keyed, Kind, Outcome, Seen, Violation, Write

TOPIC = "orders"
PARTITIONS = 3
PAUSE = 0.005
COMPACTED = "latest"
KEYS = 40
KEYED_PAUSE = 0.01


@dataclass
class Load:
    """Started and stopped; ``history`` is what the clients were told."""

    servers: str
    history: History = field(default_factory=History)
    longest_gap: float = 0.0

    def start(self) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every dead broker
        self._dice = Random(1)
        self._stopping = threading.Event()
        self._read_enough = threading.Event()
        self._read = {reader: [0] * PARTITIONS for reader in ("consumer-librdkafka", "consumer-aiokafka")}
        self._threads = [
            threading.Thread(target=each, daemon=True)
            for each in (
                self._produce,
                self._produce_keyed,
                self._consume_librdkafka,
                lambda: asyncio.run(self._consume_aiokafka()),
            )
        ]
        for thread in self._threads:
            thread.start()

    def acknowledged(self) -> int:
        return sum(1 for write in list(self.history.writes) if write.outcome is Outcome.OK)

    async def stop(self, limit: float = 120) -> None:
        """End the writes, wait until all that was acknowledged is read by both, end the readers."""
        self._stopping.set()
        for producing in self._threads[:2]:
            await asyncio.to_thread(producing.join, limit)
        ends = [0] * PARTITIONS
        for write in self.history.writes:
            if write.outcome is Outcome.OK:
                ends[write.partition] = max(ends[write.partition], write.offset + 1)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and not all(
            mine[partition] >= ends[partition] for mine in self._read.values() for partition in range(PARTITIONS)
        ):
            await asyncio.sleep(0.1)
        self._read_enough.set()
        for reader, mine in self._read.items():
            if any(mine[partition] < ends[partition] for partition in range(PARTITIONS)):
                self._trouble(f"{reader} read up to {mine} of {ends}")
        for thread in self._threads[2:]:
            await asyncio.to_thread(thread.join, 30)

    def _trouble(self, what: str) -> None:
        self.history.trouble.append(Violation(Kind.REFUSED, what))

    def _producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.servers,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "batch.size": 10_000,
                "delivery.timeout.ms": 180_000,
                "request.timeout.ms": 5000,
                "socket.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def _produce_keyed(self) -> None:
        """Keys that are written over, and now and then deleted, in the compacted topic."""
        producer, count = self._producer(), 0
        while not self._stopping.is_set():
            key, count = b"k%d" % self._dice.randrange(KEYS), count + 1
            value = None if self._dice.random() < 0.1 else b"%d/" % count + b"x" * 150
            write = Keyed(key, value)
            self.history.keyed.append(write)

            def told(error: KafkaError | None, message: Message, write: Keyed = write) -> None:
                if error is None:
                    write.outcome, write.offset = Outcome.OK, message.offset() or 0
                else:
                    self._trouble(f"{write.key!r}: {write.value!r} was not delivered: {error}")

            producer.produce(COMPACTED, value, key, partition=0, on_delivery=told)
            producer.poll(KEYED_PAUSE)
        if producer.flush(180):
            self._trouble("keyed records are left in the producer's queue")

    def _produce(self) -> None:
        producer = self._producer()
        numbers = [0] * PARTITIONS
        last_done = [time.monotonic()]
        partition = 0
        while not self._stopping.is_set():
            partition = (partition + 1) % PARTITIONS
            numbers[partition] += 1
            value = b"%d-%d" % (partition, numbers[partition])
            write = Write("librdkafka", partition, numbers[partition], value, True, time.monotonic())
            self.history.writes.append(write)

            def told(error: KafkaError | None, message: Message, write: Write = write) -> None:
                write.ended = time.monotonic()
                if error is None:
                    write.outcome, write.offset = Outcome.OK, message.offset() or 0
                    self.longest_gap = max(self.longest_gap, write.ended - last_done[0])
                    last_done[0] = write.ended
                else:
                    self._trouble(f"{write.value!r} was not delivered: {error}")

            producer.produce(TOPIC, value, partition=partition, on_delivery=told)
            producer.poll(PAUSE)
        if producer.flush(180):
            self._trouble("records are left in the producer's queue")

    def _consume_librdkafka(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "none",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
        while not self._read_enough.is_set():
            message = consumer.poll(0.2)
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.code() == KafkaError._AUTO_OFFSET_RESET or error.fatal():
                    self._trouble(f"librdkafka's consumer: {error}")
                    break
                continue
            self._saw("consumer-librdkafka", message.partition() or 0, message.offset() or 0, message.value())
        consumer.close()

    async def _consume_aiokafka(self) -> None:
        consumer: Any = None
        while consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.servers, auto_offset_reset="none", enable_auto_commit=False, retry_backoff_ms=100
            )
            try:
                await consumer.start()
            except Exception:  # noqa: BLE001 - no broker answers yet; whatever it is, the next try may do
                await consumer.stop()
                consumer = None
                await asyncio.sleep(0.2)
        partitions = [AioPartition(TOPIC, partition) for partition in range(PARTITIONS)]
        consumer.assign(partitions)
        for each in partitions:
            consumer.seek(each, 0)
        while not self._read_enough.is_set():
            try:
                found = await consumer.getmany(timeout_ms=200)
            except Exception as error:  # noqa: BLE001 - whatever a client tells its user is what is to be judged
                self._trouble(f"aiokafka's consumer: {error!r}")
                break
            for each, records in found.items():
                for record in records:
                    self._saw("consumer-aiokafka", each.partition, record.offset, record.value)
        with contextlib.suppress(Exception):
            await consumer.stop()

    def _saw(self, reader: str, partition: int, offset: int, value: Any) -> None:
        self.history.seen.append(Seen(reader, partition, offset, bytes(value), time.monotonic()))
        self._read[reader][partition] = offset + 1


async def read_all_replicas(cluster: Cluster) -> None:
    """Every record from every broker by itself: damage that nobody read would not be found, nor mended."""
    for broker_id in cluster.nodes:
        for topic, partitions in ((TOPIC, PARTITIONS), (COMPACTED, 1)):
            for partition in range(partitions):
                await everything(cluster, broker_id, topic, partition)


async def everything(cluster: Cluster, broker_id: int, topic: str, partition: int) -> list[Record]:
    """What this broker serves up to the high watermark, once it serves all of it.

    A compacted log may begin later: where its first file was gone, and nobody had a record of it, it is not missed.
    """
    talk, found = cluster.talk(broker_id), list[Record]()
    offset = 0
    if topic == COMPACTED:
        last = max((cluster.nodes[broker_id].data / f"{topic}-{partition}").glob("*.log"))
        offset = await _start(cluster, broker_id, topic, int(last.stem))

    async def is_read() -> bool:
        nonlocal offset
        while True:
            epoch = (await cluster.partition(topic, partition, broker_id)).leader_epoch
            part = await talk.fetch(topic, partition, offset, leader_epoch=epoch)
            if part.error_code:
                raise ConnectionError(f"{ErrorCode(part.error_code).name} at {offset}")
            records = [record for record in read_all(part.records or b"") if record.offset >= offset]
            found.extend(records)
            ends = [head.next_offset for _, head in batches.headers(part.records or b"")]
            offset = max([offset, *ends])
            if offset >= part.high_watermark:
                return True

    await eventually(f"all of {topic}-{partition} is read from broker {broker_id}", is_read, 60)
    talk.close()
    return found


async def _start(cluster: Cluster, broker_id: int, topic: str, high: int) -> int:
    """The first offset that this broker does not refuse, at most ``high``; it is looked for by halves."""
    talk, low = cluster.talk(broker_id), 0
    while low < high:
        middle = (low + high) // 2
        epoch = (await cluster.partition(topic, 0, broker_id)).leader_epoch
        part = await talk.fetch(topic, 0, middle, leader_epoch=epoch)
        if part.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
            low = middle + 1
        else:
            high = middle
    talk.close()
    return low


async def keep(cluster: Cluster, history: History) -> None:
    """What every broker has of the compacted topic goes into the history."""
    for broker_id in cluster.nodes:
        found = await everything(cluster, broker_id, COMPACTED, 0)
        history.kept[f"broker {broker_id}"] = [(each.offset, each.key or b"", each.value) for each in found]


def held(directory: Path, partition: int) -> list[tuple[int, bytes]] | None:
    """Every record in the files of a broker that was stopped; None where they are damaged."""
    found: list[tuple[int, bytes]] = []
    for path in sorted((directory / f"{TOPIC}-{partition}").glob("*.log")):
        data, end = path.read_bytes(), 0
        for at, head in batches.headers(data):
            if head.magic != 2 or not batches.crc_matches(data, at) or head.base_offset != len(found):
                return None
            found += [(record.offset, record.value or b"") for record in read_records(data, at)]
            end = at + head.size
        if end != len(data):
            return None
    return found
