"""Which directories hold which partitions, and moves between them (KIP-113, KIP-827; ReplicaManager)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from broker.api.context import Context
from broker.api.table import api
from broker.storage.log import Log
from broker.storage.logdirs import LogDirs
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDirPartitionResult,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
    AlterReplicaLogDirTopicResult,
)
from broker.wire.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)

logger = logging.getLogger(__name__)


@api(ApiKey.DESCRIBE_LOG_DIRS, 0, 4)
async def describe_log_dirs(ctx: Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse:
    """Every directory, those that are offline with KAFKA_STORAGE_ERROR; sizes in bytes; null topics: all of them."""
    logdirs, host = ctx.services.logdirs, ctx.services.host
    of_dir: dict[str, list[Log]] = defaultdict(list)
    for log in _asked_for(request, chain(logdirs.logs(), logdirs.futures.logs())):
        of_dir[log.log_dir].append(log)
    results = []
    for directory in logdirs.live_dirs:
        try:
            total, usable = await host.workers.wait(host.files.usage, directory)
        except OSError:
            results.append(DescribeLogDirsResult(error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=directory))
            continue
        topics = list(_topics(logdirs, of_dir[directory]))
        results.append(DescribeLogDirsResult(log_dir=directory, topics=topics, total_bytes=total, usable_bytes=usable))
    results += [
        DescribeLogDirsResult(error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=directory)
        for directory in logdirs.offline_dirs
    ]
    return DescribeLogDirsResponse(results=results)


def _asked_for(request: DescribeLogDirsRequest, logs: Iterator[Log]) -> Iterator[Log]:
    if request.topics is None:
        return logs
    wanted = {(topic.topic, partition) for topic in request.topics for partition in topic.partitions}
    return (log for log in logs if (log.topic, log.partition) in wanted)


def _topics(logdirs: LogDirs, logs: list[Log]) -> Iterator[DescribeLogDirsTopic]:
    partitions: dict[str, list[DescribeLogDirsPartition]] = defaultdict(list)
    for log in logs:
        current, future = (where.get(log.topic, log.partition) for where in (logdirs, logdirs.futures))
        if log is not future:
            lag = max(log.high_watermark - log.log_end_offset, 0)
        else:
            lag = -1 if current is None else current.log_end_offset - log.log_end_offset
        partitions[log.topic].append(
            DescribeLogDirsPartition(
                partition_index=log.partition, partition_size=log.size, offset_lag=lag, is_future_key=log is future
            )
        )
    for topic in sorted(partitions):
        yield DescribeLogDirsTopic(name=topic, partitions=partitions[topic])


@api(ApiKey.ALTER_REPLICA_LOG_DIRS, 0, 2)
def alter_replica_log_dirs(ctx: Context, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse:
    """Move replicas of this broker to the directories named; the copying goes on after the answer."""
    topics: dict[str, AlterReplicaLogDirTopicResult] = {}
    for wanted in request.dirs:
        for topic in wanted.topics:
            result = topics.setdefault(topic.name, AlterReplicaLogDirTopicResult(topic_name=topic.name))
            for index in topic.partitions:
                code = _alter(ctx, topic.name, index, wanted.path)
                result.partitions.append(AlterReplicaLogDirPartitionResult(partition_index=index, error_code=code))
    return AlterReplicaLogDirsResponse(results=list(topics.values()))


def _alter(ctx: Context, topic: str, index: int, path: str) -> int:
    try:
        ctx.services.replicas.moves.alter(topic, index, path)
    except KafkaError as error:
        logger.debug("%s-%d: no move to %s: %s", topic, index, path, error)
        return int(error.code)
    return int(ErrorCode.NONE)
