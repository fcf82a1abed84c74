"""Files: the disk. A file appends, preads, truncates and, awaited, syncs; directories list sorted and sync too."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import functools
import os
import shutil
from collections.abc import Callable, Sequence
from stat import S_ISDIR
from typing import NamedTuple, Protocol


class LogDirFailed(Exception):
    """The disk under a log directory failed; raised in place of the OSError by ``broker.storage``."""

    def __init__(self, directory: str, cause: OSError) -> None:
        super().__init__(f"{directory}: {cause}")
        self.directory = directory
        self.cause = cause


class FileStat(NamedTuple):
    """``mtime_ms`` is wall time."""

    size: int
    mtime_ms: int
    is_dir: bool


class File(Protocol):
    """An open file. ``append`` writes at the end and returns how many bytes were taken (fewer: the disk is full)."""

    path: str

    def append(self, data: bytes | bytearray | memoryview, /) -> int: ...

    def appendv(self, parts: Sequence[bytes | bytearray | memoryview], /) -> int: ...

    def pread(self, size: int, offset: int, /) -> bytes: ...

    def truncate(self, size: int) -> None: ...

    def size(self) -> int: ...

    def close(self) -> None: ...

    async def sync(self) -> None:
        """fdatasync of all that was appended before the call. Raises OSError: then nothing can be trusted."""
        ...


class Lock(Protocol):
    def release(self) -> None: ...


class Files(Protocol):
    """Paths are absolute strings. Every call raises OSError as the system does."""

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        """``mode``: the permissions of a file that is created."""
        ...

    def read(self, path: str) -> bytes: ...

    def overwrite(self, path: str, position: int, data: bytes | bytearray | memoryview) -> None:
        """Put ``data`` in the place of bytes that are there: only to mend what was damaged."""
        ...

    def stat(self, path: str) -> FileStat | None:
        """None where there is nothing."""
        ...

    def listdir(self, path: str) -> list[str]:
        """Names, sorted."""
        ...

    def mkdir(self, path: str) -> None:
        """With its parents; no error if it is there."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Atomic; durable only after :meth:`fsync_dir`."""
        ...

    def unlink(self, path: str) -> None: ...

    def rmtree(self, path: str) -> None: ...

    def set_mtime(self, path: str, mtime_ms: int) -> None: ...

    def lock(self, path: str) -> Lock:
        """An exclusive advisory lock. Raises BlockingIOError when another process holds it."""
        ...

    def usage(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the file system under ``path``."""
        ...

    async def fsync_dir(self, path: str) -> None: ...


def write_atomically(files: Files, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``path`` by way of ``path.tmp`` and a rename; a reader sees the old or the new content, never a mix.

    The content survives kill -9; it survives power loss only where the caller syncs (see :func:`write_durably`).
    """
    temporary = path + ".tmp"
    with contextlib.suppress(FileNotFoundError):
        files.unlink(temporary)
    file = files.open(temporary, create=True, mode=mode)
    try:
        append_all(file, data)
    finally:
        file.close()
    files.rename(temporary, path)


async def write_durably(files: Files, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """As :func:`write_atomically`, with fsync of the file before the rename and of the directory after it."""
    temporary = path + ".tmp"
    with contextlib.suppress(FileNotFoundError):
        files.unlink(temporary)
    file = files.open(temporary, create=True, mode=mode)
    try:
        append_all(file, data)
        await file.sync()
    finally:
        file.close()
    files.rename(temporary, path)
    await files.fsync_dir(os.path.dirname(path))


async def sync_file(files: Files, path: str) -> None:
    """fsync the content of a file that nobody holds open here. Raises OSError, FileNotFoundError among them."""
    file = files.open(path)
    try:
        await file.sync()
    finally:
        file.close()


def append_all(file: File, data: bytes | bytearray | memoryview) -> None:
    """Append every byte; a short write is ENOSPC."""
    if file.append(data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)


class RealFile:
    """``append`` and ``pread`` are the system calls bound to the descriptor: no Python frame on the hot path."""

    __slots__ = ("_fd", "append", "appendv", "path", "pread")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd
        self.append: Callable[[bytes | bytearray | memoryview], int] = functools.partial(os.write, fd)
        self.appendv: Callable[[Sequence[bytes | bytearray | memoryview]], int] = functools.partial(os.writev, fd)
        self.pread: Callable[[int, int], bytes] = functools.partial(os.pread, fd)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    async def sync(self) -> None:
        await asyncio.to_thread(os.fdatasync, self._fd)


class RealLock:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        os.close(self._fd)


class RealFiles:
    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> File:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return RealFile(path, os.open(path, flags, mode))

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def overwrite(self, path: str, position: int, data: bytes | bytearray | memoryview) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # not O_APPEND, with which pwrite appends
        try:
            if os.pwrite(fd, data, position) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        finally:
            os.close(fd)

    def stat(self, path: str) -> FileStat | None:
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileStat(found.st_size, found.st_mtime_ns // 1_000_000, S_ISDIR(found.st_mode))

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def mkdir(self, path: str) -> None:
        try:
            os.mkdir(path)  # mostly the parents are there, and looking for each of them takes as long
        except (FileNotFoundError, FileExistsError):
            os.makedirs(path, exist_ok=True)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rmtree(self, path: str) -> None:
        shutil.rmtree(path)

    def set_mtime(self, path: str, mtime_ms: int) -> None:
        os.utime(path, ns=(mtime_ms * 1_000_000, mtime_ms * 1_000_000))

    def lock(self, path: str) -> Lock:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # POSIX, as Java's FileChannel.tryLock
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise BlockingIOError(errno.EAGAIN, "locked by another process", path) from error
            raise
        return RealLock(fd)

    def usage(self, path: str) -> tuple[int, int]:
        found = shutil.disk_usage(path)
        return found.total, found.free

    async def fsync_dir(self, path: str) -> None:
        await asyncio.to_thread(_fsync_path, path)


def _fsync_path(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
