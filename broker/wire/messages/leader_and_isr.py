"""LeaderAndIsr, API 4 (org.apache.kafka.common.message.LeaderAndIsrRequestData)."""

from __future__ import annotations

from uuid import UUID

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, INT64, STRING, UUID_, array, f, message, struct


@struct
class LeaderAndIsrPartitionState:
    topic_name: str = f(STRING, "0-1")
    partition_index: int = f(INT32, "0+")
    controller_epoch: int = f(INT32, "0+")
    leader: int = f(INT32, "0+")
    leader_epoch: int = f(INT32, "0+")
    isr: list[int] = f(array(INT32), "0+")
    partition_epoch: int = f(INT32, "0+")
    replicas: list[int] = f(array(INT32), "0+")
    adding_replicas: list[int] = f(array(INT32), "3+")
    removing_replicas: list[int] = f(array(INT32), "3+")
    is_new: bool = f(BOOL, "1+")
    leader_recovery_state: int = f(INT8, "6+")


@struct
class LeaderAndIsrTopicState:
    topic_name: str = f(STRING, "2+")
    topic_id: UUID = f(UUID_, "5+")
    partition_states: list[LeaderAndIsrPartitionState] = f(array(LeaderAndIsrPartitionState), "2+")


@struct
class LeaderAndIsrLiveLeader:
    broker_id: int = f(INT32, "0+")
    host_name: str = f(STRING, "0+")
    port: int = f(INT32, "0+")


@message(key=ApiKey.LEADER_AND_ISR, versions="0-7", flexible="4+")
class LeaderAndIsrRequest:
    controller_id: int = f(INT32, "0+")
    is_kraft_controller: bool = f(BOOL, "7+")
    controller_epoch: int = f(INT32, "0+")
    broker_epoch: int = f(INT64, "2+", default=-1)
    type: int = f(INT8, "5+")
    ungrouped_partition_states: list[LeaderAndIsrPartitionState] = f(array(LeaderAndIsrPartitionState), "0-1")
    topic_states: list[LeaderAndIsrTopicState] = f(array(LeaderAndIsrTopicState), "2+")
    live_leaders: list[LeaderAndIsrLiveLeader] = f(array(LeaderAndIsrLiveLeader), "0+")


@struct
class LeaderAndIsrPartitionError:
    topic_name: str = f(STRING, "0-4")
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")


@struct
class LeaderAndIsrTopicError:
    topic_id: UUID = f(UUID_, "5+")
    partition_errors: list[LeaderAndIsrPartitionError] = f(array(LeaderAndIsrPartitionError), "5+")


@message(key=ApiKey.LEADER_AND_ISR, versions="0-7", flexible="4+")
class LeaderAndIsrResponse:
    error_code: int = f(INT16, "0+")
    partition_errors: list[LeaderAndIsrPartitionError] = f(array(LeaderAndIsrPartitionError), "0-4")
    topics: list[LeaderAndIsrTopicError] = f(array(LeaderAndIsrTopicError), "5+")
