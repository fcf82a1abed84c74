"""Replicas that move between log directories: filled, exchanged, killed at every call on the way, found again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from broker.config import KafkaConfig, LogConfig
from broker.host import LogDirFailed, real_host
from broker.host.files import RealFiles
from broker.storage.futures import REPLACES, check_target, future_of
from broker.storage.log import Log
from broker.storage.logdirs import LogDirs
from broker.wire.errors import ErrorCode, KafkaError
from tests.storage.support import append, contents, idempotent
from tests.storage.test_cleaner_crash import Killed, MortalFiles

CONFIG = LogConfig.of(segment_bytes=400, index_interval_bytes=100, file_delete_delay_ms=0)
TOPIC_ID = UUID(int=7)


class Broker:
    """One life of a broker with two log directories."""

    def __init__(self, path: Path, files: RealFiles | None = None, config: LogConfig = CONFIG) -> None:
        self.path = path
        self.a, self.b = str(path / "a"), str(path / "b")
        host = replace(real_host(), files=files or RealFiles())
        self.config = config
        self.dirs = LogDirs(host, KafkaConfig.of(broker_id=1, log_dirs=(self.a, self.b)), lambda *_: None, self.fatal)

    def fatal(self, reason: str) -> None:
        raise AssertionError(reason)

    async def open(self) -> Broker:
        self.dirs.lock_and_read_meta()
        await self.dirs.load(lambda topic: self.config)
        return self

    def crash(self) -> None:
        """Nothing is flushed, nothing marked clean."""
        for log in (*self.dirs.logs(), *self.dirs.futures.logs()):
            log.close()
        self.dirs.release_locks()

    @property
    def log(self) -> Log:
        found = self.dirs.get("t", 0)
        assert found is not None
        return found

    def make(self) -> Log:
        self.dirs.futures.prefer("t", 0, self.a)
        return self.dirs.get_or_create("t", 0, TOPIC_ID, self.config, is_new=True)

    def begin(self, target: str) -> Log:
        self.dirs.futures.prefer("t", 0, target)
        future = future_of(self.dirs, "t", 0, target, self.config)
        assert future is not None
        return future

    async def move(self, target: str, meanwhile: tuple[int, ...] = ()) -> Log:
        """As ``replication.moves`` does it."""
        future = self.dirs.futures.get("t", 0) or self.begin(target)
        current = self.log
        while self.dirs.futures.fill(current, future, 300):
            pass
        await self.dirs.futures.prepare(current, future)
        append(current, *meanwhile)
        while self.dirs.futures.fill(current, future, 300):
            pass
        self.dirs.futures.swap(current, future)
        await self.dirs.futures.settle(current, future)
        return future

    def partition_dirs(self) -> list[str]:
        return sorted(f"{each.parent.name}/{each.name}" for each in self.path.glob("[ab]/t*"))


def same(log: Log, other: tuple[Any, ...]) -> bool:
    return state(log) == other


def state(log: Log) -> tuple[Any, ...]:
    return (
        contents(log),
        log.log_start_offset,
        log.log_end_offset,
        log.leader_epochs.entries(),
        {key: each.last_sequence for key, each in log.producers.producers.items()},
        log.topic_id,
    )


async def test_a_moved_log_is_the_same_log_in_another_directory(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    assert log.log_dir == broker.a
    append(log, 3, 4, 5, 6)
    append(log, 2, 2, epoch=1)
    log.append_as_leader(idempotent(0, 2), 1, 0)
    log.leader_epochs.assign(4, log.log_end_offset)
    log.high_watermark = 9
    before = state(log)
    moved = await broker.move(broker.b)
    assert broker.dirs.get("t", 0) is moved and broker.dirs.futures.get("t", 0) is None
    assert (moved.log_dir, moved.high_watermark) == (broker.b, 9)
    assert same(moved, before)
    old, new = broker.partition_dirs()
    assert old.startswith("a/t-0.") and old.endswith("-delete") and new == "b/t-0"
    append(moved, 1, epoch=4)
    broker.crash()
    again = await Broker(tmp_path).open()
    assert again.log.log_dir == broker.b
    assert again.log.log_end_offset == before[2] + 1
    again.crash()


async def test_deleted_records_and_a_gap_at_the_end_are_carried_over(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    append(log, 10, 10, 10)
    log.high_watermark = 30
    log.increment_log_start_offset(14)
    log.truncate_to(20)
    log.log_end_offset = 25  # as compaction leaves it
    records = bytes(log.read(14, 1 << 20, 25).records)
    future = await broker.move(broker.b)
    assert (future.log_start_offset, future.log_end_offset) == (14, 25)
    assert bytes(future.read(14, 1 << 20, 25).records) == records != b""
    await broker.dirs.stop()
    again = await Broker(tmp_path).open()
    assert again.log.log_end_offset == 25
    again.crash()


async def test_what_is_truncated_goes_from_the_future_too(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    append(log, 5, 5, 5)
    future = broker.begin(broker.b)
    while broker.dirs.futures.fill(log, future, 100):
        pass
    log.truncate_to(5)
    assert future.log_end_offset == 5
    append(log, 4, epoch=3)
    while broker.dirs.futures.fill(log, future, 100):
        pass
    assert contents(future) == contents(log)
    log.truncate_fully_and_start_at(50)
    broker.dirs.futures.fill(log, future, 100)
    assert (future.log_start_offset, future.log_end_offset) == (50, 50)
    broker.crash()


async def test_a_half_filled_future_is_found_again_and_filled_up_after_a_restart(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    append(log, 5, 5, 5, 5)
    future = broker.begin(broker.b)
    broker.dirs.futures.fill(log, future, 200)
    assert 0 < future.log_end_offset < log.log_end_offset
    before, filled = state(log), future.log_end_offset
    await broker.dirs.stop()
    again = await Broker(tmp_path).open()
    found = again.dirs.futures.get("t", 0)
    assert found is not None and found.log_end_offset == filled
    assert same(await again.move(again.b), before)
    again.crash()


async def test_a_move_that_is_given_up_or_whose_topic_is_deleted_leaves_nothing(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    append(log, 5)
    broker.begin(broker.b)
    broker.dirs.futures.remove("t", 0)
    assert [each for each in broker.partition_dirs() if not each.endswith("-delete")] == ["a/t-0"]
    broker.begin(broker.b)
    broker.dirs.delete("t", 0)
    assert [each for each in broker.partition_dirs() if not each.endswith("-delete")] == []
    broker.crash()


async def test_a_failed_target_costs_the_move_and_not_the_replica(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    log = broker.make()
    append(log, 5, 5)
    future = broker.begin(broker.b)
    with pytest.raises(LogDirFailed):
        future.dir.fail(OSError(5, "Input/output error"))
    assert broker.dirs.futures.get("t", 0) is None and broker.dirs.get("t", 0) is log
    with pytest.raises(KafkaError) as refused:
        check_target(broker.dirs, "t", 0, broker.b)
    assert refused.value.code == ErrorCode.KAFKA_STORAGE_ERROR
    broker.crash()


async def test_targets_that_are_refused(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    for topic, path, code in (
        ("t", "/nowhere", ErrorCode.LOG_DIR_NOT_FOUND),
        ("x" * 240, broker.b, ErrorCode.INVALID_TOPIC_EXCEPTION),
    ):
        with pytest.raises(KafkaError) as refused:
            check_target(broker.dirs, topic, 0, path)
        assert refused.value.code == code
    broker.crash()


async def test_a_replica_is_made_where_it_was_wanted_before_it_was_there(tmp_path: Path) -> None:
    broker = await Broker(tmp_path).open()
    for number, wanted in enumerate((broker.b, broker.b, broker.b)):
        broker.dirs.futures.prefer("n", number, wanted)
        assert broker.dirs.get_or_create("n", number, None, CONFIG, is_new=True).log_dir == wanted
        assert broker.dirs.futures.preferred("n", number) is None
    broker.crash()


async def test_no_clean_touches_a_log_that_moves(tmp_path: Path) -> None:
    config = LogConfig.of(segment_bytes=400, cleanup_policy=("compact",), min_cleanable_dirty_ratio=0.0)
    broker = await Broker(tmp_path, config=config).open()
    log = broker.make()
    append(log, *[5] * 10)
    log.high_watermark = log.log_end_offset
    broker.begin(broker.b)
    assert await broker.dirs.cleaner.clean_round() == 0
    broker.dirs.futures.remove("t", 0)
    assert await broker.dirs.cleaner.clean_round() == 1
    until = broker.dirs.cleaner.clean_until(log)
    assert broker.dirs.cleaner.clean_until(await broker.move(broker.b)) == until > 0
    broker.crash()


async def calls_of_a_move(template: Path, path: Path) -> tuple[list[str], tuple[Any, ...]]:
    shutil.copytree(template, path)
    files = MortalFiles()
    broker = await Broker(path, files).open()
    before = len(files.calls)
    moved = await broker.move(broker.b, (2, 3))
    broker.crash()
    return files.calls[before:], state(moved)


async def test_a_death_at_any_call_of_a_move_loses_nothing_and_leaves_one_replica(tmp_path: Path) -> None:
    template = tmp_path / "template"
    broker = await Broker(template).open()
    log = broker.make()
    append(log, 4, 4, 4, 4)
    log.append_as_leader(idempotent(0, 2), 0, 0)
    acknowledged = state(log)
    broker.crash()
    calls, whole = await calls_of_a_move(template, tmp_path / "whole")
    assert any(REPLACES in call for call in calls) and len(calls) > 20
    for at in range(1, len(calls) + 1):
        path = tmp_path / f"dies-{at}"
        shutil.copytree(template, path)
        files = MortalFiles()
        broker = await Broker(path, files).open()
        files.die_at = len(files.calls) + at
        with pytest.raises(Killed):
            await broker.move(broker.b, (2, 3))
        broker.crash()
        again = await Broker(path).open()
        assert again.log.log_end_offset >= acknowledged[2], calls[at - 1]
        assert contents(again.log).startswith(acknowledged[0]), calls[at - 1]
        assert contents(again.log) in (acknowledged[0], whole[0]) or whole[0].startswith(contents(again.log))
        future = again.dirs.futures.get("t", 0)
        if future is not None or again.log.log_dir == again.a:
            await again.move(again.b)
        kept = [each for each in again.partition_dirs() if not each.endswith("-delete")]
        assert kept == ["b/t-0"], calls[at - 1]
        assert not (path / "b" / "t-0" / REPLACES).exists()
        again.crash()
        shutil.rmtree(path)
