"""Rows that are seen from a client's side: consumer groups, librdkafka, the command line."""

from __future__ import annotations

import asyncio
import logging
import statistics
import subprocess
import sys
import time

from bench.client import Connection
from bench.engines import JARS, REPOSITORY, Cluster
from bench.row import AtMost, Figures, Times, fresh, row, topic_of
from broker.wire.keys import ApiKey
from broker.wire.messages.find_coordinator import FindCoordinatorRequest, FindCoordinatorResponse
from broker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
)
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse

UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED = 25, 79
RECORDS = 500_000


class Member:
    """A consumer as far as its group is concerned; ``generation`` and ``size`` of the group that it is in."""

    def __init__(self, group: str, connection: Connection) -> None:
        self.group, self.connection = group, connection
        self.member_id = ""
        self.generation = -1

    async def join(self) -> None:
        """Join and sync, again and again until there is an assignment."""
        while True:
            joined = await self._joined()
            mine = [SyncGroupRequestAssignment(member_id=m.member_id, assignment=b"\0") for m in joined.members]
            request = SyncGroupRequest(
                group_id=self.group, generation_id=joined.generation_id, member_id=self.member_id, assignments=mine
            )
            synced: SyncGroupResponse = await self.connection.request(ApiKey.SYNC_GROUP, 3, request)
            if synced.error_code == 0:
                self.generation = joined.generation_id
                return

    async def _joined(self) -> JoinGroupResponse:
        while True:
            request = JoinGroupRequest(
                group_id=self.group,
                session_timeout_ms=30_000,
                rebalance_timeout_ms=30_000,
                member_id=self.member_id,
                protocol_type="consumer",
                protocols=[JoinGroupRequestProtocol(name="range", metadata=b"\0")],
            )
            joined: JoinGroupResponse = await self.connection.request(ApiKey.JOIN_GROUP, 5, request)
            if joined.error_code == MEMBER_ID_REQUIRED:
                self.member_id = joined.member_id
            elif joined.error_code == 0:
                self.member_id = joined.member_id
                return joined
            else:
                self.member_id = "" if joined.error_code == UNKNOWN_MEMBER_ID else self.member_id
                await asyncio.sleep(0.05)  # the coordinator may still be loading

    async def is_settled(self) -> bool:
        """Whether the group goes on without a rebalance."""
        request = HeartbeatRequest(group_id=self.group, generation_id=self.generation, member_id=self.member_id)
        beat: HeartbeatResponse = await self.connection.request(ApiKey.HEARTBEAT, 3, request)
        return beat.error_code == 0


async def coordinator_port(port: int, group: str) -> int:
    """Wait until the group has a coordinator: the offsets topic is created when it is first asked for."""
    connection = await Connection.open(port)
    try:
        while True:
            request = FindCoordinatorRequest(key=group)
            found: FindCoordinatorResponse = await connection.request(ApiKey.FIND_COORDINATOR, 2, request)
            if found.error_code == 0:
                return found.port
            await asyncio.sleep(0.05)
    finally:
        connection.close()


async def gathered(port: int, group: str, size: int) -> float:
    """Seconds from the first join until ``size`` members have an assignment of one and the same generation."""
    coordinator = await coordinator_port(port, group)
    members = [Member(group, await Connection.open(coordinator)) for _ in range(size)]
    settled = asyncio.Event()

    async def take_part(member: Member) -> None:
        """Join again whenever the group gathers anew, until all are settled in one generation."""
        await member.join()
        while not settled.is_set():
            if not await member.is_settled():
                await member.join()
            if len({each.generation for each in members}) == 1:
                settled.set()
            await asyncio.sleep(0.005)

    began = time.perf_counter()
    taking_part = [asyncio.ensure_future(take_part(member)) for member in members]
    await settled.wait()
    taken = time.perf_counter() - began
    await asyncio.gather(*taking_part)
    for member in members:
        member.connection.close()
    return taken


async def _group(cluster: Cluster, size: int) -> Figures:
    return {"s": statistics.median([await gathered(cluster.port, fresh("group"), size) for _ in range(5)])}


@row("group: 1 member has its assignment", 1, first_s=Times(3), s=Times(3))
async def group_of_1(cluster: Cluster, seconds: float) -> Figures:
    """The first group of a cluster waits until the offsets topic is made."""
    began = time.perf_counter()
    await gathered(cluster.port, fresh("first"), 1)
    return {"first s": time.perf_counter() - began} | await _group(cluster, 1)


@row("group: 20 members have their assignments", 1, s=Times(3))
async def group_of_20(cluster: Cluster, seconds: float) -> Figures:
    return await _group(cluster, 20)


async def assigned(port: int, topic: str, size: int) -> float:
    """Seconds from the first consumer's start until ``size`` of aiokafka share ``size`` partitions, one each."""
    from aiokafka import AIOKafkaConsumer

    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it warns of every rebalance
    group = fresh("consumers")
    await coordinator_port(port, group)
    consumers = [
        AIOKafkaConsumer(topic, bootstrap_servers=f"127.0.0.1:{port}", group_id=group, heartbeat_interval_ms=100)
        for _ in range(size)
    ]
    began = time.perf_counter()
    await asyncio.gather(*(consumer.start() for consumer in consumers))
    while any(len(consumer.assignment()) != 1 for consumer in consumers):
        await asyncio.sleep(0.005)
    taken = time.perf_counter() - began
    await asyncio.gather(*(consumer.stop() for consumer in consumers))
    return taken


