"""Replicas that move between this broker's log directories (ReplicaAlterLogDirsManager, ReplicaAlterLogDirsThread).

One partition at a time is copied, in slices between which the event loop serves others, until its future log ends
where the current one does; then the two are exchanged between two requests. Leaders and followers move alike. A
replica that was told neither to lead nor to follow stands still, and goes on with its next LeaderAndIsr.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from broker.host import LogDirFailed
from broker.replication.partition import Role
from broker.replication.quota import Throttle
from broker.storage.futures import check_target, future_of
from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition
    from broker.replication.replicas import Replicas
    from broker.storage.log import Log

logger = logging.getLogger(__name__)

SLICE: Final = 256 * 1024
"""Bytes copied at once: a fraction of a millisecond, in which nobody else is served."""
PAUSE_SECONDS: Final = 0.1
"""How long to wait before looking again whether the throttle lets more through."""

Key = tuple[str, int]


class Moves:
    """Of one broker. ``alter`` begins a move, ``resume`` one that an earlier life began, ``forget`` ends one."""

    def __init__(self, replicas: Replicas, throttle: Throttle) -> None:
        self._replicas = replicas
        self._dirs = replicas.logdirs
        self._clock = replicas.host.clock
        self._throttle = throttle
        self._moving: dict[Key, None] = {}
        self._task: asyncio.Task[None] | None = None

    def alter(self, topic: str, index: int, path: str) -> None:
        """Move the replica to log directory ``path``; to where it is: give a move up that is under way.

        Raises KafkaError LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR (a directory is offline), INVALID_TOPIC_EXCEPTION, and
        REPLICA_NOT_AVAILABLE or UNKNOWN_TOPIC_OR_PARTITION where there is no such replica yet: it will be made there.
        """
        dirs, replicas = self._dirs, self._replicas
        check_target(dirs, topic, index, path)
        if replicas.is_offline(topic, index):
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"Partition {topic}-{index} is offline")
        hosted, future = replicas.get(topic, index), dirs.futures.get(topic, index)
        if hosted is not None and future is not None and future.log_dir != path:
            self.forget(topic, index)
            dirs.futures.remove(topic, index)
        dirs.futures.prefer(topic, index, path)
        if hosted is None:
            is_known = replicas.metadata.partition(topic, index) is not None
            raise KafkaError(ErrorCode.REPLICA_NOT_AVAILABLE if is_known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        try:
            future = future_of(dirs, topic, index, path, hosted.log.config)
        except LogDirFailed as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        if future is not None:
            self.resume(hosted)

    def resume(self, hosted: HostedPartition) -> None:
        """Go on with the move of a replica that leads or follows, if it has one."""
        if self._dirs.futures.get(hosted.topic, hosted.index) is not None:
            self._moving[hosted.topic, hosted.index] = None
            if self._task is None or self._task.done():
                self._task = asyncio.ensure_future(self._run())

    def forget(self, topic: str, index: int) -> None:
        """Copy no more of it; its files are the caller's business."""
        self._moving.pop((topic, index), None)

    async def stop(self) -> None:
        self._moving.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while self._moving:
            key = next(iter(self._moving))
            try:
                await self._move(key)
            except (KafkaError, LogDirFailed, ValueError) as error:
                logger.warning("%s-%d: its move to another log directory stands still: %s", *key, error)
            except Exception:
                logger.exception("%s-%d: its move to another log directory stands still", *key)
            self._moving.pop(key, None)

    async def _move(self, key: Key) -> None:
        prepared: Log | None = None
        while (found := self._pair(key)) is not None:
            hosted, future = found
            if self._throttle.is_exceeded(self._clock.monotonic()):
                await self._clock.sleep(PAUSE_SECONDS)
                continue
            copied = self._dirs.futures.fill(hosted.log, future, SLICE)
            if copied:
                self._throttle.record(copied, self._clock.monotonic())
            if future.log_end_offset < hosted.log.log_end_offset:
                await self._clock.sleep(0)
            elif prepared is future:
                await self._exchange(hosted, future)
                return
            else:
                await self._prepare(hosted.log, future)
                prepared = future

    def _pair(self, key: Key) -> tuple[HostedPartition, Log] | None:
        """The replica and its future, while both are here and the move is wanted."""
        hosted, future = self._replicas.get(*key), self._dirs.futures.get(*key)
        if key not in self._moving or hosted is None or future is None or hosted.partition.role is Role.NONE:
            return None
        return hosted, future

    async def _prepare(self, current: Log, future: Log) -> None:
        try:
            await self._dirs.futures.prepare(current, future)
        except OSError as error:
            if self._dirs.holds(future):
                self._dirs.dir_failed(future.log_dir, error)

    async def _exchange(self, hosted: HostedPartition, future: Log) -> None:
        current = hosted.log
        self._dirs.futures.swap(current, future)
        self._replicas.log_replaced(hosted, future)
        try:
            await self._dirs.futures.settle(current, future)
        except OSError as error:
            logger.warning("%s: moved, but perhaps not on the disk yet: %s", hosted, error)
