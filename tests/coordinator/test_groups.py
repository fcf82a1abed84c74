"""The group coordinator on a real log: what is answered, what is stored, and what a new coordinator makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from broker.config import KafkaConfig
from broker.coordinator.group_records import OffsetCommitValue
from broker.coordinator.group_state import Caller, State
from broker.coordinator.groups import GroupCoordinator
from broker.coordinator.offsets import Position
from broker.coordinator.shards import Done, java_hash, partition_for
from broker.host import real_host
from broker.storage.log import Log, Origin
from broker.wire.errors import ErrorCode
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.wire.messages.leave_group import MemberIdentity
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from broker.wire.records import Record, build_batch
from tests.storage.support import NOW, new_log

POSITION = Position("orders", 0)


class OneLog:
    """The offsets topic as one partition: a real log, whose replication is done when the test says so."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.error = 0
        self.hold = False
        self.held: list[tuple[Done, int]] = []

    def append(self, partition: int, leader_epoch: int, records: Sequence[Record], done: Done) -> None:
        if self.error:
            done(self.error, -1)
            return
        batch = build_batch(records, base_offset=0)
        base = self._log.append_as_leader(batch, leader_epoch, NOW, origin=Origin.COORDINATOR).first_offset
        if self.hold:
            self.held.append((done, base))
        else:
            self._log.high_watermark = self._log.log_end_offset
            done(0, base)

    def replicate(self) -> None:
        self._log.high_watermark = self._log.log_end_offset
        for done, base in self.held:
            done(0, base)
        self.held.clear()

    def log(self, partition: int) -> Log:
        return self._log

    def partition_count(self) -> int:
        return 1


class Waiting:
    def __init__(self) -> None:
        self.answers: list[Any] = []

    def complete(self, answer: Any, /) -> None:
        self.answers.append(answer)


class Stage:
    """A coordinator that leads the only partition."""

    def __init__(self, topic: OneLog) -> None:
        self.topic = topic
        config = KafkaConfig.of(broker_id=1, group_initial_rebalance_delay_ms=0, group_min_session_timeout_ms=100)
        self.coordinator = GroupCoordinator(config, real_host(), topic)
        self.errors: list[int] = []

    async def load(self, epoch: int = 1) -> None:
        self.coordinator.start()
        self.coordinator.lead(0, epoch)
        while self.coordinator.is_loading:
            await asyncio.sleep(0)

    async def joined(self, group: str = "pay", session_ms: int = 60_000) -> JoinGroupResponse:
        request = JoinGroupRequest(
            group_id=group,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=60_000,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=b"\0\0\0\0\0\1\0\6orders\0\0\0\0")],
        )
        waiting = Waiting()
        self.coordinator.join(request, Caller("client", "/127.0.0.1", "id", False, False), waiting)
        while not waiting.answers:
            await asyncio.sleep(0.001)
        answer: JoinGroupResponse = waiting.answers[0]
        return answer

    def synced(self, joined: JoinGroupResponse, group: str = "pay") -> SyncGroupResponse:
        assignment = SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"all of it")
        waiting = Waiting()
        request = SyncGroupRequest(
            group_id=group,
            generation_id=joined.generation_id,
            member_id=joined.member_id,
            assignments=[assignment],
        )
        self.coordinator.sync(request, waiting)
        answer: SyncGroupResponse = waiting.answers[0]
        return answer

    def commit(self, offset: int, group: str = "pay", member: str = "", generation: int = -1, **more: Any) -> None:
        value = OffsetCommitValue(offset=offset, commit_timestamp=more.pop("at", NOW), **more)
        self.coordinator.commit(group, member, None, generation, {POSITION: value}, self.errors.append)

    def offset(self, group: str = "pay") -> int | None:
        error, offsets = self.coordinator.committed(group)
        assert error == 0
        found = offsets.committed.get(POSITION)
        return None if found is None else found.value.offset


