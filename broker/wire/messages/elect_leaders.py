"""ElectLeaders, API 43 (org.apache.kafka.common.message.ElectLeadersRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class TopicPartitions:
    topic: str = f(STRING, "0+")
    partitions: list[int] = f(array(INT32), "0+")


@message(key=ApiKey.ELECT_LEADERS, versions="0-2", flexible="2+")
class ElectLeadersRequest:
    election_type: int = f(INT8, "1+")
    topic_partitions: list[TopicPartitions] | None = f(array(TopicPartitions), "0+", nullable="0+")
    timeout_ms: int = f(INT32, "0+", default=60000)


@struct
class PartitionResult:
    partition_id: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")


@struct
class ReplicaElectionResult:
    topic: str = f(STRING, "0+")
    partition_result: list[PartitionResult] = f(array(PartitionResult), "0+")


@message(key=ApiKey.ELECT_LEADERS, versions="0-2", flexible="2+")
class ElectLeadersResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "1+")
    replica_election_results: list[ReplicaElectionResult] = f(array(ReplicaElectionResult), "0+")
