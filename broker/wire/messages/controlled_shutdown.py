"""ControlledShutdown, API 7 (org.apache.kafka.common.message.ControlledShutdownRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, INT64, STRING, array, f, message, struct


@message(key=ApiKey.CONTROLLED_SHUTDOWN, versions="0-3", flexible="3+")
class ControlledShutdownRequest:
    broker_id: int = f(INT32, "0+")
    broker_epoch: int = f(INT64, "2+", default=-1)


@struct
class RemainingPartition:
    topic_name: str = f(STRING, "0+")
    partition_index: int = f(INT32, "0+")


@message(key=ApiKey.CONTROLLED_SHUTDOWN, versions="0-3", flexible="3+")
class ControlledShutdownResponse:
    error_code: int = f(INT16, "0+")
    remaining_partitions: list[RemainingPartition] = f(array(RemainingPartition), "0+")
