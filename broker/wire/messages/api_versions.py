"""ApiVersions, API 18 (org.apache.kafka.common.message.ApiVersionsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT16, INT32, INT64, STRING, array, f, message, struct


@message(key=ApiKey.API_VERSIONS, versions="0-4", flexible="3+")
class ApiVersionsRequest:
    client_software_name: str = f(STRING, "3+")
    client_software_version: str = f(STRING, "3+")


@struct
class ApiVersion:
    api_key: int = f(INT16, "0+")
    min_version: int = f(INT16, "0+")
    max_version: int = f(INT16, "0+")


@struct
class SupportedFeatureKey:
    name: str = f(STRING, "3+")
    min_version: int = f(INT16, "3+")
    max_version: int = f(INT16, "3+")


@struct
class FinalizedFeatureKey:
    name: str = f(STRING, "3+")
    max_version_level: int = f(INT16, "3+")
    min_version_level: int = f(INT16, "3+")


@message(key=ApiKey.API_VERSIONS, versions="0-4", flexible="3+")
class ApiVersionsResponse:
    error_code: int = f(INT16, "0+")
    api_keys: list[ApiVersion] = f(array(ApiVersion), "0+")
    throttle_time_ms: int = f(INT32, "1+")
    supported_features: list[SupportedFeatureKey] = f(array(SupportedFeatureKey), "3+", tag=0)
    finalized_features_epoch: int = f(INT64, "3+", default=-1, tag=1)
    finalized_features: list[FinalizedFeatureKey] = f(array(FinalizedFeatureKey), "3+", tag=2)
    zk_migration_ready: bool = f(BOOL, "3+", tag=3)
