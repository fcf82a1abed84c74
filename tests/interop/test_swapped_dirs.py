"""One log directory, by turns under Apache Kafka 3.9 and under our storage, left cleanly and by kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from broker.config import KafkaConfig, LogConfig
from broker.host import real_host
from broker.storage.log import Log
from broker.storage.logdirs import LogDirs
from broker.wire.records import Record, build_batch, read_all
from tests.interop.test_dump_log import HOME
from tests.ports import free_port
from tests.storage.support import contents

LIBS = HOME / "kafka-3.9.1" / "libs"
TOPIC = "swapped"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not LIBS.is_dir(), reason=f"Apache Kafka 3.9.1 is not in {LIBS}; scripts/interop-setup brings it"
    ),
]


def start_java(main: str, properties: Path, output: Path) -> subprocess.Popen[bytes]:
    options = ["-Xmx400m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*"]
    with output.open("ab") as log:
        return subprocess.Popen(["java", *options, main, str(properties)], stdout=log, stderr=log)


async def listening(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    while True:
        assert process.poll() is None, output.read_text()[-3000:]
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return


class World:
    """A ZooKeeper that stays, a log directory, and whoever uses it at the moment."""

    def __init__(self, root: Path, zookeeper_port: int) -> None:
        self.root = root
        self.data = root / "data"
        self.port = free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self.properties = root / "server.properties"
        self.properties.write_text(
            f"broker.id=1\nlisteners=PLAINTEXT://{self.servers}\nlog.dirs={self.data}\n"
            f"zookeeper.connect=127.0.0.1:{zookeeper_port}\noffsets.topic.replication.factor=1\n"
            "log.segment.bytes=20000\nlog.index.interval.bytes=500\nlog.flush.offset.checkpoint.interval.ms=500\n"
            "zookeeper.session.timeout.ms=3000\n"
        )

    @asynccontextmanager
    async def kafka(self, *, kill: bool = False) -> AsyncIterator[None]:
        """Apache Kafka on the directory, stopped or killed at the end."""
        output = self.root / "kafka.out"
        process = start_java("kafka.Kafka", self.properties, output)
        try:
            await listening(self.port, process, output)
            await self.ready()
            yield
        finally:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            await asyncio.to_thread(process.wait, 60)
        if kill:
            await asyncio.sleep(3.5)  # its session in ZooKeeper ends

    async def ready(self) -> None:
        """Until the broker knows itself, its controller, and a leader for the topic where there is one."""
        while True:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.servers)
            try:
                await consumer.start()
                cluster = await consumer._client.fetch_all_metadata()
                if cluster.controller is not None and cluster.partitions_for_topic(TOPIC) != set():
                    return
            except KafkaError:
                pass
            finally:
                await consumer.stop()
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def ours(self, *, kill: bool = False) -> AsyncIterator[Log]:
        """Our storage on the directory, stopped cleanly or left as kill -9 leaves it."""
        dirs = LogDirs(real_host(), KafkaConfig.of(log_dirs=(str(self.data),)), lambda *_: None, lambda _: None)
        [meta] = dirs.lock_and_read_meta()
        assert (meta.broker_id, bool(meta.cluster_id)) == (1, True)
        config = LogConfig.of(segment_bytes=20_000, index_interval_bytes=500)
        await dirs.load(lambda _: config)
        log = dirs.get(TOPIC, 0)
        assert log is not None
        yield log
        if kill:
            for each in dirs.logs():
                each.close()
            dirs.release_locks()
        else:
            await dirs.stop()

    async def produce(self, values: list[bytes]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, enable_idempotence=True, linger_ms=2)
        await producer.start()
        try:
            await asyncio.gather(*[await producer.send(TOPIC, value) for value in values])
        finally:
            await producer.stop()

    async def consume(self, count: int) -> list[bytes]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign([TopicPartition(TOPIC, 0)])
            await consumer.seek_to_beginning()
            found: list[bytes] = []
            while len(found) < count:
                found.append((await asyncio.wait_for(consumer.getone(), 20)).value or b"")
            return found
        finally:
            await consumer.stop()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port = free_port()
    properties = tmp_path / "zoo.properties"
    properties.write_text(
        f"dataDir={tmp_path}/zk\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ntickTime=500\n"
    )
    process = start_java("org.apache.zookeeper.server.quorum.QuorumPeerMain", properties, tmp_path / "zk.out")
    try:
        await listening(port, process, tmp_path / "zk.out")
        yield World(tmp_path, port)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def values(who: bytes, count: int = 300) -> list[bytes]:
    return [who + b" %d " % number + b"x" * 100 for number in range(count)]


def append(log: Log, payloads: list[bytes]) -> None:
    """Ten records a batch, by turns with each codec."""
    for start in range(0, len(payloads), 10):
        records = [Record(0, 1_700_000_000_000 + start, None, value) for value in payloads[start : start + 10]]
        batch = build_batch(records, base_offset=0, codec=start // 10 % 5)
        log.append_as_leader(batch, max(log.leader_epochs.latest, 0), 1_700_000_000_000)


def check(log: Log, expected: list[bytes]) -> None:
    found = list(read_all(contents(log)))
    assert [record.value for record in found] == expected
    assert [record.offset for record in found] == list(range(len(expected)))


@pytest.mark.parametrize("kill", [False, True], ids=["clean", "kill -9"])
async def test_kafka_and_we_read_what_the_other_left(world: World, kill: bool) -> None:
    expected = values(b"kafka")
    async with world.kafka(kill=kill):
        admin = AIOKafkaAdminClient(bootstrap_servers=world.servers)
        await admin.start()
        await admin.create_topics([NewTopic(TOPIC, 1, 1)])
        await admin.close()
        await world.produce(expected)
    async with world.ours(kill=kill) as log:
        assert log.log_end_offset == len(expected)
        check(log, expected)
        assert len(log.segments) > 1
        assert log.topic_id is not None
        assert log.leader_epochs.entries() == [(0, 0)]
        assert len(log.producers.producers) == 1
        more = values(b"kops")
        append(log, more)
        expected += more
    async with world.kafka(kill=kill):
        assert await world.consume(len(expected)) == expected
        more = values(b"again", 50)
        await world.produce(more)
        expected += more
    async with world.ours(kill=kill) as log:
        check(log, expected)
        assert log.leader_epochs.entries()[0] == (0, 0)
        assert len(log.producers.producers) == 2
    output = (world.root / "kafka.out").read_text()
    assert "Found invalid" not in output
    assert "corrupt" not in output.lower()
