"""ApiVersions and DescribeCluster: what this broker speaks and whom it belongs to (kafka.server.KafkaApis)."""

from __future__ import annotations

import re
from typing import Final

from broker.api.authorized import CLUSTER_OPERATIONS, NOT_ASKED
from broker.api.context import Context
from broker.api.table import Table, api
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse
from broker.wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)

BROKER_ENDPOINTS: Final = 1
CONTROLLER_ENDPOINTS: Final = 2
_SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


@api(ApiKey.API_VERSIONS, 0, 4)
def api_versions(ctx: Context, request: ApiVersionsRequest) -> ApiVersionsResponse:
    """Every API that the table serves. Names of clients that are not ``[a-zA-Z0-9.-]+`` are refused (KIP-511)."""
    if ctx.version >= 3:
        names = (request.client_software_name, request.client_software_version)
        if not all(_SOFTWARE.fullmatch(name) for name in names):
            return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    return ApiVersionsResponse(api_keys=advertised(ctx.services.table))


def advertised(table: Table) -> list[ApiVersion]:
    """What ApiVersions says of the table."""
    return [
        ApiVersion(api_key=int(route.key), min_version=route.low, max_version=route.high)
        for route in table.routes.values()
    ]


@api(ApiKey.DESCRIBE_CLUSTER, 0, 1)
async def describe_cluster(ctx: Context, request: DescribeClusterRequest) -> DescribeClusterResponse:
    """The brokers on the client's listener (KIP-700). Endpoints of KRaft controllers do not exist here (KIP-919)."""
    if request.endpoint_type == CONTROLLER_ENDPOINTS:
        message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
        raise KafkaError(ErrorCode.MISMATCHED_ENDPOINT_TYPE, message)
    if request.endpoint_type != BROKER_ENDPOINTS:
        message = f"Unsupported endpoint type {request.endpoint_type}"
        raise KafkaError(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, message)
    cache = ctx.services.metadata
    brokers = []
    for broker in cache.brokers():
        endpoint = broker.endpoint(ctx.listener)
        if endpoint is not None:
            brokers.append(
                DescribeClusterBroker(
                    broker_id=broker.broker_id, host=endpoint.host, port=endpoint.port, rack=broker.rack
                )
            )
    asked = request.include_cluster_authorized_operations
    return DescribeClusterResponse(
        cluster_id=ctx.services.cluster_id,
        controller_id=cache.controller_id,
        brokers=brokers,
        cluster_authorized_operations=CLUSTER_OPERATIONS if asked else NOT_ASKED,
    )
