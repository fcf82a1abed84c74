"""Produce, API 0 (org.apache.kafka.common.message.ProduceRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, RECORDS, STRING, array, f, message, struct


@struct
class PartitionProduceData:
    index: int = f(INT32, "0+")
    records: bytes | bytearray | memoryview | None = f(RECORDS, "0+", nullable="0+")


@struct
class TopicProduceData:
    name: str = f(STRING, "0+")
    partition_data: list[PartitionProduceData] = f(array(PartitionProduceData), "0+")


@message(key=ApiKey.PRODUCE, versions="0-11", flexible="9+")
class ProduceRequest:
    transactional_id: str | None = f(STRING, "3+", nullable="3+", default=None)
    acks: int = f(INT16, "0+")
    timeout_ms: int = f(INT32, "0+")
    topic_data: list[TopicProduceData] = f(array(TopicProduceData), "0+")


@struct
class BatchIndexAndErrorMessage:
    batch_index: int = f(INT32, "8+")
    batch_index_error_message: str | None = f(STRING, "8+", nullable="8+", default=None)


@struct
class LeaderIdAndEpoch:
    leader_id: int = f(INT32, "10+", default=-1)
    leader_epoch: int = f(INT32, "10+", default=-1)


@struct
class PartitionProduceResponse:
    index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    base_offset: int = f(INT64, "0+")
    log_append_time_ms: int = f(INT64, "2+", default=-1)
    log_start_offset: int = f(INT64, "5+", default=-1)
    record_errors: list[BatchIndexAndErrorMessage] = f(array(BatchIndexAndErrorMessage), "8+")
    error_message: str | None = f(STRING, "8+", nullable="8+", default=None)
    current_leader: LeaderIdAndEpoch = f(LeaderIdAndEpoch, "10+", tag=0)


@struct
class TopicProduceResponse:
    name: str = f(STRING, "0+")
    partition_responses: list[PartitionProduceResponse] = f(array(PartitionProduceResponse), "0+")


@struct
class NodeEndpoint:
    node_id: int = f(INT32, "10+")
    host: str = f(STRING, "10+")
    port: int = f(INT32, "10+")
    rack: str | None = f(STRING, "10+", nullable="10+", default=None)


@message(key=ApiKey.PRODUCE, versions="0-11", flexible="9+")
class ProduceResponse:
    responses: list[TopicProduceResponse] = f(array(TopicProduceResponse), "0+")
    throttle_time_ms: int = f(INT32, "1+")
    node_endpoints: list[NodeEndpoint] = f(array(NodeEndpoint), "10+", tag=0)
