"""DeleteGroups, API 42 (org.apache.kafka.common.message.DeleteGroupsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, array, f, message, struct


@message(key=ApiKey.DELETE_GROUPS, versions="0-2", flexible="2+")
class DeleteGroupsRequest:
    groups_names: list[str] = f(array(STRING), "0+")


@struct
class DeletableGroupResult:
    group_id: str = f(STRING, "0+")
    error_code: int = f(INT16, "0+")


@message(key=ApiKey.DELETE_GROUPS, versions="0-2", flexible="2+")
class DeleteGroupsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[DeletableGroupResult] = f(array(DeletableGroupResult), "0+")
