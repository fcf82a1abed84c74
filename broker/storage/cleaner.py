"""Log compaction, one log after another, the dirtiest first (kafka.log.LogCleaner, LogCleanerManager; facts E.7).

A worker writes cleaned segments (``cleaning``); here they are synced and swapped in, if the log is still what the
worker was told of: truncation, retention, deletion and a failed disk in the meantime end the clean, and it begins anew
later. How far each log is clean stands in ``cleaner-offset-checkpoint``; losing that file costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from broker.config import KafkaConfig
from broker.host import Host, LogDirFailed
from broker.host.files import write_atomically
from broker.host.workers import ServantDied
from broker.storage import checkpoints
from broker.storage.checkpoints import CheckpointCorrupt
from broker.storage.cleanable import Dirt, dirt_of, job_for
from broker.storage.cleaning import Cleaned, DamagedSegment, Done, Job, Progress, clean
from broker.storage.damage import examine
from broker.storage.log import Log
from broker.storage.segment import Segment
from broker.storage.swap import discard_cleaned, swap_in, sync_cleaned

if TYPE_CHECKING:
    from broker.storage.logdirs import LogDirs

logger = logging.getLogger(__name__)

CHECKPOINT = "cleaner-offset-checkpoint"
UNCLEANABLE = "%s: cannot be cleaned, and is not tried again before the next start: %r"


class LogChanged(Exception):
    """The log is no longer the one that the worker was told of; nothing is wrong with it."""


class Cleaner:
    """Life: ``load`` per directory, ``start``, ``stop``. ``truncated`` and ``forget`` are told by LogDirs."""

    def __init__(self, dirs: LogDirs, host: Host, config: KafkaConfig) -> None:
        self._dirs = dirs
        self._host = host
        self._config = config
        self._clean_until: dict[str, dict[tuple[str, int], int]] = {}
        self._uncleanable: dict[Log, None] = {}
        self._task: asyncio.Task[None] | None = None

    def load(self, log_dir: str) -> None:
        """Read the checkpoint of a directory whose logs are loaded. Raises OSError."""
        try:
            self._clean_until[log_dir] = checkpoints.read_offsets(self._host.files, f"{log_dir}/{CHECKPOINT}")
        except CheckpointCorrupt as error:
            logger.warning("%s; its logs count as dirty from their start", error)
            self._clean_until[log_dir] = {}
        for log in self._dirs.logs():
            self.truncated(log)  # recovery may have cut them

    def start(self) -> None:
        """Begin to clean, unless log.cleaner.enable says no."""
        if self._config.log_cleaner_enable:
            self._task = asyncio.ensure_future(self._clean_for_ever())

    async def stop(self) -> None:
        """End, in the middle of a clean if need be."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # --- what LogDirs tells

    def truncated(self, log: Log) -> None:
        """What will be written there anew is dirty, though what was there before was clean."""
        known, active = self._clean_until.get(log.log_dir, {}), log.segments[-1].base
        if known.get((log.topic, log.partition), 0) > active:
            known[log.topic, log.partition] = active
            self._save(log.log_dir)

    def forget(self, log: Log) -> None:
        """The log has been deleted."""
        self._uncleanable.pop(log, None)
        if self._clean_until.get(log.log_dir, {}).pop((log.topic, log.partition), None) is not None:
            self._save(log.log_dir)

    def moved(self, source: Log, moved: Log) -> None:
        """The log is in another directory now, its records are the same."""
        key = source.topic, source.partition
        self._uncleanable.pop(source, None)
        clean_until = self._clean_until.get(source.log_dir, {}).pop(key, None)
        if clean_until is not None:
            self._clean_until.setdefault(moved.log_dir, {})[key] = clean_until
            self._save(moved.log_dir)
            self._save(source.log_dir)

    def clean_until(self, log: Log) -> int:
        """Below this offset everything is clean; 0 when the log was never cleaned."""
        return self._clean_until.get(log.log_dir, {}).get((log.topic, log.partition), 0)

    def is_uncleanable(self, log: Log) -> bool:
        """Whether a clean has failed; until the next start it is not tried again."""
        return log in self._uncleanable

    # --- cleaning

    async def _clean_for_ever(self) -> None:
        try:
            while True:
                await self._host.clock.sleep(self._config.log_cleaner_backoff_ms / 1000)
                while await self.clean_round():
                    pass
        except Exception as error:
            logger.exception("log cleaner: it has died")
            self._dirs.fatal(f"the log cleaner has died: {error}")

    async def clean_round(self) -> int:
        """Clean every log that is dirty enough, once; how many were cleaned."""
        tried: dict[Log, None] = {}
        cleaned = 0
        while (found := self._dirtiest(tried)) is not None:
            log, dirt = found
            tried[log] = None
            cleaned += await self._clean(log, dirt)
        return cleaned

    def _dirtiest(self, tried: dict[Log, None]) -> tuple[Log, Dirt] | None:
        """The overdue ones first, then by ratio."""
        best: tuple[Log, Dirt] | None = None
        now = self._host.clock.wall_ms()
        for log in self._dirs.logs():
            if not log.config.compact or log in tried or log in self._uncleanable or log.dir.is_offline:
                continue
            if any(each.holes for each in log.segments):
                continue  # its damage is being mended
            if self._is_moving(log):
                continue  # what has been copied of it would keep the values, and miss their tombstones
            try:
                with log.dir:
                    dirt = dirt_of(log, self.clean_until(log), now)
            except LogDirFailed:
                continue
            if dirt and (best is None or (dirt.overdue, dirt.ratio) > (best[1].overdue, best[1].ratio)):
                best = log, dirt
        return best

    async def _clean(self, log: Log, dirt: Dirt) -> bool:
        """Clean one log; False where that came to nothing, with the reason in the log."""
        name, directory = f"{log.topic}-{log.partition}", log.directory
        done = False
        try:
            await self._run(log, await self._synced(log, dirt))
            done = True
        except (LogChanged, LogDirFailed, FileNotFoundError) as reason:  # a file that retention took, if any
            logger.info("%s: cleaning given up: %s", name, reason)
        except ServantDied as error:
            logger.warning("%s: cleaning given up: %s", name, error)
        except OSError as error:
            self._failed_disk(log, error)
        except DamagedSegment as damage:
            self._examine(log, damage)
        except Exception as error:
            self._uncleanable[log] = None
            logger.warning(UNCLEANABLE, name, error, exc_info=error)
        finally:
            if not done:
                self._discard(directory)
        return done

    def _examine(self, log: Log, damage: DamagedSegment) -> None:
        """Have the segment mended with what another replica has; the log waits for that, and is cleaned then."""
        name = f"{log.topic}-{log.partition}"
        with suppress(LogDirFailed):
            for segment in [each for each in log.segments if each.base == damage.base]:
                with log.dir:
                    examine(log, segment)
                if segment.holes:
                    logger.info("%s: is cleaned once it is mended: %s", name, damage)
                else:
                    self._uncleanable[log] = None
                    logger.warning(UNCLEANABLE, name, damage)

    async def _synced(self, log: Log, dirt: Dirt) -> Dirt:
        """An older value may go when the newer one is on the disk, which a power loss would take away otherwise."""
        if log.recovery_point >= dirt.end:
            return dirt
        await self._dirs.housekeeping.flush(log)
        with log.dir:
            again = dirt_of(log, self.clean_until(log), self._host.clock.wall_ms())
        if again is None or log.recovery_point < again.end or not self._is_here(log):
            raise LogChanged("it changed while it was flushed")
        return again

    def _failed_disk(self, log: Log, error: OSError) -> None:
        """A full disk is no reason to lose the directory: the log is whole, and cleaned when there is room.

        Nor are descriptors that have run out. What went with a log that is gone (deleted, its directory failed) tells
        nothing.
        """
        name = f"{log.topic}-{log.partition}"
        if not self._is_here(log):
            logger.info("%s: cleaning given up: the log is gone", name)
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            logger.warning("%s: cleaning given up: %s; free some space on %s", name, error, log.log_dir)
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            logger.warning("%s: cleaning given up: %s", name, error)
        else:
            self._dirs.dir_failed(log.log_dir, error)

    def _discard(self, directory: str) -> None:
        try:
            discard_cleaned(self._host.files, directory)
        except OSError as error:
            logger.warning("%s: cleaned files are left behind until the next start: %s", directory, error)

    async def _run(self, log: Log, dirt: Dirt) -> None:
        """Raises LogChanged, LogDirFailed, ServantDied, OSError, and what the worker finds wrong with the log."""
        config, began = self._config, self._host.clock.monotonic()
        memory = int(config.log_cleaner_dedupe_buffer_size * config.log_cleaner_io_buffer_load_factor)
        with log.dir:
            job = job_for(log, dirt, self._host.clock.wall_ms(), memory)
        asked = {segment.base: segment for segment in log.segments[: len(job.sources)]}
        rewinds, transferred, before = log.rewinds, 0, sum(source.size for source in job.sources)
        try:
            async with aclosing(self._host.workers.steps(clean, self._host.files, job)) as steps:
                async for step in steps:
                    self._check_same(log, job, rewinds)
                    if isinstance(step, Progress):
                        transferred += step.transferred
                        await self._throttle(transferred, began)
                    elif isinstance(step, Cleaned):
                        await self._swap_in(log, [asked.pop(base) for base in step.bases], step, job, rewinds)
                    else:
                        await self._finish(log, dirt, step)
        except Exception:
            self._check_same(log, job, rewinds)  # what it found in files that were cut meanwhile means nothing
            raise
        after = sum(segment.size for segment in log.segments if segment.base < dirt.end)
        seconds = self._host.clock.monotonic() - began
        logger.info(
            "%s: cleaned [%d, %d): %d bytes became %d, in %.1f s",
            *(f"{log.topic}-{log.partition}", dirt.first_dirty, dirt.end, before, after, seconds),
        )

    async def _throttle(self, transferred: int, began: float) -> None:
        """log.cleaner.io.max.bytes.per.second, of reading and writing together."""
        due = began + transferred / max(1.0, self._config.log_cleaner_io_max_bytes_per_second)
        pause = due - self._host.clock.monotonic()
        if pause > 0:
            await self._host.clock.sleep(pause)

    async def _swap_in(self, log: Log, old: list[Segment], step: Cleaned, job: Job, rewinds: int) -> None:
        if not step.changed:
            self._discard(log.directory)
            return
        await sync_cleaned(self._host.files, old[0])
        self._check_same(log, job, rewinds)
        if any(segment not in log.segments for segment in old):
            raise LogChanged("its segments have changed")
        with log.dir:
            swap_in(log, old, step.size)

    async def _finish(self, log: Log, dirt: Dirt, step: Done) -> None:
        """The checkpoint says what is clean only when that is on the disk: older values, once clean, are not looked
        for again, and a tombstone that went before them would bring them back."""
        rewinds = log.rewinds
        if step.end <= dirt.first_dirty:
            raise LogChanged(f"the transaction at {step.end} is undecided in what may be cleaned")
        await self._host.files.fsync_dir(log.directory)
        if log.rewinds != rewinds or not self._is_here(log):
            raise LogChanged("it was truncated, or is gone")
        known = self._clean_until.setdefault(log.log_dir, {})
        known[log.topic, log.partition] = step.end
        self._save(log.log_dir)

    def _is_here(self, log: Log) -> bool:
        return self._dirs.get(log.topic, log.partition) is log

    def _is_moving(self, log: Log) -> bool:
        return self._dirs.futures.get(log.topic, log.partition) is not None

    def _check_same(self, log: Log, job: Job, rewinds: int) -> None:
        if self._is_moving(log):
            raise LogChanged("it is on its way to another log directory")
        if not self._is_here(log) or log.directory != job.directory:
            raise LogChanged("the log is gone")
        if log.rewinds != rewinds:
            raise LogChanged("it was truncated")
        if not log.config.compact:
            raise LogChanged("cleanup.policy is no longer compact")

    def _save(self, log_dir: str) -> None:
        """Write the directory's checkpoint, without lines of logs that are not here."""
        lines = [
            (topic, partition, offset)
            for (topic, partition), offset in sorted(self._clean_until[log_dir].items())
            if self._dirs.get(topic, partition) is not None
        ]
        try:
            write_atomically(self._host.files, f"{log_dir}/{CHECKPOINT}", checkpoints.format_offsets(lines))
        except OSError as error:
            self._dirs.dir_failed(log_dir, error)
