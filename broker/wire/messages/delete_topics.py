"""DeleteTopics, API 20 (org.apache.kafka.common.message.DeleteTopicsRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, UUID_, array, f, message, struct


@struct
class DeleteTopicState:
    name: str | None = f(STRING, "6+", nullable="6+", default=None)
    topic_id: UUID = f(UUID_, "6+")


@message(key=ApiKey.DELETE_TOPICS, versions="0-6", flexible="4+")
class DeleteTopicsRequest:
    topics: list[DeleteTopicState] = f(array(DeleteTopicState), "6+")
    topic_names: list[str] = f(array(STRING), "0-5")
    timeout_ms: int = f(INT32, "0+")


@struct
class DeletableTopicResult:
    name: str | None = f(STRING, "0+", nullable="6+")
    topic_id: UUID = f(UUID_, "6+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "5+", nullable="5+", default=None)


@message(key=ApiKey.DELETE_TOPICS, versions="0-6", flexible="4+")
class DeleteTopicsResponse:
    throttle_time_ms: int = f(INT32, "1+")
    responses: list[DeletableTopicResult] = f(array(DeletableTopicResult), "0+")
