"""What the group machine works with: states, members, effects, and pure questions about members (MemberMetadata)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from broker.coordinator.consumer_protocol import subscribed_topics
from broker.coordinator.group_records import GroupMetadataValue, MemberMetadata
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember
from broker.wire.messages.sync_group import SyncGroupResponse


class State(Enum):
    """Wire names, as DescribeGroups and ListGroups show them."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


LEGAL: dict[State, tuple[State, ...]] = {
    State.EMPTY: (State.PREPARING,),
    State.PREPARING: (State.STABLE, State.COMPLETING, State.EMPTY),
    State.COMPLETING: (State.PREPARING,),
    State.STABLE: (State.COMPLETING,),
    State.DEAD: (State.EMPTY, State.PREPARING, State.COMPLETING, State.STABLE),
}
"""Each state with those it may be entered from (GroupMetadata.validPreviousStates)."""


class Moment(NamedTuple):
    """``now``: monotonic seconds, for timers. ``wall_ms``: for what is stored."""

    now: float
    wall_ms: int


class Limits(NamedTuple):
    """group.min.session.timeout.ms, group.max.session.timeout.ms, group.initial.rebalance.delay.ms, group.max.size."""

    min_session_ms: int
    max_session_ms: int
    initial_delay_ms: int
    max_size: int


class Caller(NamedTuple):
    """Who sent a JoinGroup. ``fresh_id`` is a random id for the case that a member id must be made."""

    client_id: str
    client_host: str
    fresh_id: str
    must_know_id: bool
    """JoinGroup v4+: a dynamic member gets its id first, and joins with it (KIP-394)."""
    skips_assignment: bool
    """JoinGroup v9+: a static leader that comes back may be told to skip the assignment (KIP-814)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Release ``message`` to the request that waits as ``to``."""

    to: Any
    message: JoinGroupResponse | SyncGroupResponse


@dataclass(frozen=True, slots=True)
class Store:
    """Append ``value`` as the group's record; then call :meth:`Group.stored` with this effect and an error code."""

    value: GroupMetadataValue
    generation: int
    assignments: dict[str, bytes] | None = None
    """The leader's assignment, to be applied when stored."""
    returning: Returning | None = None
    """A static member that came back under a new member id, to be replaced when stored."""


Effect = Reply | Store


@dataclass(slots=True)
class Member:
    """``join`` and ``sync`` hold the waiting request, if any. ``deadline``: when it is given up (monotonic seconds)."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_ms: int
    session_ms: int
    protocols: list[tuple[str, bytes]]
    assignment: bytes = b""
    join: Any = None
    sync: Any = None
    is_new: bool = False
    synced: bool = False
    deadline: float | None = None

    def metadata(self, protocol: str | None) -> bytes:
        return next((blob for name, blob in self.protocols if name == protocol), b"")


@dataclass(frozen=True, slots=True)
class Returning:
    """A static member's new incarnation while its replacement is being stored."""

    old_id: str
    member: Member
    to: Any
    skips_assignment: bool


class IllegalTransition(Exception):
    """An event that the group's state does not allow; nothing was changed."""


def protocols_of(request: JoinGroupRequest) -> list[tuple[str, bytes]]:
    return [(each.name, bytes(each.metadata)) for each in request.protocols]


def member_of(request: JoinGroupRequest, caller: Caller, member_id: str) -> Member:
    """JoinGroup v0 has no rebalance timeout: the session's counts."""
    rebalance = request.rebalance_timeout_ms if request.rebalance_timeout_ms > 0 else request.session_timeout_ms
    return Member(
        member_id,
        request.group_instance_id,
        caller.client_id,
        caller.client_host,
        rebalance,
        request.session_timeout_ms,
        protocols_of(request),
    )


def join_failed(to: Any, error: int, member_id: str) -> Reply:
    return Reply(to, JoinGroupResponse(error_code=error, member_id=member_id, protocol_name=None))


def sync_failed(to: Any, error: int) -> Reply:
    return Reply(to, SyncGroupResponse(error_code=error))


def choose_protocol(members: Sequence[Member]) -> str | None:
    """Each member votes for the first of its protocols that all have; most votes win, the first cast on a tie."""
    if not members:
        return None
    common = set.intersection(*({name for name, _ in member.protocols} for member in members))
    votes: dict[str, int] = {}
    for member in members:
        vote = next((name for name, _ in member.protocols if name in common), None)
        if vote is not None:
            votes[vote] = votes.get(vote, 0) + 1
    return max(votes, key=lambda name: votes[name], default=None)


def subscriptions(members: Iterable[Member], protocol: str | None) -> frozenset[str] | None:
    """All topics that members of a "consumer" group subscribe to; None where one's blob cannot be read."""
    topics: frozenset[str] = frozenset()
    for member in members:
        theirs = subscribed_topics(member.metadata(protocol))
        if theirs is None:
            return None
        topics |= theirs
    return topics


def member_record(member: Member, protocol: str | None, assignments: dict[str, bytes] | None) -> MemberMetadata:
    """What is stored of a member: its own assignment, or the one that ``assignments`` gives it."""
    return MemberMetadata(
        member_id=member.member_id,
        group_instance_id=member.instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        rebalance_timeout=member.rebalance_ms,
        session_timeout=member.session_ms,
        subscription=member.metadata(protocol),
        assignment=member.assignment if assignments is None else assignments.get(member.member_id, b""),
    )


def as_joined(member: Member, protocol: str | None) -> JoinGroupResponseMember:
    """A member as the leader sees it."""
    return JoinGroupResponseMember(
        member_id=member.member_id, group_instance_id=member.instance_id, metadata=member.metadata(protocol)
    )
