"""ApiVersions and DescribeCluster: what this broker speaks and whom it belongs to (kafka.server.KafkaApis)."""

from __future__ import annotations

import re
from typing import Final

from broker.api.context import Context
from broker.api.table import Table, api
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.api_versions import ApiVersion, ApiVersionsRequest, ApiVersionsResponse

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
