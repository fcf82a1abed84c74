"""One group of the classic protocol, as a machine (GroupMetadata, GroupCoordinator; facts F.2-F.4).

Theory. A generation is an agreement on who is a member and what protocol they share. It is made in two steps: every
member joins (PreparingRebalance), then the leader hands in the assignment (CompletingRebalance). Then it is Stable.
Whatever changes the membership or a member's metadata breaks the agreement and starts over. The assignment counts only
once it is stored: ``sync`` decides, the shell appends, ``stored`` applies and answers. Members, timers and who waits
are soft; what is stored (generation, protocol, members with their assignment) is what a new coordinator starts from.

Events take ``at`` (monotonic seconds, wall ms) and return effects: replies to release and records to append. The shell
keeps one timer per group, at :meth:`Group.next_deadline`, and calls :meth:`Group.tick`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from broker.coordinator.consumer_protocol import CONSUMER
from broker.coordinator.group_checks import generation_error, identity_error, join_error, sync_error
from broker.coordinator.group_records import GroupMetadataValue
from broker.coordinator.group_state import (
    LEGAL,
    Caller,
    Effect,
    IllegalTransition,
    Limits,
    Member,
    Moment,
    Reply,
    Returning,
    State,
    Store,
    as_joined,
    choose_protocol,
    join_failed,
    member_of,
    member_record,
    protocols_of,
    subscriptions,
    sync_failed,
)
from broker.wire.errors import ErrorCode
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupResponse
from broker.wire.messages.leave_group import MemberIdentity
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupResponse

NEW_MEMBER_SECONDS = 300.0
"""A new member that waits in a long rebalance is dropped after this (GroupCoordinator.NewMemberJoinTimeoutMs)."""


@dataclass(slots=True)
class Group:
    """``pending``: ids that were handed out and have not joined yet, with their deadline."""

    group_id: str
    limits: Limits
    state: State = State.EMPTY
    state_ms: int = -1
    generation: int = 0
    protocol_type: str | None = None
    protocol: str | None = None
    leader_id: str | None = None
    members: dict[str, Member] = field(default_factory=dict)
    static: dict[str, str] = field(default_factory=dict)
    pending: dict[str, float] = field(default_factory=dict)
    subscribed: frozenset[str] | None = None
    join_deadline: float | None = None
    initial_seconds_left: float | None = None
    joined_meanwhile: bool = False
    sync_deadline: float | None = None

    # -- what is asked of it -------------------------------------------------------------------------------------
    def join(self, request: JoinGroupRequest, caller: Caller, to: Any, at: Moment) -> list[Effect]:
        """JoinGroup. The answer may come at once, with the generation, or when a static member's return is stored."""
        error = join_error(self, request)
        if error:
            return [join_failed(to, error, request.member_id)]
        if request.member_id:
            return self._join_known(request, caller, to, at)
        if request.group_instance_id is not None:
            return self._join_static(request, caller, to, at)
        new_id = f"{caller.client_id}-{caller.fresh_id}"
        if caller.must_know_id:
            self.pending[new_id] = at.now + request.session_timeout_ms / 1000
            return [join_failed(to, ErrorCode.MEMBER_ID_REQUIRED, new_id)]
        return self._add(request, caller, new_id, to, at)

    def sync(self, request: SyncGroupRequest, to: Any, at: Moment) -> list[Effect]:
        """SyncGroup. Followers wait for the leader's; the leader's is stored first, and then all are answered."""
        error = sync_error(self, request)
        if error:
            return [sync_failed(to, error)]
        member = self.members[request.member_id]
        if self.state is State.STABLE:
            member.synced = True
            self._alive(member, at)
            return [self._synced(member, to)]
        if member.sync is not None:
            return [sync_failed(to, ErrorCode.REBALANCE_IN_PROGRESS)]
        member.sync, member.synced, member.deadline = to, True, None
        if member.member_id != self.leader_id:
            return []
        given = {each.member_id: bytes(each.assignment) for each in request.assignments}
        assignments = {member_id: given.get(member_id, b"") for member_id in self.members}
        return [Store(self.record(at.wall_ms, assignments), self.generation, assignments=assignments)]

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int, at: Moment) -> int:
        """The error code of a Heartbeat; a valid one keeps the member alive, during a rebalance too."""
        if self.state is State.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        error = identity_error(self, member_id, instance_id) or generation_error(self, generation)
        if error:
            return error
        self._alive(self.members[member_id], at)
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is State.PREPARING else ErrorCode.NONE

    def leave(self, member: MemberIdentity, at: Moment) -> tuple[int, list[Effect]]:
        """(error code, effects) of one member's leaving; an instance id alone names a static member (KIP-345)."""
        if self.state is State.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE, []
        member_id = member.member_id
        if not member_id and member.group_instance_id is not None:
            member_id = self.static.get(member.group_instance_id, "")
        elif self.pending.pop(member_id, None) is not None:
            return ErrorCode.NONE, self._maybe_complete_join(at)
        error = identity_error(self, member_id, member.group_instance_id)
        return error, [] if error else self._drop(self.members[member_id], ErrorCode.UNKNOWN_MEMBER_ID, at)

    def commit_error(self, member_id: str, instance_id: str | None, generation: int, at: Moment) -> int:
        """Whether an OffsetCommit may go ahead (validateOffsetCommit); a valid one counts as a heartbeat."""
        if self.state is State.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if generation < 0 and self.state is State.EMPTY:
            return ErrorCode.NONE
        if generation < 0 and not member_id and instance_id is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        error = identity_error(self, member_id, instance_id) or generation_error(self, generation)
        if error:
            return error
        if self.state is State.COMPLETING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        self._alive(self.members[member_id], at)
        return ErrorCode.NONE

    def stored(self, store: Store, error: int, at: Moment) -> list[Effect]:
        """The append of ``store`` ended with ``error`` (as the group's callers see it). Stale: only replies go out."""
        current = self.generation == store.generation
        if store.returning is not None:
            return self._returned(store.returning, error, current, at)
        if store.assignments is None or not current or self.state is not State.COMPLETING:
            return []
        if error:
            return [*self._fail_syncs(error, at), *self._prepare(at)]
        for member_id, assignment in store.assignments.items():
            if member_id in self.members:
                self.members[member_id].assignment = assignment
        self._enter(State.STABLE, at)
        return self._answer_syncs(at)

    def tick(self, at: Moment) -> list[Effect]:
        """Act on every deadline that has passed."""
        effects: list[Effect] = []
        for pending_id in [each for each, deadline in self.pending.items() if deadline <= at.now]:
            del self.pending[pending_id]
        for member in [m for m in self.members.values() if m.deadline is not None and m.deadline <= at.now]:
            if member.member_id in self.members:
                effects += self._drop(member, ErrorCode.UNKNOWN_MEMBER_ID, at)
        if self.sync_deadline is not None and self.sync_deadline <= at.now:
            effects += self._give_up_on_syncs(at)
        if self.join_deadline is not None and self.join_deadline <= at.now:
            effects += self._join_window_ended(at)
        return effects + self._maybe_complete_join(at)

    def next_deadline(self) -> float | None:
        """When :meth:`tick` is needed next, monotonic seconds."""
        times = [m.deadline for m in self.members.values() if m.deadline is not None]
        times += self.pending.values()
        times += [each for each in (self.join_deadline, self.sync_deadline) if each is not None]
        return min(times, default=None)

    def unload(self) -> list[Effect]:
        """This broker is not the coordinator any more: everybody who waits is told so."""
        effects: list[Effect] = []
        for member in self.members.values():
            if member.join is not None:
                effects.append(join_failed(member.join, ErrorCode.NOT_COORDINATOR, member.member_id))
            if member.sync is not None:
                effects.append(sync_failed(member.sync, ErrorCode.NOT_COORDINATOR))
            member.join = member.sync = member.deadline = None
        self.state = State.DEAD
        self.pending.clear()
        self.join_deadline = self.sync_deadline = None
        return effects

    def load(self, value: GroupMetadataValue, at: Moment) -> None:
        """Take over what is stored. Members get a full session from now on (GroupMetadata.loadGroup)."""
        self.generation, self.state_ms = value.generation, value.current_state_timestamp
        self.protocol_type = value.protocol_type or None
        self.protocol, self.leader_id = value.protocol, value.leader
        self.members, self.static = {}, {}
        for each in value.members:
            protocols = [(value.protocol or "", bytes(each.subscription))]
            rebalance = each.rebalance_timeout if each.rebalance_timeout > 0 else each.session_timeout
            member = Member(
                each.member_id, each.group_instance_id, each.client_id, each.client_host,
                rebalance, each.session_timeout, protocols, bytes(each.assignment),
            )  # fmt: skip
            self._remember(member)
            self._alive(member, at)
        self.state = State.STABLE if self.members else State.EMPTY
        self._note_subscriptions()

    def delete(self) -> None:
        """The group is Empty and its last record is gone. Raises IllegalTransition while it has members."""
        if self.state is not State.EMPTY:
            raise IllegalTransition(f"group {self.group_id} is {self.state.value} and cannot be deleted")
        self.state = State.DEAD

    def record(self, wall_ms: int, assignments: dict[str, bytes] | None = None) -> GroupMetadataValue:
        """What is stored of the group, with ``assignments`` in place of the members' own."""
        return GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol,
            leader=self.leader_id,
            current_state_timestamp=self.state_ms if assignments is None else wall_ms,
            members=[member_record(m, self.protocol, assignments) for m in self.members.values()],
        )

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member uses ``topic``; unknown subscriptions count as a use of everything."""
        return bool(self.members) and (self.subscribed is None or topic in self.subscribed)

    # -- joining -------------------------------------------------------------------------------------------------
    def _join_known(self, request: JoinGroupRequest, caller: Caller, to: Any, at: Moment) -> list[Effect]:
        if self.pending.pop(request.member_id, None) is not None:
            return self._add(request, caller, request.member_id, to, at)
        error = identity_error(self, request.member_id, request.group_instance_id)
        if error or self.state is State.EMPTY:
            return [join_failed(to, error or ErrorCode.UNKNOWN_MEMBER_ID, request.member_id)]
        member = self.members[request.member_id]
        same = member.protocols == protocols_of(request)
        leads = member.member_id == self.leader_id
        if same and (self.state is State.COMPLETING or (self.state is State.STABLE and not leads)):
            self._alive(member, at)
            return [self._joined(member, to)]  # its reply was lost: the current generation again
        replaced = self._wait_to_join(member, request, caller, to)
        return [*replaced, *self._rebalance(at)]

    def _join_static(self, request: JoinGroupRequest, caller: Caller, to: Any, at: Moment) -> list[Effect]:
        assert request.group_instance_id is not None
        new_id = f"{request.group_instance_id}-{caller.fresh_id}"
        old_id = self.static.get(request.group_instance_id)
        if old_id is None:
            return self._add(request, caller, new_id, to, at)
        old = self.members[old_id]
        member = member_of(request, caller, new_id)
        if self.state is State.STABLE and self._protocol_after(old_id, member) == self.protocol:
            member.assignment = old.assignment
            value = self._record_with(old_id, member, at)
            return [Store(value, self.generation, returning=Returning(old_id, member, to, caller.skips_assignment))]
        effects = self._replace(old, member, at)
        member.join = to
        member.deadline = None
        return [*effects, *self._rebalance(at)]

    def _returned(self, returning: Returning, error: int, current: bool, at: Moment) -> list[Effect]:
        """A static member's return is stored: it takes its old place without a rebalance, if that is still there."""
        member, to = returning.member, returning.to
        old = self.members.get(returning.old_id)
        if error or self.state is State.DEAD:
            return [join_failed(to, error or ErrorCode.NOT_COORDINATOR, "")]
        if not current or self.state is not State.STABLE or old is None:
            return [join_failed(to, ErrorCode.REBALANCE_IN_PROGRESS, member.member_id)]
        old_leader = self.leader_id
        effects = self._replace(old, member, at)
        self._alive(member, at)
        reply = self._joined(member, to)
        assert isinstance(reply.message, JoinGroupResponse)
        if returning.skips_assignment:
            reply.message.skip_assignment = member.member_id == self.leader_id
        else:
            reply.message.leader, reply.message.members = old_leader or "", []
        return [*effects, reply]

    def _add(self, request: JoinGroupRequest, caller: Caller, member_id: str, to: Any, at: Moment) -> list[Effect]:
        member = member_of(request, caller, member_id)
        member.join, member.is_new = to, True
        member.deadline = at.now + NEW_MEMBER_SECONDS
        if not self.members:
            self.protocol_type = request.protocol_type
        self._remember(member)
        self.leader_id = self.leader_id or member_id
        self.joined_meanwhile = self.joined_meanwhile or self.initial_seconds_left is not None
        return self._rebalance(at)

    def _wait_to_join(self, member: Member, request: JoinGroupRequest, caller: Caller, to: Any) -> list[Effect]:
        effects: list[Effect] = []
        if member.join is not None:
            effects.append(join_failed(member.join, ErrorCode.REBALANCE_IN_PROGRESS, member.member_id))
        fresh = member_of(request, caller, member.member_id)
        member.protocols, member.rebalance_ms, member.session_ms = fresh.protocols, fresh.rebalance_ms, fresh.session_ms
        member.join = to
        if not member.is_new:
            member.deadline = None
        return effects

    def _rebalance(self, at: Moment) -> list[Effect]:
        return self._maybe_complete_join(at) if self.state is State.PREPARING else self._prepare(at)

    def _prepare(self, at: Moment) -> list[Effect]:
        """Start over. From Empty, wait a little for others who are about to join (KIP-134)."""
        effects: list[Effect] = []
        if self.state is State.COMPLETING:
            effects = self._fail_syncs(ErrorCode.REBALANCE_IN_PROGRESS, at)
        self.sync_deadline = None
        if self.state is State.EMPTY:
            delay = self.limits.initial_delay_ms / 1000
            self.initial_seconds_left = max(self._rebalance_seconds() - delay, 0.0)
            self.joined_meanwhile = False
            self.join_deadline = at.now + delay
        else:
            self.join_deadline = at.now + self._rebalance_seconds()
        self._enter(State.PREPARING, at)
        return [*effects, *self._maybe_complete_join(at)]

    def _join_window_ended(self, at: Moment) -> list[Effect]:
        left = self.initial_seconds_left
        if left is not None and left > 0 and self.joined_meanwhile:
            delay = min(self.limits.initial_delay_ms / 1000, left)
            self.initial_seconds_left, self.joined_meanwhile = left - delay, False
            self.join_deadline = at.now + delay
            return []
        self.initial_seconds_left = None
        return self._complete_join(at)

    def _maybe_complete_join(self, at: Moment) -> list[Effect]:
        if self.state is not State.PREPARING or self.initial_seconds_left is not None or self.pending:
            return []
        if any(m.join is None for m in self.members.values()):
            return []
        return self._complete_join(at)

    def _complete_join(self, at: Moment) -> list[Effect]:
        """The generation is made of those who joined, and of static members until their session ends."""
        for member in [m for m in self.members.values() if m.join is None and m.instance_id is None]:
            self._forget(member)
        leader = self.members.get(self.leader_id or "")
        if leader is None or leader.join is None:
            joined = next((m.member_id for m in self.members.values() if m.join is not None), None)
            if joined is None and self.members:
                self.join_deadline = at.now + self._rebalance_seconds()
                return []
            self.leader_id = joined
        self.generation += 1
        self.join_deadline = None
        if not self.members:
            self.protocol = self.leader_id = None
            self._enter(State.EMPTY, at)
            self._note_subscriptions()
            return [Store(self.record(at.wall_ms), self.generation)]
        self.protocol = choose_protocol(list(self.members.values()))
        self._enter(State.COMPLETING, at)
        self._note_subscriptions()
        self.sync_deadline = at.now + self._rebalance_seconds()
        effects: list[Effect] = []
        for member in self.members.values():
            if member.join is not None:
                effects.append(self._joined(member, member.join))
                member.join = None
            member.is_new = member.synced = False
            self._alive(member, at)
        return effects

    # -- syncing -------------------------------------------------------------------------------------------------
    def _answer_syncs(self, at: Moment) -> list[Effect]:
        effects: list[Effect] = []
        for member in self.members.values():
            if member.sync is not None:
                effects.append(self._synced(member, member.sync))
                member.sync = None
                self._alive(member, at)
        return effects

    def _fail_syncs(self, error: int, at: Moment) -> list[Effect]:
        """The assignment did not come about: nobody keeps one, and who waits is told ``error``."""
        effects: list[Effect] = []
        for member in self.members.values():
            member.assignment = b""
            if member.sync is not None:
                effects.append(sync_failed(member.sync, error))
                member.sync = None
                self._alive(member, at)
        return effects

    def _give_up_on_syncs(self, at: Moment) -> list[Effect]:
        """Members that joined but did not sync in time are dropped (KAFKA-12890)."""
        self.sync_deadline = None
        silent = [m for m in self.members.values() if not m.synced]
        for member in silent:
            self._forget(member)
        return self._rebalance(at) if silent else []

    # -- members -------------------------------------------------------------------------------------------------
    def _remember(self, member: Member) -> None:
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self.static[member.instance_id] = member.member_id

    def _forget(self, member: Member) -> None:
        del self.members[member.member_id]
        if member.instance_id is not None:
            del self.static[member.instance_id]
        if self.leader_id == member.member_id:
            self.leader_id = next(iter(self.members), None)

    def _drop(self, member: Member, error: int, at: Moment) -> list[Effect]:
        """A member left or expired: whoever waits in its name is answered, the others start over."""
        effects = self._dismiss(member, error)
        self._forget(member)
        return [*effects, *self._rebalance(at)]

    @staticmethod
    def _dismiss(member: Member, error: int) -> list[Effect]:
        effects: list[Effect] = []
        if member.join is not None:
            effects.append(join_failed(member.join, error, member.member_id))
        if member.sync is not None:
            effects.append(sync_failed(member.sync, error))
        member.join = member.sync = None
        return effects

    def _replace(self, old: Member, new: Member, at: Moment) -> list[Effect]:
        """A static member's new incarnation takes the old one's place; the old one is fenced."""
        effects = self._dismiss(old, ErrorCode.FENCED_INSTANCE_ID)
        led = self.leader_id == old.member_id
        self.members = {new.member_id if k == old.member_id else k: v for k, v in self.members.items()}
        self._remember(new)
        if led:
            self.leader_id = new.member_id
        self._alive(new, at)
        return effects

    @staticmethod
    def _alive(member: Member, at: Moment) -> None:
        """Sessions do not run while a request of the member waits here (MemberMetadata.hasSatisfiedHeartbeat)."""
        if member.join is None and member.sync is None:
            member.deadline = at.now + member.session_ms / 1000

    # -- the generation ------------------------------------------------------------------------------------------
    def _enter(self, state: State, at: Moment) -> None:
        if self.state not in LEGAL[state]:
            raise IllegalTransition(f"group {self.group_id}: {self.state.value} -> {state.value}")
        self.state, self.state_ms = state, at.wall_ms

    def _rebalance_seconds(self) -> float:
        return max((m.rebalance_ms for m in self.members.values()), default=0) / 1000

    def _protocol_after(self, old_id: str, member: Member) -> str | None:
        """The choice if ``member`` took the place of ``old_id``."""
        return choose_protocol([member if each.member_id == old_id else each for each in self.members.values()])

    def _record_with(self, old_id: str, member: Member, at: Moment) -> GroupMetadataValue:
        """The group's record as it will be once ``member`` has taken the place of ``old_id``."""
        value = self.record(at.wall_ms)
        fresh = member_record(member, self.protocol, None)
        value.members = [fresh if each.member_id == old_id else each for each in value.members]
        if value.leader == old_id:
            value.leader = member.member_id
        return value

    def _note_subscriptions(self) -> None:
        known = self.protocol_type == CONSUMER
        self.subscribed = subscriptions(self.members.values(), self.protocol) if known else None

    # -- answers -------------------------------------------------------------------------------------------------
    def _joined(self, member: Member, to: Any) -> Reply:
        """The generation as it is; only the leader sees the members."""
        leads = member.member_id == self.leader_id
        message = JoinGroupResponse(
            generation_id=self.generation,
            protocol_type=self.protocol_type,
            protocol_name=self.protocol,
            leader=self.leader_id or "",
            member_id=member.member_id,
            members=[as_joined(each, self.protocol) for each in self.members.values()] if leads else [],
        )
        return Reply(to, message)

    def _synced(self, member: Member, to: Any) -> Reply:
        message = SyncGroupResponse(
            protocol_type=self.protocol_type, protocol_name=self.protocol, assignment=member.assignment
        )
        return Reply(to, message)
