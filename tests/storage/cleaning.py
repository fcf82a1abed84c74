"""Compacted logs for tests: a host whose worker is inline, records by key, and what must hold after a clean."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from broker.config import KafkaConfig, LogConfig
from broker.host import Files, Host
from broker.host.clock import RealClock
from broker.host.dice import RealDice
from broker.host.files import RealFiles
from broker.host.net import RealNet
from broker.storage.log import Log, Origin
from broker.storage.logdirs import LogDirs
from broker.wire import batch as batches
from broker.wire.batch import BatchHeader
from broker.wire.records import ControlRecord, Record, build_batch, control_batch, read_records
from tests.storage.support import NOW, contents

T = TypeVar("T")


class SetClock(RealClock):
    """Wall time is what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOW

    def wall_ms(self) -> int:
        return self.now_ms


class InlineWorkers:
    """Everything is done at once, in the loop."""

    def __init__(self) -> None:
        self.between: Callable[[Any], None] = lambda step: None

    async def wait(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)

    async def compute(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)

    async def steps(self, fn: Callable[..., Iterator[T]], *args: Any) -> AsyncGenerator[T, None]:
        for step in fn(*args):
            self.between(step)
            yield step

    def close(self) -> None:
        """Nothing runs."""


class Compacted:
    """LogDirs in ``path`` with one compacted log, t-0; ``again`` restarts them."""

    def __init__(self, path: Path, files: Files | None = None, **config: Any) -> None:
        self.path = path
        self.clock = SetClock()
        self.files: Files = files or RealFiles()
        self.workers = InlineWorkers()
        self.broker: dict[str, Any] = {}
        self.config = LogConfig.of(**({"cleanup_policy": ("compact",), "segment_bytes": 1000} | config))
        self.failures: list[Any] = []
        self.fatal: list[str] = []

    async def open(self) -> Log:
        host = Host(self.clock, RealNet(), self.files, self.workers, RealDice())
        config = KafkaConfig.of(log_dirs=(str(self.path),), **self.broker)
        self.dirs = LogDirs(host, config, lambda *failed: self.failures.append(failed), self.fatal.append)
        self.dirs.lock_and_read_meta()
        await self.dirs.write_meta(1, "cluster")
        await self.dirs.load(lambda _: self.config)
        self.log = self.dirs.get_or_create("t", 0, None, self.config, True)
        return self.log

    async def again(self, clean: bool = False) -> Log:
        """A restart, after a clean stop or a crash."""
        watermark = self.log.high_watermark
        if clean:
            await self.dirs.stop()
        else:
            self.crash()
        log = await self.open()
        log.high_watermark = min(watermark, log.log_end_offset)
        return log

    def crash(self) -> None:
        for log in self.dirs.logs():
            log.close()
        self.dirs.release_locks()

    async def clean(self) -> int:
        return await self.dirs.cleaner.clean_round()

    def put(self, *pairs: tuple[str, str | None], **options: Any) -> int:
        """One batch; its first offset."""
        return self.append([record(key, value, self.clock.now_ms) for key, value in pairs], **options)

    def append(self, records: list[Record], **options: Any) -> int:
        made = build_batch(records, base_offset=0, **options)
        info = self.log.append_as_leader(made, 0, self.clock.now_ms)
        self.log.high_watermark = self.log.log_end_offset
        return info.first_offset

    def mark(self, producer_id: int, commit: bool, epoch: int = 0) -> int:
        marker = control_batch(0, producer_id, epoch, ControlRecord(commit, 1), self.clock.now_ms)
        info = self.log.append_as_leader(marker, 0, self.clock.now_ms, origin=Origin.COORDINATOR)
        self.log.high_watermark = self.log.log_end_offset
        return info.first_offset

    def roll(self) -> None:
        self.log.roll(self.clock.now_ms)

    def names(self) -> list[str]:
        return sorted(each.name for each in Path(self.log.directory).iterdir())

    def state(self) -> dict[str, str | None]:
        """What a reader from the start ends with: key -> value (None: a tombstone that is still there)."""
        return {
            (each.key or b"").decode(): None if each.value is None else each.value.decode() for each in data(self.log)
        }

    def offsets(self) -> list[int]:
        return [each.offset for each in data(self.log)]


def record(key: str, value: str | None, timestamp: int = NOW) -> Record:
    return Record(0, timestamp, key.encode(), None if value is None else value.encode(), (("h", b"x"),))


def found(log: Log) -> list[tuple[BatchHeader, list[Record]]]:
    """Every batch, as reads of the log give them, with its records; control batches too."""
    whole = contents(log)
    return [(head, list(read_records(whole, at))) for at, head in batches.headers(whole)]


def data(log: Log) -> list[Record]:
    return [each for head, records in found(log) if not head.is_control for each in records]


def random_value(dice: random.Random) -> str | None:
    return None if dice.random() < 0.15 else f"v{dice.randrange(10**6)}" * dice.randrange(1, 4)
