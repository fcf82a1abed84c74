"""The data directories of three brokers, by turns under Apache Kafka 3.9 and under ours, all of them, on one ZooKeeper.

Each side writes, is stopped or killed, and the other reads everything with librdkafka and goes on, a group where it had
committed. In the end Apache's DumpLogSegments of 3.9 and of 2.6 goes over every file of all brokers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, Producer, TopicPartition

from kops.cluster import groups, metadata
from kops.contexts import Context
from kops.session import Session
from tests.interop.apache import BROKER, Apache, Cluster, accepts, collect_what_clients_left, until
from tests.interop.ours import MODULES, stopped_after
from tests.ports import free_port

pytestmark = pytest.mark.timeout(400)

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
TOPICS = {f"topic-{codec}": 2 for codec in CODECS}
BROKERS = 3
GROUP = "readers"
COMPLAINT = re.compile(r"mismatch|invalid|isvalid: false|exception|\berror\b|out of order|consecutive", re.IGNORECASE)


class World(Cluster):
    """The servers of ``side`` on the same properties, ports and directories."""

    side = "ours"

    def spawn(self, name: str, main: str, lines: Sequence[str]) -> None:
        file = self.folder / f"{name}.properties"
        file.write_text("\n".join(lines) + "\n")
        theirs = self.side == "apache" and main == BROKER
        words = self.apache.words(main, str(file)) if theirs else [sys.executable, "-m", MODULES[main], str(file)]
        with open(self.log(name), "ab") as log:
            self.processes[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def broker_lines(self, broker: int, port: int, brokers: int) -> list[str]:
        lines = ["log.segment.bytes=30000", "log.index.interval.bytes=500", "controlled.shutdown.retry.backoff.ms=300"]
        lines.append("zookeeper.session.timeout.ms=6000")  # a starting Java on a busy machine is silent for seconds
        return [*super().broker_lines(broker, port, brokers), *lines]

    def begin(self) -> None:
        port = free_port()
        self.zookeeper = f"127.0.0.1:{port}"
        lines = [f"dataDir={self.folder}/zookeeper", f"clientPort={port}", "clientPortAddress=127.0.0.1"]
        self.spawn("zookeeper", "org.apache.zookeeper.server.quorum.QuorumPeerMain", [*lines, "tickTime=500"])
        until(lambda: accepts(port), "ZooKeeper does not listen", self.log("zookeeper"))
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(BROKERS)]

    def brokers(self, side: str) -> None:
        self.side = side
        for broker in range(1, BROKERS + 1):
            self.restart(broker)
        until(lambda: self._up(BROKERS) and self.in_sync(), f"{side}: not whole", self.log("broker-1"), 120)
        collect_what_clients_left()

    def in_sync(self) -> bool:
        with Session(Context(bootstrap_servers=self.bootstrap), 5.0) as session:
            topics = metadata.snapshot(session, None).topics
        return all(len(one.isr) == len(one.replicas) for topic in topics for one in topic.partitions)

    def end(self, *, kill: bool) -> None:
        for broker in range(1, BROKERS + 1):
            process = self.processes.pop(f"broker-{broker}")
            process.kill() if kill else process.terminate()
            assert process.wait(60) in ((-9,) if kill else (0, 143, -15))

    def write(self, what: str, count: int = 150) -> dict[tuple[str, int], list[bytes]]:
        written: dict[tuple[str, int], list[bytes]] = {}
        for topic, partitions in TOPICS.items():
            failures: list[object] = []

            def delivered(error: object, _message: object, failures: list[object] = failures) -> None:
                if error is not None:
                    failures.append(error)

            producer = Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "enable.idempotence": True,
                    "compression.type": topic.removeprefix("topic-"),
                    "batch.num.messages": 10,
                }
            )
            for partition in range(partitions):
                values = [f"{what} {partition} {index} ".encode() + b"x" * 200 for index in range(count)]
                for value in values:
                    producer.produce(topic, value, partition=partition, on_delivery=delivered)
                written[topic, partition] = values
            assert (producer.flush(30), failures) == (0, [])
        return written

    def read(self, topic: str, partition: int, count: int) -> list[bytes]:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "unused", "enable.auto.commit": False})
        try:
            consumer.assign([TopicPartition(topic, partition, 0)])
            found: list[bytes] = []
            while len(found) < count and (message := consumer.poll(20)) is not None:
                assert message.error() is None, message.error()
                found.append(message.value() or b"")
            extra = consumer.poll(0.2)
            return found if extra is None else [*found, extra.value() or b""]
        finally:
            consumer.close()

    def committed_by_a_group(self, before: int, after: int) -> None:
        """Somebody joins, finds what was committed in the turn before, commits, and leaves an empty group behind."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": GROUP, "enable.auto.commit": False, "log_level": 0}
        )
        places = [TopicPartition("topic-none", partition) for partition in range(TOPICS["topic-none"])]
        try:
            consumer.subscribe(["topic-none"])
            until(lambda: (consumer.poll(0.1), consumer.assignment())[1], "nothing is assigned")
            assert [one.offset for one in consumer.committed(places, timeout=30)] == [before] * len(places)
            consumer.commit(
                offsets=[TopicPartition(one.topic, one.partition, after) for one in places], asynchronous=False
            )
        finally:
            consumer.close()

        def left() -> bool:
            with Session(Context(bootstrap_servers=self.bootstrap), 5.0) as session:
                [found] = [one for one in groups.listed(session) if one.id == GROUP]
                return (found.state, found.protocol_type) == ("Empty", "consumer")

        until(left, "the group is not empty")

    def decoded(self, tool: Apache) -> None:
        """Apache's tool understands every record of groups and offsets that is there."""
        files = [str(path) for path in self.folder.glob("broker-?/__consumer_offsets-*/*.log") if path.stat().st_size]
        out = tool.run("kafka.tools.DumpLogSegments", "--offsets-decoder", "--files", ",".join(files))
        said = [line for line in out.replace("isvalid: true", "").splitlines() if COMPLAINT.search(line)]
        assert said == []
        assert f"offset_commit::group={GROUP},partition=topic-none-0" in out or '"group":"readers"' in out, out[-2000:]

    def dumped(self, *tools: Apache) -> None:
        """Nothing is complained of in any file of any broker."""
        files = [path for path in self.folder.glob("broker-?/topic-*/*") if path.suffix in SUFFIXES]
        assert len(files) > 60
        for tool in tools:
            out = tool.run("kafka.tools.DumpLogSegments", "--deep-iteration", "--files", ",".join(map(str, files)))
            said = [line for line in out.replace("isvalid: true", "").splitlines() if COMPLAINT.search(line)]
            assert said == [], said[:5]


