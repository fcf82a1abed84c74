"""OffsetCommit, API 8 (org.apache.kafka.common.message.OffsetCommitRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class OffsetCommitRequestPartition:
    partition_index: int = f(INT32, "0+")
    committed_offset: int = f(INT64, "0+")
    committed_leader_epoch: int = f(INT32, "6+", default=-1)
    commit_timestamp: int = f(INT64, "1", default=-1)
    committed_metadata: str | None = f(STRING, "0+", nullable="0+")


@struct
class OffsetCommitRequestTopic:
    name: str = f(STRING, "0+")
    partitions: list[OffsetCommitRequestPartition] = f(array(OffsetCommitRequestPartition), "0+")


@message(key=ApiKey.OFFSET_COMMIT, versions="0-9", flexible="8+")
class OffsetCommitRequest:
    group_id: str = f(STRING, "0+")
    generation_id_or_member_epoch: int = f(INT32, "1+", default=-1)
    member_id: str = f(STRING, "1+")
    group_instance_id: str | None = f(STRING, "7+", nullable="7+", default=None)
    retention_time_ms: int = f(INT64, "2-4", default=-1)
    topics: list[OffsetCommitRequestTopic] = f(array(OffsetCommitRequestTopic), "0+")


@struct
class OffsetCommitResponsePartition:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")


@struct
class OffsetCommitResponseTopic:
    name: str = f(STRING, "0+")
    partitions: list[OffsetCommitResponsePartition] = f(array(OffsetCommitResponsePartition), "0+")


@message(key=ApiKey.OFFSET_COMMIT, versions="0-9", flexible="8+")
class OffsetCommitResponse:
    throttle_time_ms: int = f(INT32, "3+")
    topics: list[OffsetCommitResponseTopic] = f(array(OffsetCommitResponseTopic), "0+")
