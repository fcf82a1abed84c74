"""DescribeLogDirs, API 35 (org.apache.kafka.common.message.DescribeLogDirsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, INT64, STRING, array, f, message, struct


@struct
class DescribableLogDirTopic:
    topic: str = f(STRING, "0+")
    partitions: list[int] = f(array(INT32), "0+")


@message(key=ApiKey.DESCRIBE_LOG_DIRS, versions="0-4", flexible="2+")
class DescribeLogDirsRequest:
    topics: list[DescribableLogDirTopic] | None = f(array(DescribableLogDirTopic), "0+", nullable="0+")


@struct
class DescribeLogDirsPartition:
    partition_index: int = f(INT32, "0+")
    partition_size: int = f(INT64, "0+")
    offset_lag: int = f(INT64, "0+")
    is_future_key: bool = f(BOOL, "0+")


@struct
class DescribeLogDirsTopic:
    name: str = f(STRING, "0+")
    partitions: list[DescribeLogDirsPartition] = f(array(DescribeLogDirsPartition), "0+")


@struct
class DescribeLogDirsResult:
    error_code: int = f(INT16, "0+")
    log_dir: str = f(STRING, "0+")
    topics: list[DescribeLogDirsTopic] = f(array(DescribeLogDirsTopic), "0+")
    total_bytes: int = f(INT64, "4+", default=-1)
    usable_bytes: int = f(INT64, "4+", default=-1)


@message(key=ApiKey.DESCRIBE_LOG_DIRS, versions="0-4", flexible="2+")
class DescribeLogDirsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "3+")
    results: list[DescribeLogDirsResult] = f(array(DescribeLogDirsResult), "0+")
