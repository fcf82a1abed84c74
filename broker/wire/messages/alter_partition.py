"""AlterPartition, API 56 (org.apache.kafka.common.message.AlterPartitionRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, INT64, STRING, UUID_, array, f, message, struct


@struct
class BrokerState:
    broker_id: int = f(INT32, "3+")
    broker_epoch: int = f(INT64, "3+", default=-1)


@struct
class RequestPartitionData:
    partition_index: int = f(INT32, "0+")
    leader_epoch: int = f(INT32, "0+")
    new_isr: list[int] = f(array(INT32), "0-2")
    new_isr_with_epochs: list[BrokerState] = f(array(BrokerState), "3+")
    leader_recovery_state: int = f(INT8, "1+")
    partition_epoch: int = f(INT32, "0+")


@struct
class RequestTopicData:
    topic_name: str = f(STRING, "0-1")
    topic_id: UUID = f(UUID_, "2+")
    partitions: list[RequestPartitionData] = f(array(RequestPartitionData), "0+")


@message(key=ApiKey.ALTER_PARTITION, versions="0-3", flexible="0+")
class AlterPartitionRequest:
    broker_id: int = f(INT32, "0+")
    broker_epoch: int = f(INT64, "0+", default=-1)
    topics: list[RequestTopicData] = f(array(RequestTopicData), "0+")


@struct
class ResponsePartitionData:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    leader_id: int = f(INT32, "0+")
    leader_epoch: int = f(INT32, "0+")
    isr: list[int] = f(array(INT32), "0+")
    leader_recovery_state: int = f(INT8, "1+")
    partition_epoch: int = f(INT32, "0+")


@struct
class ResponseTopicData:
    topic_name: str = f(STRING, "0-1")
    topic_id: UUID = f(UUID_, "2+")
    partitions: list[ResponsePartitionData] = f(array(ResponsePartitionData), "0+")


@message(key=ApiKey.ALTER_PARTITION, versions="0-3", flexible="0+")
class AlterPartitionResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    topics: list[ResponseTopicData] = f(array(ResponseTopicData), "0+")