SUFFIXES = {".log", ".index", ".timeindex", ".snapshot"}


def test_either_side_starts_on_what_the_other_wrote(kafka39: Apache, kafka26: Apache, tmp_path: Path) -> None:
    world = World(kafka39, tmp_path)
    expected: dict[tuple[str, int], list[bytes]] = {}
    with ExitStack() as stack:
        stack.enter_context(stopped_after(world))
        world.begin()
        for turn, (side, kill) in enumerate(
            (("ours", True), ("apache", True), ("ours", False), ("apache", False), ("ours", False))
        ):
            world.brokers(side)
            if turn == 0:
                for topic, partitions in TOPICS.items():
                    shape = ("--partitions", str(partitions), "--replication-factor", "3")
                    at = ("--bootstrap-server", world.addresses[0])
                    kafka39.run("org.apache.kafka.tools.TopicCommand", *at, "--create", "--topic", topic, *shape)
            for (topic, partition), values in expected.items():
                assert world.read(topic, partition, len(values)) == values, (side, topic, partition)
            world.committed_by_a_group(turn * 10 or OFFSET_INVALID, (turn + 1) * 10)
            for at_partition, values in world.write(f"{side} {turn}").items():
                expected.setdefault(at_partition, []).extend(values)
            world.end(kill=kill)
            if kill:
                until(lambda: no_broker_is_registered(world), "the sessions of the killed brokers stay")
        world.dumped(kafka39, kafka26)
        world.decoded(kafka39)
    said = "".join(world.log(f"broker-{broker}").read_text(errors="replace") for broker in range(1, BROKERS + 1))
    assert "Traceback" not in said
    assert "Found invalid" not in said


def no_broker_is_registered(world: World) -> bool:
    from kazoo.client import KazooClient

    client = KazooClient(world.zookeeper)
    client.start(20)
    try:
        return not client.get_children("/brokers/ids")
    finally:
        client.stop()
        client.close()
