"""StopReplica, API 5 (org.apache.kafka.common.message.StopReplicaRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class StopReplicaPartitionV0:
    topic_name: str = f(STRING, "0")
    partition_index: int = f(INT32, "0")


@struct
class StopReplicaTopicV1:
    name: str = f(STRING, "1-2")
    partition_indexes: list[int] = f(array(INT32), "1-2")


@struct
class StopReplicaPartitionState:
    partition_index: int = f(INT32, "3+")
    leader_epoch: int = f(INT32, "3+", default=-1)
    delete_partition: bool = f(BOOL, "3+")


@struct
class StopReplicaTopicState:
    topic_name: str = f(STRING, "3+")
    partition_states: list[StopReplicaPartitionState] = f(array(StopReplicaPartitionState), "3+")


@message(key=ApiKey.STOP_REPLICA, versions="0-4", flexible="2+")
class StopReplicaRequest:
    controller_id: int = f(INT32, "0+")
    is_kraft_controller: bool = f(BOOL, "4+")
    controller_epoch: int = f(INT32, "0+")
    broker_epoch: int = f(INT64, "1+", default=-1)
    delete_partitions: bool = f(BOOL, "0-2")
    ungrouped_partitions: list[StopReplicaPartitionV0] = f(array(StopReplicaPartitionV0), "0")
    topics: list[StopReplicaTopicV1] = f(array(StopReplicaTopicV1), "1-2")
    topic_states: list[StopReplicaTopicState] = f(array(StopReplicaTopicState), "3+")


@struct
class StopReplicaPartitionError:
    topic_name: str = f(STRING, "0+")
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")


@message(key=ApiKey.STOP_REPLICA, versions="0-4", flexible="2+")
class StopReplicaResponse:
    error_code: int = f(INT16, "0+")
    partition_errors: list[StopReplicaPartitionError] = f(array(StopReplicaPartitionError), "0+")
