"""CreatePartitions, API 37 (org.apache.kafka.common.message.CreatePartitionsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, STRING, array, f, message, struct


@struct
class CreatePartitionsAssignment:
    broker_ids: list[int] = f(array(INT32), "0+")


@struct
class CreatePartitionsTopic:
    name: str = f(STRING, "0+")
    count: int = f(INT32, "0+")
    assignments: list[CreatePartitionsAssignment] | None = f(array(CreatePartitionsAssignment), "0+", nullable="0+")


@message(key=ApiKey.CREATE_PARTITIONS, versions="0-3", flexible="2+")
class CreatePartitionsRequest:
    topics: list[CreatePartitionsTopic] = f(array(CreatePartitionsTopic), "0+")
    timeout_ms: int = f(INT32, "0+")
    validate_only: bool = f(BOOL, "0+")


@struct
class CreatePartitionsTopicResult:
    name: str = f(STRING, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+", default=None)


@message(key=ApiKey.CREATE_PARTITIONS, versions="0-3", flexible="2+")
class CreatePartitionsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[CreatePartitionsTopicResult] = f(array(CreatePartitionsTopicResult), "0+")
