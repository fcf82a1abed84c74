"""UpdateMetadata, API 6 (org.apache.kafka.common.message.UpdateMetadataRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, INT64, STRING, UUID_, array, f, message, struct


@struct
class UpdateMetadataPartitionState:
    topic_name: str = f(STRING, "0-4")
    partition_index: int = f(INT32, "0+")
    controller_epoch: int = f(INT32, "0+")
    leader: int = f(INT32, "0+")
    leader_epoch: int = f(INT32, "0+")
    isr: list[int] = f(array(INT32), "0+")
    zk_version: int = f(INT32, "0+")
    replicas: list[int] = f(array(INT32), "0+")
    offline_replicas: list[int] = f(array(INT32), "4+")


@struct
class UpdateMetadataTopicState:
    topic_name: str = f(STRING, "5+")
    topic_id: UUID = f(UUID_, "7+")
    partition_states: list[UpdateMetadataPartitionState] = f(array(UpdateMetadataPartitionState), "5+")


@struct
class UpdateMetadataEndpoint:
    port: int = f(INT32, "1+")
    host: str = f(STRING, "1+")
    listener: str = f(STRING, "3+")
    security_protocol: int = f(INT16, "1+")


@struct
class UpdateMetadataBroker:
    id: int = f(INT32, "0+")
    v0_host: str = f(STRING, "0")
    v0_port: int = f(INT32, "0")
    endpoints: list[UpdateMetadataEndpoint] = f(array(UpdateMetadataEndpoint), "1+")
    rack: str | None = f(STRING, "2+", nullable="0+")


@message(key=ApiKey.UPDATE_METADATA, versions="0-8", flexible="6+")
class UpdateMetadataRequest:
    controller_id: int = f(INT32, "0+")
    is_kraft_controller: bool = f(BOOL, "8+")
    type: int = f(INT8, "8+", tag=0)
    controller_epoch: int = f(INT32, "0+")
    broker_epoch: int = f(INT64, "5+", default=-1)
    ungrouped_partition_states: list[UpdateMetadataPartitionState] = f(array(UpdateMetadataPartitionState), "0-4")
    topic_states: list[UpdateMetadataTopicState] = f(array(UpdateMetadataTopicState), "5+")
    live_brokers: list[UpdateMetadataBroker] = f(array(UpdateMetadataBroker), "0+")


@message(key=ApiKey.UPDATE_METADATA, versions="0-8", flexible="6+")
class UpdateMetadataResponse:
    error_code: int = f(INT16, "0+")
