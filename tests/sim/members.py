"""A consumer group with members: they join, are assigned partitions, read, commit, fall silent, come back too late.

What they read and commit is noted per assignment, which begins where the group has committed: within an assignment
nothing is skipped or comes twice, and no member that was thrown out moves what the others committed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.find_coordinator import FindCoordinatorRequest
from broker.wire.messages.heartbeat import HeartbeatRequest
from broker.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from broker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from broker.wire.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestTopic
from broker.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from broker.wire.records import read_all
from tests.sim.checker import Assigned, Commit, Committed, Outcome, Seen
from tests.sim.workload import OFFSETS, TOPIC, Unanswered, Workload

TEAM = "team"
SESSION_MS = 6000
NO_LONGER_A_MEMBER = (ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID)


class ThrownOut(Exception):
    """The coordinator is another, or the generation is over: begin again; ``forget``: under a new member id."""

    def __init__(self, error: int) -> None:
        super().__init__(error)
        self.forget = error == ErrorCode.UNKNOWN_MEMBER_ID


@dataclass
class Member:
    """``who`` is this client's name in the history; ``positions`` is where it goes on, by partition."""

    work: Workload
    who: str
    member_id: str = ""
    generation: int = -1
    assignments: int = 0
    coordinator: int = -1
    positions: dict[int, int] = field(default_factory=dict)

    async def run(self) -> None:
        while not self.work.stopping:
            try:
                await self._take_part()
            except Unanswered:
                self.coordinator = -1
            except ThrownOut as out:
                self.member_id = "" if out.forget else self.member_id
            await self.work.clock.sleep(0.2)

    async def _take_part(self) -> None:
        """One generation, from joining it until it is over. Raises ThrownOut, Unanswered."""
        await self._find()
        joined = await self._join()
        mine = await self._sync(joined)
        self.assignments += 1
        self.positions = {partition: await self._begin_at(partition) for partition in mine}
        dice = self.work.dice
        while not self.work.stopping:
            for partition in mine:
                await self._read(partition)
                if dice.random() < 0.5:
                    await self._commit(partition)
            if dice.random() < 0.03:
                await self.work.clock.sleep(dice.uniform(1, 2.5 * SESSION_MS / 1000))  # and goes on as if nothing were
                for partition in mine:
                    await self._commit(partition)
            beat = HeartbeatRequest(group_id=TEAM, generation_id=self.generation, member_id=self.member_id)
            self._refuse((await self._ask(ApiKey.HEARTBEAT, 3, beat)).error_code)
            await self.work.clock.sleep(0.3)

    @property
    def reader(self) -> str:
        """One name for each assignment."""
        return f"member-{self.who}.{self.assignments}"

    async def _ask(self, api: ApiKey, version: int, request: Any) -> Any:
        return await self.work.ask(self.who, self.coordinator, api, version, request)

    def _refuse(self, error: int) -> None:
        if error in (ErrorCode.NOT_COORDINATOR, ErrorCode.COORDINATOR_NOT_AVAILABLE):
            self.coordinator = -1
        if error:
            raise ThrownOut(error)

    async def _find(self) -> None:
        while self.coordinator < 0:
            request = FindCoordinatorRequest(key=TEAM, key_type=0)
            broker_id = self.work.dice.choice(self.work.cluster.ids)
            reply = await self.work.ask(f"{self.who}/find", broker_id, ApiKey.FIND_COORDINATOR, 2, request)
            if reply.error_code == ErrorCode.NONE:
                self.coordinator = reply.node_id
            else:
                await self.work.clock.sleep(0.2)

    async def _join(self) -> JoinGroupResponse:
        while True:
            request = JoinGroupRequest(
                group_id=TEAM,
                session_timeout_ms=SESSION_MS,
                rebalance_timeout_ms=3000,
                member_id=self.member_id,
                protocol_type="consumer",
                protocols=[JoinGroupRequestProtocol(name="range", metadata=b"\0\0\0\0\0\1\0\6orders\0\0\0\0")],
            )
            joined: JoinGroupResponse = await self._ask(ApiKey.JOIN_GROUP, 5, request)
            if joined.error_code == ErrorCode.MEMBER_ID_REQUIRED:
                self.member_id = joined.member_id
                continue
            self._refuse(joined.error_code)
            self.member_id, self.generation = joined.member_id, joined.generation_id
            return joined

    async def _sync(self, joined: JoinGroupResponse) -> list[int]:
        shares: dict[str, list[int]] = {member.member_id: [] for member in joined.members}
        names = sorted(shares)
        for partition in range(self.work.partitions if names else 0):
            shares[names[partition % len(names)]].append(partition)
        request = SyncGroupRequest(
            group_id=TEAM,
            generation_id=self.generation,
            member_id=self.member_id,
            assignments=[
                SyncGroupRequestAssignment(member_id=name, assignment=json.dumps(share).encode())
                for name, share in shares.items()
            ],
        )
        synced = await self._ask(ApiKey.SYNC_GROUP, 3, request)
        self._refuse(synced.error_code)
        found: list[int] = json.loads(bytes(synced.assignment) or b"[]")
        return found

    async def _begin_at(self, partition: int) -> int:
        """What the group has committed, 0 if nothing yet."""
        work = self.work
        began, epoch = work.clock.monotonic(), work.epoch_of(self.coordinator, OFFSETS, 0)
        topics = [OffsetFetchRequestTopic(name=TOPIC, partition_indexes=[partition])]
        reply = await self._ask(ApiKey.OFFSET_FETCH, 5, OffsetFetchRequest(group_id=TEAM, topics=topics))
        self._refuse(reply.error_code or reply.topics[0].partitions[0].error_code)
        offset = reply.topics[0].partitions[0].committed_offset
        now = work.clock.monotonic()
        work.history.committed.append(Committed(TEAM, partition, offset, epoch, began, now))
        work.history.assigned.append(Assigned(self.reader, partition, max(offset, 0), now, self.generation))
        return max(offset, 0)

    async def _read(self, partition: int) -> None:
        work, position = self.work, self.positions[partition]
        leader, epoch = await work.leader_of(self.who, partition)
        wanted = FetchPartition(
            partition=partition, current_leader_epoch=epoch, fetch_offset=position, partition_max_bytes=1 << 12
        )
        request = FetchRequest(
            max_wait_ms=100, min_bytes=1, session_epoch=-1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])]
        )
        try:
            reply = await work.ask(f"{self.who}/fetch", leader, ApiKey.FETCH, 11, request)
        except Unanswered:
            await work.refresh(self.who)
            return
        found = reply.responses[0].partitions[0]
        if found.error_code:
            await work.refresh(self.who)
            return
        for record in read_all(found.records or b""):
            if record.offset >= position:
                seen = Seen(self.reader, partition, record.offset, record.value or b"", work.clock.monotonic())
                work.history.seen.append(seen)
                position = record.offset + 1
        self.positions[partition] = position

    async def _commit(self, partition: int) -> None:
        work, offset = self.work, self.positions[partition]
        if not offset:
            return
        data = OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset, committed_metadata="")
        request = OffsetCommitRequest(
            group_id=TEAM,
            generation_id_or_member_epoch=self.generation,
            member_id=self.member_id,
            topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[data])],
        )
        began, outcome, epoch, error = work.clock.monotonic(), Outcome.UNSURE, -1, -1
        try:
            reply = await self._ask(ApiKey.OFFSET_COMMIT, 7, request)
            error = reply.topics[0].partitions[0].error_code
            if error == ErrorCode.NONE:
                outcome, epoch = Outcome.OK, work.epoch_of(self.coordinator, OFFSETS, 0)
            elif error in NO_LONGER_A_MEMBER:
                outcome = Outcome.FAILED
        finally:
            now = work.client.process.world.now
            work.history.commits.append(Commit(TEAM, partition, offset, outcome, epoch, began, now))
        self._refuse(error)
