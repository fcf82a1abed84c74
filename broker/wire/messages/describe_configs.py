"""DescribeConfigs, API 32 (org.apache.kafka.common.message.DescribeConfigsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class DescribeConfigsResource:
    resource_type: int = f(INT8, "0+")
    resource_name: str = f(STRING, "0+")
    configuration_keys: list[str] | None = f(array(STRING), "0+", nullable="0+")


@message(key=ApiKey.DESCRIBE_CONFIGS, versions="0-4", flexible="4+")
class DescribeConfigsRequest:
    resources: list[DescribeConfigsResource] = f(array(DescribeConfigsResource), "0+")
    include_synonyms: bool = f(BOOL, "1+")
    include_documentation: bool = f(BOOL, "3+")


@struct
class DescribeConfigsSynonym:
    name: str = f(STRING, "1+")
    value: str | None = f(STRING, "1+", nullable="0+")
    source: int = f(INT8, "1+")


@struct
class DescribeConfigsResourceResult:
    name: str = f(STRING, "0+")
    value: str | None = f(STRING, "0+", nullable="0+")
    read_only: bool = f(BOOL, "0+")
    is_default: bool = f(BOOL, "0")
    config_source: int = f(INT8, "1+", default=-1)
    is_sensitive: bool = f(BOOL, "0+")
    synonyms: list[DescribeConfigsSynonym] = f(array(DescribeConfigsSynonym), "1+")
    config_type: int = f(INT8, "3+")
    documentation: str | None = f(STRING, "3+", nullable="0+")


@struct
class DescribeConfigsResult:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    resource_type: int = f(INT8, "0+")
    resource_name: str = f(STRING, "0+")
    configs: list[DescribeConfigsResourceResult] = f(array(DescribeConfigsResourceResult), "0+")


@message(key=ApiKey.DESCRIBE_CONFIGS, versions="0-4", flexible="4+")
class DescribeConfigsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[DescribeConfigsResult] = f(array(DescribeConfigsResult), "0+")
