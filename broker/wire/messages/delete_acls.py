"""DeleteAcls, API 31 (org.apache.kafka.common.message.DeleteAclsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class DeleteAclsFilter:
    resource_type_filter: int = f(INT8, "0+")
    resource_name_filter: str | None = f(STRING, "0+", nullable="0+")
    pattern_type_filter: int = f(INT8, "1+", default=3)
    principal_filter: str | None = f(STRING, "0+", nullable="0+")
    host_filter: str | None = f(STRING, "0+", nullable="0+")
    operation: int = f(INT8, "0+")
    permission_type: int = f(INT8, "0+")


@message(key=ApiKey.DELETE_ACLS, versions="0-3", flexible="2+")
class DeleteAclsRequest:
    filters: list[DeleteAclsFilter] = f(array(DeleteAclsFilter), "0+")


@struct
class DeleteAclsMatchingAcl:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    resource_type: int = f(INT8, "0+")
    resource_name: str = f(STRING, "0+")
    pattern_type: int = f(INT8, "1+", default=3)
    principal: str = f(STRING, "0+")
    host: str = f(STRING, "0+")
    operation: int = f(INT8, "0+")
    permission_type: int = f(INT8, "0+")


@struct
class DeleteAclsFilterResult:
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    matching_acls: list[DeleteAclsMatchingAcl] = f(array(DeleteAclsMatchingAcl), "0+")


@message(key=ApiKey.DELETE_ACLS, versions="0-3", flexible="2+")
class DeleteAclsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    filter_results: list[DeleteAclsFilterResult] = f(array(DeleteAclsFilterResult), "0+")
