"""ISR proposals on their way: which answer of the controller, or of ZooKeeper, does what (facts A.7, B.14)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.cluster.metadata_cache import Endpoint, LiveBroker, MetadataCache
from broker.coordinator import producer_ids
from broker.coordinator.producer_ids import ProducerIds, from_zookeeper
from broker.replication.alter_partition import AlterPartitionChanges, Verdict, verdict
from broker.replication.hosted import HostedPartition
from broker.replication.partition import Effects
from broker.replication.zookeeper_isr import ZooKeeperChanges
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    ResponsePartitionData,
    ResponseTopicData,
)
from broker.zk import znodes
from broker.zk.operations import ConnectionLost, Create, GetData, Result, SetData, Stat, ZkCode
from broker.zk.znodes import PartitionState, ProducerIdBlock
from tests.replication.brokers import TOPIC, TOPIC_ID, Broker, Cluster, until

Make = Callable[..., Cluster]


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ErrorCode.NONE, Verdict.ACCEPTED),
        (ErrorCode.INELIGIBLE_REPLICA, Verdict.REFUSED),
        (ErrorCode.OPERATION_NOT_ATTEMPTED, Verdict.REFUSED),
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, Verdict.PENDING),
        (ErrorCode.UNKNOWN_TOPIC_ID, Verdict.PENDING),
        (ErrorCode.FENCED_LEADER_EPOCH, Verdict.PENDING),
        (ErrorCode.INVALID_UPDATE_VERSION, Verdict.PENDING),
        (ErrorCode.INVALID_REQUEST, Verdict.PENDING),
        (ErrorCode.NOT_CONTROLLER, Verdict.RETRY),
        (ErrorCode.UNKNOWN_SERVER_ERROR, Verdict.RETRY),
        (ErrorCode.REQUEST_TIMED_OUT, Verdict.RETRY),
    ],
)
def test_the_table_of_answers(error: ErrorCode, end: Verdict) -> None:
    assert verdict(error) is end


@dataclass
class Controller:
    """Answers AlterPartition from a script: an error of the whole (negative is not used), or of the partition."""

    script: list[tuple[ErrorCode, ErrorCode]]
    is_active: bool = True
    asked: list[AlterPartitionRequest] = field(default_factory=list)

    async def alter_partition(self, request: AlterPartitionRequest, version: int) -> AlterPartitionResponse:
        self.asked.append(request)
        whole, part = self.script.pop(0) if self.script else (ErrorCode.NONE, ErrorCode.NONE)
        wanted = request.topics[0].partitions[0]
        answer = ResponsePartitionData(
            partition_index=0,
            error_code=int(part),
            leader_id=1,
            leader_epoch=wanted.leader_epoch,
            isr=[each.broker_id for each in wanted.new_isr_with_epochs],
            partition_epoch=wanted.partition_epoch + 1,
        )
        topics = [ResponseTopicData(topic_id=TOPIC_ID, partitions=[answer])]
        return AlterPartitionResponse(error_code=int(whole), topics=[] if whole else topics)


async def leader_with(cluster: Cluster, controller: Controller) -> Broker:
    """Broker 1 leads alone, is the controller, and 2 follows: so 1 proposes to take 2 in."""
    await cluster.start(1, 2)
    leader = cluster.brokers[1]
    services = leader.sockets._dispatcher._services
    services.controller = controller
    changes = AlterPartitionChanges(
        leader.config,
        cluster.ibp,
        leader.host.clock,
        leader.peers,
        leader.metadata,
        lambda: 5,
        leader.replicas.perform,
    )
    leader.replicas.isr_changes = changes
    leader.metadata.controller_id = 1
    cluster.stops.append(changes.stop)
    cluster.elect(1, isr=[1], replicas=[1, 2])
    leader.metadata.controller_id = 1
    return leader


async def test_a_follower_that_caught_up_is_taken_in_by_the_controller(make_cluster: Make) -> None:
    controller = Controller([])
    cluster = make_cluster()
    leader = await leader_with(cluster, controller)
    await until(lambda: leader.hosted.partition.isr == (1, 2))
    [asked] = controller.asked
    assert (asked.broker_id, asked.broker_epoch) == (1, 5)
    assert leader.hosted.partition.pending is None


async def test_errors_of_the_whole_and_retriable_ones_are_tried_again(make_cluster: Make) -> None:
    controller = Controller(
        [
            (ErrorCode.STALE_BROKER_EPOCH, ErrorCode.NONE),
            (ErrorCode.NOT_CONTROLLER, ErrorCode.NONE),
            (ErrorCode.NONE, ErrorCode.UNKNOWN_SERVER_ERROR),
        ]
    )
    leader = await leader_with(make_cluster(), controller)
    await until(lambda: leader.hosted.partition.isr == (1, 2))
    assert len(controller.asked) == 4


async def test_a_fenced_proposal_stays_pending_until_the_next_leader_and_isr(make_cluster: Make) -> None:
    controller = Controller([(ErrorCode.NONE, ErrorCode.INVALID_UPDATE_VERSION)])
    cluster = make_cluster()
    leader = await leader_with(cluster, controller)
    await until(lambda: len(controller.asked) == 1)
    await asyncio.sleep(0.3)
    assert len(controller.asked) == 1
    assert leader.hosted.partition.maximal_isr == (1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    assert leader.hosted.partition.pending is None


async def test_an_ineligible_follower_is_proposed_again_with_its_next_fetch(make_cluster: Make) -> None:
    controller = Controller([(ErrorCode.NONE, ErrorCode.INELIGIBLE_REPLICA)])
    leader = await leader_with(make_cluster(), controller)
    await until(lambda: leader.hosted.partition.isr == (1, 2))
    assert len(controller.asked) == 2


async def test_a_silent_controller_is_left_as_soon_as_there_is_another(make_cluster: Make) -> None:
    controller = Controller([])
    cluster = make_cluster()
    deaf = asyncio.Event()

    async def say_nothing(request: AlterPartitionRequest, version: int) -> AlterPartitionResponse:
        deaf.set()
        await asyncio.Event().wait()
        raise AssertionError

    leader = await leader_with(cluster, controller)
    silent = Controller([])
    silent.alter_partition = say_nothing  # type: ignore[method-assign]
    cluster.brokers[2].sockets._dispatcher._services.controller = silent
    leader.metadata.controller_id = 2
    await asyncio.wait_for(deaf.wait(), 10)
    leader.metadata.controller_id = 1
    leader.metadata._wake()
    await until(lambda: leader.hosted.partition.isr == (1, 2))
    cluster.brokers[2].sockets._dispatcher.stop()


# in ZooKeeper


class ZooKeeper:
    """One partition state and the producer ids' block; answers as scripted before it answers truly."""

    def __init__(self, state: bytes = b"", version: int = 0) -> None:
        self.data = {znodes.partition_state(TOPIC, 0): state, znodes.PRODUCER_ID_BLOCK: b""}
        self.version = version
        self.script: list[Any] = []
        self.asked: list[Any] = []

    async def request(self, ops: Sequence[Any], timeout: float | None = None) -> list[Result]:
        await asyncio.sleep(0)
        self.asked += ops
        return [self._answer(op) for op in ops]

    def _answer(self, op: Any) -> Result:
        scripted = self.script.pop(0) if self.script else None
        if isinstance(scripted, Exception):
            raise scripted
        if isinstance(op, Create):
            return Result(ZkCode.OK, op.path)
        if scripted is not None or (isinstance(op, SetData) and op.version not in (-1, self.version)):
            return Result(scripted or ZkCode.BAD_VERSION, op.path)
        if isinstance(op, SetData):
            assert op.data is not None
            self.data[op.path] = op.data
            self.version += 1
        stat = Stat(*(0,) * len(Stat._fields))._replace(version=self.version)
        return Result(ZkCode.OK, op.path, self.data[op.path], stat)


