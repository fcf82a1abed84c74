"""What goes on behind the logs: retention, flushes, checkpoints, removal of deleted files (LogManager's tasks)."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from broker.config import KafkaConfig
from broker.host import Host, LogDirFailed
from broker.host.files import write_durably
from broker.storage import checkpoints
from broker.storage.log import Log

if TYPE_CHECKING:
    from broker.storage.logdirs import LogDirs

logger = logging.getLogger(__name__)

NEVER_MS = 1 << 53
"""Intervals from here on (Kafka's default is the largest long) mean: not at all."""


class Housekeeping:
    """Tasks of one LogDirs. Deletions and flushes may be asked for before ``start``; they are done after it."""

    def __init__(self, dirs: LogDirs, host: Host, config: KafkaConfig) -> None:
        self._dirs = dirs
        self._host = host
        self._config = config
        self._tasks: list[asyncio.Task[None]] = []
        self._to_flush: dict[Log, None] = {}
        self._to_remove: list[tuple[float, int, str]] = []
        self._removals = 0
        self._writing = asyncio.Lock()
        self._wake_flush = asyncio.Event()
        self._wake_removal = asyncio.Event()
        self._flushed_at: dict[Log, float] = {}
        self._written: dict[str, bytes] = {}
        self._checkpoints = (
            (checkpoints.RECOVERY_POINT, self.checkpoint_recovery),
            (checkpoints.LOG_START, self.checkpoint_log_starts),
            (checkpoints.REPLICATION, self.checkpoint_high_watermarks),
        )

    def start(self) -> None:
        """Begin; the first round of each task comes after log.initial.task.delay.ms."""
        config = self._config
        for name, interval_ms, action in (
            ("retention", lambda: config.log_retention_check_interval_ms, self.apply_retention),
            ("flush", lambda: config.log_flush_scheduler_interval_ms, self._flush_old),
            ("recovery points", lambda: config.log_flush_offset_checkpoint_interval_ms, self.checkpoint_recovery),
            ("log starts", lambda: config.log_flush_start_offset_checkpoint_interval_ms, self.checkpoint_log_starts),
            ("producers", lambda: config.producer_id_expiration_check_interval_ms, self._expire_producers),
        ):
            self._begin(name, self._every(interval_ms, action, config.log_initial_task_delay_ms))
        interval = config.replica_high_watermark_checkpoint_interval_ms
        self._begin("high watermarks", self._every(lambda: interval, self.checkpoint_high_watermarks, interval))
        self._begin("flush after roll", self._flush_rolled())
        self._begin("removal", self._remove_when_due())

    async def stop(self) -> None:
        """End every task; what was not removed yet is removed at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _begin(self, name: str, body: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(self._guarded(name, body)))

    async def _guarded(self, name: str, body: Awaitable[None]) -> None:
        try:
            await body
        except Exception as error:
            logger.exception("log dirs: the %s task has died", name)
            self._dirs.fatal(f"the {name} task has died: {error}")

    async def _every(
        self, interval_ms: Callable[[], int], action: Callable[[], Awaitable[None]], delay_ms: int
    ) -> None:
        if interval_ms() >= NEVER_MS:
            return
        await self._host.clock.sleep(delay_ms / 1000)
        while True:
            await action()
            await self._host.clock.sleep(interval_ms() / 1000)

    # --- retention

    async def apply_retention(self) -> None:
        """One round over all logs, letting others in between; a failing dir costs the rest of its logs only."""
        for log in self._dirs.logs():
            try:
                gone = log.delete_old_segments(self._host.clock.wall_ms())
            except LogDirFailed:
                continue
            if gone:
                logger.info("%s-%d: %d segments deleted", log.topic, log.partition, gone)
            await self._host.clock.sleep(0)

    async def _expire_producers(self) -> None:
        now = self._host.clock.wall_ms()
        for log in self._dirs.logs():
            if log.producers.producers:
                log.producers.expire(now, self._config.producer_id_expiration_ms)

    # --- flushes

    def flush_soon(self, log: Log) -> None:
        """The log has rolled, was truncated, or has written flush.messages since the last flush."""
        self._to_flush[log] = None
        self._wake_flush.set()

    async def _flush_rolled(self) -> None:
        while True:
            await self._wake_flush.wait()
            self._wake_flush.clear()
            while self._to_flush:
                log = next(iter(self._to_flush))
                del self._to_flush[log]
                await self.flush(log)

    async def _flush_old(self) -> None:
        now = self._host.clock.monotonic()
        for log in self._dirs.logs():
            due = self._flushed_at.setdefault(log, now) + log.config.flush_ms / 1000
            if log.recovery_point < log.log_end_offset and now >= due:
                self._flushed_at[log] = now
                await self.flush(log)

    async def flush(self, log: Log) -> None:
        """Now, unless the log is gone; a failing fsync ends the broker."""
        if log.dir.is_offline or not self._dirs.holds(log):
            return
        try:
            await log.flush()
        except OSError as error:
            if self._dirs.holds(log):
                self._dirs.fatal(f"{log.topic}-{log.partition}: fsync failed: {error}")

    # --- checkpoints

    async def checkpoint_all(self) -> None:
        """All three kinds, for a clean stop."""
        for _, write in self._checkpoints:
            await write()

    async def checkpoint_high_watermarks(self) -> None:
        await self._checkpoint(checkpoints.REPLICATION, lambda log: log.high_watermark)

    async def checkpoint_recovery(self) -> None:
        await self._checkpoint(checkpoints.RECOVERY_POINT, lambda log: log.recovery_point)

    async def checkpoint_log_starts(self) -> None:
        await self._checkpoint(
            checkpoints.LOG_START,
            lambda log: log.log_start_offset if log.log_start_offset > log.segments[0].base else None,
        )

    async def forget(self, removed: Sequence[tuple[str, str, int]]) -> None:
        """Take out of the checkpoints what they say of (log dir, topic, partition) that were removed; durably.

        A loss of power would else give it to a new log of that name: a high watermark that it never had.
        """
        for name, write in self._checkpoints:
            found = {path: self._content(f"{path}/{name}") for path, _, _ in removed}
            if any(f"\n{topic} {partition} ".encode() in found[path] for path, topic, partition in removed):
                await write()

    def _content(self, file: str) -> bytes:
        try:
            return self._host.files.read(file)
        except OSError:
            return b""  # none is there, or the directory has failed

    async def _checkpoint(self, name: str, offset_of: Callable[[Log], int | None]) -> None:
        """Two tasks may want the same file, which goes by way of one temporary name: one after the other."""
        async with self._writing:
            entries: dict[str, list[tuple[str, int, int]]] = {path: [] for path in self._dirs.live_dirs}
            for log in chain(self._dirs.logs(), self._dirs.futures.logs()):
                offset = offset_of(log)
                if offset is not None and log.log_dir in entries:
                    entries[log.log_dir].append((log.topic, log.partition, offset))
            for path, lines in entries.items():
                await self._write(f"{path}/{name}", path, checkpoints.format_offsets(lines))

    async def _write(self, file: str, log_dir: str, content: bytes) -> None:
        if self._written.get(file) == content:
            return
        try:
            await write_durably(self._host.files, file, content)
            self._written[file] = content
        except OSError as error:
            self._dirs.dir_failed(log_dir, error)

    # --- removal

    def remove_later(self, paths: Sequence[str], delay_ms: int) -> None:
        """Remove files or whole directories in ``delay_ms``, off the event loop."""
        due = self._host.clock.monotonic() + delay_ms / 1000
        for path in paths:
            self._removals += 1
            heapq.heappush(self._to_remove, (due, self._removals, path))
        self._wake_removal.set()

    async def _remove_when_due(self) -> None:
        while True:
            while self._to_remove and self._to_remove[0][0] <= self._host.clock.monotonic():
                _, _, path = heapq.heappop(self._to_remove)
                await self._host.workers.wait(self._remove, path)
            self._wake_removal.clear()
            if not self._to_remove:
                await self._wake_removal.wait()
            else:
                pause = self._to_remove[0][0] - self._host.clock.monotonic()
                await self._host.clock.sleep(min(max(pause, 0.001), 1.0))

    def _remove(self, path: str) -> None:
        """In a worker thread. What cannot be removed now is removed at the next start."""
        try:
            found = self._host.files.stat(path)
            if found is not None and found.is_dir:
                self._host.files.rmtree(path)
            elif found is not None:
                self._host.files.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("%s could not be removed: %s", path, error)
