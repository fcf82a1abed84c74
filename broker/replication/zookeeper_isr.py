"""Changing the ISR in ZooKeeper, as leaders do below 2.7 (kafka.server.ZkAlterPartitionManager, ReplicationUtils).

The leader writes the partition's state on condition of its version, and tells the controller by a sequential node, not
for each change but when things have calmed down (facts A.7).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from broker.host import Clock
from broker.replication.alter_partition import Perform, Waiting
from broker.replication.hosted import HostedPartition
from broker.replication.partition import Proposal
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, CreateMode, GetData, Result, SetData, ZkCode, ZkError
from broker.zk.znodes import MalformedZnode, PartitionState

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
TELL_EVERY: Final = 2.5
CALM: Final = 5.0
LONGEST: Final = 60.0


class ZooKeeperChanges:
    """Proposals written by this broker itself. While ZooKeeper is away they stay pending and are tried again."""

    def __init__(self, zk: ZooKeeperClient, clock: Clock, broker_id: int, perform: Perform) -> None:
        self._zk = zk
        self._clock = clock
        self._broker_id = broker_id
        self._perform = perform
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._changed: dict[tuple[str, int], None] = {}
        self._changed_at = 0.0
        self._told_at = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def propose(self, hosted: HostedPartition, proposal: Proposal) -> None:
        """Write it soon; what was proposed for that partition before is void."""
        self._waiting[hosted.topic, hosted.index] = Waiting(hosted, proposal)
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_all())

    async def stop(self) -> None:
        tasks = [task for task in (self._writing, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write_all(self) -> None:
        while self._waiting:
            sent = [each for each in self._waiting.values() if each.still_stands]
            self._waiting = {(each.hosted.topic, each.hosted.index): each for each in sent}
            try:
                results = await self._zk.request([self._operation(each) for each in sent])
                for waiting, result in zip(sent, results, strict=True):
                    await self._written(waiting, result)
            except ZkError as error:
                logger.info("isr change in ZooKeeper: %s; tried again", error)
                await self._clock.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("isr change in ZooKeeper failed; tried again")
                await self._clock.sleep(RETRY_SECONDS)
        self._writing = None

    def _operation(self, waiting: Waiting) -> SetData:
        hosted, proposal = waiting
        path = znodes.partition_state(hosted.topic, hosted.index)
        return SetData(path, self._state(waiting).encode(), proposal.partition_epoch)

    def _state(self, waiting: Waiting) -> PartitionState:
        hosted, proposal = waiting
        epoch = hosted.partition.controller_epoch
        return PartitionState(self._broker_id, proposal.leader_epoch, proposal.isr, epoch)

    async def _written(self, waiting: Waiting, result: Result) -> None:
        """A lost write may be our own (its first answer was lost); any other means that a LeaderAndIsr will come."""
        version: int | None = None
        if result.ok:
            version = result.version
        elif result.code == ZkCode.BAD_VERSION:
            version = await self._version_if_ours(waiting)
        else:
            result.or_raise()
        hosted, proposal = waiting
        key = (hosted.topic, hosted.index)
        if self._waiting.get(key) is waiting:
            del self._waiting[key]
        now = self._clock.monotonic()
        if version is None:
            logger.info("%s isr in ZooKeeper was changed by another; waits for LeaderAndIsr", hosted)
            return
        self._note_change(key, now)
        effects = hosted.partition.isr_accepted(proposal, proposal.leader_epoch, proposal.isr, version, now)
        self._perform(hosted, effects)

    async def _version_if_ours(self, waiting: Waiting) -> int | None:
        path = znodes.partition_state(waiting.hosted.topic, waiting.hosted.index)
        [found] = await self._zk.request([GetData(path)])
        if not found.ok:
            return None
        try:
            held = PartitionState.decode(found.data)
        except MalformedZnode:
            return None
        return found.version if held == self._state(waiting) else None

    def _note_change(self, key: tuple[str, int], now: float) -> None:
        self._changed[key] = None
        self._changed_at = now
        if self._telling is None:
            self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        """Every 2.5 s, if there is news and it is calm, or has not been for a minute (maybePropagateIsrChanges)."""
        while self._changed:
            await self._clock.sleep(TELL_EVERY)
            now = self._clock.monotonic()
            if self._changed_at + CALM > now and self._told_at + LONGEST > now:
                continue
            changed, self._changed = self._changed, {}
            data = znodes.encode_partition_set(sorted(changed))
            try:
                [result] = await self._zk.request([Create(znodes.ISR_CHANGE_PREFIX, data, CreateMode.SEQUENTIAL)])
                result.or_raise()
                self._told_at = self._clock.monotonic()
            except ZkError as error:
                logger.info("isr change notification: %s; tried again", error)
                self._changed = {**changed, **self._changed}
        self._telling = None
