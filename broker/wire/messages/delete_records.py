"""DeleteRecords, API 21 (org.apache.kafka.common.message.DeleteRecordsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class DeleteRecordsPartition:
    partition_index: int = f(INT32, "0+")
    offset: int = f(INT64, "0+")


@struct
class DeleteRecordsTopic:
    name: str = f(STRING, "0+")
    partitions: list[DeleteRecordsPartition] = f(array(DeleteRecordsPartition), "0+")


@message(key=ApiKey.DELETE_RECORDS, versions="0-2", flexible="2+")
class DeleteRecordsRequest:
    topics: list[DeleteRecordsTopic] = f(array(DeleteRecordsTopic), "0+")
    timeout_ms: int = f(INT32, "0+")


@struct
class DeleteRecordsPartitionResult:
    partition_index: int = f(INT32, "0+")
    low_watermark: int = f(INT64, "0+")
    error_code: int = f(INT16, "0+")


@struct
class DeleteRecordsTopicResult:
    name: str = f(STRING, "0+")
    partitions: list[DeleteRecordsPartitionResult] = f(array(DeleteRecordsPartitionResult), "0+")


@message(key=ApiKey.DELETE_RECORDS, versions="0-2", flexible="2+")
class DeleteRecordsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    topics: list[DeleteRecordsTopicResult] = f(array(DeleteRecordsTopicResult), "0+")
