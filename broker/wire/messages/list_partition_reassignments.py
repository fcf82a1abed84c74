"""ListPartitionReassignments, API 46 (org.apache.kafka.common.message.ListPartitionReassignmentsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, array, f, message, struct


@struct
class ListPartitionReassignmentsTopics:
    name: str = f(STRING, "0+")
    partition_indexes: list[int] = f(array(INT32), "0+")


@message(key=ApiKey.LIST_PARTITION_REASSIGNMENTS, versions="0", flexible="0+")
class ListPartitionReassignmentsRequest:
    timeout_ms: int = f(INT32, "0+", default=60000)
    topics: list[ListPartitionReassignmentsTopics] | None = f(
        array(ListPartitionReassignmentsTopics), "0+", nullable="0+", default=None
    )


@struct
class OngoingPartitionReassignment:
    partition_index: int = f(INT32, "0+")
    replicas: list[int] = f(array(INT32), "0+")
    adding_replicas: list[int] = f(array(INT32), "0+")
    removing_replicas: list[int] = f(array(INT32), "0+")


@struct
class OngoingTopicReassignment:
    name: str = f(STRING, "0+")
    partitions: list[OngoingPartitionReassignment] = f(array(OngoingPartitionReassignment), "0+")


@message(key=ApiKey.LIST_PARTITION_REASSIGNMENTS, versions="0", flexible="0+")
class ListPartitionReassignmentsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    topics: list[OngoingTopicReassignment] = f(array(OngoingTopicReassignment), "0+")
