"""TxnOffsetCommit, API 28 (org.apache.kafka.common.message.TxnOffsetCommitRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class TxnOffsetCommitRequestPartition:
    partition_index: int = f(INT32, "0+")
    committed_offset: int = f(INT64, "0+")
    committed_leader_epoch: int = f(INT32, "2+", default=-1)
    committed_metadata: str | None = f(STRING, "0+", nullable="0+")


@struct
class TxnOffsetCommitRequestTopic:
    name: str = f(STRING, "0+")
    partitions: list[TxnOffsetCommitRequestPartition] = f(array(TxnOffsetCommitRequestPartition), "0+")


@message(key=ApiKey.TXN_OFFSET_COMMIT, versions="0-4", flexible="3+")
class TxnOffsetCommitRequest:
    transactional_id: str = f(STRING, "0+")
    group_id: str = f(STRING, "0+")
    producer_id: int = f(INT64, "0+")
    producer_epoch: int = f(INT16, "0+")
    generation_id: int = f(INT32, "3+", default=-1)
    member_id: str = f(STRING, "3+")
    group_instance_id: str | None = f(STRING, "3+", nullable="3+", default=None)
    topics: list[TxnOffsetCommitRequestTopic] = f(array(TxnOffsetCommitRequestTopic), "0+")


@struct
class TxnOffsetCommitResponsePartition:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")


@struct
class TxnOffsetCommitResponseTopic:
    name: str = f(STRING, "0+")
    partitions: list[TxnOffsetCommitResponsePartition] = f(array(TxnOffsetCommitResponsePartition), "0+")


@message(key=ApiKey.TXN_OFFSET_COMMIT, versions="0-4", flexible="3+")
class TxnOffsetCommitResponse:
    throttle_time_ms: int = f(INT32, "0+")
    topics: list[TxnOffsetCommitResponseTopic] = f(array(TxnOffsetCommitResponseTopic), "0+")
