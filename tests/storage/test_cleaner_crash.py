"""The cleaner is killed at each of its file system calls: nothing is lost or comes back, no stray file is left."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.host import File
from broker.host.files import RealFiles
from broker.wire.records import Record
from tests.storage.cleaning import Compacted, data
from tests.storage.support import NOW

pytestmark = pytest.mark.timeout(180)

TOMBSTONE_MS = 1000
CONFIG: dict[str, Any] = {"segment_bytes": 500, "delete_retention_ms": TOMBSTONE_MS, "min_cleanable_dirty_ratio": 0.0}


class Killed(BaseException):
    """The process is no more; whatever it still tries fails the same way."""


class MortalFiles(RealFiles):
    """Dies at the n-th call that changes something; an append may have written half by then. Syncs cost nothing."""

    def __init__(self, die_at: int = 1 << 30) -> None:
        self.calls: list[str] = []
        self.die_at = die_at
        self.halves = False

    def act(self, what: str, path: str, partly: Callable[[], Any] = lambda: None) -> None:
        if len(self.calls) >= self.die_at:
            raise Killed
        self.calls.append(f"{what} {Path(path).name}")
        if len(self.calls) == self.die_at:
            if self.halves:
                partly()
            raise Killed

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        if create and self.stat(path) is None:
            self.act("create", path)
        return MortalFile(self, super().open(path, create=create, mode=mode))

    def rename(self, old: str, new: str) -> None:
        self.act("rename", new)
        super().rename(old, new)

    def unlink(self, path: str) -> None:
        self.act("unlink", path)
        super().unlink(path)

    def set_mtime(self, path: str, mtime_ms: int) -> None:
        self.act("set_mtime", path)
        super().set_mtime(path, mtime_ms)

    async def fsync_dir(self, path: str) -> None:
        self.act("fsync_dir", path)


class MortalFile:
    def __init__(self, files: MortalFiles, file: File) -> None:
        self.files, self.file, self.path = files, file, file.path

    def append(self, data: Any) -> int:
        self.files.act("append", self.path, lambda: self.file.append(bytes(data)[: len(data) // 2]))
        return self.file.append(data)

    def truncate(self, size: int) -> None:
        self.files.act("truncate", self.path)
        self.file.truncate(size)

    async def sync(self) -> None:
        self.files.act("sync", self.path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


async def written(path: Path, clean_first: bool) -> Compacted:
    """A log with values, tombstones and a producer; ``clean_first``: whose tombstones can go in the next clean."""
    kit = Compacted(path, **CONFIG)
    await kit.open()
    dice = random.Random(7)
    for number in range(20):
        value = None if number % 5 == 4 else f"value-{number}"
        kit.put((f"k{dice.randrange(9)}", value), producer_id=1, producer_epoch=0, base_sequence=number)
    kit.roll()
    if clean_first:
        await kit.clean()
        for number in range(20, 32):
            kit.put((f"k{number % 4}", f"value-{number}"), producer_id=1, producer_epoch=0, base_sequence=number)
        kit.roll()
        kit.clock.now_ms += TOMBSTONE_MS + 1
    kit.put(("last", "1"))
    return kit


def values(records: list[Record]) -> dict[bytes | None, bytes | None]:
    """What a reader knows in the end; a tombstone and nothing say the same."""
    state = {each.key: each.value for each in records}
    return {key: value for key, value in state.items() if value is not None}


class Case:
    """One prepared directory, copied for each death."""

    def __init__(self, path: Path, kit: Compacted) -> None:
        self.path = path
        self.template = kit.path
        self.clock_ms = kit.clock.now_ms
        self.records = data(kit.log)
        self.end = kit.log.log_end_offset
        self.sequence = kit.log.producers.producers[1].last_sequence
        self.high_watermark = kit.log.high_watermark
        self.count = 0

    async def start(self, files: RealFiles, path: Path | None = None) -> Compacted:
        self.count += 1
        if path is None:
            path = self.path / f"copy-{self.count}"
            shutil.copytree(self.template, path)
        kit = Compacted(path, files, **CONFIG)
        kit.clock.now_ms = self.clock_ms
        await kit.open()
        kit.log.high_watermark = self.high_watermark
        return kit

    def check(self, kit: Compacted) -> None:
        log = kit.log
        present = data(log)
        assert set(present) <= set(self.records)
        assert values(present) == values(self.records)
        assert (log.log_start_offset, log.log_end_offset) == (0, self.end)
        assert log.producers.producers[1].last_sequence == self.sequence
        bases = {f"{segment.base:020d}" for segment in log.segments}
        stray = [
            name
            for name in kit.names()
            if name.split(".")[0] not in bases and not name.endswith((".snapshot", "checkpoint", ".metadata"))
        ]
        assert not stray
        assert not [name for name in kit.names() if name.endswith((".cleaned", ".swap", ".deleted", ".tmp"))]

    async def die(self, at: int, halves: bool) -> Path:
        """A broker that dies at its ``at``-th call of a clean; what it leaves."""
        files = MortalFiles()
        kit = await self.start(files)
        files.die_at, files.halves = len(files.calls) + at, halves
        with pytest.raises(Killed):
            await kit.clean()
        kit.crash()
        return kit.path


async def calls_of_a_clean(case: Case) -> list[str]:
    files = MortalFiles()
    kit = await case.start(files)
    before = len(files.calls)
    assert await kit.clean() == 1
    kit.crash()
    return files.calls[before:]


@pytest.fixture(params=["first clean", "tombstones go"])
async def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    kit = await written(tmp_path / "template", request.param == "tombstones go")
    kit.crash()
    made = Case(tmp_path, kit)
    kit.log.close()
    return made


@pytest.mark.parametrize("halves", [False, True])
async def test_a_death_at_any_call_of_a_clean_loses_nothing(case: Case, halves: bool) -> None:
    calls = await calls_of_a_clean(case)
    kinds = {call.split()[0] for call in calls}
    assert {"create", "append", "rename", "sync", "fsync_dir", "set_mtime"} <= kinds
    whole = await case.start(MortalFiles())
    await whole.clean()
    for at in [at for at, call in enumerate(calls, 1) if not halves or call.startswith("append")]:
        path = await case.die(at, halves)
        kit = await case.start(MortalFiles(), path)
        case.check(kit)
        await kit.clean()
        assert values(data(kit.log)) == values(data(whole.log)), calls[at - 1]
        assert len(data(kit.log)) <= len(data(whole.log)) + 1, calls[at - 1]
        kit.crash()
        shutil.rmtree(path)
    whole.crash()


async def test_a_second_death_during_the_recovery_from_the_first_loses_nothing(case: Case) -> None:
    calls = await calls_of_a_clean(case)
    dice = random.Random(NOW)
    deaths = 0
    for at in range(1, len(calls) + 1):
        path = await case.die(at, dice.random() < 0.5)
        files = MortalFiles(die_at=dice.randrange(1, 20))
        try:
            kit = await case.start(files, path)
        except Killed:
            deaths += 1
        else:
            kit.crash()
        kit = await case.start(MortalFiles(), path)
        case.check(kit)
        kit.crash()
        shutil.rmtree(path)
    assert deaths > 20
