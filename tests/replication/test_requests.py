"""Produce, Fetch, ListOffsets, DeleteRecords and the controller's requests, as clients see them over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.cluster.peers import PeerUnreachable
from broker.config import LogConfig
from broker.storage.log import Log
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.delete_records import DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from broker.wire.messages.leader_and_isr import LeaderAndIsrRequest
from broker.wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic
from broker.wire.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.messages.stop_replica import StopReplicaPartitionState, StopReplicaRequest, StopReplicaTopicState
from broker.wire.messages.update_metadata import (
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)
from broker.wire.records import Record, build_batch, read_all
from tests.replication.brokers import TOPIC, TOPIC_ID, Cluster, until

Make = Callable[..., Cluster]


async def lone_leader(make_cluster: Make, **settings: Any) -> Cluster:
    cluster = make_cluster(**settings)
    await cluster.start(1)
    cluster.elect(1, isr=[1], replicas=[1])
    return cluster


async def send(cluster: Cluster, key: ApiKey, version: int, request: object) -> Any:
    return await cluster.line(1).send(key, version, request, 10)


def session_fetch(session_id: int, epoch: int, *offsets: int, wait_ms: int = 0) -> FetchRequest:
    partitions = [FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20) for offset in offsets]
    topics = [FetchTopic(topic=TOPIC, topic_id=TOPIC_ID, partitions=partitions)] if partitions else []
    return FetchRequest(
        max_wait_ms=wait_ms, min_bytes=1, session_id=session_id, session_epoch=epoch, topics=topics, max_bytes=1 << 20
    )


# fetch


async def test_a_consumer_reads_what_is_committed(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a", "b")
    await cluster.produce(1, "c")
    data = await cluster.fetch(1, 1)
    assert (data.error_code, data.high_watermark, data.last_stable_offset, data.log_start_offset) == (0, 3, 3, 0)
    assert data.records is not None
    assert [record.value for record in read_all(data.records)] == [b"a", b"b", b"c"]


async def test_a_fetch_waits_for_records_and_gets_them_when_they_come(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    waiting = asyncio.ensure_future(cluster.fetch(1, 0, max_wait_ms=20_000))
    hosted = cluster.brokers[1].hosted
    await until(lambda: len(hosted.readers) == 1)
    line = cluster.lines.pop(1)  # the produce goes over another connection
    await cluster.produce(1, "a", acks=1)
    records = (await waiting).records
    assert records is not None
    assert [record.value for record in read_all(records)] == [b"a"]
    assert not hosted.readers
    line.close()


async def test_a_fetch_waits_for_its_least_bytes_or_its_time(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a")
    began = asyncio.get_running_loop().time()
    data = await cluster.fetch(1, 0, min_bytes=1 << 16, max_wait_ms=120)
    assert asyncio.get_running_loop().time() - began >= 0.11
    assert data.records


async def test_a_waiting_fetch_whose_client_leaves_leaves_nothing_behind(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    waiting = asyncio.ensure_future(cluster.fetch(1, 0, max_wait_ms=200))
    hosted = cluster.brokers[1].hosted
    await until(lambda: len(hosted.readers) == 1)
    cluster.lines.pop(1).close()
    with pytest.raises(PeerUnreachable):
        await waiting
    await until(lambda: not hosted.readers)


async def test_a_waiting_fetch_is_told_at_once_that_leadership_is_lost(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    waiting = asyncio.ensure_future(cluster.fetch(1, 0, max_wait_ms=20_000))
    await until(lambda: len(cluster.brokers[1].hosted.readers) == 1)
    cluster.elect(2, isr=[2])
    assert (await waiting).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER


@pytest.mark.parametrize(("version", "named"), [(12, TOPIC), (16, "")])
async def test_an_incremental_fetch_names_only_what_is_new(make_cluster: Make, version: int, named: str) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a")
    first: FetchResponse = await send(cluster, ApiKey.FETCH, version, session_fetch(0, 0, 0))
    assert first.session_id != 0
    assert [topic.topic for topic in first.responses] == [named]
    quiet: FetchResponse = await send(cluster, ApiKey.FETCH, version, session_fetch(first.session_id, 1, 1))
    assert (quiet.error_code, quiet.responses) == (0, [])
    await cluster.produce(1, "b")
    fresh: FetchResponse = await send(cluster, ApiKey.FETCH, version, session_fetch(first.session_id, 2))
    [data] = fresh.responses[0].partitions
    assert data.high_watermark == 2
    again: FetchResponse = await send(cluster, ApiKey.FETCH, version, session_fetch(first.session_id, 3))
    assert again.responses, "records that the client has not moved past are sent again"
    wrong: FetchResponse = await send(cluster, ApiKey.FETCH, version, session_fetch(first.session_id, 9))
    assert wrong.error_code == ErrorCode.INVALID_FETCH_SESSION_EPOCH


async def test_a_parked_incremental_fetch_wakes_for_a_quiet_partition(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    first: FetchResponse = await send(cluster, ApiKey.FETCH, 12, session_fetch(0, 0, 0))
    await send(cluster, ApiKey.FETCH, 12, session_fetch(first.session_id, 1))
    line = cluster.lines.pop(1)
    request = session_fetch(first.session_id, 2, wait_ms=20_000)
    waiting = line.send(ApiKey.FETCH, 12, request, 30)
    session = next(iter(cluster.brokers[1].replicas.sessions))
    await until(lambda: session.parked is not None)
    assert not session.news
    await cluster.produce(1, "a")
    response: FetchResponse = await waiting
    assert response.responses[0].partitions[0].records
    line.close()


async def test_a_batch_larger_than_every_limit_is_sent_whole(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "x" * 100_000)
    request = session_fetch(0, -1, 0)
    request.max_bytes = request.topics[0].partitions[0].partition_max_bytes = 100
    response: FetchResponse = await send(cluster, ApiKey.FETCH, 12, request)
    records = response.responses[0].partitions[0].records
    assert records is not None
    assert len(records) > 100_000


@pytest.mark.interpreted
async def test_readers_who_ask_the_same_share_one_read_until_something_has_changed(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a", "b")
    log, read, reads = cluster.brokers[1].hosted.log, Log.read, 0

    def counted(self: Log, *asked: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(self, *asked)

    monkeypatch.setattr(Log, "read", counted)

    async def fetched() -> tuple[int, list[str]]:
        response: FetchResponse = await send(cluster, ApiKey.FETCH, 12, session_fetch(0, -1, 0))
        (data,) = response.responses[0].partitions
        found = read_all(bytes(data.records or b""))
        return data.error_code, [(record.value or b"").decode() for record in found]

    assert [await fetched() for _ in range(3)] == [(0, ["a", "b"])] * 3
    assert reads == 1
    await cluster.produce(1, "c")
    assert await fetched() == (0, ["a", "b", "c"])
    assert reads == 2
    log.increment_log_start_offset(2)
    assert await fetched() == (ErrorCode.OFFSET_OUT_OF_RANGE, [])


async def test_fetch_max_bytes_bounds_what_a_consumer_may_ask_for_at_once(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster, fetch_max_bytes=10_000)
    for _ in range(20):
        await cluster.produce(1, "x" * 1000)
    request = session_fetch(0, -1, 0)
    request.max_bytes = request.topics[0].partitions[0].partition_max_bytes = 500_000_000
    response: FetchResponse = await send(cluster, ApiKey.FETCH, 12, request)
    records = response.responses[0].partitions[0].records
    assert records is not None
    assert 9_000 <= len(records) <= 10_000


@pytest.mark.parametrize(
    ("offset", "epoch", "error"),
    [
        (-1, -1, ErrorCode.OFFSET_OUT_OF_RANGE),
        (3, -1, ErrorCode.OFFSET_OUT_OF_RANGE),
        (0, 0, ErrorCode.FENCED_LEADER_EPOCH),
        (0, 2, ErrorCode.UNKNOWN_LEADER_EPOCH),
        (2, 1, ErrorCode.NONE),
        (2, -7, ErrorCode.NONE),
    ],
)
async def test_offsets_and_epochs_of_a_fetch_are_checked(
    make_cluster: Make, offset: int, epoch: int, error: ErrorCode
) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a", "b")
    request = session_fetch(0, -1, offset)
    request.topics[0].partitions[0].current_leader_epoch = epoch
    response: FetchResponse = await send(cluster, ApiKey.FETCH, 12, request)
    answer = response.responses[0].partitions[0]
    assert (answer.error_code, answer.aborted_transactions) == (error, None)
    request.isolation_level = 1
    response = await send(cluster, ApiKey.FETCH, 12, request)
    assert response.responses[0].partitions[0].aborted_transactions == (None if error else [])


async def test_unknown_topics_and_ids_have_their_own_errors(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    request = session_fetch(0, -1, 0)
    request.topics[0].topic = "nowhere"
    by_name: FetchResponse = await send(cluster, ApiKey.FETCH, 12, request)
    assert by_name.responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    request.topics[0].topic_id = type(TOPIC_ID)(int=1)
    by_id: FetchResponse = await send(cluster, ApiKey.FETCH, 13, request)
    assert by_id.responses[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID


# produce


def produce_request(records: bytes | None, acks: int = -1, topic: str = TOPIC) -> ProduceRequest:
    data = [PartitionProduceData(index=0, records=records)]
    return ProduceRequest(acks=acks, timeout_ms=5000, topic_data=[TopicProduceData(name=topic, partition_data=data)])


def one_batch(**header: Any) -> bytearray:
    return build_batch([Record(0, 1_700_000_000_000, b"k", b"v")], base_offset=0, **header)


async def test_acks_other_than_0_1_and_all_are_refused(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(bytes(one_batch()), acks=2))
    answer = response.responses[0].partition_responses[0]
    assert (answer.error_code, answer.base_offset) == (ErrorCode.INVALID_REQUIRED_ACKS, -1)


async def test_damaged_and_missing_batches_are_refused_in_their_partitions_place(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    broken = one_batch()
    broken[-1] ^= 1
    for records, error in (
        (bytes(broken), ErrorCode.CORRUPT_MESSAGE),
        (b"", ErrorCode.INVALID_RECORD),
        (None, ErrorCode.INVALID_RECORD),
        (bytes(one_batch() + one_batch()), ErrorCode.INVALID_RECORD),
        (bytes(one_batch())[:16] + b"\3" + bytes(one_batch())[17:], ErrorCode.CORRUPT_MESSAGE),
        (bytes(one_batch(attributes=0x10)), ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
    ):
        response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(records))
        answer = response.responses[0].partition_responses[0]
        assert (answer.error_code, answer.base_offset, answer.log_start_offset) == (error, -1, -1)
    assert cluster.brokers[1].values == []


async def test_what_is_unknown_is_said_before_what_is_wrong_with_records(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(b"", topic="nowhere"))
    assert response.responses[0].partition_responses[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def test_a_refused_batch_is_told_where_the_log_begins(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    batch = bytes(build_batch([Record(5, 1_700_000_000_000, b"k", b"v")], base_offset=5))
    response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(batch))
    answer = response.responses[0].partition_responses[0]
    assert (answer.error_code, answer.log_start_offset) == (ErrorCode.INVALID_RECORD, 0)


async def test_zstd_needs_version_7(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    batch = bytes(one_batch(codec=4))
    old = await send(cluster, ApiKey.PRODUCE, 6, produce_request(batch))
    assert old.responses[0].partition_responses[0].error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    new = await send(cluster, ApiKey.PRODUCE, 7, produce_request(batch))
    assert new.responses[0].partition_responses[0].error_code == 0


async def test_clients_may_not_write_internal_topics(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    request = produce_request(bytes(one_batch()), topic="__consumer_offsets")
    unknown = await send(cluster, ApiKey.PRODUCE, 9, request)
    assert unknown.responses[0].partition_responses[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    states = [UpdateMetadataPartitionState(partition_index=0)]
    topic = UpdateMetadataTopicState(topic_name="__consumer_offsets", partition_states=states)
    cluster.brokers[1].metadata.update(UpdateMetadataRequest(topic_states=[topic]))
    refused = await send(cluster, ApiKey.PRODUCE, 9, request)
    assert refused.responses[0].partition_responses[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


async def test_without_acks_nothing_is_answered_and_an_error_ends_the_connection(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    silent = cluster.line(1).send(ApiKey.PRODUCE, 9, produce_request(bytes(one_batch()), acks=0), 30)
    await until(lambda: cluster.brokers[1].values == ["v"])
    assert not silent.done()
    cluster.line(1).send(ApiKey.PRODUCE, 9, produce_request(bytes(one_batch()), acks=0, topic="nowhere"), 30)
    with pytest.raises(PeerUnreachable, match="closed"):
        await silent


async def test_a_retry_of_an_idempotent_batch_is_answered_with_the_first_offset(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    batch = bytes(one_batch(producer_id=7, producer_epoch=0, base_sequence=0))
    for _ in range(3):
        response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(batch))
        answer = response.responses[0].partition_responses[0]
        assert (answer.error_code, answer.base_offset) == (0, 0)
    assert cluster.brokers[1].values == ["v"]


async def test_a_client_is_told_where_the_leader_went(make_cluster: Make) -> None:
    """KIP-951."""
    cluster = await lone_leader(make_cluster)
    await cluster.start(2)
    cluster.elect(2, isr=[2])
    response = await send(cluster, ApiKey.PRODUCE, 10, produce_request(bytes(one_batch())))
    answer = response.responses[0].partition_responses[0]
    assert answer.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert (answer.current_leader.leader_id, answer.current_leader.leader_epoch) == (2, 2)
    assert [(node.node_id, node.port) for node in response.node_endpoints] == [(2, cluster.brokers[2].port)]


async def test_a_large_compressed_batch_is_validated_elsewhere_and_then_appended(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster, log_config=LogConfig.of(max_message_bytes=8 << 20))
    records = [Record(at, 1_700_000_000_000, None, b"x" * 1000) for at in range(4000)]
    batch = bytes(build_batch(records, base_offset=0, codec=4))
    response = await send(cluster, ApiKey.PRODUCE, 9, produce_request(batch))
    answer = response.responses[0].partition_responses[0]
    assert (answer.error_code, answer.base_offset) == (0, 0)
    assert cluster.brokers[1].hosted.log.log_end_offset == 4000


# offsets


async def list_offset(cluster: Cluster, timestamp: int, version: int = 9, **wanted: Any) -> Any:
    partition = ListOffsetsPartition(partition_index=0, timestamp=timestamp, **wanted)
    request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=TOPIC, partitions=[partition])])
    return (await send(cluster, ApiKey.LIST_OFFSETS, version, request)).topics[0].partitions[0]


async def test_list_offsets_knows_the_ends_and_times(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    records = [Record(at, 1_700_000_000_000 + at * 10, None, b"v") for at in range(4)]
    for at in range(2):
        batch = bytes(build_batch(records[at * 2 : at * 2 + 2], base_offset=0))
        await send(cluster, ApiKey.PRODUCE, 9, produce_request(batch))
    found = {timestamp: (await list_offset(cluster, timestamp)).offset for timestamp in (-1, -2, -3, -4, -5)}
    assert found == {-1: 4, -2: 0, -3: 3, -4: 0, -5: -1}
    by_time = await list_offset(cluster, 1_700_000_000_015)
    assert (by_time.offset, by_time.timestamp, by_time.leader_epoch) == (2, 1_700_000_000_020, 1)
    assert (await list_offset(cluster, 1_800_000_000_000)).offset == -1
    assert (await list_offset(cluster, -3, version=6)).error_code == ErrorCode.UNSUPPORTED_VERSION


async def test_a_new_leader_tells_no_end_before_it_knows_what_is_committed(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1)
    cluster.elect(1, isr=[1, 2])
    await cluster.produce(1, "a", acks=1)
    cluster.elect(1, isr=[1, 2])
    assert (await list_offset(cluster, -1)).error_code == ErrorCode.OFFSET_NOT_AVAILABLE
    assert (await list_offset(cluster, -1, version=4)).error_code == ErrorCode.LEADER_NOT_AVAILABLE
    assert (await list_offset(cluster, -2)).offset == 0


async def test_offset_for_leader_epoch_answers_where_epochs_end(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    await cluster.produce(1, "a", "b")
    cluster.elect(1, isr=[1], replicas=[1])
    await cluster.produce(1, "c")

    async def end_of(epoch: int, current: int = -1) -> tuple[int, int, int]:
        wanted = OffsetForLeaderPartition(partition=0, leader_epoch=epoch, current_leader_epoch=current)
        request = OffsetForLeaderEpochRequest(topics=[OffsetForLeaderTopic(topic=TOPIC, partitions=[wanted])])
        response = await send(cluster, ApiKey.OFFSET_FOR_LEADER_EPOCH, 4, request)
        answer = response.topics[0].partitions[0]
        return answer.error_code, answer.leader_epoch, answer.end_offset

    assert await end_of(1) == (0, 1, 2)
    assert await end_of(2) == (0, 2, 3)
    assert await end_of(0) == (0, 0, 0)
    assert await end_of(9) == (0, -1, -1)
    assert await end_of(1, current=1) == (ErrorCode.FENCED_LEADER_EPOCH, -1, -1)
    assert await end_of(1, current=3) == (ErrorCode.UNKNOWN_LEADER_EPOCH, -1, -1)


async def delete_to(cluster: Cluster, offset: int) -> Any:
    topics = [DeleteRecordsTopic(name=TOPIC, partitions=[DeleteRecordsPartition(partition_index=0, offset=offset)])]
    response = await send(cluster, ApiKey.DELETE_RECORDS, 2, DeleteRecordsRequest(topics=topics, timeout_ms=5000))
    return response.topics[0].partitions[0]


async def test_records_are_deleted_once_every_live_follower_has_followed(make_cluster: Make) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a", "b", "c")
    answer = await delete_to(cluster, 2)
    assert (answer.error_code, answer.low_watermark) == (0, 2)
    assert [broker.hosted.log.log_start_offset for broker in cluster.brokers.values()] == [2, 2]
    assert (await cluster.fetch(1, 1)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert (await delete_to(cluster, 9)).error_code == ErrorCode.OFFSET_OUT_OF_RANGE
    assert (await delete_to(cluster, -1)).low_watermark == 3


async def test_a_compacted_topic_keeps_its_records(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster, log_config=LogConfig.of(cleanup_policy=("compact",)))
    assert (await delete_to(cluster, 0)).error_code == ErrorCode.POLICY_VIOLATION


# the controller's requests


async def test_a_deposed_controller_and_a_former_life_are_refused(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    broker = cluster.brokers[1]
    broker.replicas.broker_epoch = lambda: 50
    for make in (LeaderAndIsrRequest, StopReplicaRequest, UpdateMetadataRequest):
        key = {
            LeaderAndIsrRequest: (ApiKey.LEADER_AND_ISR, 7),
            StopReplicaRequest: (ApiKey.STOP_REPLICA, 4),
            UpdateMetadataRequest: (ApiKey.UPDATE_METADATA, 8),
        }[make]
        old_epoch = await send(cluster, *key, make(controller_epoch=0, broker_epoch=50))
        assert old_epoch.error_code == ErrorCode.STALE_CONTROLLER_EPOCH
        old_life = await send(cluster, *key, make(controller_epoch=1, broker_epoch=49))
        assert old_life.error_code == ErrorCode.STALE_BROKER_EPOCH
    for epoch in (-1, 50, 51):
        response = await send(
            cluster, ApiKey.STOP_REPLICA, 4, StopReplicaRequest(controller_epoch=1, broker_epoch=epoch)
        )
        assert response.error_code == 0


async def stop_replica(cluster: Cluster, leader_epoch: int, *, delete: bool, partition: int = 0) -> int:
    state = StopReplicaPartitionState(partition_index=partition, leader_epoch=leader_epoch, delete_partition=delete)
    topics = [StopReplicaTopicState(topic_name=TOPIC, partition_states=[state])]
    request = StopReplicaRequest(controller_epoch=1, topic_states=topics)
    response = await send(cluster, ApiKey.STOP_REPLICA, 4, request)
    error: int = response.partition_errors[0].error_code
    return error


async def test_stop_replica_serves_no_longer_and_deletes_where_told(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    cluster.elect(1, isr=[1], replicas=[1])
    await cluster.produce(1, "a")
    assert await stop_replica(cluster, 1, delete=False) == ErrorCode.FENCED_LEADER_EPOCH
    assert (await cluster.produce(1, "b")).error_code == 0
    assert await stop_replica(cluster, 2, delete=False) == ErrorCode.NONE
    assert (await cluster.produce(1, "c")).error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert cluster.tell(1, [1]) == {(TOPIC, 0): ErrorCode.STALE_CONTROLLER_EPOCH}
    cluster.elect(1, isr=[1], replicas=[1])
    assert cluster.brokers[1].values == ["a", "b"]
    assert await stop_replica(cluster, -2, delete=True) == ErrorCode.NONE
    assert cluster.brokers[1].logdirs.get(TOPIC, 0) is None
    assert await stop_replica(cluster, -2, delete=True, partition=5) == ErrorCode.NONE


async def test_a_partition_that_is_not_ours_and_a_topic_of_another_id_are_refused(make_cluster: Make) -> None:
    cluster = await lone_leader(make_cluster)
    assert cluster.elect(2, isr=[2], replicas=[2, 3])[1] == {(TOPIC, 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}
    cluster.topic_id = type(TOPIC_ID)(int=1)
    assert cluster.elect(1, isr=[1], replicas=[1])[1] == {(TOPIC, 0): ErrorCode.INCONSISTENT_TOPIC_ID}


async def test_a_follower_answers_consumers_that_know_the_leader_epoch_below_its_high_watermark(
    make_cluster: Make,
) -> None:
    cluster = make_cluster()
    await cluster.start(1, 2)
    cluster.elect(1, isr=[1, 2], replicas=[1, 2])
    await cluster.produce(1, "a")
    await until(lambda: cluster.brokers[2].hosted.log.high_watermark == 1)
    asked = session_fetch(0, -1, 0)
    told: FetchResponse = await cluster.line(2).send(ApiKey.FETCH, 12, asked, 10)
    assert told.responses[0].partitions[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    asked.topics[0].partitions[0].current_leader_epoch = cluster.epoch
    served: FetchResponse = await cluster.line(2).send(ApiKey.FETCH, 12, asked, 10)
    assert served.responses[0].partitions[0].records
    old: FetchResponse = await cluster.line(2).send(ApiKey.FETCH, 10, asked, 10)
    assert old.responses[0].partitions[0].error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
    asked.topics[0].partitions[0].current_leader_epoch = cluster.epoch - 1
    fenced: FetchResponse = await cluster.line(2).send(ApiKey.FETCH, 12, asked, 10)
    assert fenced.responses[0].partitions[0].error_code == ErrorCode.FENCED_LEADER_EPOCH
