"""What is read ahead is handed out only if a read would find the same, and hardly anything is read in vain."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from broker.replication.read_ahead import PATIENCE, ReadAhead, same_read
from broker.storage.results import ReadResult
from broker.wire.errors import ErrorCode, KafkaError


class Stage:
    """One log of 10 bytes an offset, up to offset 100, and the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: Any = SimpleNamespace(
            rewinds=0, log_start_offset=0, dir=SimpleNamespace(is_offline=False), read=self.read
        )
        self.hosted: Any = SimpleNamespace(log=self.log)
        self.is_hosted = True
        self.is_damaged = False
        self.reads: list[int] = []
        clock: Any = SimpleNamespace(monotonic=lambda: self.now)
        self.ahead = ReadAhead(clock, lambda hosted: self.is_hosted)

    def read(self, offset: int, most: int, upper: int, min_one: bool) -> ReadResult:
        self.reads.append(offset)
        if self.is_damaged:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        stop = min(upper, offset + most // 10)
        return ReadResult(b"x" * 10 * (stop - offset), stop if stop < upper else -1)

    async def plan(self, offset: int, upper: int = 100) -> None:
        self.ahead.plan(self.hosted, offset, 200, upper, True)
        await asyncio.sleep(0)

    def take(self, offset: int, upper: int = 100) -> int | None:
        found = self.ahead.take(same_read(self.log, offset, 200, True), upper)
        return None if found is None else len(found.records)


async def test_what_was_read_is_taken_once() -> None:
    stage = Stage()
    await stage.plan(20)
    assert (stage.take(20), stage.take(20), stage.reads) == (200, None, [20])


async def test_nothing_is_taken_that_a_read_would_not_find_now() -> None:
    for change in ("rewinds", "log_start_offset"):
        stage = Stage()
        await stage.plan(20)
        setattr(stage.log, change, 1)
        assert stage.take(20) is None
    stage = Stage()
    await stage.plan(20)
    stage.log.dir.is_offline = True
    assert stage.take(20) is None
    stage = Stage()
    await stage.plan(20)
    assert stage.take(21) is None
    assert stage.ahead.take(same_read(stage.log, 20, 100, True), 100) is None


async def test_a_log_that_grew_gives_the_same_only_where_the_read_was_cut() -> None:
    stage = Stage()
    await stage.plan(20)
    assert stage.take(20, upper=110) == 200
    await stage.plan(90)
    assert stage.take(90, upper=110) is None
    await stage.plan(20)
    assert stage.take(20, upper=50) is None


async def test_the_next_begins_when_this_was_asked_for_or_long_in_vain() -> None:
    stage = Stage()
    await stage.plan(20)
    await stage.plan(40)
    assert stage.reads == [20]
    stage.now = PATIENCE
    await stage.plan(60)
    assert (stage.take(20), stage.take(60), stage.reads) == (None, 200, [20, 60])


async def test_nothing_is_read_of_what_is_not_hosted_any_more_or_lies_elsewhere() -> None:
    stage = Stage()
    stage.is_hosted = False
    await stage.plan(20)
    assert stage.reads == []
    stage = Stage()
    stage.ahead.plan(stage.hosted, 20, 200, 100, True)
    stage.hosted.log = SimpleNamespace()
    await asyncio.sleep(0)
    assert stage.reads == []


async def test_a_read_that_fails_is_left_to_who_asks() -> None:
    stage = Stage()
    stage.is_damaged = True
    await stage.plan(20)
    assert (stage.reads, stage.take(20)) == ([20], None)
