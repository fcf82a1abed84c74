"""CreateTopics, API 19 (org.apache.kafka.common.message.CreateTopicsRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, STRING, UUID_, array, f, message, struct


@struct
class CreatableReplicaAssignment:
    partition_index: int = f(INT32, "0+")
    broker_ids: list[int] = f(array(INT32), "0+")


@struct
class CreatableTopicConfig:
    name: str = f(STRING, "0+")
    value: str | None = f(STRING, "0+", nullable="0+")


@struct
class CreatableTopic:
    name: str = f(STRING, "0+")
    num_partitions: int = f(INT32, "0+")
    replication_factor: int = f(INT16, "0+")
    assignments: list[CreatableReplicaAssignment] = f(array(CreatableReplicaAssignment), "0+")
    configs: list[CreatableTopicConfig] = f(array(CreatableTopicConfig), "0+")


@message(key=ApiKey.CREATE_TOPICS, versions="0-7", flexible="5+")
class CreateTopicsRequest:
    topics: list[CreatableTopic] = f(array(CreatableTopic), "0+")
    timeout_ms: int = f(INT32, "0+", default=60000)
    validate_only: bool = f(BOOL, "1+")


@struct
class CreatableTopicConfigs:
    name: str = f(STRING, "5+")
    value: str | None = f(STRING, "5+", nullable="5+")
    read_only: bool = f(BOOL, "5+")
    config_source: int = f(INT8, "5+", default=-1)
    is_sensitive: bool = f(BOOL, "5+")


@struct
class CreatableTopicResult:
    name: str = f(STRING, "0+")
    topic_id: UUID = f(UUID_, "7+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "1+", nullable="0+")
    topic_config_error_code: int = f(INT16, "5+", tag=0)
    num_partitions: int = f(INT32, "5+", default=-1)
    replication_factor: int = f(INT16, "5+", default=-1)
    configs: list[CreatableTopicConfigs] | None = f(array(CreatableTopicConfigs), "5+", nullable="5+")


@message(key=ApiKey.CREATE_TOPICS, versions="0-7", flexible="5+")
class CreateTopicsResponse:
    throttle_time_ms: int = f(INT32, "2+")
    topics: list[CreatableTopicResult] = f(array(CreatableTopicResult), "0+")
