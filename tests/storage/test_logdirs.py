"""Several log directories: loading, locks, checkpoints, deletion, failure, clean and unclean stops."""

from __future__ import annotations

import asyncio
import errno
import json
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from broker.config import KafkaConfig, LogConfig
from broker.host import File, LogDirFailed, RealDice, RealFiles, real_host
from broker.storage import directory_names
from broker.storage.loading import CLEAN_SHUTDOWN
from broker.storage.log_dir import LogDir
from broker.storage.logdirs import LogDirs, NoLogDirs
from broker.storage.segment import OpenFiles
from broker.wire.errors import ErrorCode, KafkaError
from tests.storage.support import NOW, append, contents, idempotent

CONFIG = LogConfig.of(segment_bytes=400, index_interval_bytes=100, file_delete_delay_ms=1)


class BrokenDisk(RealFiles):
    """Every write below ``broken`` fails; every sync fails once ``sync_fails``."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self.sync_fails = False

    def check(self, path: str) -> None:
        if self.broken is not None and path.startswith(self.broken):
            raise OSError(errno.EIO, "Input/output error", path)

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        if create:
            self.check(path)
        return BrokenFile(self, super().open(path, create=create, mode=mode))  # type: ignore[return-value]

    def mkdir(self, path: str) -> None:
        self.check(path)
        super().mkdir(path)


class BrokenFile:
    def __init__(self, disk: BrokenDisk, file: File) -> None:
        self._disk, self._file, self.path = disk, file, file.path

    def append(self, data: Any) -> int:
        self._disk.check(self.path)
        return self._file.append(data)

    async def sync(self) -> None:
        if self._disk.sync_fails:
            raise OSError(errno.EIO, "Input/output error", self.path)
        await self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Broker:
    """LogDirs and what it told."""

    def __init__(self, root: Path, disk: BrokenDisk, dirs: int = 2, **config: Any) -> None:
        self.disk = disk
        self.failed: list[tuple[str, list[tuple[str, int]]]] = []
        self.fatal: list[str] = []
        self.paths = tuple(str(root / f"d{index}") for index in range(dirs))
        self.config = KafkaConfig.of(log_dirs=self.paths, log_initial_task_delay_ms=0, **config)
        host = replace(real_host(), files=disk)
        self.dirs = LogDirs(host, self.config, lambda path, gone: self.failed.append((path, gone)), self.fatal.append)

    async def begin(self) -> LogDirs:
        self.dirs.lock_and_read_meta()
        await self.dirs.write_meta(1, "cluster")
        await self.dirs.load(lambda _: CONFIG)
        return self.dirs

    async def crash(self) -> None:
        """What kill -9 leaves: nothing is written, the system releases locks and descriptors."""
        await self.dirs.housekeeping.stop()
        for log in self.dirs.logs():
            log.close()
        self.dirs.release_locks()


@pytest.fixture
async def boot(tmp_path: Path) -> AsyncIterator[Callable[..., Broker]]:
    made: list[Broker] = []
    disk = BrokenDisk()

    def start(**config: Any) -> Broker:
        made.append(Broker(tmp_path, disk, **config))
        return made[-1]

    yield start
    for broker in made:
        await broker.crash()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


Boot = Callable[..., Broker]


async def test_new_logs_go_to_the_dir_with_the_fewest(boot: Boot) -> None:
    dirs = await boot(dirs=3).begin()
    for partition in range(7):
        dirs.get_or_create("t", partition, None, CONFIG, True)
    placed = [log.log_dir[-2:] for log in dirs.logs()]
    assert placed == ["d0", "d1", "d2", "d0", "d1", "d2", "d0"]
    assert dirs.get("t", 7) is None
    assert dirs.get_or_create("t", 3, None, CONFIG, False) is dirs.get("t", 3)


async def test_a_clean_stop_and_start_keeps_everything(boot: Boot, tmp_path: Path) -> None:
    dirs = await boot().begin()
    for partition in range(4):
        log = dirs.get_or_create("my-topic", partition, UUID(int=9), CONFIG, True)
        append(log, 1, 2, 3, epoch=1)
        log.append_as_leader(idempotent(partition), 2, NOW)
        log.high_watermark = 5
        log.increment_log_start_offset(2)
    before = {log.partition: contents(log) for log in dirs.logs()}
    await dirs.stop()
    assert json.loads((tmp_path / "d0" / CLEAN_SHUTDOWN).read_text()) == {"version": 0, "brokerEpoch": -1}
    assert (tmp_path / "d0/replication-offset-checkpoint").read_text() == "0\n2\nmy-topic 0 5\nmy-topic 2 5\n"
    assert (tmp_path / "d1/recovery-point-offset-checkpoint").read_text() == "0\n2\nmy-topic 1 7\nmy-topic 3 7\n"
    assert (tmp_path / "d1/log-start-offset-checkpoint").read_text() == "0\n2\nmy-topic 1 2\nmy-topic 3 2\n"
    again = await boot().begin()
    assert not (tmp_path / "d0" / CLEAN_SHUTDOWN).exists()
    assert {log.partition: contents(log) for log in again.logs()} == before
    for log in again.logs():
        assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (2, 5, 7)
        assert (log.topic_id, log.recovery_point) == (UUID(int=9), 7)
        assert log.leader_epochs.entries() == [(1, 2), (2, 6)]
        assert log.producers.producers[7].last_sequence == log.partition


async def test_a_crash_recovers_from_the_recovery_point(boot: Boot, tmp_path: Path) -> None:
    broker = boot()
    dirs = await broker.begin()
    log = dirs.get_or_create("t", 0, None, CONFIG, True)
    append(log, *([1] * 6))
    await log.flush()
    await dirs.housekeeping.checkpoint_all()
    append(log, *([1] * 6))
    await broker.crash()
    with (Path(log.segments[-1].path(".log"))).open("ab") as file:
        file.write(b"torn")
    again = (await boot().begin()).get("t", 0)
    assert again is not None
    assert (again.log_end_offset, again.recovery_point) == (12, 6)


async def test_a_dir_in_use_is_refused_in_one_line(boot: Boot) -> None:
    await boot().begin()
    from subprocess import run
    from sys import executable

    code = (
        "from broker.config import KafkaConfig; from broker.host import real_host\n"
        "from broker.storage.logdirs import LogDirs\n"
        f"LogDirs(real_host(), KafkaConfig.of(log_dirs={boot().paths!r}), print, print).lock_and_read_meta()"
    )
    found = await asyncio.to_thread(run, [executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: Failed to acquire lock on file .lock in" in found.stderr


async def test_dirs_of_different_brokers_are_refused(boot: Boot, tmp_path: Path) -> None:
    await boot().begin()
    meta = tmp_path / "d1/meta.properties"
    assert "broker.id=1" in meta.read_text()
    meta.write_text("#\nversion=0\nbroker.id=2\ncluster.id=cluster\ndirectory.id=kept\n")
    with pytest.raises(ValueError, match=r"different brokers.*broker\.id"):
        boot().dirs.lock_and_read_meta()
    meta.write_text("#\nversion=0\nbroker.id=1\ndirectory.id=kept\n")
    broker = boot()
    assert [each.broker_id for each in broker.dirs.lock_and_read_meta()] == [1, 1]
    await broker.dirs.write_meta(1, "cluster")
    assert "directory.id=kept" in meta.read_text()
    assert "cluster.id=cluster" in meta.read_text()
    meta.write_text("version=1\nnode.id=2\n")
    with pytest.raises(ValueError, match="version=1"):
        boot().dirs.lock_and_read_meta()


async def test_a_deleted_log_is_gone_at_once_and_its_files_later(boot: Boot, tmp_path: Path) -> None:
    dirs = await boot(dirs=1).begin()
    log = dirs.get_or_create("t", 0, UUID(int=1), CONFIG, True)
    append(log, *([1] * 20))
    dirs.delete("t", 0)
    assert dirs.get("t", 0) is None
    [renamed] = (tmp_path / "d0").glob("t-0.*-delete")
    fresh = dirs.get_or_create("t", 0, UUID(int=2), CONFIG, True)
    assert fresh.log_end_offset == 0
    dirs.start()
    await until(lambda: not renamed.exists())
    append(fresh, 1)
    with pytest.raises(KafkaError) as caught:
        dirs.get_or_create("t", 0, UUID(int=3), CONFIG, True)
    assert caught.value.code == ErrorCode.INCONSISTENT_TOPIC_ID


@pytest.mark.parametrize("gone", ["deleted", "set aside", "by hand"])
async def test_a_new_log_inherits_nothing_from_one_of_its_name(boot: Boot, tmp_path: Path, gone: str) -> None:
    """Seed 200112: a high watermark became that of the topic that was created after its own, once power was lost."""
    broker = boot(dirs=1)
    dirs = await broker.begin()
    for partition in range(2):
        log = dirs.get_or_create("t", partition, None, CONFIG, True)
        append(log, *([1] * 5))
        await log.flush()
        log.high_watermark = 5
        log.increment_log_start_offset(4)
    await dirs.housekeeping.checkpoint_all()
    first = dirs.get("t", 0)
    assert first is not None
    if gone == "deleted":
        dirs.delete("t", 0)
    elif gone == "set aside":
        dirs.set_aside(first, "it is of another topic")
    await dirs.forget_removed()
    if gone == "by hand":
        await broker.crash()
        shutil.rmtree(tmp_path / "d0/t-0")
        broker = boot(dirs=1)
        dirs = await broker.begin()
    for name, offset in (("replication", 5), ("recovery-point", 5), ("log-start", 4)):
        assert (tmp_path / f"d0/{name}-offset-checkpoint").read_text() == f"0\n1\nt 1 {offset}\n"
    append(dirs.get_or_create("t", 0, None, CONFIG, True), 1, 1)
    await broker.crash()
    fresh = (await boot(dirs=1).begin()).get("t", 0)
    assert fresh is not None
    assert (fresh.log_start_offset, fresh.high_watermark, fresh.recovery_point, fresh.log_end_offset) == (0, 0, 0, 2)


async def test_leftover_deletions_are_finished_at_the_next_start(boot: Boot, tmp_path: Path) -> None:
    left = tmp_path / "d0" / directory_names.deleted_name("x" * 249, 3, "a" * 32)
    assert len(left.name) == 255
    left.mkdir(parents=True)
    dirs = await boot(dirs=1).begin()
    dirs.start()
    await until(lambda: not left.exists())
    assert list(dirs.logs()) == []


async def test_retention_deletes_segments_and_their_files(boot: Boot, tmp_path: Path) -> None:
    dirs = await boot(dirs=1, log_retention_check_interval_ms=5).begin()
    log = dirs.get_or_create(
        "t", 0, None, LogConfig.of(segment_bytes=400, retention_ms=1000, file_delete_delay_ms=1), True
    )
    append(log, *([1] * 20))
    log.high_watermark = 20
    dirs.start()
    await until(lambda: log.log_start_offset == 20)
    await until(lambda: len(list(Path(log.directory).glob("*.log*"))) == 1)
    dirs.update_config("t", LogConfig.of(retention_ms=-1))
    append(log, 1)
    await dirs.housekeeping.apply_retention()
    assert log.log_end_offset == 21


async def test_rolled_segments_are_flushed_and_checkpoints_written_on_their_own(boot: Boot, tmp_path: Path) -> None:
    broker = boot(dirs=1, replica_high_watermark_checkpoint_interval_ms=5, log_flush_offset_checkpoint_interval_ms=5)
    dirs = await broker.begin()
    dirs.start()
    log = dirs.get_or_create("t", 0, None, CONFIG, True)
    append(log, *([1] * 20))
    log.high_watermark = 11
    await until(lambda: log.recovery_point > 0)
    await until(lambda: "t 0 11\n" in (tmp_path / "d0/replication-offset-checkpoint").read_text())
    await until(lambda: f"t 0 {log.recovery_point}\n" in (tmp_path / "d0/recovery-point-offset-checkpoint").read_text())


async def test_flush_messages_asks_for_a_flush(boot: Boot) -> None:
    dirs = await boot(dirs=1).begin()
    dirs.start()
    log = dirs.get_or_create("t", 0, None, LogConfig.of(flush_messages=3), True)
    append(log, 1, 1)
    await asyncio.sleep(0.02)
    assert log.recovery_point == 0
    append(log, 1)
    await until(lambda: log.recovery_point == 3)


async def test_a_failing_dir_goes_offline_and_the_other_goes_on(boot: Boot) -> None:
    broker = boot()
    dirs = await broker.begin()
    for partition in range(4):
        append(dirs.get_or_create("t", partition, None, CONFIG, True), 1)
    lost, kept = dirs.get("t", 0), dirs.get("t", 1)
    assert lost is not None
    assert kept is not None
    broker.disk.broken = lost.log_dir
    with pytest.raises(LogDirFailed):
        append(lost, 1)
    assert (lost.log_end_offset, broker.failed) == (1, [])
    assert dirs.get("t", 0) is dirs.get("t", 2) is None
    assert dirs.is_offline("t", 2)
    assert not dirs.is_offline("t", 1)
    await until(lambda: bool(broker.failed))
    assert broker.failed == [(lost.log_dir, [("t", 0), ("t", 2)])]
    assert (dirs.live_dirs, dirs.offline_dirs) == ((kept.log_dir,), (lost.log_dir,))
    with pytest.raises(LogDirFailed):
        lost.read(0, 100, 1)
    with pytest.raises(KafkaError) as caught:
        dirs.get_or_create("t", 0, None, CONFIG, False)
    assert caught.value.code == ErrorCode.KAFKA_STORAGE_ERROR
    assert dirs.get_or_create("new", 0, None, CONFIG, True).log_dir == kept.log_dir
    append(kept, 1)
    assert broker.fatal == []
    broker.disk.broken = "/"
    with pytest.raises(LogDirFailed):
        append(kept, 1)
    await until(lambda: bool(broker.fatal))
    assert len(broker.fatal) == 1
    await dirs.stop()
    assert not Path(kept.log_dir, CLEAN_SHUTDOWN).exists()


async def test_a_failed_fsync_is_fatal_and_leaves_no_clean_mark(boot: Boot) -> None:
    broker = boot(dirs=1)
    dirs = await broker.begin()
    log = dirs.get_or_create("t", 0, None, CONFIG, True)
    append(log, 1)
    broker.disk.sync_fails = True
    await dirs.stop()
    assert len(broker.fatal) == 1
    assert "fsync" in broker.fatal[0]
    assert not Path(log.log_dir, CLEAN_SHUTDOWN).exists()


async def test_a_dir_that_cannot_be_made_or_read_is_skipped_unless_all_are(boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "d1").write_text("a file")
    broker = boot()
    dirs = await broker.begin()
    assert dirs.offline_dirs == (broker.paths[1],)
    (tmp_path / "d0/no_partition").mkdir()
    await broker.crash()
    with pytest.raises(NoLogDirs):
        await boot().begin()


@pytest.mark.parametrize("name", ["replication-offset", "recovery-point-offset", "log-start-offset"])
async def test_a_damaged_checkpoint_counts_as_missing(boot: Boot, tmp_path: Path, name: str) -> None:
    dirs = await boot().begin()
    append(dirs.get_or_create("t", 0, None, CONFIG, True), 1)
    await dirs.stop()
    (tmp_path / f"d0/{name}-checkpoint").write_text("0\n7\nt 0 1\n")
    again = await boot().begin()
    assert not again.offline_dirs
    log = again.get("t", 0)
    assert log is not None
    assert (log.log_start_offset, log.log_end_offset) == (0, 1)


async def test_one_partition_in_two_dirs_is_refused(boot: Boot, tmp_path: Path) -> None:
    for name in ("d0", "d1"):
        (tmp_path / name / "t-0").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"t-0 is in .*d0 and .*d1"):
        await boot().begin()


async def test_a_log_deleted_while_it_is_flushed_is_no_failure(boot: Boot) -> None:
    broker = boot(dirs=1)
    dirs = await broker.begin()
    dirs.start()
    for round_ in range(20):
        log = dirs.get_or_create("t", round_, None, CONFIG, True)
        append(log, *([1] * 30))
        await asyncio.sleep(0.0005 * (round_ % 4))
        if round_ % 2:
            dirs.delete("t", round_)
        else:
            log.truncate_to(3)
    await asyncio.sleep(0.05)
    assert (broker.fatal, broker.failed) == ([], [])


def test_all_log_dirs_share_one_bound_on_open_files(tmp_path: Path) -> None:
    files = OpenFiles(7)
    assert LogDir(str(tmp_path), RealFiles(), RealDice(), files).open_files is files
