"""ListGroups, API 16 (org.apache.kafka.common.message.ListGroupsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import INT16, INT32, STRING, array, f, message, struct


@message(key=ApiKey.LIST_GROUPS, versions="0-5", flexible="3+")
class ListGroupsRequest:
    states_filter: list[str] = f(array(STRING), "4+")
    types_filter: list[str] = f(array(STRING), "5+")


@struct
class ListedGroup:
    group_id: str = f(STRING, "0+")
    protocol_type: str = f(STRING, "0+")
    group_state: str = f(STRING, "4+")
    group_type: str = f(STRING, "5+")


@message(key=ApiKey.LIST_GROUPS, versions="0-5", flexible="3+")
class ListGroupsResponse:
    throttle_time_ms: int = f(INT32, "1+")
    error_code: int = f(INT16, "0+")
    groups: list[ListedGroup] = f(array(ListedGroup), "0+")
