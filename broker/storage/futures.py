"""Replicas on their way to another log directory (LogManager's futureLogs and preferredLogDirs; KIP-113).

A future replica is a log of its own in the target directory, named ``topic-partition.<32 hex>-future``. It is filled
from the current log; once both end at the same offset it is renamed to the partition's own name and the other to
``-delete``. What a crash leaves behind is told apart by a file in the future's directory, ``replaces``: it is written,
and all of the future is on the disk, before the renames, and it goes once these are on the disk:

    found at start                              what is done
    future without the file                     a move that goes on with the next LeaderAndIsr
    future with it, at or past the current      the renames are done now
    future with it, behind the current          the file is removed, the move goes on
    future with it, the current is gone         the rename is done now
    two currents, one with it                   that one stays, the other is deleted
    current with it                             the file is removed
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from broker.config import LogConfig
from broker.host import Host, LogDirFailed
from broker.host.files import write_durably
from broker.storage import directory_names
from broker.storage.log import Log
from broker.storage.log_dir import LogDir
from broker.storage.recovery import create_log
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.storage.logdirs import LogDirs

logger = logging.getLogger(__name__)

REPLACES = "replaces"

Key = tuple[str, int]


class Futures:
    """The future replicas of one LogDirs, and where replicas that do not exist yet are wanted."""

    def __init__(self, dirs: LogDirs, host: Host) -> None:
        self._dirs = dirs
        self._host = host
        self._logs: dict[Key, Log] = {}
        self._preferred: dict[Key, str] = {}

    def get(self, topic: str, partition: int) -> Log | None:
        return self._logs.get((topic, partition))

    def logs(self) -> Iterator[Log]:
        """Every online one; safe against those that come and go meanwhile."""
        return iter(list(self._logs.values()))

    # --- where replicas are wanted

    def prefer(self, topic: str, partition: int, path: str) -> None:
        """Remember ``path`` for when the replica is made, unless it, or its future, is there already."""
        current, future = self._dirs.get(topic, partition), self.get(topic, partition)
        if not any(log is not None and log.log_dir == path for log in (current, future)):
            self._preferred[topic, partition] = path

    def preferred(self, topic: str, partition: int) -> str | None:
        return self._preferred.get((topic, partition))

    def satisfied(self, topic: str, partition: int) -> None:
        """The replica is where it was wanted, or is no more."""
        self._preferred.pop((topic, partition), None)

    # --- a move

    def create(self, log_dir: LogDir, current: Log) -> Log:
        """An empty future of ``current`` in ``log_dir``. Raises LogDirFailed."""
        unique = self._host.dice.uuid().hex
        name = directory_names.future_name(current.topic, current.partition, unique)
        future = Log(log_dir, f"{log_dir.path}/{name}", current.topic, current.partition, current.config)
        try:
            create_log(future, self._host.clock.wall_ms())
        except OSError as error:
            log_dir.fail(error)
        if current.topic_id is not None:
            future.set_topic_id(current.topic_id)
        self.add(future)
        self.satisfied(current.topic, current.partition)
        logger.info("%s-%d: future log created in %s", current.topic, current.partition, log_dir.path)
        return future

    def add(self, future: Log) -> None:
        self._logs[future.topic, future.partition] = future

    def remove(self, topic: str, partition: int) -> None:
        """Give a move up: the future's files go, the current log stays what it is."""
        future = self._logs.pop((topic, partition), None)
        if future is not None:
            self._dirs.delete_files(future)
            logger.info("%s-%d: future log in %s deleted", topic, partition, future.log_dir)

    def drop(self, log: Log) -> None:
        """Know it no longer; its files are the caller's business."""
        if self.get(log.topic, log.partition) is log:
            del self._logs[log.topic, log.partition]

    def fill(self, current: Log, future: Log, max_bytes: int) -> int:
        """Bring ``future`` closer to ``current``; bytes that were copied. 0: it ends where the current log does.

        Raises LogDirFailed of either directory, and KafkaError for batches that no log takes.
        """
        copied, start, end = 0, current.log_start_offset, current.log_end_offset
        if future.log_end_offset < start:
            future.truncate_fully_and_start_at(start)
        if future.log_end_offset < end:
            records = current.read(future.log_end_offset, max_bytes, end).records
            copied = len(records)
            if records:
                _append(future, records)
            else:  # compaction left the end without one
                future.log_end_offset = end
                future.roll(self._host.clock.wall_ms(), end)
        future.high_watermark = max(min(current.high_watermark, future.log_end_offset), future.log_start_offset)
        if future.log_start_offset < start <= future.high_watermark:
            future.increment_log_start_offset(start)
        return copied

    def current_truncated(self, current: Log) -> None:
        """What the current log gave up goes from the future as well, before anything is written there anew."""
        future = self.get(current.topic, current.partition)
        if future is None or future is current or future.dir.is_offline:
            return
        try:
            if future.log_start_offset > current.log_end_offset:
                future.truncate_fully_and_start_at(current.log_end_offset)
            else:
                future.truncate_to(current.log_end_offset)
        except LogDirFailed as error:
            logger.warning("%s-%d: future log: %s", current.topic, current.partition, error)

    async def prepare(self, current: Log, future: Log) -> None:
        """All of ``future`` durable, and a word of what it is to replace. Raises OSError."""
        await future.flush()
        await self._host.files.fsync_dir(current.directory)
        await write_durably(self._host.files, f"{future.directory}/{REPLACES}", f"{current.directory}\n".encode())

    def swap(self, current: Log, future: Log) -> None:
        """``future``, which ends where ``current`` does, takes its place. Raises LogDirFailed of the future's dir."""
        key = current.topic, current.partition
        future.rename(f"{future.log_dir}/{directory_names.name_of(*key)}")
        future.high_watermark = current.high_watermark
        for epoch, start in current.leader_epochs.entries():
            if epoch > future.leader_epochs.latest:
                future.leader_epochs.assign(epoch, start)
        for producer_id, producer in current.producers.producers.items():
            future.producers.producers.setdefault(producer_id, producer)
        self._logs.pop(key, None)
        self._dirs.replaced(current, future)
        logger.info("%s-%d: moved from %s to %s", *key, current.log_dir, future.log_dir)

    async def settle(self, current: Log, moved: Log) -> None:
        """The renames on the disk, then the word of them is removed. Raises OSError."""
        for path in (moved.log_dir, current.log_dir):
            if path in self._dirs.live_dirs:
                await self._host.files.fsync_dir(path)
        if self._dirs.get(moved.topic, moved.partition) is moved:
            self._host.files.unlink(f"{moved.directory}/{REPLACES}")

    # --- failure, start

    def dir_failed(self, log_dir: LogDir) -> None:
        for key in [key for key, log in self._logs.items() if log.dir is log_dir]:
            self._logs.pop(key).close()

    def is_marked(self, log: Log) -> bool:
        """Whether it was about to replace another, or has."""
        return self._host.files.stat(f"{log.directory}/{REPLACES}") is not None

    def settle_at_start(self) -> None:
        """What the last life left half done, by the table above. Raises OSError, LogDirFailed."""
        for log in self._dirs.logs():
            self._unmark(log)
        for future in self.logs():
            current = self._dirs.get(future.topic, future.partition)
            if current is None:
                if self.is_marked(future) and not self._dirs.offline_dirs:
                    future.rename(f"{future.log_dir}/{directory_names.name_of(future.topic, future.partition)}")
                    self._logs.pop((future.topic, future.partition))
                    self._dirs.adopt(future)
                    self._unmark(future)
            elif self.is_marked(future) and future.log_end_offset >= current.log_end_offset:
                self.swap(current, future)
                self._unmark(future)
            else:
                self._unmark(future)
                self.current_truncated(current)

    def _unmark(self, log: Log) -> None:
        if self.is_marked(log):
            self._host.files.unlink(f"{log.directory}/{REPLACES}")


