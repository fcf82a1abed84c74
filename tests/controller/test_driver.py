"""Three controllers and a real ZooKeeper server: elections, failover, deletion, expiry, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from broker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    BrokerState,
    RequestPartitionData,
    RequestTopicData,
)
from broker.wire.messages.leader_and_isr import LeaderAndIsrRequest
from broker.wire.messages.stop_replica import StopReplicaRequest
from broker.wire.messages.update_metadata import UpdateMetadataRequest
from broker.zk import znodes
from broker.zk.operations import Create, GetData
from tests.controller.cluster import ListeningBroker, until
from tests.zk.proxy import Proxy
from tests.zk.servers import ZkServer


@pytest.fixture
def zookeeper(tmp_path: Path) -> Iterator[ZkServer]:
    server = ZkServer("kops", tmp_path)
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def brokers(connects: list[str], ibp: str = "3.9") -> AsyncIterator[list[ListeningBroker]]:
    members = [ListeningBroker(number, connect, ibp) for number, connect in enumerate(connects, 1)]
    for member in members:
        await member.start()
    await until(lambda: any(it.controller.is_active for it in members))
    active = next(it for it in members if it.controller.is_active)
    await until(lambda: len(active.controller._machine.context.live) == len(members), "all brokers known")
    await until(lambda: all(it.heard for it in members), "all brokers told")
    try:
        yield members
    finally:
        for member in members:
            if member.zk.session_id or member.controller._task is not None:
                await member.stop()


async def test_a_topic_is_led_and_led_again_when_its_leader_dies(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 3) as members:
        first, second, third = members
        assert [it.controller.is_active for it in members] == [True, False, False]
        await until(lambda: third.controller.controller_id == 1)
        await first.create_topic("orders", 2, 3)
        await until(lambda: len(third.heard_of(LeaderAndIsrRequest, "orders")) == 1)
        await second.leave()
        await until(lambda: any(it.leader == 3 for it in third.heard_of(LeaderAndIsrRequest, "orders")))
        elected = third.heard_of(LeaderAndIsrRequest, "orders")[-1]
        assert (elected.leader, elected.isr, elected.leader_epoch) == (3, [3], 1)
        assert (await first.state("orders")).leader == 3
        await until(lambda: first.heard_of(UpdateMetadataRequest, "orders")[-1].offline_replicas == [2])


@pytest.mark.parametrize(("ibp", "versions"), [("3.9", {4: 7, 6: 8, 5: 4}), ("2.6", {4: 4, 6: 6, 5: 3})])
async def test_requests_have_the_versions_of_the_inter_broker_protocol(
    zookeeper: ZkServer, ibp: str, versions: dict[int, int]
) -> None:
    async with brokers([zookeeper.connect] * 2, ibp) as (first, second):
        await first.create_topic("orders", 2)
        await until(lambda: bool(second.heard_of(LeaderAndIsrRequest, "orders")))
        await first.zk.request([Create(znodes.delete_topic("orders"))])
        await until(lambda: len(second.heard_of(StopReplicaRequest, "orders")) == 2)
        kinds = {LeaderAndIsrRequest: 4, UpdateMetadataRequest: 6, StopReplicaRequest: 5}
        assert {kinds[type(request)]: version for version, request in second.heard} == versions
        epoch = second.registration.broker_epoch
        assert {request.broker_epoch for _, request in second.heard} == {epoch}


async def test_when_the_controller_dies_another_takes_over_with_the_next_epoch(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 3) as (first, second, third):
        await second.create_topic("orders", 1, 2, 3)
        await until(lambda: bool(third.heard_of(LeaderAndIsrRequest, "orders")))
        await first.leave()
        await until(lambda: second.controller.is_active or third.controller.is_active)
        await until(lambda: any(it.leader == 2 for it in third.heard_of(LeaderAndIsrRequest, "orders")))
        active = second if second.controller.is_active else third
        assert active.controller.epoch == 2
        epochs = [request.controller_epoch for _, request in third.heard]
        assert epochs == sorted(epochs)
        assert epochs[-1] == 2


async def test_a_controller_that_stops_hands_over_at_once(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 2) as (first, second):
        await first.controller.stop()
        await until(lambda: second.controller.is_active)
        assert not first.controller.is_active
        assert second.controller.epoch == 2
        with pytest.raises(KafkaError, match="not the correct controller"):
            await first.controller.controlled_shutdown(1, first.registration.broker_epoch)


async def test_deletion_waits_for_a_broker_that_does_not_answer_and_asks_again(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 2) as (first, second):
        await first.create_topic("orders", 1, 2)
        await until(lambda: bool(second.heard_of(LeaderAndIsrRequest, "orders")))
        await until(lambda: bool(second.heard_of(UpdateMetadataRequest, "orders")))
        second.is_deaf = True
        await first.zk.request([Create(znodes.delete_topic("orders"))])
        await until(lambda: len(second.heard_of(UpdateMetadataRequest, "orders")) >= 3, "asked again")
        assert first.controller.is_marked_for_deletion("orders")
        assert await first.exists(znodes.topic("orders"))
        second.is_deaf = False
        await until(lambda: not first.controller.is_marked_for_deletion("orders"), "deleted")
        assert not await first.exists(znodes.topic("orders"))
        assert not await first.exists(znodes.delete_topic("orders"))


async def test_a_broker_that_stops_in_order_leads_nothing_any_more(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 3) as (first, second, third):
        await first.create_topic("orders", 2, 3)
        await until(lambda: bool(third.heard_of(LeaderAndIsrRequest, "orders")))
        remaining = await first.controller.controlled_shutdown(2, second.registration.broker_epoch)
        assert remaining == ()
        assert (await first.state("orders")).leader == 3
        with pytest.raises(KafkaError) as refused:
            await third.controller.controlled_shutdown(2, second.registration.broker_epoch)
        assert refused.value.code == ErrorCode.NOT_CONTROLLER


async def test_requests_to_the_controller_are_answered(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 2) as (first, second):
        await first.create_topic("orders", 2, 1)
        await until(lambda: bool(second.heard_of(LeaderAndIsrRequest, "orders")))
        epoch = second.registration.broker_epoch
        topic_id = next(
            it.topic_id
            for _, request in second.heard
            if isinstance(request, LeaderAndIsrRequest)
            for it in request.topic_states
        )
        proposal = RequestPartitionData(new_isr_with_epochs=[BrokerState(broker_id=2)])
        topics = [RequestTopicData(topic_id=topic_id, partitions=[proposal])]
        request = AlterPartitionRequest(broker_id=2, broker_epoch=epoch, topics=topics)
        response = await first.controller.alter_partition(request, 3)
        assert response.topics[0].partitions[0].isr == [2]
        assert (await first.state("orders")).isr == (2,)
        refused = await second.controller.alter_partition(request, 3)
        assert refused.error_code == ErrorCode.NOT_CONTROLLER
        ids = AllocateProducerIdsRequest(broker_id=2, broker_epoch=epoch)
        blocks = await asyncio.gather(*(first.controller.allocate_producer_ids(ids) for _ in range(3)))
        assert [block.producer_id_start for block in blocks] == [0, 1000, 2000]
        elected = await first.controller.elect_leaders([("orders", 0)], 0)
        not_needed = "Leader election not needed for topic partition."
        assert elected == {("orders", 0): (ErrorCode.ELECTION_NOT_NEEDED, not_needed)}


async def test_a_controller_whose_session_expires_resigns_and_its_late_writes_are_refused(
    zookeeper: ZkServer,
) -> None:
    proxy = Proxy(zookeeper.port)
    await proxy.start()
    try:
        async with brokers([f"127.0.0.1:{proxy.port}", zookeeper.connect, zookeeper.connect]) as (first, second, third):
            await second.create_topic("orders", 1, 2, 3)
            await until(lambda: bool(third.heard_of(LeaderAndIsrRequest, "orders")))
            proxy.swallow = True
            wants = AllocateProducerIdsRequest(broker_id=1, broker_epoch=first.registration.broker_epoch)
            asked = asyncio.ensure_future(first.controller.allocate_producer_ids(wants))
            await until(lambda: second.controller.is_active or third.controller.is_active, "another is elected")
            await until(lambda: any(it.leader == 2 for it in third.heard_of(LeaderAndIsrRequest, "orders")))
            proxy.swallow = False
            proxy.cut()
            await until(lambda: not first.controller.is_active, "the former one knows")
            active = second if second.controller.is_active else third
            await until(lambda: first.controller.controller_id == active.broker_id)
            await until(lambda: first.heard[-1][1].controller_epoch == 2, "the former one is told as a broker")
            state = await second.state("orders")
            assert (state.leader, state.controller_epoch) == (2, 2)
            assert (await asked).error_code == ErrorCode.NOT_CONTROLLER
            found = (await second.zk.request([GetData(znodes.CONTROLLER_EPOCH)]))[0]
            assert found.data == b"2"
    finally:
        await proxy.stop()


async def test_zookeeper_away_holds_nothing_up_and_loses_nothing(zookeeper: ZkServer) -> None:
    async with brokers([zookeeper.connect] * 2) as (first, second):
        zookeeper.kill()
        asked = asyncio.ensure_future(
            first.controller.allocate_producer_ids(
                AllocateProducerIdsRequest(broker_id=2, broker_epoch=second.registration.broker_epoch)
            )
        )
        await asyncio.sleep(0.2)
        assert not asked.done()
        zookeeper.start()
        response = await asked
        assert (response.error_code, response.producer_id_start) == (0, 0)
        assert first.controller.is_active