async def _consumers(cluster: Cluster, size: int) -> Figures:
    topic = fresh("shared")
    await topic_of(cluster, topic, size)
    return {"s": statistics.median([await assigned(cluster.port, topic, size) for _ in range(5)])}


@row("group: 1 consumer of aiokafka has its partition", 1, s=Times(3))
async def consumers_1(cluster: Cluster, seconds: float) -> Figures:
    return await _consumers(cluster, 1)


@row("group: 20 consumers of aiokafka have a partition each", 1, s=Times(3))
async def consumers_20(cluster: Cluster, seconds: float) -> Figures:
    return await _consumers(cluster, 20)


@row("librdkafka, 100 B records", 1, produced_per_s=Times(1), consumed_per_s=Times(1))
async def librdkafka(cluster: Cluster, seconds: float) -> Figures:
    topic = fresh("librdkafka")
    await topic_of(cluster, topic)
    return await asyncio.to_thread(_librdkafka, f"127.0.0.1:{cluster.port}", topic)


def _librdkafka(servers: str, topic: str) -> Figures:
    """Half a million records there and back, by confluent-kafka's Producer and Consumer.

    With room for all of them: a consumer that has its 100,000 queued asks again a second later, so that it is its own
    pause that is measured where fetches are fast.
    """
    from confluent_kafka import Consumer, Producer

    value = bytes(100)
    producer = Producer({"bootstrap.servers": servers, "queue.buffering.max.messages": 2 * RECORDS, "linger.ms": 5})
    producer.produce(topic, value)
    producer.flush()
    began = time.perf_counter()
    for _ in range(RECORDS):
        producer.produce(topic, value)
    producer.flush()
    produced = RECORDS / (time.perf_counter() - began)
    settings = {"bootstrap.servers": servers, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings | {"queued.min.messages": 2 * RECORDS})
    consumer.subscribe([topic])
    left, began = RECORDS + 1, 0.0
    while left > 0:
        left -= sum(message.error() is None for message in consumer.consume(10_000, 1.0))
        began = began or time.perf_counter()  # from the first records on: joining a group is another row
    consumed = RECORDS / (time.perf_counter() - began)
    consumer.close()
    return {"produced/s": produced, "consumed/s": consumed}


@row("command line: list topics", 1, s=AtMost(0.4))
async def list_topics(cluster: Cluster, seconds: float) -> Figures:
    await topic_of(cluster, fresh("listed"))
    return await asyncio.to_thread(_tool, cluster, ["topic", "list", "-b"], ["--list", "--bootstrap-server"])


@row("command line: --help", 1, s=AtMost(0.15))
async def tool_help(cluster: Cluster, seconds: float) -> Figures:
    return await asyncio.to_thread(_tool, cluster, ["--help"], ["--help"])


GROUPS, GROUP_PARTITIONS = 1000, 10


@row("command line: 1000 groups of 10 partitions", 1, list_s=AtMost(1), lag_s=AtMost(3))
async def many_groups(cluster: Cluster, seconds: float) -> Figures:
    """kops on either engine: every group's state, and every group's lag."""
    topic = fresh("offsets")
    await topic_of(cluster, topic, GROUP_PARTITIONS)
    connection = await Connection.open(await coordinator_port(cluster.port, topic))
    places = [OffsetCommitRequestPartition(partition_index=p, committed_offset=0) for p in range(GROUP_PARTITIONS)]
    for number in range(GROUPS):
        request = OffsetCommitRequest(
            group_id=f"{topic}-{number}", topics=[OffsetCommitRequestTopic(name=topic, partitions=places)]
        )
        done: OffsetCommitResponse = await connection.request(ApiKey.OFFSET_COMMIT, 5, request)
        assert {p.error_code for t in done.topics for p in t.partitions} == {0}
    connection.close()

    def seconds_of(*words: str) -> float:
        return statistics.median(_run([sys.executable, "-m", "kops", *words, "-b", f"127.0.0.1:{cluster.port}"]))

    listed = await asyncio.to_thread(seconds_of, "group", "list")
    return {"list s": listed, "lag s": await asyncio.to_thread(seconds_of, "group", "lag")}


def _tool(cluster: Cluster, ours: list[str], theirs: list[str]) -> Figures:
    """A median of seconds from exec to exit: kops, or what kafka-topics.sh runs."""
    if cluster.engine == "kops":
        command = [sys.executable, "-m", "kops", *ours]
    else:
        flags = ["-Xmx256m", "-XX:+UseG1GC", "-cp", f"{JARS}/*"]
        command = ["java", *flags, "org.apache.kafka.tools.TopicCommand", *theirs]
    if asks_broker := command[-1] != "--help":
        command.append(f"127.0.0.1:{cluster.port}")
    return {"s": statistics.median(_run(command, check=asks_broker))}


def _run(command: list[str], *, check: bool = True) -> list[float]:
    """Seconds from exec to exit, five times."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=check)
        taken.append(time.perf_counter() - began)
    return taken
