"""The transaction log on disk, ``log.<zxid hex>``, and its group commit (FileTxnLog, SyncRequestProcessor).

Per record: Adler-32 as a long, length, transaction, the byte ``B``. Records of the moment share one write and one
fdatasync; nobody is answered before it. Files grow by appending (ZooKeeper fills them with zeros ahead, which is read
here all the same).
"""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from collections.abc import Callable
from struct import Struct

from broker.host import File, Files

HEADER = Struct(">iiq").pack(int.from_bytes(b"ZKLG", "big"), 2, 0)
_RECORD = Struct(">qi")
_END = b"B"


def pack_record(payload: bytes) -> bytes:
    """A transaction as it stands in the log."""
    return b"".join((_RECORD.pack(zlib.adler32(payload), len(payload)), payload, _END))


def log_name(zxid: int) -> str:
    return f"log.{zxid:x}"


class Journal:
    """Appends transactions and makes them durable.

    ``on_synced(sequence, zxid)`` is called when all up to that :attr:`appended` are on disk, ``on_failed(error)``
    once, when the disk is full or broken: then nothing more is written or acknowledged, and the process has to end.
    """

    def __init__(
        self,
        files: Files,
        directory: str,
        on_synced: Callable[[int, int], object],
        on_failed: Callable[[OSError], object],
    ) -> None:
        self._files = files
        self._directory = directory
        self._on_synced = on_synced
        self._on_failed = on_failed
        self._pending: list[bytes] = []
        self._first_zxid = self._last_zxid = 0
        self._file: File | None = None
        self._roll = False
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._closing = False
        self.appended = 0
        self.synced = 0
        self.failed: OSError | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="zookeeper-journal")

    def append(self, zxid: int, payload: bytes) -> int:
        """Queue a transaction; the result is the sequence that :attr:`synced` will reach."""
        if not self._pending:
            self._first_zxid = zxid
        self._last_zxid = zxid
        self._pending.append(pack_record(payload))
        self.appended += 1
        self._poke()
        return self.appended

    def roll(self) -> None:
        """Begin a new file with the next write; done where a snapshot begins."""
        self._roll = True

    async def durable(self, goal: int) -> None:
        """Wait until all up to ``goal`` are on disk. Raises OSError when the disk failed."""
        while self.synced < goal:
            if self.failed is not None:
                raise self.failed
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def close(self) -> None:
        """Make durable what is queued, then close the file."""
        self._closing = True
        self._poke()
        if self._task is not None:
            await self._task
            self._task = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _wake_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _poke(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _run(self) -> None:
        while True:
            if not self._pending:
                if self._closing:
                    return
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
                continue
            batch, goal, zxid = b"".join(self._pending), self.appended, self._last_zxid
            self._pending = []
            try:
                await self._commit(batch)
            except OSError as failure:
                self.failed = failure
                self._wake_waiters()
                self._on_failed(failure)
                return
            self.synced = goal
            self._on_synced(goal, zxid)
            self._wake_waiters()

    async def _commit(self, batch: bytes) -> None:
        fresh = (self._file is None or self._roll) and self._open_next()
        if fresh:
            batch = HEADER + batch
        file = self._file
        assert file is not None
        if file.append(batch) != len(batch):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)
        await file.sync()
        if fresh:
            await self._files.fsync_dir(self._directory)

    def _open_next(self) -> bool:
        """Begin a new file; False where there is one and no descriptor is free for another: the old one goes on."""
        path = os.path.join(self._directory, log_name(self._first_zxid))
        try:
            file = self._files.open(path, create=True)
        except OSError as error:
            if self._file is not None and error.errno in (errno.EMFILE, errno.ENFILE):
                return False
            raise
        if self._file is not None:
            self._file.close()
        self._file, self._roll = file, False
        return True
