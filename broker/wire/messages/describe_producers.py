"""DescribeProducers, API 61 (org.apache.kafka.common.message.DescribeProducersRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class TopicRequest:
    name: str = f(STRING, "0+")
    partition_indexes: list[int] = f(array(INT32), "0+")


@message(key=ApiKey.DESCRIBE_PRODUCERS, versions="0", flexible="0+")
class DescribeProducersRequest:
    topics: list[TopicRequest] = f(array(TopicRequest), "0+")


@struct
class ProducerState:
    producer_id: int = f(INT64, "0+")
    producer_epoch: int = f(INT32, "0+")
    last_sequence: int = f(INT32, "0+", default=-1)
    last_timestamp: int = f(INT64, "0+", default=-1)
    coordinator_epoch: int = f(INT32, "0+")
    current_txn_start_offset: int = f(INT64, "0+", default=-1)


@struct
class PartitionResponse:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+", default=None)
    active_producers: list[ProducerState] = f(array(ProducerState), "0+")


@struct
class TopicResponse:
    name: str = f(STRING, "0+")
    partitions: list[PartitionResponse] = f(array(PartitionResponse), "0+")


@message(key=ApiKey.DESCRIBE_PRODUCERS, versions="0", flexible="0+")
class DescribeProducersResponse:
    throttle_time_ms: int = f(INT32, "0+")
    topics: list[TopicResponse] = f(array(TopicResponse), "0+")
