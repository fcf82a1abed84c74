"""Groups of real clients on three brokers: members join, leave and crash, and nothing is skipped.

What every play must leave true: each record was processed at least once, and committed offsets never went back.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kafka
import msgpack
import pytest
import pytest_asyncio
from confluent_kafka import Consumer, KafkaException, TopicPartition
from kafka.admin import KafkaAdminClient

from tests.clients.drivers import DRIVERS
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # kafka-python leaves sockets open
]


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(
        tmp_path,
        group_min_session_timeout_ms="1000",
        offsets_topic_num_partitions="5",
        offsets_topic_replication_factor="3",
    ) as cluster:
        yield cluster


Join = Callable[..., "Reader"]


@pytest_asyncio.fixture
async def join(cluster: Cluster) -> AsyncIterator[Join]:
    """``join(group, topic, seen)`` is one more member; all that are still there leave before the brokers do."""
    joined: list[Reader] = []

    def one(group: str, topic: str, seen: Seen, **settings: Any) -> Reader:
        joined.append(Reader(servers(cluster), group, topic, seen, **settings).start())
        return joined[-1]

    yield one
    for reader in joined:
        reader.end()
    await asyncio.gather(*(reader.leave() for reader in joined))


def servers(cluster: Cluster) -> str:
    return ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values())


class Reader:
    """A confluent consumer in a thread of its own, which notes what it read and commits after it has."""

    def __init__(self, at: str, group: str, topic: str, seen: Seen, **settings: Any) -> None:
        self._settings = {
            "bootstrap.servers": at,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 3000,
            "heartbeat.interval.ms": 300,
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
            "error_cb": lambda _error: None,
            "log_level": 0,
            **{name.replace("_", "."): value for name, value in settings.items()},
        }
        self.topic, self.seen = topic, seen
        self.assigned: set[int] = set()
        self.given: list[set[int]] = []
        self._ended = False
        self._task: asyncio.Future[None] | None = None

    def start(self) -> Reader:
        thread = ThreadPoolExecutor(1)  # asyncio's own threads are few
        self._task = asyncio.get_running_loop().run_in_executor(thread, self._work)
        thread.shutdown(wait=False)
        return self

    def end(self) -> None:
        self._ended = True

    async def leave(self) -> None:
        self.end()
        if self._task is not None:
            await self._task

    def _work(self) -> None:
        consumer = Consumer(self._settings)
        consumer.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        try:
            while not self._ended:
                for message in consumer.consume(50, 0.1):
                    if message.error() is None:
                        self.seen.note(message.value())
                self._commit(consumer)
        finally:
            consumer.close()

    def _commit(self, consumer: Consumer) -> None:
        try:
            done = consumer.commit(asynchronous=False)
        except KafkaException:
            return  # nothing to commit, a rebalance, or no coordinator just now: the next round does it
        for one in done or []:
            if one.error is None:
                self.seen.committed(one.partition, one.offset)

    def _on_assign(self, _consumer: Any, partitions: list[Any]) -> None:
        self.assigned |= {one.partition for one in partitions}
        self.given.append({one.partition for one in partitions})

    def _on_revoke(self, _consumer: Any, partitions: list[Any]) -> None:
        self.assigned -= {one.partition for one in partitions}


class Seen:
    """What all readers of a group read and committed."""

    def __init__(self) -> None:
        self.values: set[bytes] = set()
        self.high: dict[int, int] = {}

    def note(self, value: bytes | None) -> None:
        self.values.add(value or b"")

    def committed(self, partition: int, offset: int) -> None:
        self.high[partition] = max(self.high.get(partition, 0), offset)


async def rising(at: str, group: str, topic: str, partitions: int, stop: asyncio.Event) -> list[str]:
    """Committed offsets, asked again and again by somebody who is no member; the times they went back."""

    def ask(consumer: Consumer) -> dict[int, int]:
        try:
            found = consumer.committed([TopicPartition(topic, index) for index in range(partitions)], timeout=2)
        except KafkaException:
            return {}
        return {one.partition: one.offset for one in found if one.error is None and one.offset >= 0}

    consumer = Consumer({"bootstrap.servers": at, "group.id": group, "error_cb": lambda _error: None})
    high: dict[int, int] = {}
    back: list[str] = []
    try:
        while not stop.is_set():
            for partition, offset in (await asyncio.to_thread(ask, consumer)).items():
                if offset < high.get(partition, 0):
                    back.append(f"{topic}-{partition}: {offset} after {high[partition]}")
                high[partition] = offset
            await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(consumer.close)
    return back


def partitions_of(readers: list[Reader]) -> list[int]:
    return sorted(partition for reader in readers for partition in reader.assigned)


async def shared(readers: list[Reader], count: int) -> None:
    """Every partition is with exactly one of the readers, and none has more than one more than another."""

    async def so() -> bool:
        sizes = [len(reader.assigned) for reader in readers]
        return partitions_of(readers) == list(range(count)) and max(sizes) - min(sizes) <= 1

    try:
        await eventually(f"{count} partitions are shared by {len(readers)} readers", so, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[sorted(reader.assigned) for reader in readers]}") from error


async def spread(cluster: Cluster, topic: str, partitions: int) -> None:
    await cluster.create(topic, [[(index + shift) % 3 for shift in range(3)] for index in range(partitions)])


async def write(at: str, topic: str, values: list[bytes], seconds: float = 0.0, partitions: int = 1) -> None:
    def work() -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=at.split(","), acks="all", retry_backoff_ms=50, metadata_max_age_ms=1000,
            delivery_timeout_ms=60_000, request_timeout_ms=10_000, linger_ms=5,
        )  # fmt: skip
        try:
            sent = []
            for index, value in enumerate(values):
                sent.append(producer.send(topic, value, partition=index % partitions))
                if seconds:
                    time.sleep(seconds / len(values))
            for each in sent:
                each.get(60)
        finally:
            producer.close(5)

    await asyncio.to_thread(work)


async def all_read(seen: Seen, values: list[bytes], limit: float = 60) -> None:
    async def so() -> bool:
        return set(values) <= seen.values

    await eventually(f"all {len(values)} records are processed", so, limit)


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
async def test_members_join_and_leave_and_every_record_is_processed(
    cluster: Cluster, join: Join, strategy: str
) -> None:
    at, seen, stop = servers(cluster), Seen(), asyncio.Event()
    await spread(cluster, "orders", 6)
    values = [b"%d" % index for index in range(1200)]
    how = {"partition_assignment_strategy": strategy}
    first, second, third = (join("workers", "orders", seen, **how) for _ in range(3))
    await shared([first, second, third], 6)
    watching = asyncio.create_task(rising(at, "workers", "orders", 6, stop))
    writing = asyncio.create_task(write(at, "orders", values, 6, 6))
    try:
        await third.leave()
        await shared([first, second], 6)
        fourth = join("workers", "orders", seen, **how)
        await shared([first, second, fourth], 6)
        await writing
        await all_read(seen, values)
    finally:
        stop.set()
    assert await watching == []


SILENT = """
import sys, confluent_kafka
consumer = confluent_kafka.Consumer({"bootstrap.servers": sys.argv[1], "group.id": "pair", "session.timeout.ms": 2000,
    "heartbeat.interval.ms": 300, "auto.offset.reset": "earliest", "partition.assignment.strategy": "range"})
