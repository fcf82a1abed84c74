"""Clients of a simulated cluster that write down what they were told: producers, consumers, a group's committer.

They speak the raw protocol. An idempotent producer keeps several batches in flight and sends again, with the same
sequence numbers and in order, until it is told that it succeeded or its time is up; a plain one sends once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from broker.broker import KafkaServer
from broker.cluster.peers import Line, PeerUnreachable
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.find_coordinator import FindCoordinatorRequest
from broker.wire.messages.init_producer_id import InitProducerIdRequest
from broker.wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from broker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from broker.wire.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestTopic
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch, read_all
from tests.sim.checker import Commit, Committed, EndOffset, History, Kind, Outcome, Seen, Violation, Write
from tests.sim.cluster import Client, Cluster

TOPIC = "orders"
OFFSETS = "__consumer_offsets"
GROUP = "pay"
DELIVERY_SECONDS = 40.0
REQUEST_SECONDS = 4.0
IN_FLIGHT = 5

NOT_DONE = (
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode.INVALID_PRODUCER_EPOCH,
)
"""Answers that come before anything is appended (NOT_LEADER_OR_FOLLOWER and KAFKA_STORAGE_ERROR may come after)."""


class Unanswered(Exception):
    """No broker could be asked, or none answered in time: what was asked for may have been done."""


@dataclass
class View:
    """Who leads what, as far as these clients know: the newest leader epoch that anybody told."""

    leaders: dict[int, tuple[int, int]] = field(default_factory=dict)

    def learn(self, partition: int, leader: int, epoch: int) -> None:
        if epoch > self.leaders.get(partition, (-1, -1))[1] and leader >= 0:
            self.leaders[partition] = (leader, epoch)


class Workload:
    """All clients of one run; ``pace`` is the mean pause in seconds of each producer between batches."""

    def __init__(self, cluster: Cluster, seed: int, partitions: int, pace: float) -> None:
        self.cluster, self.partitions, self.pace = cluster, partitions, pace
        self.client = Client(cluster)
        self.clock = self.client.host.clock
        self.dice = random.Random(seed)
        self.history = History()
        self.view = View()
        self.stopping = False
        self.working = 0
        self._unasked: dict[tuple[str, int], None] = {}
        self._lines: dict[tuple[str, int], Line] = {}

    def start(self) -> None:
        for partition in range(self.partitions):
            self.spawn(self._idempotent(partition), f"idempotent-{partition}")
            self.spawn(self._consume(f"consumer-{partition}", partition), f"consumer-{partition}")
        self.spawn(self._plain(), "plain")
        self.spawn(self._watch_ends(), "ends")
        self.spawn(self._commit(), "committer")

    def pending(self) -> bool:
        """Whether producers still wait for an answer, after they were told to stop."""
        return self.working > 0

    def stop(self) -> None:
        """No new writes or commits; what is committed is asked once more."""
        self.stopping = True
        self._unasked = {(each.group, each.partition): None for each in self.history.commits}

    def has_asked_again(self) -> bool:
        return not self._unasked

    def spawn(self, work: Any, name: str) -> None:
        self.client.process.spawn(work, name)

    # -- asking ----------------------------------------------------------------------------------------------------
    def _line(self, who: str, broker_id: int) -> Line:
        line = self._lines.get((who, broker_id))
        if line is None or line.is_closed:
            line = self._lines[who, broker_id] = self.client.line(broker_id)
        return line

    async def ask(self, who: str, broker_id: int, api: ApiKey, version: int, request: Any) -> Any:
        try:
            return await self._line(who, broker_id).send(api, version, request, REQUEST_SECONDS)
        except PeerUnreachable as error:
            raise Unanswered(str(error)) from None

    async def refresh(self, who: str) -> None:
        """Ask some broker who leads."""
        broker_id = self.dice.choice(self.cluster.ids)
        request = MetadataRequest(topics=[MetadataRequestTopic(name=TOPIC)], allow_auto_topic_creation=False)
        try:
            reply = await self.ask(f"{who}/metadata", broker_id, ApiKey.METADATA, 8, request)
        except Unanswered:
            return
        for topic in reply.topics:
            for p in topic.partitions:
                self.view.learn(p.partition_index, p.leader_id, p.leader_epoch)

    async def leader_of(self, who: str, partition: int) -> tuple[int, int]:
        while partition not in self.view.leaders:
            await self.refresh(who)
            await self.clock.sleep(0.1)
        return self.view.leaders[partition]

    def epoch_of(self, broker_id: int, topic: str, partition: int) -> int:
        """What is not told on the wire: the leader epoch that this broker is in."""
        server: KafkaServer | None = self.cluster.servers.get(broker_id)
        replicas = getattr(server, "replicas", None)
        hosted = None if replicas is None else replicas.get(topic, partition)
        return -1 if hosted is None else hosted.partition.leader_epoch

    # -- producing -------------------------------------------------------------------------------------------------
    async def _produce(self, who: str, write: Write, to: int, producer: tuple[int, int]) -> int:
        """Send one batch, return the error code; an acknowledged write is marked. Raises Unanswered."""
        producer_id, sequence = producer
        batch = build_batch(
            [Record(0, self.clock.wall_ms(), None, write.value)],
            base_offset=0,
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=sequence,
        )
        data = TopicProduceData(
            name=TOPIC, partition_data=[PartitionProduceData(index=write.partition, records=bytes(batch))]
        )
        request = ProduceRequest(acks=-1, timeout_ms=2000, topic_data=[data])
        reply = await self.ask(who, to, ApiKey.PRODUCE, 8, request)
        answer = reply.responses[0].partition_responses[0]
        if answer.error_code == ErrorCode.NONE:
            write.outcome, write.ended = Outcome.OK, self.clock.monotonic()
            write.offset, write.epoch = answer.base_offset, self.epoch_of(to, TOPIC, write.partition)
        error: int = answer.error_code
        return error

    def begin(self, producer: str, partition: int, number: int, *, idempotent: bool) -> Write:
        value = f"{producer}/{partition}/{number}".encode()
        write = Write(producer, partition, number, value, idempotent, self.clock.monotonic())
        self.history.writes.append(write)
        return write

    async def _plain(self) -> None:
        """Sends once, never again."""
        number = 0
        self.working += 1
        while not self.stopping:
            partition, number = self.dice.randrange(self.partitions), number + 1
            leader, _ = await self.leader_of("plain", partition)
            write = self.begin("plain", partition, number, idempotent=False)
            try:
                error = await self._produce("plain", write, leader, (-1, -1))
            except Unanswered:
                await self.refresh("plain")
            else:
                if error in NOT_DONE:
                    write.outcome, write.ended = Outcome.FAILED, self.clock.monotonic()
                if error:
                    await self.refresh("plain")
            await self._pause()
        self.working -= 1

    async def _pause(self) -> None:
        await self.clock.sleep(self.dice.expovariate(1 / self.pace))

    async def _idempotent(self, partition: int) -> None:
        """One producer id after another: each until a batch could not be delivered in time."""
        lives = 0
        self.working += 1
        while not self.stopping:
            lives += 1
            name = f"idempotent-{partition}.{lives}"
            producer_id = await self._producer_id(name)
            await IdempotentLife(self, name, partition, producer_id).run()
        self.working -= 1

    async def _producer_id(self, who: str) -> int:
        while True:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=60_000)
            try:
                reply = await self.ask(who, self.dice.choice(self.cluster.ids), ApiKey.INIT_PRODUCER_ID, 1, request)
            except Unanswered:
                reply = None
            if reply is not None and reply.error_code == ErrorCode.NONE:
                found: int = reply.producer_id
                return found
            await self.clock.sleep(0.2)

    # -- reading ---------------------------------------------------------------------------------------------------
    async def _consume(self, who: str, partition: int) -> None:
        position = 0
        while True:
            leader, epoch = await self.leader_of(who, partition)
            wanted = FetchPartition(
                partition=partition, current_leader_epoch=epoch, fetch_offset=position, partition_max_bytes=1 << 18
            )
            request = FetchRequest(
                max_wait_ms=1000, min_bytes=1, session_epoch=-1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])]
            )
            try:
                reply = await self.ask(who, leader, ApiKey.FETCH, 11, request)
            except Unanswered:
                await self.retry(who)
                continue
            found = reply.responses[0].partitions[0]
            if found.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
                what = f"leader {leader} in epoch {epoch} knows nothing of offset {position} of partition {partition}"
                self.history.trouble.append(Violation(Kind.SHRUNK, what))
            if found.error_code:
                await self.retry(who)
                continue
            for record in read_all(found.records or b""):
                if record.offset >= position:
                    self.history.seen.append(
                        Seen(who, partition, record.offset, record.value or b"", self.clock.monotonic())
                    )
                    position = record.offset + 1
            await self.clock.sleep(self.pace / 2)

    async def retry(self, who: str) -> None:
        await self.clock.sleep(0.1)
        await self.refresh(who)

    async def _watch_ends(self) -> None:
        """Ask leaders, one after the other, where their log ends for consumers."""
        while True:
            for partition in range(self.partitions):
                leader, epoch = await self.leader_of("ends", partition)
                wanted = ListOffsetsPartition(partition_index=partition, current_leader_epoch=epoch, timestamp=-1)
                request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=TOPIC, partitions=[wanted])])
                began = self.clock.monotonic()
                try:
                    reply = await self.ask("ends", leader, ApiKey.LIST_OFFSETS, 5, request)
                except Unanswered:
                    await self.refresh("ends")
                    continue
                found = reply.topics[0].partitions[0]
                if found.error_code == ErrorCode.NONE:
                    end = EndOffset(partition, found.offset, epoch, began, self.clock.monotonic())
                    self.history.ends.append(end)
                else:
                    await self.refresh("ends")
            await self.clock.sleep(1.0)

    # -- committing ------------------------------------------------------------------------------------------------
    async def _commit(self) -> None:
        """Commit more and more, and ask now and then what is committed."""
        coordinator, shard, offset = -1, 0, 0
        while True:
            await self.clock.sleep(0.4 + self.dice.random())
            if coordinator < 0:
                coordinator, shard = await self._coordinator()
                continue
            offset += 0 if self.stopping else 1
            began, epoch = self.clock.monotonic(), self.epoch_of(coordinator, OFFSETS, shard)
            try:
                if self.dice.random() < 0.6 and not self.stopping:
                    error = await self._commit_once(coordinator, shard, offset, began)
                else:
                    group, partition = next(iter(self._unasked), (GROUP, 0))
                    error = await self._committed_once(coordinator, group, partition, epoch, began)
                    if not error:
                        self._unasked.pop((group, partition), None)
            except Unanswered:
                error = -1
            if error:
                coordinator = -1

    async def _coordinator(self) -> tuple[int, int]:
        request = FindCoordinatorRequest(key=GROUP, key_type=0)
        try:
            reply = await self.ask("committer", self.dice.choice(self.cluster.ids), ApiKey.FIND_COORDINATOR, 2, request)
        except Unanswered:
            return -1, 0
        return (reply.node_id, 0) if reply.error_code == ErrorCode.NONE else (-1, 0)

    async def _commit_once(self, coordinator: int, shard: int, offset: int, began: float) -> int:
        partition = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset, committed_metadata="")
        request = OffsetCommitRequest(
            group_id=GROUP,
            generation_id_or_member_epoch=-1,
            member_id="",
            topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[partition])],
        )
        outcome, epoch, error = Outcome.UNSURE, -1, -1
        try:
            reply = await self.ask("committer", coordinator, ApiKey.OFFSET_COMMIT, 7, request)
            error = reply.topics[0].partitions[0].error_code
            if error == ErrorCode.NONE:
                outcome, epoch = Outcome.OK, self.epoch_of(coordinator, OFFSETS, shard)
        finally:
            now = self.client.process.world.now
            self.history.commits.append(Commit(GROUP, 0, offset, outcome, epoch, began, now))
        return error

    async def _committed_once(self, coordinator: int, group: str, partition: int, epoch: int, began: float) -> int:
        topics = [OffsetFetchRequestTopic(name=TOPIC, partition_indexes=[partition])]
        request = OffsetFetchRequest(group_id=group, topics=topics)
        reply = await self.ask("committer", coordinator, ApiKey.OFFSET_FETCH, 5, request)
        if reply.error_code:
            refused: int = reply.error_code
            return refused
        found = reply.topics[0].partitions[0]
        error: int = found.error_code
        if not error:
            now = self.clock.monotonic()
            self.history.committed.append(Committed(group, partition, found.committed_offset, epoch, began, now))
        return error


@dataclass
class IdempotentLife:
    """What one producer id writes to one partition. ``queue``: sent or to be sent, not yet acknowledged, in order."""

    workload: Workload
    name: str
    partition: int
    producer_id: int
    number: int = 0
    queue: list[Write] = field(default_factory=list)

    async def run(self) -> None:
        """Until the clients stop and all is delivered, or something could not be delivered in time."""
        work, now = self.workload, self.workload.clock.monotonic
        while self.queue or not work.stopping:
            while not work.stopping and len(self.queue) < 1 + work.dice.randrange(IN_FLIGHT):
                self.queue.append(work.begin(self.name, self.partition, self.number, idempotent=True))
                self.number += 1
            if self.queue:
                await self._send_all()
            if self.queue and now() - self.queue[0].began > DELIVERY_SECONDS:
                return
            await work._pause()

    async def _send_all(self) -> None:
        """Send the queue in order, pipelined, and keep what was not acknowledged."""
        work = self.workload
        leader, _ = await work.leader_of(self.name, self.partition)
        sent = [
            asyncio.ensure_future(work._produce(self.name, write, leader, (self.producer_id, write.number)))
            for write in self.queue
        ]
        errors = await asyncio.gather(*sent, return_exceptions=True)
        for unexpected in errors:
            if isinstance(unexpected, BaseException) and not isinstance(unexpected, Unanswered):
                raise unexpected
        head, error = self.queue[0], errors[0]
        if error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER and not self._is_held(head):
            what = f"leader {leader} refused sequence {head.number} of {self.name}, all before it were acknowledged"
            work.history.trouble.append(Violation(Kind.REFUSED, f"{what}, at {work.clock.monotonic():.3f}"))
        self.queue = [write for write in self.queue if write.outcome is not Outcome.OK]
        if self.queue:
            await work.retry(self.name)

    def _is_held(self, write: Write) -> bool:
        """Whether some broker holds it already. One that was restarted knows of each producer only the last batch
        (that is all that a snapshot file has room for), so it refuses the one before it, as Apache's does.
        """
        for server in self.workload.cluster.servers.values():  # the dead too: its answer may have been its last word
            log = server.logdirs.get(TOPIC, self.partition) if hasattr(server, "logdirs") else None
            known = None if log is None else log.producers.producers.get(self.producer_id)
            if known is not None and known.last_sequence > write.number:
                return True
        return False


def acknowledged(history: History, since: float) -> Callable[[int], bool]:
    """Whether something was acknowledged in a partition after ``since``."""
    return lambda partition: any(
        write.partition == partition and write.outcome is Outcome.OK and write.began > since
        for write in reversed(history.writes[-2000:])
    )
