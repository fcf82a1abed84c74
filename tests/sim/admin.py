"""Who administers a simulated cluster: elections, reassignments, and topics that come and go."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from broker.wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.wire.messages.elect_leaders import ElectLeadersRequest
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponseTopic
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch, read_all
from tests.sim.checker import Kind, Log, Outcome, Seen, Violation, Write
from tests.sim.workload import NOT_DONE, TOPIC, Unanswered, Workload

FIRST_GENERATION = 1000
"""Partition numbers from here on are generations of the topic that comes and goes, in a history."""


@dataclass
class Admin:
    """Asks whoever answers; what is not answered, or refused, is let be: only :meth:`restore` insists."""

    work: Workload
    moved: bool = False

    def elect(self) -> None:
        """Preferred leaders for all."""
        request = ElectLeadersRequest(topic_partitions=None, timeout_ms=3000)
        self.work.spawn(self._each(ApiKey.ELECT_LEADERS, 2, request), "elect")

    def reassign(self) -> None:
        """One partition to other brokers, or to the same in another order."""
        dice, ids = self.work.dice, self.work.cluster.ids
        target = dice.sample(ids, dice.choice((2, 3, 3)))
        self.moved = True
        self.work.spawn(self._reassign([dice.randrange(self.work.partitions)], target), "reassign")

    def restore(self) -> None:
        """All partitions back to all brokers, again and again: a move may still be under way when all is whole."""
        if self.moved:
            self.work.spawn(self._restore(), "restore")

    async def _restore(self) -> None:
        wanted = len(self.work.cluster.ids)
        while True:
            topic = await self.describe(TOPIC)
            lacking = [] if topic is None else [p for p in topic.partitions if len(p.replica_nodes) != wanted]
            if lacking:
                await self._reassign([p.partition_index for p in lacking], self.work.cluster.ids)
            await self.work.clock.sleep(1)

    async def _reassign(self, partitions: Iterable[int], target: list[int]) -> None:
        moves = [ReassignablePartition(partition_index=each, replicas=list(target)) for each in partitions]
        request = AlterPartitionReassignmentsRequest(
            timeout_ms=3000, topics=[ReassignableTopic(name=TOPIC, partitions=moves)]
        )
        await self._each(ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0, request)

    async def _each(self, api: ApiKey, version: int, request: Any) -> None:
        """Ask one broker after the other, until one is the controller."""
        for broker_id in self.work.cluster.ids:
            try:
                reply = await self.work.ask("admin", broker_id, api, version, request)
            except Unanswered:
                continue
            if reply.error_code != ErrorCode.NOT_CONTROLLER:
                return

    async def describe(self, name: str) -> MetadataResponseTopic | None:
        """As some broker has it; None: it does not answer, or does not know it."""
        request = MetadataRequest(topics=[MetadataRequestTopic(name=name)], allow_auto_topic_creation=False)
        broker_id = self.work.dice.choice(self.work.cluster.ids)
        try:
            reply = await self.work.ask("describe", broker_id, ApiKey.METADATA, 12, request)
        except Unanswered:
            return None
        found: MetadataResponseTopic = reply.topics[0]
        return found if found.error_code == ErrorCode.NONE and found.partitions else None

    async def create(self, name: str, configs: dict[str, str], replicas: int = 3) -> MetadataResponseTopic:
        """Created, whether by this or by an earlier attempt, however long it takes."""
        settings = [CreatableTopicConfig(name=key, value=value) for key, value in configs.items()]
        wanted = CreatableTopic(name=name, num_partitions=1, replication_factor=replicas, configs=settings)
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=3000)
        while True:
            if (found := await self.describe(name)) is not None:
                return found
            with suppress(Unanswered):
                await self.work.ask("admin", self._any(), ApiKey.CREATE_TOPICS, 4, request)
            await self.work.clock.sleep(0.2)

    async def delete(self, topic: MetadataResponseTopic) -> None:
        """By id, so that a request that comes late deletes no successor of that name."""
        request = DeleteTopicsRequest(topics=[DeleteTopicState(topic_id=topic.topic_id)], timeout_ms=3000)
        while True:
            with suppress(Unanswered):
                reply = await self.work.ask("admin", self._any(), ApiKey.DELETE_TOPICS, 6, request)
                if reply.responses[0].error_code in (ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_ID):
                    return
            await self.work.clock.sleep(0.2)

    def _any(self) -> int:
        return self.work.dice.choice(self.work.cluster.ids)


@dataclass
class Lone:
    """A topic of one partition, as a client uses it that asks anew who leads whenever something is wrong."""

    admin: Admin
    name: str
    topic_id: UUID
    leader: int = -1

    async def find_leader(self) -> int:
        while self.leader < 0:
            found = await self.admin.describe(self.name)
            if found is not None and found.topic_id == self.topic_id:
                self.leader = found.partitions[0].leader_id
            if self.leader < 0:
                await self.admin.work.clock.sleep(0.2)
        return self.leader

    async def send(self, records: list[tuple[bytes | None, bytes | None]]) -> tuple[int, int]:
        """One batch with acks=all; the error (-1 when nobody knows) and the base offset."""
        work = self.admin.work
        now = work.clock.wall_ms()
        batch = build_batch([Record(i, now, k, v) for i, (k, v) in enumerate(records)], base_offset=0)
        data = TopicProduceData(name=self.name, partition_data=[PartitionProduceData(index=0, records=bytes(batch))])
        request = ProduceRequest(acks=-1, timeout_ms=2000, topic_data=[data])
        try:
            reply = await work.ask(self.name, await self.find_leader(), ApiKey.PRODUCE, 8, request)
        except Unanswered:
            self.leader = -1
            return -1, -1
        answer = reply.responses[0].partition_responses[0]
        if answer.error_code:
            self.leader = -1
        return answer.error_code, answer.base_offset

    async def read(self, until: int) -> Log:
        """From the beginning, at least to below ``until``, however long it takes."""
        work, found, position = self.admin.work, [], 0
        while True:
            wanted = FetchPartition(partition=0, fetch_offset=position, partition_max_bytes=1 << 18)
            topics = [FetchTopic(topic=self.name, topic_id=self.topic_id, partitions=[wanted])]
            request = FetchRequest(max_wait_ms=200, min_bytes=1, session_epoch=-1, topics=topics)
            version = 13 if self.topic_id.int else 11
            try:
                reply = await work.ask(self.name, await self.find_leader(), ApiKey.FETCH, version, request)
            except Unanswered:
                self.leader = -1
                continue
            answer = reply.responses[0].partitions[0] if reply.responses else None
            if answer is None or answer.error_code:
                if answer is not None and answer.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
                    what = f"leader {self.leader} of {self.name} {self.topic_id} knows nothing of offset {position}"
                    work.history.trouble.append(Violation(Kind.SHRUNK, what))
                self.leader = -1
                await work.clock.sleep(0.1)
                continue
            records = [(r.offset, r.value or b"") for r in read_all(answer.records or b"") if r.offset >= position]
            found += records
            if not records and position >= until:
                return found
            position = found[-1][0] + 1 if found else 0


@dataclass
class Topics:
    """A topic that is created, written, read back and deleted, over and over, under one name where topics have ids."""

    admin: Admin
    has_ids: bool
    replicas: int
    generations: list[UUID] = field(default_factory=list)

    async def run(self) -> None:
        work = self.admin.work
        work.working += 1
        while not work.stopping:
            number = FIRST_GENERATION + len(self.generations)
            name = "churn" if self.has_ids else f"churn-{number}"
            topic = await self.admin.create(name, {}, self.replicas)
            if self.has_ids and topic.topic_id in self.generations:
                await work.clock.sleep(0.2)  # its deletion is under way
                continue
            self.generations.append(topic.topic_id)
            await self._live(Lone(self.admin, name, topic.topic_id), number)
            if self.has_ids:
                await self.admin.delete(topic)
        work.working -= 1

    async def _live(self, lone: Lone, number: int) -> None:
        work = self.admin.work
        end = 0
        for count in range(1 + work.dice.randrange(12)):
            value = f"churn/{number}/{count}".encode()
            write = Write("churn", number, count, value, False, work.clock.monotonic())
            work.history.writes.append(write)
            error, write.offset = await lone.send([(None, value)])
            if error == ErrorCode.NONE:
                write.outcome, write.ended = Outcome.OK, work.clock.monotonic()
                end = max(end, write.offset + 1)
            elif error in NOT_DONE:
                write.outcome = Outcome.FAILED
            await work.clock.sleep(work.dice.expovariate(5))
        await work.clock.sleep(work.dice.choice((0, 1, 8)) * work.dice.random())
        held = await lone.read(end)
        now = work.clock.monotonic()
        work.history.seen.extend(Seen("read back", number, offset, value, now) for offset, value in held)
        work.history.final[number] = {"read back": held}