def _append(future: Log, records: batches.Buffer) -> None:
    """Verbatim. The current log may begin within its first batch (DeleteRecords): then the future begins with it."""
    first = batches.header(records).base_offset
    if first < future.log_end_offset:
        if future.log_start_offset == future.log_end_offset:
            future.truncate_fully_and_start_at(first)
        else:
            future.truncate_to(first)
    future.append_as_follower(records)


def check_target(dirs: LogDirs, topic: str, partition: int, path: str) -> None:
    """Raises KafkaError LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, or INVALID_TOPIC_EXCEPTION for too long a name."""
    if len(directory_names.future_name(topic, partition, UUID(int=0).hex)) > directory_names.MAX_NAME:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "The topic name is too long.")
    if path in dirs.offline_dirs:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"Log directory {path} is offline")
    if path not in dirs.live_dirs:
        raise KafkaError(ErrorCode.LOG_DIR_NOT_FOUND, f"Log dir {path} is not found in the config.")


def future_of(dirs: LogDirs, topic: str, partition: int, path: str, config: LogConfig) -> Log | None:
    """The future replica in ``path``, made when absent; None when the current log is there already.

    Raises KafkaError KAFKA_STORAGE_ERROR while some directory is offline, which may hold another; LogDirFailed.
    """
    current, future = dirs.get(topic, partition), dirs.futures.get(topic, partition)
    if current is None or current.log_dir == path:
        return None
    if future is not None:
        return future
    if dirs.offline_dirs:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "no move is begun while a log directory is offline")
    return dirs.create_future(current, path)