class Instant:
    """A clock on which sleeping only lets others go first."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def propose_in(zookeeper: ZooKeeper, cluster: Cluster) -> HostedPartition:
    """A lone leader takes 2 in; the version in ZooKeeper was 1."""
    await cluster.start(1)
    leader = cluster.brokers[1]
    changes = ZooKeeperChanges(zookeeper, Instant(), 1, leader.replicas.perform)  # type: ignore[arg-type]
    leader.replicas.isr_changes = changes
    cluster.stops.append(changes.stop)
    cluster.elect(1, isr=[1], replicas=[1, 2])
    metadata: MetadataCache = leader.metadata
    metadata._brokers[2] = LiveBroker(2, None, (Endpoint("h", 1, "PLAINTEXT", 0),))
    hosted = leader.hosted
    effects: Effects = hosted.partition.follower_fetched(2, 0, 0, 0, leader.host.clock.monotonic())
    leader.replicas.perform(hosted, effects)
    await until(lambda: changes._writing is None)
    return hosted


WANTED = PartitionState(1, 1, (1, 2), 1)


async def test_a_conditional_write_changes_the_isr_and_then_the_controller_is_told(make_cluster: Make) -> None:
    zookeeper = ZooKeeper(version=1)
    hosted = await propose_in(zookeeper, make_cluster(ibp="2.6"))
    assert PartitionState.decode(zookeeper.data[znodes.partition_state(TOPIC, 0)]) == WANTED
    assert (hosted.partition.isr, hosted.partition.partition_epoch) == ((1, 2), 2)
    await until(lambda: any(isinstance(op, Create) for op in zookeeper.asked))
    [told] = [op for op in zookeeper.asked if isinstance(op, Create)]
    assert told.path == znodes.ISR_CHANGE_PREFIX
    assert znodes.decode_partition_set(told.data) == ((TOPIC, 0),)


async def test_a_write_that_lost_to_our_own_first_attempt_has_succeeded(make_cluster: Make) -> None:
    zookeeper = ZooKeeper(WANTED.encode(), version=7)
    hosted = await propose_in(zookeeper, make_cluster(ibp="2.6"))
    assert [type(op) for op in zookeeper.asked[:2]] == [SetData, GetData]
    assert (hosted.partition.isr, hosted.partition.partition_epoch) == ((1, 2), 7)


async def test_a_write_that_lost_to_another_stays_pending(make_cluster: Make) -> None:
    zookeeper = ZooKeeper(PartitionState(1, 1, (1,), 2).encode(), version=7)
    hosted = await propose_in(zookeeper, make_cluster(ibp="2.6"))
    assert (hosted.partition.isr, hosted.partition.maximal_isr) == ((1,), (1, 2))


async def test_while_zookeeper_is_away_the_write_is_tried_again(make_cluster: Make) -> None:
    zookeeper = ZooKeeper(version=1)
    zookeeper.script = [ConnectionLost(ZkCode.CONNECTION_LOSS), ConnectionLost(ZkCode.CONNECTION_LOSS)]
    hosted = await propose_in(zookeeper, make_cluster(ibp="2.6"))
    assert hosted.partition.isr == (1, 2)


# producer ids


async def test_producer_ids_come_in_blocks_of_a_thousand_after_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_ids, "_PATIENCE", 30.0)  # all 1500 wait together, on a busy machine longer than usual
    zookeeper = ZooKeeper()
    zookeeper.data[znodes.PRODUCER_ID_BLOCK] = ProducerIdBlock(2, 1000, 1999).encode()
    zookeeper.script = [None, ZkCode.BAD_VERSION]  # another broker takes a block between our reading and writing
    ids = ProducerIds(from_zookeeper(zookeeper, 1))  # type: ignore[arg-type]
    given = await asyncio.gather(*(ids.next() for _ in range(1500)))
    assert sorted(given) == list(range(2000, 3500))
    assert ProducerIdBlock.decode(zookeeper.data[znodes.PRODUCER_ID_BLOCK]) == ProducerIdBlock(1, 3000, 3999)


async def test_the_next_block_is_taken_before_the_last_one_is_used_up() -> None:
    zookeeper = ZooKeeper()
    ids = ProducerIds(from_zookeeper(zookeeper, 1))  # type: ignore[arg-type]
    for _ in range(900):
        await ids.next()
    await until(lambda: ProducerIdBlock(1, 1000, 1999).encode() == zookeeper.data[znodes.PRODUCER_ID_BLOCK])
    zookeeper.script = [ConnectionLost(ZkCode.CONNECTION_LOSS)] * 2
    assert [await ids.next() for _ in range(900, 1500)] == list(range(900, 1500))


async def test_without_zookeeper_producers_are_told_to_try_again_and_later_get_ids() -> None:
    zookeeper = ZooKeeper()
    zookeeper.script = [ConnectionLost(ZkCode.CONNECTION_LOSS)]
    ids = ProducerIds(from_zookeeper(zookeeper, 1))  # type: ignore[arg-type]
    with pytest.raises(KafkaError) as caught:
        await ids.next()
    assert caught.value.code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert await ids.next() == 0
