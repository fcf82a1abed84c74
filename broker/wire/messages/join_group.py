"""JoinGroup, API 11 (org.apache.kafka.common.message.JoinGroupRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, BYTES, INT16, INT32, STRING, array, f, message, struct


@struct
class JoinGroupRequestProtocol:
    name: str = f(STRING, "0+")
    metadata: bytes = f(BYTES, "0+")


@message(key=ApiKey.JOIN_GROUP, versions="0-9", flexible="6+")
class JoinGroupRequest:
    group_id: str = f(STRING, "0+")
    session_timeout_ms: int = f(INT32, "0+")
    rebalance_timeout_ms: int = f(INT32, "1+", default=-1)
    member_id: str = f(STRING, "0+")
    group_instance_id: str | None = f(STRING, "5+", nullable="5+", default=None)
    protocol_type: str = f(STRING, "0+")
    protocols: list[JoinGroupRequestProtocol] = f(array(JoinGroupRequestProtocol), "0+")
    reason: str | None = f(STRING, "8+", nullable="8+", default=None)


@struct
class JoinGroupResponseMember:
    member_id: str = f(STRING, "0+")
    group_instance_id: str | None = f(STRING, "5+", nullable="5+", default=None)
    metadata: bytes = f(BYTES, "0+")


@message(key=ApiKey.JOIN_GROUP, versions="0-9", flexible="6+")
class JoinGroupResponse:
    throttle_time_ms: int = f(INT32, "2+")
    error_code: int = f(INT16, "0+")
    generation_id: int = f(INT32, "0+", default=-1)
    protocol_type: str | None = f(STRING, "7+", nullable="7+", default=None)
    protocol_name: str | None = f(STRING, "0+", nullable="7+")
    leader: str = f(STRING, "0+")
    skip_assignment: bool = f(BOOL, "9+")
    member_id: str = f(STRING, "0+")
    members: list[JoinGroupResponseMember] = f(array(JoinGroupResponseMember), "0+")
