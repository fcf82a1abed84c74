"""The broker's log directories and every log in them (kafka.log.LogManager; facts D.9, E.8, E.10)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from uuid import UUID

from broker.config import KafkaConfig, LogConfig
from broker.host import Host, LogDirFailed
from broker.host.files import Lock
from broker.storage import directory_names
from broker.storage.cleaner import Cleaner
from broker.storage.futures import Futures
from broker.storage.housekeeping import Housekeeping
from broker.storage.loading import CLEAN_SHUTDOWN, load_dir
from broker.storage.log import Log
from broker.storage.log_dir import LogDir
from broker.storage.meta_properties import MetaProperties, check_agreement, read_meta, write_meta
from broker.storage.recovery import create_log
from broker.storage.room import is_full
from broker.storage.segment import OpenFiles
from broker.wire.errors import ErrorCode, KafkaError

logger = logging.getLogger(__name__)

LOCK = ".lock"
OPEN_SEGMENTS = 4096
"""Segments whose ``.log`` may be open at once; past that the one opened first is closed."""
SYNCS_AT_ONCE = 16
CLEAN_MARK = b'{"version":0,"brokerEpoch":-1}'


class NoLogDirs(ValueError):
    """None of log.dirs can be used."""


class LogDirs:
    """Life: ``lock_and_read_meta``, (ids decided) ``write_meta``, ``load``, ``start``, ..., ``stop``.

    ``on_dir_failed(dir, [(topic, partition), ...])`` is called soon after a dir went offline: its logs are gone from
    here by then. ``on_fatal(reason)`` when the last dir went offline or an fsync failed: the process must end without
    ``stop``, so that the next start recovers.
    """

    def __init__(
        self,
        host: Host,
        config: KafkaConfig,
        on_dir_failed: Callable[[str, list[tuple[str, int]]], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._host = host
        self._config = config
        self._tell_dir_failed = on_dir_failed
        self._tell_fatal = on_fatal
        self.housekeeping = Housekeeping(self, host, config)
        self.cleaner = Cleaner(self, host, config)
        self.futures = Futures(self, host)
        self._removed: list[tuple[str, str, int]] = []
        self._open_files = OpenFiles(min(OPEN_SEGMENTS, host.net.descriptors() // 2))
        self._dirs = {path: self._log_dir(path) for path in config.log_dirs}
        self.full_dirs: tuple[str, ...] = ()
        """Those that are offline because their disks were full."""
        self._metas: dict[str, MetaProperties] = {}
        self._locks: dict[str, Lock] = {}
        self._logs: dict[tuple[str, int], Log] = {}
        self._offline_logs: dict[tuple[str, int], str] = {}
        self._is_fatal = False

    def _log_dir(self, path: str) -> LogDir:
        made = LogDir(path, self._host.files, self._host.dice, self._open_files)
        made.on_failed = self._dir_failed
        made.on_truncated = self._truncated
        made.checkpoint_recovery = self.housekeeping.checkpoint_recovery
        made.request_flush = self.housekeeping.flush_soon
        made.remove_later = self.housekeeping.remove_later
        return made

    @property
    def live_dirs(self) -> tuple[str, ...]:
        """In the order of log.dirs."""
        return tuple(path for path, each in self._dirs.items() if not each.is_offline)

    @property
    def offline_dirs(self) -> tuple[str, ...]:
        return tuple(path for path, each in self._dirs.items() if each.is_offline)

    # --- start

    def lock_and_read_meta(self) -> list[MetaProperties]:
        """Make the dirs, lock each and read ``meta.properties``; unusable dirs go offline.

        Raises ValueError with a line for the user when another process holds a dir, when the dirs disagree, or when
        none can be used.
        """
        for path, log_dir in self._dirs.items():
            try:
                self._host.files.mkdir(path)
                self._locks[path] = self._host.files.lock(f"{path}/{LOCK}")
                meta = read_meta(self._host.files, path)
            except BlockingIOError:
                self.release_locks()
                raise ValueError(
                    f"Failed to acquire lock on file {LOCK} in {path}. A Kafka instance in another process is using it."
                ) from None
            except OSError as error:
                self._offline_at_start(log_dir, error)
                continue
            if meta is not None:
                self._metas[path] = meta
        self._check_some_live()
        check_agreement(list(self._metas.items()))
        return list(self._metas.values())

    def release_locks(self) -> None:
        """Let others use the dirs; ``stop`` does it last."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()

    async def write_meta(self, broker_id: int, cluster_id: str) -> None:
        """Write ``meta.properties`` durably in each live dir where it says something else."""
        for path in self.live_dirs:
            found = self._metas.get(path)
            wanted = MetaProperties(broker_id, cluster_id, found.others if found else {})
            if found != wanted:
                try:
                    await write_meta(self._host.files, path, wanted)
                except OSError as error:
                    self._offline_at_start(self._dirs[path], error)
                self._metas[path] = wanted
        self._check_some_live()

    async def load(self, config_of: Callable[[str], LogConfig]) -> None:
        """Open every log; recover those of a dir without clean mark. ``config_of(topic)``: defaults plus overrides.

        A dir that cannot be read goes offline. Raises ValueError when a partition lies in two dirs, or no dir is left.
        """
        for log_dir in list(self._dirs.values()):
            if log_dir.is_offline:
                continue
            try:
                loaded = await load_dir(self._host, self._config, log_dir, config_of)
            except (OSError, LogDirFailed) as error:
                cause = error.cause if isinstance(error, LogDirFailed) else error
                self._offline_at_start(log_dir, cause)
                continue
            for log in loaded:
                self._loaded(log)
            try:
                self.cleaner.load(log_dir.path)
            except OSError as error:
                self._offline_at_start(log_dir, error)
        try:
            self.futures.settle_at_start()
        except LogDirFailed as error:
            logger.error("log dirs: a move could not be finished: %s", error)
        except OSError as error:
            self.fatal(f"a move between log dirs could not be finished: {error}")
        self._check_some_live()
        logger.info("log dirs: %d logs loaded from %s", len(self._logs), ", ".join(self.live_dirs))

    def _loaded(self, log: Log) -> None:
        """Raises ValueError when the partition lies in two dirs, and no move explains why."""
        other = self._logs.get((log.topic, log.partition))
        if directory_names.is_future(log.directory):
            self.futures.add(log)
        elif other is None or self.futures.is_marked(log):
            self._logs[log.topic, log.partition] = log
            if other is not None:
                self.delete_files(other)
        elif self.futures.is_marked(other):
            self.delete_files(log)
        else:
            raise ValueError(f"partition {log.topic}-{log.partition} is in {other.log_dir} and {log.log_dir}")

    def start(self) -> None:
        """Begin retention, compaction, flush, checkpoints and removal of deleted files."""
        self.housekeeping.start()
        self.cleaner.start()

    def _offline_at_start(self, log_dir: LogDir, error: OSError) -> None:
        log_dir.is_offline = True
        logger.error("log dir %s cannot be used: %s", log_dir.path, error)

    def _check_some_live(self) -> None:
        if not self.live_dirs:
            raise NoLogDirs(f"none of the log.dirs can be used: {', '.join(self._dirs)}")

    # --- logs

    def get(self, topic: str, partition: int) -> Log | None:
        """The log if it is here and online."""
        return self._logs.get((topic, partition))

    def logs(self) -> Iterator[Log]:
        """Every online log; safe against logs that come and go meanwhile."""
        return iter(list(self._logs.values()))

    def holds(self, log: Log) -> bool:
        """Whether it is online here, as a replica or as a future one."""
        return log in (self._logs.get((log.topic, log.partition)), self.futures.get(log.topic, log.partition))

    def is_offline(self, topic: str, partition: int) -> bool:
        """Whether the log was in a dir that went offline."""
        return (topic, partition) in self._offline_logs

    def get_or_create(
        self,
        topic: str,
        partition: int,
        topic_id: UUID | None,
        config: LogConfig,
        is_new: bool,
        level: int = logging.INFO,
    ) -> Log:
        """The log; when absent it is made where AlterReplicaLogDirs wants it, or in the live dir with the fewest.

        Raises KafkaError KAFKA_STORAGE_ERROR when absent, not ``is_new`` and some dir is offline (it may be there,
        facts E.10), INCONSISTENT_TOPIC_ID when the log has another id; LogDirFailed.
        """
        log = self._logs.get((topic, partition))
        if log is None:
            if self.offline_dirs and (not is_new or not self.live_dirs):
                message = f"no log of {topic}-{partition} in the online log dirs, and some are offline"
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, message)
            log = self._create(topic, partition, config)
            lost = [each.lost.pop((topic, partition), 0) for each in self._dirs.values()]
            log.may_lack_committed = not is_new and any(lost)
            logger.log(level, "%s-%d: log created in %s", topic, partition, log.log_dir)
        if topic_id is not None and topic_id.int:
            if log.topic_id is None:
                log.set_topic_id(topic_id)
            elif log.topic_id != topic_id:
                message = f"{topic}-{partition} has topic id {log.topic_id} here, {topic_id} was asked for"
                raise KafkaError(ErrorCode.INCONSISTENT_TOPIC_ID, message)
        return log

    def _create(self, topic: str, partition: int, config: LogConfig) -> Log:
        log_dir = self._dirs[self.futures.preferred(topic, partition) or self._emptiest_dir()]
        if log_dir.is_offline:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"log directory {log_dir.path} is offline")
        directory = f"{log_dir.path}/{directory_names.name_of(topic, partition)}"
        log = Log(log_dir, directory, topic, partition, config)
        try:
            create_log(log, self._host.clock.wall_ms())
        except OSError as error:
            log_dir.fail(error)
        self._logs[topic, partition] = log
        self._offline_logs.pop((topic, partition), None)
        self.futures.satisfied(topic, partition)
        return log

    def create_future(self, current: Log, path: str) -> Log:
        """An empty future replica in another live dir. Raises LogDirFailed."""
        return self.futures.create(self._dirs[path], current)

    def _emptiest_dir(self) -> str:
        """The live dir with the fewest logs; most brokers have but one, and nothing to count."""
        live = self.live_dirs
        if len(live) == 1:
            return live[0]
        counts = dict.fromkeys(live, 0)
        for each in self._logs.values():
            counts[each.log_dir] += 1
        return min(counts, key=lambda path: counts[path])

    def delete(self, topic: str, partition: int) -> None:
        """Take the log away at once (its directory is renamed ``-delete``); its files go after file.delete.delay.ms.

        A future replica goes with it.
        """
        self.futures.remove(topic, partition)
        self.futures.satisfied(topic, partition)
        log = self._logs.pop((topic, partition), None)
        self._offline_logs.pop((topic, partition), None)
        if log is None:
            return
        self.cleaner.forget(log)
        self.delete_files(log)
        logger.info("%s-%d: log deleted, files go in %d ms", topic, partition, log.config.file_delete_delay_ms)

    def delete_files(self, log: Log) -> None:
        """Rename the directory of a log that is no longer looked up here. Raises LogDirFailed."""
        name = directory_names.deleted_name(log.topic, log.partition, self._host.dice.uuid().hex)
        self._put_away(log, name)
        self.housekeeping.remove_later([log.directory], log.config.file_delete_delay_ms)

    def set_aside(self, log: Log, why: str) -> None:
        """Rename the directory of a log that must not be served to ``-stray``, for somebody to look into.

        Raises LogDirFailed.
        """
        name = directory_names.stray_name(log.topic, log.partition, self._host.dice.uuid().hex)
        log.dir.lost[log.topic, log.partition] = log.high_watermark
        if self._logs.get((log.topic, log.partition)) is log:
            del self._logs[log.topic, log.partition]
            self.cleaner.forget(log)
        self.futures.drop(log)
        self._put_away(log, name)
        logger.warning("%s-%d: %s: set aside as %s", log.topic, log.partition, why, log.directory)

    def _put_away(self, log: Log, name: str) -> None:
        log.close()
        self._removed.append((log.log_dir, log.topic, log.partition))
        log.rename(f"{log.log_dir}/{name}")

    async def forget_removed(self) -> None:
        """No checkpoint speaks any more of the logs that were deleted or set aside: one of the same name may come."""
        removed, self._removed = self._removed, []
        if removed:
            await self.housekeeping.forget(removed)

    def adopt(self, log: Log) -> None:
        """A future replica whose current log is gone takes its place."""
        self._logs[log.topic, log.partition] = log

    def replaced(self, current: Log, moved: Log) -> None:
        """``moved`` has taken the place of ``current``, whose files go."""
        self._logs[moved.topic, moved.partition] = moved
        self.cleaner.moved(current, moved)
        try:
            self.delete_files(current)
        except LogDirFailed as error:
            logger.warning("%s-%d: the log that was moved away is left behind: %s", moved.topic, moved.partition, error)

    def update_config(self, topic: str, config: LogConfig) -> None:
        """New settings for every log of the topic."""
        for log in (*self._logs.values(), *self.futures.logs()):
            if log.topic == topic:
                log.configure(config)

    def update_configs(self, config_of: Callable[[str], LogConfig]) -> None:
        """New defaults: new settings for every log."""
        configs: dict[str, LogConfig] = {}
        for log in (*self._logs.values(), *self.futures.logs()):
            if log.topic not in configs:
                configs[log.topic] = config_of(log.topic)
            log.configure(configs[log.topic])

    async def checkpoint_high_watermarks(self) -> None:
        """Write ``replication-offset-checkpoint`` of each live dir now (also done every 5 s)."""
        await self.housekeeping.checkpoint_high_watermarks()

    def _truncated(self, log: Log) -> None:
        self.housekeeping.flush_soon(log)
        self.cleaner.truncated(log)
        if self._logs.get((log.topic, log.partition)) is log:
            self.futures.current_truncated(log)

    # --- failure

    def _dir_failed(self, log_dir: LogDir, error: OSError) -> None:
        """The dir's logs are gone from here at once; who must know is told when the event loop is back."""
        gone = [key for key, log in self._logs.items() if log.dir is log_dir]
        for key in gone:
            self._offline_logs[key] = log_dir.path
            self._logs.pop(key).close()
        self.futures.dir_failed(log_dir)
        logger.error("log dir %s is offline: %s", log_dir.path, error)
        if is_full(self._host.files, log_dir.path, error):
            self.full_dirs += (log_dir.path,)
        logger.error("make room there or repair the disk, then restart the broker: other log dirs go on meanwhile")
        self._host.clock.call_later(0, self._tell, log_dir.path, gone)

    def _tell(self, path: str, gone: list[tuple[str, int]]) -> None:
        self._tell_dir_failed(path, gone)
        if not self.live_dirs:
            self.fatal(f"all log dirs have failed: {', '.join(self._dirs)}")

    def dir_failed(self, path: str, error: OSError) -> None:
        """A write of the dir's own files failed: it goes offline."""
        log_dir = self._dirs[path]
        if not log_dir.is_offline:
            log_dir.is_offline = True
            self._dir_failed(log_dir, error)

    def fatal(self, reason: str) -> None:
        """The process must end, and no clean mark may be written; said once."""
        if not self._is_fatal:
            self._is_fatal = True
            logger.critical("log dirs: %s", reason)
            self._tell_fatal(reason)

    # --- stop

    async def stop(self) -> None:
        """Clean shutdown: flush, snapshots, checkpoints, then the clean mark in each live dir; locks released last."""
        await self.cleaner.stop()
        await self.housekeeping.stop()
        waiting = [*self._logs.values(), *self.futures.logs()]
        for start in range(0, len(waiting), SYNCS_AT_ONCE):
            if self._is_fatal:
                break
            await asyncio.gather(*(self._close_log(log) for log in waiting[start : start + SYNCS_AT_ONCE]))
        if not self._is_fatal:
            await self.housekeeping.checkpoint_all()
            for path in self.live_dirs:
                await self._mark_clean(path)
        for log in waiting:
            log.close()
        self._logs.clear()
        self.release_locks()

    async def _close_log(self, log: Log) -> None:
        try:
            log.seal()
            await log.flush()
        except LogDirFailed:
            return
        except OSError as error:
            self.fatal(f"{log.topic}-{log.partition}: fsync failed: {error}")

    async def _mark_clean(self, path: str) -> None:
        files = self._host.files
        try:
            file = files.open(f"{path}/{CLEAN_SHUTDOWN}", create=True)
            try:
                file.truncate(0)
                file.append(CLEAN_MARK)
                await file.sync()
            finally:
                file.close()
            await files.fsync_dir(path)
        except OSError as error:
            logger.error("log dir %s: no clean mark: %s", path, error)
