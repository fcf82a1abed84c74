"""DescribeGroups, API 15 (org.apache.kafka.common.message.DescribeGroupsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, BYTES, INT16, INT32, STRING, array, f, message, struct


@message(key=ApiKey.DESCRIBE_GROUPS, versions="0-5", flexible="5+")
class DescribeGroupsRequest:
    groups: list[str] = f(array(STRING), "0+")
    include_authorized_operations: bool = f(BOOL, "3+")


@struct
class DescribedGroupMember:
    member_id: str = f(STRING, "0+")
    group_instance_id: str | None = f(STRING, "4+", nullable="4+", default=None)
    client_id: str = f(STRING, "0+")
    client_host: str = f(STRING, "0+")
    member_metadata: bytes = f(BYTES, "0+")
    member_assignment: bytes = f(BYTES, "0+")


@struct
class DescribedGroup:
    error_code: int = f(INT16, "0+")
    group_id: str = f(STRING, "0+")
    group_state: str = f(STRING, "0+")
    protocol_type: str = f(STRING, "0+")
    protocol_data: str = f(STRING, "0+")
    members: list[DescribedGroupMember] = f(array(DescribedGroupMember), "0+")
    authorized_operations: int = f(INT32, "3+", default=-2147483648)


@message(key=ApiKey.DESCRIBE_GROUPS, versions="0-5", flexible="5+")
class DescribeGroupsResponse:
    throttle_time_ms: int = f(INT32, "1+")
    groups: list[DescribedGroup] = f(array(DescribedGroup), "0+")
