"""DescribeCluster, API 60 (org.apache.kafka.common.message.DescribeClusterRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, STRING, array, f, message, struct


@message(key=ApiKey.DESCRIBE_CLUSTER, versions="0-1", flexible="0+")
class DescribeClusterRequest:
    include_cluster_authorized_operations: bool = f(BOOL, "0+")
    endpoint_type: int = f(INT8, "1+", default=1)


@struct
class DescribeClusterBroker:
    broker_id: int = f(INT32, "0+")
    host: str = f(STRING, "0+")
    port: int = f(INT32, "0+")
    rack: str | None = f(STRING, "0+", nullable="0+", default=None)


@message(key=ApiKey.DESCRIBE_CLUSTER, versions="0-1", flexible="0+")
class DescribeClusterResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+", default=None)
    endpoint_type: int = f(INT8, "1+", default=1)
    cluster_id: str = f(STRING, "0+")
    controller_id: int = f(INT32, "0+", default=-1)
    brokers: list[DescribeClusterBroker] = f(array(DescribeClusterBroker), "0+")
    cluster_authorized_operations: int = f(INT32, "0+", default=-2147483648)