@pytest.fixture
def topic(tmp_path: Path) -> OneLog:
    return OneLog(new_log(tmp_path))


async def test_a_commit_is_shown_only_once_it_is_replicated(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    topic.hold = True
    stage.commit(5)
    assert stage.offset() is None
    assert stage.errors == []
    topic.replicate()
    assert stage.offset() == 5
    assert stage.errors == [0]
    await stage.coordinator.stop()


async def test_of_two_commits_the_later_one_in_the_log_wins_whichever_is_acknowledged_first(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    topic.hold = True
    stage.commit(5)
    stage.commit(9)
    topic.held.reverse()
    topic.replicate()
    assert stage.offset() == 9
    await stage.coordinator.stop()


@pytest.mark.parametrize(
    ("append", "seen"),
    [
        (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.REQUEST_TIMED_OUT, ErrorCode.REQUEST_TIMED_OUT),
        (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.INVALID_COMMIT_OFFSET_SIZE),
    ],
)
async def test_a_commit_that_was_not_stored_has_no_effect(topic: OneLog, append: int, seen: int) -> None:
    stage = Stage(topic)
    await stage.load()
    topic.error = append
    stage.commit(5)
    assert stage.errors == [seen]
    assert stage.offset() is None
    await stage.coordinator.stop()


async def test_a_new_coordinator_loads_members_and_offsets(topic: OneLog) -> None:
    old = Stage(topic)
    await old.load()
    joined = await old.joined()
    assert old.synced(joined).assignment == b"all of it"
    old.commit(7, member=joined.member_id, generation=1)
    await old.coordinator.stop()
    heir = Stage(topic)
    await heir.load(epoch=2)
    _, group = heir.coordinator.group("pay")
    assert group is not None
    assert group.state is State.STABLE
    assert heir.synced(joined).assignment == b"all of it"
    assert heir.offset() == 7
    assert heir.coordinator.heartbeat("pay", joined.member_id, None, 1) == ErrorCode.NONE
    await heir.coordinator.stop()


async def test_what_is_not_committed_yet_is_not_loaded_before_it_is(topic: OneLog) -> None:
    old = Stage(topic)
    await old.load()
    old.commit(7)
    topic.hold = True
    old.commit(8)
    await old.coordinator.stop()
    heir = Stage(topic)
    heir.coordinator.start()
    heir.coordinator.lead(0, 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert heir.coordinator.gate("pay") == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    topic.replicate()
    await heir.load()
    assert heir.offset() == 8
    await heir.coordinator.stop()


async def test_while_it_loads_the_answers_say_so(topic: OneLog) -> None:
    stage = Stage(topic)
    stage.coordinator.start()
    assert stage.coordinator.gate("pay") == ErrorCode.NOT_COORDINATOR
    stage.coordinator.lead(0, 1)
    assert stage.coordinator.gate("pay") == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert stage.coordinator.heartbeat("pay", "x", None, 1) == ErrorCode.NONE
    assert stage.synced(JoinGroupResponse(member_id="x")).error_code == ErrorCode.REBALANCE_IN_PROGRESS
    await stage.load()
    assert stage.coordinator.gate("") == ErrorCode.INVALID_GROUP_ID
    await stage.coordinator.stop()
    assert stage.coordinator.gate("pay") == ErrorCode.COORDINATOR_NOT_AVAILABLE


async def test_losing_the_partition_answers_who_waits_and_an_older_epoch_does_not(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load(epoch=5)
    await stage.joined()
    stage.coordinator.resign(0, 4)
    assert stage.coordinator.gate("pay") == ErrorCode.NONE
    stage.coordinator.resign(0, 6)
    assert stage.coordinator.gate("pay") == ErrorCode.NOT_COORDINATOR
    await stage.coordinator.stop()


async def test_a_leader_that_goes_on_in_a_new_epoch_keeps_who_waits(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load(epoch=5)
    joined = await stage.joined()
    stage.coordinator.lead(0, 6)  # a follower died
    assert stage.synced(joined).error_code == ErrorCode.NONE
    assert stage.synced(joined).assignment == b"all of it"
    stage.coordinator.resign(0, 5)
    assert stage.coordinator.gate("pay") == ErrorCode.NONE
    await stage.coordinator.stop()


async def test_a_silent_member_is_dropped_by_the_groups_timer(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    stage.synced(await stage.joined(session_ms=150))
    _, group = stage.coordinator.group("pay")
    assert group is not None
    while group.members:
        await asyncio.sleep(0.01)
    assert group.state is State.EMPTY
    await stage.coordinator.stop()


async def test_deleting_a_group_leaves_tombstones_that_the_next_coordinator_understands(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    joined = await stage.joined()
    stage.synced(joined)
    stage.commit(3, member=joined.member_id, generation=1)
    stage.coordinator.delete("pay", stage.errors.append)
    assert stage.errors[-1] == ErrorCode.NON_EMPTY_GROUP
    assert stage.coordinator.leave("pay", [MemberIdentity(member_id=joined.member_id)]) == (0, [0])
    stage.coordinator.delete("pay", stage.errors.append)
    assert stage.errors[-1] == ErrorCode.NONE
    stage.coordinator.delete("pay", stage.errors.append)
    assert stage.errors[-1] == ErrorCode.GROUP_ID_NOT_FOUND
    await stage.coordinator.stop()
    heir = Stage(topic)
    await heir.load()
    assert list(heir.coordinator.groups()) == []
    await heir.coordinator.stop()


async def test_offsets_of_a_subscribed_topic_cannot_be_deleted(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    joined = await stage.joined()
    stage.synced(joined)
    stage.commit(3, member=joined.member_id, generation=1)
    told: list[Any] = []
    stage.coordinator.delete_offsets("pay", [POSITION], lambda error, each: told.append((error, each)))
    assert told == [(0, {POSITION: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC})]
    stage.coordinator.leave("pay", [MemberIdentity(member_id=joined.member_id)])
    stage.coordinator.delete_offsets("pay", [POSITION], lambda error, each: told.append((error, each)))
    assert told[-1] == (0, {POSITION: ErrorCode.NONE})
    assert stage.offset() is None
    stage.coordinator.delete_offsets("pay", [POSITION], lambda error, each: told.append((error, each)))
    assert told[-1] == (ErrorCode.GROUP_ID_NOT_FOUND, {})  # it went with its last offset
    await stage.coordinator.stop()


async def test_offsets_expire_by_retention_or_by_the_commits_own_time(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    now = real_host().clock.wall_ms()
    week = 7 * 86_400_000
    stage.commit(1, group="old", at=now - week - 1)
    stage.commit(2, group="young", at=now - week + 60_000)
    stage.commit(3, group="own", at=now, expire_timestamp=now - 1)
    stage.coordinator.expire()
    assert [group.group_id for group in stage.coordinator.groups()] == ["young"]
    await stage.coordinator.stop()


async def test_offsets_of_deleted_topics_go_with_them(topic: OneLog) -> None:
    stage = Stage(topic)
    await stage.load()
    stage.commit(1)
    stage.coordinator.topics_deleted(frozenset({"orders"}))
    assert stage.offset() is None
    await stage.coordinator.stop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("a", 97), ("group", 98629247), ("my-group", -1906497762), ("polygenelubricants", -(2**31))],
)
def test_the_hash_is_javas(text: str, expected: int) -> None:
    assert java_hash(text) == expected


def test_groups_spread_over_partitions_as_in_kafka() -> None:
    assert partition_for("polygenelubricants", 50) == 0
    assert partition_for("my-group", 50) == 1906497762 % 50
    assert partition_for("é😀", 50) == abs(java_hash("é😀")) % 50
    assert java_hash("😀") == 31 * 0xD83D + 0xDE00