consumer.subscribe(["orders"], on_assign=lambda _c, parts: print(len(parts), flush=True))
while True:
    consumer.poll(0.1)
"""


async def test_a_member_that_is_killed_is_replaced_when_its_session_ends(cluster: Cluster, join: Join) -> None:
    await spread(cluster, "orders", 2)
    lost = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SILENT, servers(cluster), stdout=asyncio.subprocess.PIPE
    )
    assert lost.stdout is not None
    try:
        assert await asyncio.wait_for(lost.stdout.readline(), 30) == b"2\n"
        second = join("pair", "orders", Seen(), partition_assignment_strategy="range")
        assert await asyncio.wait_for(lost.stdout.readline(), 30) == b"1\n"
        await eventually("the other one is with the second", lambda: asyncio.sleep(0, len(second.assigned) == 1))
    finally:
        lost.kill()
        await lost.wait()
    await shared([second], 2)


async def test_twenty_members_share_twenty_partitions_and_half_of_them_leave(cluster: Cluster, join: Join) -> None:
    at, seen = servers(cluster), Seen()
    await spread(cluster, "wide", 20)
    readers = [join("many", "wide", seen) for _ in range(21)]
    try:
        await shared(readers, 20)
        assert sorted(len(reader.assigned) for reader in readers) == [0] + [1] * 20  # one more than there is work for
        await asyncio.gather(*(reader.leave() for reader in readers[10:]))
        await shared(readers[:10], 20)
        values = [b"%d" % index for index in range(400)]
        await write(at, "wide", values, 0, 20)
        await all_read(seen, values)
    finally:
        await asyncio.gather(*(reader.leave() for reader in readers[:10]))


def committed(at: str, group: str, topic: str, partitions: int) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": at, "group.id": group})
    try:
        found = consumer.committed([TopicPartition(topic, index) for index in range(partitions)], timeout=30)
        return {one.partition: one.offset for one in found}
    finally:
        consumer.close()


async def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(cluster: Cluster, join: Join) -> None:
    _at, seen = servers(cluster), Seen()
    await spread(cluster, "orders", 4)
    how = {"session_timeout_ms": 8000}
    stays = join("fixed", "orders", seen, group_instance_id="a", **how)
    goes = join("fixed", "orders", seen, group_instance_id="b", **how)
    await shared([stays, goes], 4)
    before, times = set(goes.assigned), len(stays.given)
    await goes.leave()  # a static member says nothing when it closes
    again = join("fixed", "orders", seen, group_instance_id="b", **how)
    try:
        await shared([stays, again], 4)
        assert again.assigned == before
        assert len(stays.given) == times
    finally:
        await stays.leave()
        await again.leave()


@contextmanager
def consumer_of(at: str, *topics: str, **settings: Any) -> Iterator[Any]:
    consumer = kafka.KafkaConsumer(
        *topics, bootstrap_servers=at.split(","), consumer_timeout_ms=3000, auto_offset_reset="earliest", **settings
    )
    try:
        yield consumer
    finally:
        consumer.close()


def play(work: Callable[[], None]) -> Any:
    return asyncio.to_thread(work)


async def test_kafka_python_goes_on_where_it_committed_in_every_way(cluster: Cluster) -> None:
    at = servers(cluster)
    await spread(cluster, "facts", 1)
    zero = kafka.TopicPartition("facts", 0)

    def work() -> None:
        producer = kafka.KafkaProducer(bootstrap_servers=at.split(","), value_serializer=msgpack.packb)
        for number in range(20):
            producer.send("facts", {"number": number})
        producer.close(30)
        how: dict[str, Any] = {"group_id": "msgpack", "value_deserializer": msgpack.unpackb}
        with consumer_of(at, "facts", enable_auto_commit=False, max_poll_records=5, **how) as consumer:
            assert [next(consumer).value["number"] for _ in range(5)] == [0, 1, 2, 3, 4]
            consumer.commit()
            assert consumer.committed(zero) == 5
            assert next(consumer).value["number"] == 5  # read, and never committed
        with consumer_of(at, "facts", enable_auto_commit=False, **how) as consumer:
            assert next(consumer).value["number"] == 5
            done: list[Any] = []
            offset = {zero: kafka.structs.OffsetAndMetadata(9, "by hand", -1)}
            consumer.commit_async(offset, callback=lambda _offsets, result: done.append(result))
            deadline = time.monotonic() + 20
            while not done and time.monotonic() < deadline:
                consumer.poll(100)
            assert done
            assert consumer.committed(zero) == 9
        with consumer_of(at, "facts", enable_auto_commit=True, auto_commit_interval_ms=200, **how) as consumer:
            assert [record.value["number"] for record in consumer] == list(range(9, 20))
        with consumer_of(at, "facts", **how) as consumer:
            assert list(consumer) == []  # all of it was committed, at the latest when it closed
            consumer.seek(zero, 17)
            assert [record.value["number"] for record in consumer] == [17, 18, 19]
            consumer.seek_to_beginning(zero)
            assert next(consumer).offset == 0
            consumer.seek_to_end(zero)
            assert list(consumer) == []
        with consumer_of(at, value_deserializer=msgpack.unpackb) as consumer:  # without a group
            consumer.assign([zero])
            assert len(list(consumer)) == 20
            with pytest.raises(kafka.errors.IllegalStateError):
                consumer.subscribe(["facts"])
        with consumer_of(at, group_id="patterns") as consumer:
            consumer.subscribe(pattern="^fa.*")
            assert len(list(consumer)) == 20
        admin = KafkaAdminClient(bootstrap_servers=at.split(","))
        try:
            admin.delete_groups(["msgpack"])
            assert admin.list_group_offsets("msgpack") == {"msgpack": {}}
        finally:
            admin.close()

    await play(work)


async def test_partitions_that_are_added_are_shared_out(cluster: Cluster, join: Join) -> None:
    at, seen = servers(cluster), Seen()
    await spread(cluster, "grows", 1)
    reader = join("grown", "grows", seen)
    try:
        await shared([reader], 1)

        def grow() -> None:
            admin = KafkaAdminClient(bootstrap_servers=at.split(","))
            try:
                admin.create_partitions({"grows": 3})
            finally:
                admin.close()

        await asyncio.to_thread(grow)
        await shared([reader], 3)
    finally:
        await reader.leave()


@pytest.mark.parametrize("name", list(DRIVERS))
async def test_every_client_joins_within_a_second_when_there_is_no_initial_delay(
    cluster: Cluster, join: Join, name: str
) -> None:
    at, seen = servers(cluster), Seen()
    await spread(cluster, "orders", 1)
    await write(at, "orders", [b"only"])
    warm = join("warm", "orders", seen)
    await shared([warm], 1)
    await warm.leave()
    began = time.monotonic()
    assert await JOINS[name](at) == b"only"
    assert time.monotonic() - began < 3


async def _aiokafka(at: str) -> bytes:
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer(
        "orders", bootstrap_servers=at, group_id="quick-aio", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        return bytes((await consumer.getone()).value or b"")
    finally:
        await consumer.stop()


async def _kafka_python(at: str) -> bytes:
    def work() -> bytes:
        with consumer_of(at, "orders", group_id="quick-kp") as consumer:
            return bytes(next(consumer).value)

    return await asyncio.to_thread(work)


async def _confluent(at: str) -> bytes:
    def work() -> bytes:
        consumer = Consumer({"bootstrap.servers": at, "group.id": "quick-c", "auto.offset.reset": "earliest"})
        try:
            consumer.subscribe(["orders"])
            message = consumer.poll(20)
            assert message is not None and message.error() is None
            return bytes(message.value() or b"")
        finally:
            consumer.close()

    return await asyncio.to_thread(work)


JOINS = {"aiokafka": _aiokafka, "kafka-python": _kafka_python, "confluent-kafka": _confluent}
