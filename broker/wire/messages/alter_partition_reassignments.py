"""AlterPartitionReassignments, API 45 (org.apache.kafka.common.message.AlterPartitionReassignmentsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, array, f, message, struct


@struct
class ReassignablePartition:
    partition_index: int = f(INT32, "0+")
    replicas: list[int] | None = f(array(INT32), "0+", nullable="0+", default=None)


@struct
class ReassignableTopic:
    name: str = f(STRING, "0+")
    partitions: list[ReassignablePartition] = f(array(ReassignablePartition), "0+")


@message(key=ApiKey.ALTER_PARTITION_REASSIGNMENTS, versions="0", flexible="0+")
class AlterPartitionReassignmentsRequest:
    timeout_ms: int = f(INT32, "0+", default=60000)
    topics: list[ReassignableTopic] = f(array(ReassignableTopic), "0+")


@struct
class ReassignablePartitionResponse:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")


@struct
class ReassignableTopicResponse:
    name: str = f(STRING, "0+")
    partitions: list[ReassignablePartitionResponse] = f(array(ReassignablePartitionResponse), "0+")


@message(key=ApiKey.ALTER_PARTITION_REASSIGNMENTS, versions="0", flexible="0+")
class AlterPartitionReassignmentsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    responses: list[ReassignableTopicResponse] = f(array(ReassignableTopicResponse), "0+")
