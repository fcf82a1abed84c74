"""Why a group would refuse a request: pure questions, asked before anything changes (GroupCoordinator.validate*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.coordinator.group_state import State
from broker.wire.errors import ErrorCode
from broker.wire.messages.join_group import JoinGroupRequest
from broker.wire.messages.sync_group import SyncGroupRequest

if TYPE_CHECKING:
    from broker.coordinator.group import Group


def join_error(group: Group, request: JoinGroupRequest) -> int:
    if not group.limits.min_session_ms <= request.session_timeout_ms <= group.limits.max_session_ms:
        return ErrorCode.INVALID_SESSION_TIMEOUT
    if not has_room(group, request.member_id):
        return ErrorCode.GROUP_MAX_SIZE_REACHED
    if group.state is State.DEAD:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    if not speaks(group, request):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    return ErrorCode.NONE


def has_room(group: Group, member_id: str) -> bool:
    if group.state in (State.EMPTY, State.DEAD):
        return True
    member = group.members.get(member_id)
    if group.state is State.PREPARING:
        waiting = sum(m.join is not None for m in group.members.values())
        return (member is not None and member.join is not None) or waiting < group.limits.max_size
    return member is not None or len(group.members) < group.limits.max_size


def speaks(group: Group, request: JoinGroupRequest) -> bool:
    """A protocol type and, with the members there are, at least one protocol in common."""
    names = {each.name for each in request.protocols}
    if not request.protocol_type or not names:
        return False
    if not group.members:
        return True
    common = set.intersection(*({name for name, _ in m.protocols} for m in group.members.values()))
    return request.protocol_type == group.protocol_type and bool(names & common)


def identity_error(group: Group, member_id: str, instance_id: str | None) -> int:
    """A static member is who its instance id says (KIP-345): a superseded id is fenced."""
    if instance_id is not None:
        current = group.static.get(instance_id)
        if current is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if current == member_id else ErrorCode.FENCED_INSTANCE_ID
    return ErrorCode.NONE if member_id in group.members else ErrorCode.UNKNOWN_MEMBER_ID


def generation_error(group: Group, generation: int) -> int:
    return ErrorCode.NONE if generation == group.generation else ErrorCode.ILLEGAL_GENERATION


def sync_error(group: Group, request: SyncGroupRequest) -> int:
    if group.state is State.DEAD:
        return ErrorCode.COORDINATOR_NOT_AVAILABLE
    error = identity_error(group, request.member_id, request.group_instance_id)
    error = error or generation_error(group, request.generation_id)
    if error:
        return error
    if request.protocol_type not in (None, group.protocol_type) or request.protocol_name not in (
        None,
        group.protocol,
    ):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    return ErrorCode.REBALANCE_IN_PROGRESS if group.state is State.PREPARING else ErrorCode.NONE
