"""ConsumerGroupHeartbeat, API 68 (org.apache.kafka.common.message.ConsumerGroupHeartbeatRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, UUID_, array, f, message, struct


@struct
class RequestTopicPartitions:
    topic_id: UUID = f(UUID_, "0+")
    partitions: list[int] = f(array(INT32), "0+")


@message(key=ApiKey.CONSUMER_GROUP_HEARTBEAT, versions="0", flexible="0+")
class ConsumerGroupHeartbeatRequest:
    group_id: str = f(STRING, "0+")
    member_id: str = f(STRING, "0+")
    member_epoch: int = f(INT32, "0+")
    instance_id: str | None = f(STRING, "0+", nullable="0+", default=None)
    rack_id: str | None = f(STRING, "0+", nullable="0+", default=None)
    rebalance_timeout_ms: int = f(INT32, "0+", default=-1)
    subscribed_topic_names: list[str] | None = f(array(STRING), "0+", nullable="0+", default=None)
    server_assignor: str | None = f(STRING, "0+", nullable="0+", default=None)
    topic_partitions: list[RequestTopicPartitions] | None = f(
        array(RequestTopicPartitions), "0+", nullable="0+", default=None
    )


@struct
class ResponseTopicPartitions:
    topic_id: UUID = f(UUID_, "0+")
    partitions: list[int] = f(array(INT32), "0+")


@struct
class Assignment:
    topic_partitions: list[ResponseTopicPartitions] = f(array(ResponseTopicPartitions), "0+")


@message(key=ApiKey.CONSUMER_GROUP_HEARTBEAT, versions="0", flexible="0+")
class ConsumerGroupHeartbeatResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+", default=None)
    member_id: str | None = f(STRING, "0+", nullable="0+", default=None)
    member_epoch: int = f(INT32, "0+")
    heartbeat_interval_ms: int = f(INT32, "0+")
    assignment: Assignment | None = f(Assignment, "0+", nullable="0+", default=None)
