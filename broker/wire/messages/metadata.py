"""Metadata, API 3 (org.apache.kafka.common.message.MetadataRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, STRING, UUID_, array, f, message, struct


@struct
class MetadataRequestTopic:
    topic_id: UUID = f(UUID_, "10+")
    name: str | None = f(STRING, "0+", nullable="10+")


@message(key=ApiKey.METADATA, versions="0-12", flexible="9+")
class MetadataRequest:
    topics: list[MetadataRequestTopic] | None = f(array(MetadataRequestTopic), "0+", nullable="1+")
    allow_auto_topic_creation: bool = f(BOOL, "4+", default=True)
    include_cluster_authorized_operations: bool = f(BOOL, "8-10")
    include_topic_authorized_operations: bool = f(BOOL, "8+")


@struct
class MetadataResponseBroker:
    node_id: int = f(INT32, "0+")
    host: str = f(STRING, "0+")
    port: int = f(INT32, "0+")
    rack: str | None = f(STRING, "1+", nullable="1+", default=None)


@struct
class MetadataResponsePartition:
    error_code: int = f(INT16, "0+")
    partition_index: int = f(INT32, "0+")
    leader_id: int = f(INT32, "0+")
    leader_epoch: int = f(INT32, "7+", default=-1)
    replica_nodes: list[int] = f(array(INT32), "0+")
    isr_nodes: list[int] = f(array(INT32), "0+")
    offline_replicas: list[int] = f(array(INT32), "5+")


@struct
class MetadataResponseTopic:
    error_code: int = f(INT16, "0+")
    name: str | None = f(STRING, "0+", nullable="12+")
    topic_id: UUID = f(UUID_, "10+")
    is_internal: bool = f(BOOL, "1+")
    partitions: list[MetadataResponsePartition] = f(array(MetadataResponsePartition), "0+")
    topic_authorized_operations: int = f(INT32, "8+", default=-2147483648)


@message(key=ApiKey.METADATA, versions="0-12", flexible="9+")
class MetadataResponse:
    throttle_time_ms: int = f(INT32, "3+")
    brokers: list[MetadataResponseBroker] = f(array(MetadataResponseBroker), "0+")
    cluster_id: str | None = f(STRING, "2+", nullable="2+", default=None)
    controller_id: int = f(INT32, "1+", default=-1)
    topics: list[MetadataResponseTopic] = f(array(MetadataResponseTopic), "0+")
    cluster_authorized_operations: int = f(INT32, "8-10", default=-2147483648)
