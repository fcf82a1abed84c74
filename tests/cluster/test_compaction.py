"""Compaction in real brokers, while they are written to: what a reader ends with, on leader and follower alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(150)

SETTINGS = {"log_cleaner_backoff_ms": "200", "log_initial_task_delay_ms": "100"}
KEYS = 50
VALUE = b"x" * 300
PARTITION = TopicPartition("t", 0)


def clean_until(cluster: Cluster, broker_id: int, topic: str) -> int:
    """What the broker's cleaner checkpoint says of partition 0; 0 when nothing."""
    path = cluster.nodes[broker_id].data / "cleaner-offset-checkpoint"
    lines = path.read_text().splitlines()[2:] if path.exists() else []
    return next((int(line.split()[2]) for line in lines if line.startswith(f"{topic} 0 ")), 0)


def size(cluster: Cluster, broker_id: int, topic: str) -> int:
    """Bytes of its segments."""
    return sum(each.stat().st_size for each in (cluster.nodes[broker_id].data / f"{topic}-0").glob("*.log"))


async def write(cluster: Cluster, start: int, count: int) -> None:
    """Idempotent, keyed: value number n of key n % KEYS; the first ten keys end deleted."""
    producer = AIOKafkaProducer(
        bootstrap_servers=f"127.0.0.1:{cluster.nodes[0].inbound.port}", enable_idempotence=True, linger_ms=1
    )
    await producer.start()
    try:
        sent = [
            await producer.send("t", b"%d" % number + VALUE, key=b"%d" % (number % KEYS), partition=0)
            for number in range(start, start + count)
        ]
        sent += [await producer.send("t", None, key=b"%d" % key, partition=0) for key in range(10)]
        for each in sent:
            await each
    finally:
        await producer.stop()


async def state(cluster: Cluster) -> tuple[dict[bytes, bytes], int]:
    """What a consumer from the beginning ends with, and how many records it read."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=f"127.0.0.1:{cluster.nodes[0].inbound.port}", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([PARTITION])
        await consumer.seek_to_beginning(PARTITION)
        end = (await consumer.end_offsets([PARTITION]))[PARTITION]
        values: dict[bytes, bytes] = {}
        count = 0
        while await consumer.position(PARTITION) < end:
            for record in (await consumer.getmany(timeout_ms=500)).get(PARTITION, []):
                count += 1
                if record.value is None:
                    values.pop(record.key, None)
                else:
                    values[record.key] = record.value.removesuffix(VALUE)
        return values, count
    finally:
        await consumer.stop()


def expected(total: int) -> dict[bytes, bytes]:
    return {b"%d" % (number % KEYS): b"%d" % number for number in range(total) if number % KEYS >= 10}


async def test_a_topic_is_compacted_on_both_replicas_while_it_is_written(tmp_path: Path) -> None:
    settings = {"cleanup_policy": "compact", "segment_bytes": "100000", "min_cleanable_dirty_ratio": "0.1"}
    async with Cluster(tmp_path, brokers=2, **SETTINGS) as cluster:
        await cluster.create("t", [[0, 1]], **settings)
        for start in range(0, 6000, 2000):
            await write(cluster, start, 2000)
        values, _ = await state(cluster)
        assert values == expected(6000)

        async def compacted() -> bool:
            return all(
                clean_until(cluster, broker_id, "t") > 5000 and size(cluster, broker_id, "t") < 300_000
                for broker_id in (0, 1)
            )

        await eventually("both replicas are compacted", compacted)
        values, count = await state(cluster)
        assert values == expected(6000)
        assert count < 1000

        cluster.kill(0)
        await cluster.stop(1)
        shutil.rmtree(cluster.nodes[1].data / "t-0")
        cluster.start(0)
        cluster.start(1)
        await cluster.registered(0, 1)

        async def copied() -> bool:
            found = await cluster.partition("t")
            return found is not None and sorted(found.isr_nodes) == [0, 1] and found.leader_id == 0

        await eventually("the follower has copied the compacted log", copied)
        await write(cluster, 6000, 500)
        values, _ = await state(cluster)
        assert values == expected(6500)
        leftovers = [
            each.name
            for node in cluster.nodes.values()
            for each in (node.data / "t-0").iterdir()
            if each.suffix in {".cleaned", ".swap"}
        ]
        assert not leftovers


async def test_the_offsets_topic_is_compacted_and_forgets_nothing(tmp_path: Path) -> None:
    settings = SETTINGS | {
        "offsets_topic_num_partitions": "1",
        "offsets_topic_segment_bytes": "20000",
        "log_cleaner_min_cleanable_ratio": "0.1",
    }
    async with Cluster(tmp_path, brokers=1, **settings) as cluster:
        await cluster.create("t", [[0]])
        await write(cluster, 0, 1000)
        servers = f"127.0.0.1:{cluster.nodes[0].inbound.port}"
        consumer = AIOKafkaConsumer("t", bootstrap_servers=servers, group_id="g", enable_auto_commit=False)
        await consumer.start()
        try:
            await eventually("a partition is assigned", lambda: _assigned(consumer))
            for offset in range(1, 700):
                await consumer.commit({PARTITION: OffsetAndMetadata(offset, "note")})
        finally:
            await consumer.stop()

        async def compacted() -> bool:
            return (
                clean_until(cluster, 0, "__consumer_offsets") > 500 and size(cluster, 0, "__consumer_offsets") < 45_000
            )

        await eventually("the offsets topic is compacted", compacted)
        cluster.kill(0)
        cluster.start(0)
        await cluster.registered(0)
        again = AIOKafkaConsumer("t", bootstrap_servers=servers, group_id="g", enable_auto_commit=False)
        await again.start()
        try:
            assert await again.committed(PARTITION) == 699
        finally:
            await again.stop()


async def _assigned(consumer: AIOKafkaConsumer) -> bool:
    return bool(consumer.assignment())
