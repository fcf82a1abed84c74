"""Groups and their offsets on the wire (KafkaApis.handleJoinGroupRequest and its siblings; facts F)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broker.api.authorized import GROUP_OPERATIONS, NOT_ASKED
from broker.api.context import Context, Later
from broker.api.table import api
from broker.coordinator.group import Group
from broker.coordinator.group_state import Caller, State
from broker.coordinator.groups import GroupCoordinator
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.delete_groups import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse
from broker.wire.messages.describe_groups import (
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
)
from broker.wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from broker.wire.messages.join_group import JoinGroupRequest
from broker.wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse
from broker.wire.messages.list_groups import ListedGroup, ListGroupsRequest, ListGroupsResponse
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse


def coordinator_of(ctx: Context) -> GroupCoordinator:
    found: GroupCoordinator = ctx.services.coordinator
    return found


class Versioned:
    """Fills in what a request's version wants, before the answer goes to the one who waits."""

    __slots__ = ("later", "null_protocol")

    def __init__(self, later: Later, null_protocol: bool) -> None:
        self.later, self.null_protocol = later, null_protocol

    def complete(self, answer: Any) -> None:
        if answer.protocol_name is None and not self.null_protocol:
            answer.protocol_name = ""
        self.later.complete(answer)


@api(ApiKey.JOIN_GROUP, 0, 9)
def join_group(ctx: Context, request: JoinGroupRequest) -> Later:
    """KIP-394 from v4 (the id first), KIP-345 from v5 (static members), KIP-814 from v9 (a leader that skips)."""
    later = Later(holds=True)
    caller = Caller(
        ctx.client_id or "",
        f"/{ctx.client_host}",
        str(ctx.services.host.dice.uuid()),
        must_know_id=ctx.version >= 4,
        skips_assignment=ctx.version >= 9,
    )
    coordinator_of(ctx).join(request, caller, Versioned(later, ctx.version >= 7))
    return later


@api(ApiKey.SYNC_GROUP, 0, 5)
def sync_group(ctx: Context, request: SyncGroupRequest) -> Later:
    later = Later(holds=True)
    if ctx.version >= 5 and (request.protocol_type is None or request.protocol_name is None):
        later.complete(SyncGroupResponse(error_code=ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
        return later
    coordinator_of(ctx).sync(request, later)
    return later


@api(ApiKey.HEARTBEAT, 0, 4)
def heartbeat(ctx: Context, request: HeartbeatRequest) -> HeartbeatResponse:
    error = coordinator_of(ctx).heartbeat(
        request.group_id, request.member_id, request.group_instance_id, request.generation_id
    )
    return HeartbeatResponse(error_code=error)


@api(ApiKey.LEAVE_GROUP, 0, 5)
def leave_group(ctx: Context, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """v0-2 name one member, whose error stands at the top; v3+ name several (KIP-345)."""
    members = request.members if ctx.version >= 3 else [MemberIdentity(member_id=request.member_id)]
    error, errors = coordinator_of(ctx).leave(request.group_id, members)
    if ctx.version < 3:
        return LeaveGroupResponse(error_code=error or errors[0])
    replies = [
        MemberResponse(member_id=m.member_id, group_instance_id=m.group_instance_id, error_code=code)
        for m, code in zip(members, errors, strict=False)
    ]
    return LeaveGroupResponse(error_code=error, members=replies)


@api(ApiKey.LIST_GROUPS, 0, 5)
def list_groups(ctx: Context, request: ListGroupsRequest) -> ListGroupsResponse:
    """KIP-518: filter by state; KIP-848: by type, and every group here is a classic one."""
    coordinator = coordinator_of(ctx)
    states = {state.lower() for state in request.states_filter}
    types = {each.lower() for each in request.types_filter}
    shown = [] if types and "classic" not in types else coordinator.groups()
    error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS if coordinator.is_loading else ErrorCode.NONE
    if not coordinator.is_active:
        error = ErrorCode.COORDINATOR_NOT_AVAILABLE
    return ListGroupsResponse(error_code=error, groups=[_listed(g) for g in shown if _wanted(g, states)])


def _wanted(group: Group, states: set[str]) -> bool:
    return not states or group.state.value.lower() in states


def _listed(group: Group) -> ListedGroup:
    return ListedGroup(
        group_id=group.group_id,
        protocol_type=group.protocol_type or "",
        group_state=group.state.value,
        group_type="classic",
    )


@api(ApiKey.DESCRIBE_GROUPS, 0, 5)
def describe_groups(ctx: Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
    """A group that is not known is Dead, without an error."""
    operations = GROUP_OPERATIONS if request.include_authorized_operations else NOT_ASKED
    return DescribeGroupsResponse(groups=[_described(ctx, group_id, operations) for group_id in request.groups])


def _described(ctx: Context, group_id: str, operations: int) -> DescribedGroup:
    error, group = coordinator_of(ctx).group(group_id)
    if error:
        return DescribedGroup(error_code=error, group_id=group_id)
    if group is None:
        return DescribedGroup(group_id=group_id, group_state=State.DEAD.value, authorized_operations=operations)
    stable = group.state is State.STABLE
    members = [
        DescribedGroupMember(
            member_id=m.member_id,
            group_instance_id=m.instance_id,
            client_id=m.client_id,
            client_host=m.client_host,
            member_metadata=m.metadata(group.protocol) if stable else b"",
            member_assignment=m.assignment if stable else b"",
        )
        for m in group.members.values()
    ]
    return DescribedGroup(
        group_id=group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol_data=(group.protocol or "") if stable else "",
        members=members,
        authorized_operations=operations,
    )


@api(ApiKey.DELETE_GROUPS, 0, 2)
def delete_groups(ctx: Context, request: DeleteGroupsRequest) -> Later:
    """Answered when the tombstones of every group that could be deleted are replicated."""
    names = list(dict.fromkeys(request.groups_names))
    later, errors = Later(holds=True), dict.fromkeys(names, 0)
    waiting = dict.fromkeys(names)

    def ended(name: str, error: int) -> None:
        errors[name] = error
        del waiting[name]
        if not waiting:
            later.complete(_deleted(errors.items()))

    if not names:
        later.complete(_deleted(()))
    for name in names:
        coordinator_of(ctx).delete(name, lambda error, name=name: ended(name, error))  # type: ignore[misc]
    return later


def _deleted(errors: Iterable[tuple[str, int]]) -> DeleteGroupsResponse:
    return DeleteGroupsResponse(results=[DeletableGroupResult(group_id=name, error_code=code) for name, code in errors])
