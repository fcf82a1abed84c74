"""AlterReplicaLogDirs, API 34 (org.apache.kafka.common.message.AlterReplicaLogDirsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, array, f, message, struct


@struct
class AlterReplicaLogDirTopic:
    name: str = f(STRING, "0+")
    partitions: list[int] = f(array(INT32), "0+")


@struct
class AlterReplicaLogDir:
    path: str = f(STRING, "0+")
    topics: list[AlterReplicaLogDirTopic] = f(array(AlterReplicaLogDirTopic), "0+")


@message(key=ApiKey.ALTER_REPLICA_LOG_DIRS, versions="0-2", flexible="2+")
class AlterReplicaLogDirsRequest:
    dirs: list[AlterReplicaLogDir] = f(array(AlterReplicaLogDir), "0+")


@struct
class AlterReplicaLogDirPartitionResult:
    partition_index: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")


@struct
class AlterReplicaLogDirTopicResult:
    topic_name: str = f(STRING, "0+")
    partitions: list[AlterReplicaLogDirPartitionResult] = f(array(AlterReplicaLogDirPartitionResult), "0+")


@message(key=ApiKey.ALTER_REPLICA_LOG_DIRS, versions="0-2", flexible="2+")
class AlterReplicaLogDirsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[AlterReplicaLogDirTopicResult] = f(array(AlterReplicaLogDirTopicResult), "0+")
