"""The group coordinator: the shell around the group machines (kafka.coordinator.group.GroupCoordinator).

It owns the groups of the ``__consumer_offsets`` partitions that this broker leads, their timers and their appends.
A request is checked in the order of facts F.1, given to its group, and the effects are performed after the change.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from broker.config import KafkaConfig
from broker.coordinator import group_records
from broker.coordinator.consumer_protocol import CONSUMER
from broker.coordinator.group import Group
from broker.coordinator.group_records import GroupMetadataKey, OffsetCommitKey, OffsetCommitValue
from broker.coordinator.group_state import Caller, Effect, Limits, Moment, Reply, State, Store, join_failed, sync_failed
from broker.coordinator.offsets import Offsets, Position
from broker.coordinator.shards import InternalTopic, Shard, partition_for, replay
from broker.host import Host, Timer
from broker.wire.errors import ErrorCode, Malformed
from broker.wire.messages.join_group import JoinGroupRequest
from broker.wire.messages.leave_group import MemberIdentity
from broker.wire.messages.sync_group import SyncGroupRequest
from broker.wire.records import Record

log = logging.getLogger(__name__)

COMMITTED_POLL_SECONDS = 0.02


class Waiting(Protocol):
    """A request whose answer comes later."""

    def complete(self, answer: Any, /) -> None: ...


@dataclass(slots=True)
class Entry:
    """One group with its offsets and its only timer; ``armed`` is when that fires (monotonic seconds)."""

    group: Group
    shard: Shard
    offsets: Offsets = field(default_factory=Offsets)
    timer: Timer | None = None
    armed: float = float("inf")


COMMIT_ERRORS = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.INVALID_COMMIT_OFFSET_SIZE,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.INVALID_COMMIT_OFFSET_SIZE,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.INVALID_COMMIT_OFFSET_SIZE,
}
GROUP_ERRORS = {
    **COMMIT_ERRORS,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.REBALANCE_IN_PROGRESS,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}
"""How the errors of an append look to the members of a group and to who commits (facts F.5)."""


class GroupCoordinator:
    """``is_active`` is false until the broker has started and again once it stops."""

    def __init__(self, config: KafkaConfig, host: Host, topic: InternalTopic) -> None:
        self._config, self._host, self._topic = config, host, topic
        self._shards: dict[int, Shard] = {}
        self._loads: dict[int, asyncio.Task[None]] = {}
        self._expiry: asyncio.Task[None] | None = None
        self.is_active = False
        self._limits = Limits(
            config.group_min_session_timeout_ms,
            config.group_max_session_timeout_ms,
            config.group_initial_rebalance_delay_ms,
            config.group_max_size,
        )

    # -- life ----------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self.is_active = True
        self._expiry = asyncio.create_task(self._expire_for_ever(), name="group offsets expiry")

    async def stop(self) -> None:
        self.is_active = False
        tasks = [t for t in (self._expiry, *self._loads.values()) if t is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for partition in list(self._shards):
            self.resign(partition, None)

    def lead(self, partition: int, epoch: int) -> None:
        """This broker leads ``partition`` of the offsets topic from ``epoch`` on: load it, then answer for it.

        Who led it already, and goes on in a new epoch because a follower died, has all of it in memory
        (Partition.makeLeader tells only new leaders): members who wait for others go on waiting.
        """
        known = self._shards.get(partition)
        if known is not None:
            known.epoch = max(known.epoch, epoch)
            return
        shard = self._shards[partition] = Shard(partition, epoch)
        self._loads[partition] = asyncio.create_task(self._load(shard), name=f"load offsets-{partition}")

    def resign(self, partition: int, epoch: int | None) -> None:
        """Somebody else leads ``partition`` (since ``epoch``): whoever waits is told so, and the memory is dropped."""
        shard = self._shards.get(partition)
        if shard is None or (epoch is not None and epoch < shard.epoch):
            return
        del self._shards[partition]
        load = self._loads.pop(partition, None)
        if load is not None:
            load.cancel()
        for entry in list(shard.entries.values()):
            if entry.timer is not None:
                entry.timer.cancel()
            self._perform(entry, entry.group.unload())

    # -- membership ----------------------------------------------------------------------------------------------
    def join(self, request: JoinGroupRequest, caller: Caller, to: Waiting) -> None:
        error = self.gate(request.group_id)
        entry = None if error else self._find(request.group_id)
        if not error and entry is None:
            if not self._limits.min_session_ms <= request.session_timeout_ms <= self._limits.max_session_ms:
                error = ErrorCode.INVALID_SESSION_TIMEOUT
            elif request.member_id:
                error = ErrorCode.UNKNOWN_MEMBER_ID
        if error:
            to.complete(join_failed(to, error, request.member_id).message)
            return
        entry = entry or self._create(request.group_id)
        self._perform(entry, entry.group.join(request, caller, to, self._at()))

    def sync(self, request: SyncGroupRequest, to: Waiting) -> None:
        error = self.gate(request.group_id)
        if error == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            error = ErrorCode.REBALANCE_IN_PROGRESS  # SyncGroup has no such error: the client joins again
        entry = self._find(request.group_id)
        if error or entry is None:
            to.complete(sync_failed(to, error or ErrorCode.UNKNOWN_MEMBER_ID).message)
            return
        self._perform(entry, entry.group.sync(request, to, self._at()))

    def heartbeat(self, group_id: str, member_id: str, instance_id: str | None, generation: int) -> int:
        error = self.gate(group_id)
        if error == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            return ErrorCode.NONE  # the members' sessions start anew after the load
        entry = self._find(group_id)
        if error or entry is None:
            return error or ErrorCode.UNKNOWN_MEMBER_ID
        return entry.group.heartbeat(member_id, instance_id, generation, self._at())

    def leave(self, group_id: str, members: Iterable[MemberIdentity]) -> tuple[int, list[int]]:
        """(error of the request, error of each member)."""
        error = self.gate(group_id)
        entry = self._find(group_id)
        if error:
            return error, []
        if entry is None:
            return ErrorCode.NONE, [ErrorCode.UNKNOWN_MEMBER_ID for _ in members]
        errors = []
        for member in members:
            code, effects = entry.group.leave(member, self._at())
            errors.append(code)
            self._perform(entry, effects)
        return ErrorCode.NONE, errors

    # -- offsets -------------------------------------------------------------------------------------------------
    def commit(
        self,
        group_id: str,
        member_id: str,
        instance_id: str | None,
        generation: int,
        values: dict[Position, OffsetCommitValue],
        done: Callable[[int], None],
    ) -> None:
        """Append ``values``; ``done`` gets the one error code that holds for all of them."""
        error = self.gate(group_id, empty_allowed=True)
        entry = self._find(group_id)
        if not error and entry is None:
            if generation >= 0:
                error = ErrorCode.ILLEGAL_GENERATION
            else:
                entry = self._create(group_id)
        if not error and entry is not None:
            error = entry.group.commit_error(member_id, instance_id, generation, self._at())
        if error or entry is None or not values:
            done(error)
            return
        self._append_commit(entry, values, done)

    def _append_commit(
        self, entry: Entry, values: dict[Position, OffsetCommitValue], done: Callable[[int], None]
    ) -> None:
        group_id, stamp = entry.group.group_id, self._host.clock.wall_ms()
        entry.offsets.begin(values)

        def ended(error: int, base_offset: int) -> None:
            entry.offsets.end(values, None if error else base_offset)
            done(COMMIT_ERRORS.get(ErrorCode(error), ErrorCode(error)))

        records = [
            Record(0, stamp, group_records.offset_key(group_id, *position), group_records.offset_value(value))
            for position, value in values.items()
        ]
        self._topic.append(entry.shard.partition, entry.shard.epoch, records, ended)

    def committed(self, group_id: str) -> tuple[int, Offsets]:
        """(error code, the group's offsets); a group that is not known has none."""
        error = self.gate(group_id, empty_allowed=True)
        entry = None if error else self._find(group_id)
        return error, Offsets() if entry is None else entry.offsets

    def delete_offsets(
        self, group_id: str, positions: list[Position], done: Callable[[int, dict[Position, int]], None]
    ) -> None:
        """OffsetDelete (KIP-496): refused for topics that a member subscribes to. A group goes with its last one."""
        error = self.gate(group_id)
        entry = self._find(group_id)
        if not error and (entry is None or entry.group.state is State.DEAD):
            error = ErrorCode.GROUP_ID_NOT_FOUND
        if not error and entry is not None and entry.group.members and entry.group.protocol_type != CONSUMER:
            error = ErrorCode.NON_EMPTY_GROUP
        if error or entry is None:
            done(error, {})
            return
        in_use = {p: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC for p in positions if entry.group.is_subscribed(p.topic)}
        errors: dict[Position, int] = {p: in_use.get(p, ErrorCode.NONE) for p in positions}
        gone = [p for p in positions if p not in in_use and p in entry.offsets.committed]
        is_last = len(gone) == len(entry.offsets.committed) and not entry.offsets.pending
        if positions and is_last and entry.group.state is State.EMPTY:
            self._remove(entry, gone, lambda code: done(code, errors))
        else:
            self._tombstones(entry, gone, lambda code: done(code, errors))

    # -- groups as a whole ---------------------------------------------------------------------------------------
    def delete(self, group_id: str, done: Callable[[int], None]) -> None:
        """DeleteGroups: an Empty group goes, with its offsets."""
        error = self.gate(group_id, empty_allowed=True)
        entry = self._find(group_id)
        if not error and (entry is None or entry.group.state is State.DEAD):
            error = ErrorCode.GROUP_ID_NOT_FOUND
        elif not error and entry is not None and entry.group.state is not State.EMPTY:
            error = ErrorCode.NON_EMPTY_GROUP
        if error or entry is None:
            done(error)
            return
        self._remove(entry, list(entry.offsets.committed), done)

    def groups(self) -> Iterator[Group]:
        """Those that are coordinated here and loaded."""
        for shard in self._shards.values():
            if not shard.loading:
                yield from (entry.group for entry in shard.entries.values())

    @property
    def is_loading(self) -> bool:
        return any(shard.loading for shard in self._shards.values())

    def group(self, group_id: str) -> tuple[int, Group | None]:
        """(error code, the group or None where it is not known)."""
        error = self.gate(group_id, empty_allowed=True)
        entry = None if error else self._find(group_id)
        return error, None if entry is None else entry.group

    def topics_deleted(self, topics: frozenset[str]) -> None:
        """The offsets of deleted topics go with them (GroupCoordinator.handleDeletedPartitions)."""
        for entry in self._entries():
            gone = entry.offsets.of_topics(topics)
            if gone:
                log.info("group %s: %d offsets of deleted topics removed", entry.group.group_id, len(gone))
                self._tombstones(entry, gone, lambda code: None)

    def gate(self, group_id: str | None, *, empty_allowed: bool = False) -> int:
        """Whether this broker may answer for the group (validateGroupStatus; facts F.1)."""
        if group_id is None or (not group_id and not empty_allowed):
            return ErrorCode.INVALID_GROUP_ID
        if not self.is_active:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        shard = self._shards.get(self.partition_of(group_id))
        if shard is None:
            return ErrorCode.NOT_COORDINATOR
        return ErrorCode.COORDINATOR_LOAD_IN_PROGRESS if shard.loading else ErrorCode.NONE

    def partition_of(self, group_id: str) -> int:
        return partition_for(group_id, self._topic.partition_count())

    # -- inside --------------------------------------------------------------------------------------------------
    def _at(self) -> Moment:
        return Moment(self._host.clock.monotonic(), self._host.clock.wall_ms())

    def _entries(self) -> list[Entry]:
        return [entry for shard in self._shards.values() if not shard.loading for entry in shard.entries.values()]

    def _find(self, group_id: str) -> Entry | None:
        shard = self._shards.get(self.partition_of(group_id))
        found: Entry | None = None if shard is None else shard.entries.get(group_id)
        return found

    def _create(self, group_id: str) -> Entry:
        shard = self._shards[self.partition_of(group_id)]
        entry = shard.entries[group_id] = Entry(Group(group_id, self._limits), shard)
        return entry

    def _perform(self, entry: Entry, effects: list[Effect]) -> None:
        """Arm the timer, then carry out the effects: the group has changed already."""
        self._arm(entry)
        for effect in effects:
            if isinstance(effect, Reply):
                effect.to.complete(effect.message)
            else:
                self._store(entry, effect)

    def _arm(self, entry: Entry) -> None:
        """One timer per group. A deadline that moved later is noticed when the timer fires."""
        due = entry.group.next_deadline()
        if due is None or entry.armed <= due:
            return
        if entry.timer is not None:
            entry.timer.cancel()
        entry.armed = due
        entry.timer = self._host.clock.call_later(max(due - self._host.clock.monotonic(), 0), self._tick, entry)

    def _tick(self, entry: Entry) -> None:
        entry.timer, entry.armed = None, float("inf")
        self._perform(entry, entry.group.tick(self._at()))

    def _store(self, entry: Entry, store: Store) -> None:
        group = entry.group
        log.info("group %s: generation %d with %d members", group.group_id, store.generation, len(store.value.members))

        def ended(error: int, base_offset: int) -> None:
            seen = GROUP_ERRORS.get(ErrorCode(error), ErrorCode(error))
            self._perform(entry, group.stored(store, seen, self._at()))

        key, value = group_records.group_key(group.group_id), group_records.group_value(store.value)
        record = Record(0, self._host.clock.wall_ms(), key, value)
        self._topic.append(entry.shard.partition, entry.shard.epoch, [record], ended)

    def _tombstones(
        self, entry: Entry, positions: list[Position], done: Callable[[int], None], *, group_too: bool = False
    ) -> None:
        group_id, stamp = entry.group.group_id, self._host.clock.wall_ms()
        entry.offsets.forget(positions)
        records = [Record(0, stamp, group_records.offset_key(group_id, *p), None) for p in positions]
        if group_too:
            records.append(Record(0, stamp, group_records.group_key(group_id), None))
        if not records:
            done(ErrorCode.NONE)
            return
        self._topic.append(
            entry.shard.partition,
            entry.shard.epoch,
            records,
            lambda error, _: done(GROUP_ERRORS.get(ErrorCode(error), ErrorCode(error))),
        )

    def _remove(self, entry: Entry, positions: list[Position], done: Callable[[int], None]) -> None:
        """The group is over. A group that never had a generation was never stored and needs no tombstone."""
        entry.group.delete()
        entry.shard.entries.pop(entry.group.group_id, None)
        if entry.timer is not None:
            entry.timer.cancel()
        self._tombstones(entry, positions, done, group_too=entry.group.generation > 0)

    # -- loading and expiry --------------------------------------------------------------------------------------
    async def _load(self, shard: Shard) -> None:
        """Read the partition from its start; a record that cannot be read is skipped with a warning.

        Not before all of it is committed: a new leader may hold what no other has, and that may be cut off yet.
        Apache's older coordinator answers with it, and a committed offset then goes back.
        """
        partition_log = self._topic.log(shard.partition)
        began = self._host.clock.monotonic()
        if partition_log is not None:
            end = partition_log.log_end_offset
            while partition_log.high_watermark < end and self._shards.get(shard.partition) is shard:
                await self._host.clock.sleep(COMMITTED_POLL_SECONDS)
            loaded = await replay(
                partition_log,
                lambda record: self._apply(shard, record),
                lambda: self._shards.get(shard.partition) is shard,
                lambda: asyncio.sleep(0),
            )
            if not loaded:
                return
        shard.loading = False
        self._loads.pop(shard.partition, None)
        for entry in list(shard.entries.values()):
            self._arm(entry)
        seconds = self._host.clock.monotonic() - began
        if shard.entries:
            log.info("__consumer_offsets-%d: %d groups loaded in %.3f s", shard.partition, len(shard.entries), seconds)

    def _apply(self, shard: Shard, record: Record) -> None:
        try:
            key = group_records.read_key(record.key or b"")
            if isinstance(key, OffsetCommitKey):
                value = None if record.value is None else group_records.read_offset_value(record.value)
                entry = self._loaded_entry(shard, key.group)
                entry.offsets.apply(Position(key.topic, key.partition), value, record.offset)
            elif isinstance(key, GroupMetadataKey):
                self._apply_group(shard, key.group, record)
        except Malformed as error:
            log.warning("__consumer_offsets-%d: record %d skipped: %s", shard.partition, record.offset, error)

    def _apply_group(self, shard: Shard, group_id: str, record: Record) -> None:
        entry = self._loaded_entry(shard, group_id)
        if record.value is None:
            entry.group = Group(group_id, self._limits)
            if not entry.offsets.committed:
                del shard.entries[group_id]
            return
        entry.group.load(group_records.read_group_value(record.value), self._at())

    def _loaded_entry(self, shard: Shard, group_id: str) -> Entry:
        entry: Entry | None = shard.entries.get(group_id)
        if entry is None:
            entry = shard.entries[group_id] = Entry(Group(group_id, self._limits), shard)
        return entry

    async def _expire_for_ever(self) -> None:
        while True:
            await self._host.clock.sleep(self._config.offsets_retention_check_interval_ms / 1000)
            self.expire()

    def expire(self) -> None:
        """Remove offsets whose retention is over, and groups that have nothing left (facts F.7)."""
        retention = self._config.offsets_retention_minutes * 60_000
        now_ms = self._host.clock.wall_ms()
        for entry in self._entries():
            group = entry.group
            gone = entry.offsets.expired(now_ms, functools.partial(_retention_ends, group, retention))
            if group.state is State.EMPTY and len(gone) == len(entry.offsets.committed) and not entry.offsets.pending:
                if not group.pending:
                    self._remove(entry, gone, lambda code: None)
            elif gone:
                self._tombstones(entry, gone, lambda code: None)


def _retention_ends(group: Group, retention_ms: int, position: Position, value: OffsetCommitValue) -> int | None:
    """When a commit's time is over by ``offsets.retention.minutes``, wall ms; None: not as things are."""
    if group.protocol_type is None:
        return value.commit_timestamp + retention_ms
    if group.state is State.EMPTY:
        since = group.state_ms if group.state_ms >= 0 else value.commit_timestamp
        return max(since, value.commit_timestamp) + retention_ms
    if group.state is State.STABLE and group.protocol_type == CONSUMER and not group.is_subscribed(position.topic):
        return value.commit_timestamp + retention_ms
    return None
