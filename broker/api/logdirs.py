"""DescribeLogDirs: which directories hold which partitions (KIP-113, KIP-827; ReplicaManager.describeLogDirs)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from broker.api.context import Context
from broker.api.table import api
from broker.storage.log import Log
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.describe_log_dirs import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)


@api(ApiKey.DESCRIBE_LOG_DIRS, 0, 4)
async def describe_log_dirs(ctx: Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse:
    """Every directory, those that are offline with KAFKA_STORAGE_ERROR; sizes in bytes; null topics: all of them."""
    logdirs, host = ctx.services.logdirs, ctx.services.host
    of_dir: dict[str, list[Log]] = defaultdict(list)
    for log in _asked_for(request, logdirs.logs()):
        of_dir[log.log_dir].append(log)
    results = []
    for directory in logdirs.live_dirs:
        try:
            total, usable = await host.workers.wait(host.files.usage, directory)
        except OSError:
            results.append(DescribeLogDirsResult(error_code=ErrorCode.KAFKA_STORAGE_ERROR, log_dir=directory))
            continue
        topics = list(_topics(of_dir[directory]))
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


def _topics(logs: list[Log]) -> Iterator[DescribeLogDirsTopic]:
    partitions: dict[str, list[DescribeLogDirsPartition]] = defaultdict(list)
    for log in logs:
        lag = max(log.high_watermark - log.log_end_offset, 0)
        partitions[log.topic].append(
            DescribeLogDirsPartition(partition_index=log.partition, partition_size=log.size, offset_lag=lag)
        )
    for topic in sorted(partitions):
        yield DescribeLogDirsTopic(name=topic, partitions=partitions[topic])
