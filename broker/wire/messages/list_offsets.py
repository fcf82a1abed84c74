"""ListOffsets, API 2 (org.apache.kafka.common.message.ListOffsetsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class ListOffsetsPartition:
    partition_index: int = f(INT32, "0+")
    current_leader_epoch: int = f(INT32, "4+", default=-1)
    timestamp: int = f(INT64, "0+")
    max_num_offsets: int = f(INT32, "0", default=1)


@struct
class ListOffsetsTopic:
    name: str = f(STRING, "0+")
    partitions: list[ListOffsetsPartition] = f(array(ListOffsetsPartition), "0+")


@message(key=ApiKey.LIST_OFFSETS, versions="0-9", flexible="6+")
class ListOffsetsRequest:
    replica_id: int = f(INT32, "0+")
    isolation_level: int = f(INT8, "2+")
    topics: list[ListOffsetsTopic] = f(array(ListOffsetsTopic), "0+")


@struct
class ListOffsetsPartitionResponse:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    old_style_offsets: list[int] = f(array(INT64), "0")
    timestamp: int = f(INT64, "1+", default=-1)
    offset: int = f(INT64, "1+", default=-1)
    leader_epoch: int = f(INT32, "4+", default=-1)


@struct
class ListOffsetsTopicResponse:
    name: str = f(STRING, "0+")
    partitions: list[ListOffsetsPartitionResponse] = f(array(ListOffsetsPartitionResponse), "0+")


@message(key=ApiKey.LIST_OFFSETS, versions="0-9", flexible="6+")
class ListOffsetsResponse:
    throttle_time_ms: int = f(INT32, "2+")
    topics: list[ListOffsetsTopicResponse] = f(array(ListOffsetsTopicResponse), "0+")
