"""Logs in a temporary directory, batches, and disks that fail on command."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from broker.config import LogConfig
from broker.host import File, RealDice, RealFiles
from broker.storage.log import Log
from broker.storage.log_dir import LogDir
from broker.storage.recovery import Checkpointed, create_log, open_log
from broker.wire import batch as batches
from broker.wire.records import Record, build_batch

NOW = 1_700_000_000_000


def batch(
    values: list[bytes] | int = 1, *, timestamp: int = NOW, key: bytes | None = b"k", **options: Any
) -> bytearray:
    """A client's batch, base offset 0: of these values, or of so many records."""
    payloads = [b"v%d" % index for index in range(values)] if isinstance(values, int) else values
    records = [Record(0, timestamp + index, key, value) for index, value in enumerate(payloads)]
    return build_batch(records, base_offset=options.pop("base_offset", 0), **options)


def idempotent(sequence: int, count: int = 1, *, producer_id: int = 7, epoch: int = 0, **options: Any) -> bytearray:
    return batch(count, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence, **options)


def new_log(path: Path, files: Any = None, **config: Any) -> Log:
    """An empty log of t-0 under ``path``."""
    log_dir = LogDir(str(path), files or RealFiles(), RealDice())
    log = Log(log_dir, f"{path}/t-0", "t", 0, LogConfig.of(**config))
    create_log(log, NOW)
    return log


def reopen(path: Path, *, clean: bool = False, files: Any = None, config: Any = None, **known: Any) -> Log:
    """The same log after a restart."""
    log_dir = LogDir(str(path), files or RealFiles(), RealDice())
    log = Log(log_dir, f"{path}/t-0", "t", 0, LogConfig.of(**(config or {})))
    for _ in open_log(log, Checkpointed(clean, **known), NOW):
        pass
    return log


def append(log: Log, *sizes: int, epoch: int = 0, timestamp: int = NOW, value: int = 20) -> None:
    """One batch per number: so many records."""
    for size in sizes:
        log.append_as_leader(batch([b"x" * value] * size, timestamp=timestamp), epoch, NOW)


def contents(log: Log) -> bytes:
    """Every byte of the log by reading it from the start, a read at a time."""
    out, offset = b"", log.log_start_offset
    while offset < log.log_end_offset:
        data = log.read(offset, 1 << 30, log.log_end_offset).records
        assert data, f"nothing at {offset}"
        out += data
        offset = list(batches.headers(data))[-1][1].next_offset
    return out


def shape(log: Log) -> list[tuple[int, int, int]]:
    """(base offset, last offset, leader epoch) of every batch."""
    return [(head.base_offset, head.last_offset, head.leader_epoch) for _, head in batches.headers(contents(log))]


class FailingFiles(RealFiles):
    """A disk that fails at the n-th call that writes: with ENOSPC before anything, or after a part ("short")."""

    def __init__(self, fail_at: int, how: str = "enospc") -> None:
        self.calls = 0
        self.fail_at = fail_at
        self.how = how

    def due(self) -> bool:
        self.calls += 1
        return self.calls == self.fail_at

    def fail(self, path: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        if create and self.due():
            self.fail(path)
        return FailingFile(self, super().open(path, create=create, mode=mode))  # type: ignore[return-value]

    def rename(self, old: str, new: str) -> None:
        if self.due():
            self.fail(old)
        super().rename(old, new)


class FailingFile:
    def __init__(self, disk: FailingFiles, file: File) -> None:
        self._disk = disk
        self._file = file
        self.path = file.path

    def append(self, data: bytes | bytearray | memoryview) -> int:
        if self._disk.due():
            if self._disk.how == "short":
                return self._file.append(memoryview(data)[: len(data) // 2])
            self._disk.fail(self.path)
        return self._file.append(data)

    async def sync(self) -> None:
        if self._disk.how == "sync" and self._disk.due():
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)
        await self._file.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
