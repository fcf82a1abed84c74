"""Fetch, API 1 (org.apache.kafka.common.message.FetchRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, INT64, RECORDS, STRING, UUID_, array, f, message, struct


@struct
class ReplicaState:
    replica_id: int = f(INT32, "15+", default=-1)
    replica_epoch: int = f(INT64, "15+", default=-1)


@struct
class FetchPartition:
    partition: int = f(INT32, "0+")
    current_leader_epoch: int = f(INT32, "9+", default=-1)
    fetch_offset: int = f(INT64, "0+")
    last_fetched_epoch: int = f(INT32, "12+", default=-1)
    log_start_offset: int = f(INT64, "5+", default=-1)
    partition_max_bytes: int = f(INT32, "0+")
    replica_directory_id: UUID = f(UUID_, "17+", tag=0)


@struct
class FetchTopic:
    topic: str = f(STRING, "0-12")
    topic_id: UUID = f(UUID_, "13+")
    partitions: list[FetchPartition] = f(array(FetchPartition), "0+")


@struct
class ForgottenTopic:
    topic: str = f(STRING, "7-12")
    topic_id: UUID = f(UUID_, "13+")
    partitions: list[int] = f(array(INT32), "7+")


@message(key=ApiKey.FETCH, versions="0-17", flexible="12+")
class FetchRequest:
    cluster_id: str | None = f(STRING, "12+", nullable="12+", default=None, tag=0)
    replica_id: int = f(INT32, "0-14", default=-1)
    replica_state: ReplicaState = f(ReplicaState, "15+", tag=1)
    max_wait_ms: int = f(INT32, "0+")
    min_bytes: int = f(INT32, "0+")
    max_bytes: int = f(INT32, "3+", default=0x7FFFFFFF)
    isolation_level: int = f(INT8, "4+")
    session_id: int = f(INT32, "7+")
    session_epoch: int = f(INT32, "7+", default=-1)
    topics: list[FetchTopic] = f(array(FetchTopic), "0+")
    forgotten_topics_data: list[ForgottenTopic] = f(array(ForgottenTopic), "7+")
    rack_id: str = f(STRING, "11+")


@struct
class EpochEndOffset:
    epoch: int = f(INT32, "12+", default=-1)
    end_offset: int = f(INT64, "12+", default=-1)


@struct
class LeaderIdAndEpoch:
    leader_id: int = f(INT32, "12+", default=-1)
    leader_epoch: int = f(INT32, "12+", default=-1)


@struct
class SnapshotId:
    end_offset: int = f(INT64, "0+", default=-1)
    epoch: int = f(INT32, "0+", default=-1)


@struct
class AbortedTransaction:
    producer_id: int = f(INT64, "4+")
    first_offset: int = f(INT64, "4+")


@struct
class PartitionData:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    high_watermark: int = f(INT64, "0+")
    last_stable_offset: int = f(INT64, "4+", default=-1)
    log_start_offset: int = f(INT64, "5+", default=-1)
    diverging_epoch: EpochEndOffset = f(EpochEndOffset, "12+", tag=0)
    current_leader: LeaderIdAndEpoch = f(LeaderIdAndEpoch, "12+", tag=1)
    snapshot_id: SnapshotId = f(SnapshotId, "12+", tag=2)
    aborted_transactions: list[AbortedTransaction] | None = f(array(AbortedTransaction), "4+", nullable="4+")
    preferred_read_replica: int = f(INT32, "11+", default=-1)
    records: bytes | bytearray | memoryview | None = f(RECORDS, "0+", nullable="0+")


@struct
class FetchableTopicResponse:
    topic: str = f(STRING, "0-12")
    topic_id: UUID = f(UUID_, "13+")
    partitions: list[PartitionData] = f(array(PartitionData), "0+")


@struct
class NodeEndpoint:
    node_id: int = f(INT32, "16+")
    host: str = f(STRING, "16+")
    port: int = f(INT32, "16+")
    rack: str | None = f(STRING, "16+", nullable="16+", default=None)


@message(key=ApiKey.FETCH, versions="0-17", flexible="12+")
class FetchResponse:
    throttle_time_ms: int = f(INT32, "1+")
    error_code: int = f(INT16, "7+")
    session_id: int = f(INT32, "7+")
    responses: list[FetchableTopicResponse] = f(array(FetchableTopicResponse), "0+")
    node_endpoints: list[NodeEndpoint] = f(array(NodeEndpoint), "16+", tag=0)
