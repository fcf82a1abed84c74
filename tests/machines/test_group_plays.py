"""Consumer groups as plays: who joins, syncs, leaves and dies, and what each of them is told."""

from __future__ import annotations

from typing import Any

import pytest

from broker.coordinator.group import Group
from broker.coordinator.group_state import Caller, Effect, IllegalTransition, Limits, Moment, Reply, State, Store
from broker.wire.errors import ErrorCode
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.wire.messages.leave_group import MemberIdentity
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse


class Play:
    """A group, a clock, and a stage on which every effect is written down as a line."""

    def __init__(self, delay_ms: int = 0, max_size: int = 100) -> None:
        self.group = Group("pay", Limits(1000, 60_000, delay_ms, max_size))
        self.now = 0.0
        self.lines: list[str] = []
        self.stores: list[Store] = []
        self.ids: dict[str, str] = {}

    @property
    def at(self) -> Moment:
        return Moment(self.now, 1_000_000 + int(self.now * 1000))

    def join(
        self, who: str, member_id: str = "", *, instance: str | None = None, protocols: str = "range",
        session: int = 10_000, skips: bool = False, v4: bool = False, metadata: bytes = b"", kind: str = "consumer",
    ) -> list[str]:  # fmt: skip
        request = JoinGroupRequest(
            group_id="pay",
            session_timeout_ms=session,
            rebalance_timeout_ms=30_000,
            member_id=member_id,
            group_instance_id=instance,
            protocol_type=kind,
            protocols=[JoinGroupRequestProtocol(name=name, metadata=metadata) for name in protocols.split(",")],
        )
        return self._note(self.group.join(request, Caller(who, "/127.0.0.1", "id", v4, skips), who, self.at))

    def sync(self, who: str, member_id: str, generation: int, **assignments: str) -> list[str]:
        given = [SyncGroupRequestAssignment(member_id=f"{k}-id", assignment=v.encode()) for k, v in assignments.items()]
        request = SyncGroupRequest(group_id="pay", generation_id=generation, member_id=member_id, assignments=given)
        return self._note(self.group.sync(request, who, self.at))

    def stored(self, error: int = 0) -> list[str]:
        return self._note(self.group.stored(self.stores.pop(0), error, self.at))

    def leave(self, member_id: str, instance: str | None = None) -> list[str]:
        error, effects = self.group.leave(MemberIdentity(member_id=member_id, group_instance_id=instance), self.at)
        return [ErrorCode(error).name, *self._note(effects)]

    def later(self, seconds: float) -> list[str]:
        """Let time pass, deadline by deadline."""
        end, lines = self.now + seconds, []
        while (due := self.group.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            lines += self._note(self.group.tick(self.at))
        self.now = end
        return lines

    def heartbeat(self, member_id: str, generation: int) -> str:
        return ErrorCode(self.group.heartbeat(member_id, None, generation, self.at)).name

    def _note(self, effects: list[Effect]) -> list[str]:
        return [self._line(effect) for effect in effects]

    def _line(self, effect: Effect) -> str:
        if isinstance(effect, Store):
            self.stores.append(effect)
            return f"store gen {effect.generation}"
        return f"{effect.to}: {_told(effect)}"

    def stable(self, *names: str) -> None:
        """Everybody joins, the first leads and assigns each their own name."""
        for name in names:
            self.join(name)
        self.later(0)
        for name in reversed(names):
            self.sync(name, f"{name}-id", self.group.generation, **{each: each.upper() for each in names})
        self.stored()
        assert self.group.state is State.STABLE


def _told(reply: Reply) -> str:
    message: Any = reply.message
    if message.error_code:
        return ErrorCode(message.error_code).name + (f" {message.member_id}" if _is_id_required(message) else "")
    if isinstance(message, SyncGroupResponse):
        return f"assigned {message.assignment.decode()!r}"
    assert isinstance(message, JoinGroupResponse)
    members = "".join(f" {each.member_id}" for each in message.members)
    role = "leads" + members if message.member_id == message.leader else f"follows {message.leader}"
    return f"gen {message.generation_id} {message.protocol_name} {role}" + (" skip" if message.skip_assignment else "")


def _is_id_required(message: Any) -> bool:
    return bool(message.error_code == ErrorCode.MEMBER_ID_REQUIRED)


def test_two_members_join_in_the_initial_delay_and_the_leader_assigns() -> None:
    play = Play(delay_ms=3000)
    assert play.join("a") == []
    play.now = 1.0
    assert play.join("b") == []
    assert play.later(4.5) == []  # b came meanwhile, so the window is opened once more, 3 s from the end of the first
    assert play.later(1) == ["a: gen 1 range leads a-id b-id", "b: gen 1 range follows a-id"]
    assert play.sync("b", "b-id", 1) == []
    assert play.sync("a", "a-id", 1, a="A", b="B") == ["store gen 1"]
    assert play.group.state is State.COMPLETING
    assert play.stored() == ["a: assigned 'A'", "b: assigned 'B'"]
    assert play.group.state is State.STABLE


def test_a_dynamic_member_of_version_4_gets_its_id_first() -> None:
    play = Play()
    assert play.join("a", v4=True) == ["a: MEMBER_ID_REQUIRED a-id"]
    assert play.join("a", "a-id", v4=True) == []
    assert play.later(0) == ["a: gen 1 range leads a-id"]


def test_an_id_that_was_handed_out_and_not_used_holds_the_join_up_until_its_session_ends() -> None:
    play = Play()
    play.stable("a")
    assert play.join("b", v4=True, session=5000) == ["b: MEMBER_ID_REQUIRED b-id"]
    assert play.join("a", "a-id") == []
    assert play.later(5) == ["a: gen 2 range leads a-id"]


def test_a_newcomer_starts_a_rebalance_and_heartbeats_say_so() -> None:
    play = Play()
    play.stable("a")
    assert play.join("b") == []
    assert play.heartbeat("a-id", 1) == "REBALANCE_IN_PROGRESS"
    assert play.join("a", "a-id") == ["a: gen 2 range leads a-id b-id", "b: gen 2 range follows a-id"]
    assert play.heartbeat("a-id", 1) == "ILLEGAL_GENERATION"
    assert play.heartbeat("a-id", 2) == "NONE"


def test_a_dead_member_is_dropped_after_its_session_and_the_others_start_over() -> None:
    play = Play()
    play.stable("a", "b")
    for _ in range(9):
        play.later(1)
        assert play.heartbeat("a-id", 1) == "NONE"
    assert play.later(1.5) == []
    assert play.group.state is State.PREPARING
    assert play.heartbeat("b-id", 1) == "UNKNOWN_MEMBER_ID"
    assert play.join("a", "a-id") == ["a: gen 2 range leads a-id"]


def test_a_member_that_does_not_rejoin_is_dropped_when_the_rebalance_time_is_over() -> None:
    play = Play()
    play.stable("a", "b")
    play.join("a", "a-id")
    for _ in range(4):
        assert play.later(7) == []
        assert play.heartbeat("b-id", 1) == "REBALANCE_IN_PROGRESS"
    assert play.later(3) == ["a: gen 2 range leads a-id"]
    assert "b-id" not in play.group.members


def test_an_assignment_that_could_not_be_stored_is_nobodys_and_all_start_over() -> None:
    play = Play()
    play.join("a")
    play.join("b")
    play.later(0)
    play.sync("b", "b-id", 1)
    play.sync("a", "a-id", 1, a="A", b="B")
    assert play.stored(ErrorCode.NOT_COORDINATOR) == ["a: NOT_COORDINATOR", "b: NOT_COORDINATOR"]
    assert play.group.state is State.PREPARING
    assert all(member.assignment == b"" for member in play.group.members.values())


def test_a_store_that_ends_after_a_new_rebalance_changes_nothing() -> None:
    play = Play()
    play.join("a")
    play.later(0)
    play.sync("a", "a-id", 1, a="A")
    assert play.join("b") == ["a: REBALANCE_IN_PROGRESS"]
    assert play.stored() == []
    assert play.group.members["a-id"].assignment == b""


def test_a_static_member_that_comes_back_keeps_its_assignment_without_a_rebalance() -> None:
    play = Play()
    play.join("a", instance="one")
    play.later(0)
    play.sync("a", "one-id", 1)
    play.stored()
    play.group.members["one-id"].assignment = b"A"
    assert play.join("a2", instance="one", skips=True) == ["store gen 1"]
    assert play.stored() == ["a2: gen 1 range leads one-id skip"]
    assert play.group.members["one-id"].assignment == b"A"
    assert play.group.state is State.STABLE


def test_the_old_incarnation_of_a_static_member_is_fenced() -> None:
    play = Play()
    play.join("a", instance="one")
    play.later(0)
    member = play.group.static["one"]
    assert play.group.heartbeat("someone-else", "one", 1, play.at) == ErrorCode.FENCED_INSTANCE_ID
    assert play.group.heartbeat(member, "two", 1, play.at) == ErrorCode.UNKNOWN_MEMBER_ID


def test_leaving_ends_the_membership_at_once_and_the_last_one_leaves_an_empty_group_behind() -> None:
    play = Play()
    play.stable("a", "b")
    assert play.leave("b-id") == ["NONE"]
    assert play.leave("b-id") == ["UNKNOWN_MEMBER_ID"]
    assert play.leave("a-id") == ["NONE", "store gen 2"]
    assert play.group.state is State.EMPTY
    assert play.group.generation == 2


def test_leaving_by_instance_id_alone_removes_the_static_member() -> None:
    play = Play()
    play.join("a", instance="one")
    play.later(0)
    assert play.leave("", instance="one")[0] == "NONE"
    assert play.group.members == {}


def test_members_who_do_not_sync_in_time_are_dropped() -> None:
    play = Play()
    play.join("a", session=40_000)
    play.join("b", session=40_000)
    play.later(0)
    play.sync("a", "a-id", 1, a="A", b="B")
    play.stored()
    assert play.later(31) == []
    assert "b-id" not in play.group.members
    assert play.group.state is State.PREPARING


def test_the_protocol_with_the_most_first_votes_among_the_common_ones_wins() -> None:
    play = Play()
    play.join("a", protocols="sticky,range")
    play.join("b", protocols="range,roundrobin")
    play.join("c", protocols="roundrobin,range")
    assert play.later(0)[0].startswith("a: gen 1 range leads")
    assert play.join("d", protocols="sticky") == ["d: INCONSISTENT_GROUP_PROTOCOL"]
    assert play.join("e", kind="connect") == ["e: INCONSISTENT_GROUP_PROTOCOL"]


def test_limits_are_kept() -> None:
    play = Play(max_size=1)
    assert play.join("a", session=10) == ["a: INVALID_SESSION_TIMEOUT"]
    play.stable("a")
    assert play.join("b") == ["b: GROUP_MAX_SIZE_REACHED"]


def test_a_lost_join_reply_is_given_again_without_a_rebalance() -> None:
    play = Play()
    play.stable("a", "b")
    assert play.join("b", "b-id") == ["b: gen 1 range follows a-id"]
    assert play.group.state is State.STABLE


def test_a_follower_whose_metadata_changed_starts_a_rebalance() -> None:
    play = Play()
    play.stable("a", "b")
    assert play.join("b", "b-id", metadata=b"new") == []
    assert play.group.state is State.PREPARING


def test_losing_the_coordinator_tells_everybody_who_waits() -> None:
    play = Play()
    play.join("a")
    assert [f"{e.to}: {_told(e)}" for e in play.group.unload() if isinstance(e, Reply)] == ["a: NOT_COORDINATOR"]
    assert play.join("b") == ["b: COORDINATOR_NOT_AVAILABLE"]


def test_a_new_coordinator_goes_on_from_what_was_stored() -> None:
    play = Play()
    play.stable("a", "b")
    heir = Play()
    heir.group.load(play.group.record(5), heir.at)
    assert heir.group.state is State.STABLE
    assert heir.heartbeat("b-id", 1) == "NONE"
    assert heir.sync("b", "b-id", 1) == ["b: assigned 'B'"]
    heir.later(11)
    assert heir.group.members == {}


def test_commits_are_checked_against_membership_and_generation() -> None:
    play = Play()
    check = play.group.commit_error
    assert check("", None, -1, play.at) == ErrorCode.NONE  # a simple consumer
    assert check("x", None, 3, play.at) == ErrorCode.UNKNOWN_MEMBER_ID
    play.join("a")
    play.later(0)
    assert check("a-id", None, 1, play.at) == ErrorCode.REBALANCE_IN_PROGRESS
    play.sync("a", "a-id", 1, a="A")
    play.stored()
    assert check("a-id", None, 1, play.at) == ErrorCode.NONE
    assert check("a-id", None, 0, play.at) == ErrorCode.ILLEGAL_GENERATION
    assert check("", None, -1, play.at) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_group_with_members_cannot_be_deleted() -> None:
    play = Play()
    play.stable("a")
    with pytest.raises(IllegalTransition):
        play.group.delete()
    assert play.group.state is State.STABLE
