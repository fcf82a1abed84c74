"""A disk in memory that keeps only what was synced: ``host.files`` of one simulated machine.

kill -9 leaves the page cache, so everything written stays. Power loss keeps, of each file, what the last finished sync
covered (plus a part of the rest, by the seed), and of the directory operations a prefix that includes all that a
finished fsync of a directory covered.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from broker.host import FileStat
from tests.sim.world import Process, World

SYNC_SECONDS = 0.000_3
Bytes = bytes | bytearray | memoryview
WallClock = Callable[[], int]


class Inode:
    """``data`` is the page cache; ``durable`` is what the platter holds."""

    __slots__ = ("data", "durable", "is_broken", "mtime_ms", "synced", "syncs")

    def __init__(self, mtime_ms: int) -> None:
        self.data = bytearray()
        self.durable = b""
        self.mtime_ms = mtime_ms
        self.syncs = self.synced = 0
        self.is_broken = False


class Disk:
    """One machine's disk; it outlives the processes that use it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names: dict[str, Inode | None] = {"/": None}
        self.durable_names: dict[str, Inode | None] = dict(self.names)
        self.operations: list[dict[str, Inode | None]] = []
        self.locks: dict[str, Process] = {}
        self.capacity: int | None = None
        self.write_error: int | None = None
        self.sync_error: int | None = None
        self.read_error: int | None = None
        self.failing_under = "/"
        self.sync_seconds = SYNC_SECONDS

    def check(self, error: int | None, path: str) -> None:
        """Raises OSError with this errno, None: all is well, as it is outside of ``failing_under``."""
        if error is not None and path.startswith(self.failing_under):
            raise OSError(error, os.strerror(error), path)

    def used(self) -> int:
        return sum(len(inode.data) for inode in self.names.values() if inode is not None)

    def changed(self) -> None:
        """A directory operation took place: remember the state of the names after it."""
        self.operations.append(dict(self.names))

    def synced_names(self, upto: int) -> None:
        if upto > 0:
            self.durable_names = self.operations[upto - 1]
            del self.operations[:upto]

    def lose_power(self) -> None:
        """Keep what was synced and, by the seed, some of what was not."""
        kept = self.world.random.randint(0, len(self.operations))
        self.names = dict(self.operations[kept - 1] if kept else self.durable_names)
        for inode in self.names.values():
            if inode is not None:
                inode.data = bytearray(self._after_power_loss(inode))
                inode.durable = bytes(inode.data)
                inode.is_broken = False
        self.durable_names = dict(self.names)
        self.operations.clear()

    def _after_power_loss(self, inode: Inode) -> bytes:
        unsynced = len(inode.data) - len(inode.durable)
        if unsynced <= 0 or not inode.data.startswith(inode.durable):
            return inode.durable
        return bytes(inode.data[: len(inode.durable) + self.world.random.randint(0, unsynced)])


class SimFile:
    def __init__(self, files: SimFiles, path: str, inode: Inode) -> None:
        self.files, self.path, self.inode = files, path, inode

    def append(self, data: Bytes, /) -> int:
        disk = self.files.disk
        self.files.process.tick()
        size = len(data)
        disk.check(disk.write_error, self.path)
        if disk.capacity is not None:
            room = disk.capacity - disk.used()
            if room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            size = min(size, room)
        self.inode.data += memoryview(data)[:size]
        self.inode.mtime_ms = self.files.wall_ms()
        return size

    def appendv(self, parts: Sequence[Bytes], /) -> int:
        return self.append(b"".join(parts))

    def pread(self, size: int, offset: int, /) -> bytes:
        self.files.process.tick()
        self.files.disk.check(self.files.disk.read_error, self.path)
        return bytes(self.inode.data[offset : offset + size])

    def truncate(self, size: int) -> None:
        self.files.process.tick()
        if size < len(self.inode.data):
            del self.inode.data[size:]
        else:
            self.inode.data.extend(bytes(size - len(self.inode.data)))

    def size(self) -> int:
        return len(self.inode.data)

    def close(self) -> None:
        """The inode outlives its handles."""

    async def sync(self) -> None:
        """What the sync covers is fixed at the call; it counts when it ends."""
        self.files.process.tick()
        covered = bytes(self.inode.data)
        self.inode.syncs += 1
        mine = self.inode.syncs
        await self.files.wait(self.files.disk.sync_seconds)
        try:
            self.files.disk.check(self.files.disk.sync_error, self.path)
        except OSError:
            self.inode.is_broken = True  # the pages count as clean from now on: no later sync writes them
            raise
        if self.inode.is_broken:
            return
        if mine > self.inode.synced:  # one that began later may have ended earlier, and covers more
            self.inode.synced, self.inode.durable = mine, covered


class SimLock:
    def __init__(self, files: SimFiles, path: str) -> None:
        self.files, self.path = files, path

    def release(self) -> None:
        self.files.disk.locks.pop(self.path, None)


class SimFiles:
    """The files of one process on one disk."""

    def __init__(self, disk: Disk, process: Process, wall_ms: WallClock) -> None:
        self.disk, self.process, self.wall_ms = disk, process, wall_ms

    async def wait(self, seconds: float) -> None:
        done = self.process.loop.create_future()
        self.process.loop.call_later(seconds, lambda: done.done() or done.set_result(None))
        await done
        self.process.tick()

    def _missing(self, path: str) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _inode(self, path: str) -> Inode:
        inode = self.disk.names.get(path)
        if inode is None:
            raise self._missing(path)
        return inode

    def open(self, path: str, *, create: bool = False, mode: int = 0o644) -> SimFile:
        self.process.tick()
        if self.disk.names.get(path) is None:
            if not create:
                raise self._missing(path)
            if os.path.dirname(path) not in self.disk.names:
                raise self._missing(os.path.dirname(path))
            self.disk.names[path] = Inode(self.wall_ms())
            self.disk.changed()
        return SimFile(self, path, self._inode(path))

    def read(self, path: str) -> bytes:
        self.process.tick()
        return bytes(self._inode(path).data)

    def overwrite(self, path: str, position: int, data: Bytes) -> None:
        self.process.tick()
        self._inode(path).data[position : position + len(data)] = data

    def stat(self, path: str) -> FileStat | None:
        self.process.tick()
        if path not in self.disk.names:
            return None
        inode = self.disk.names[path]
        return FileStat(0, 0, True) if inode is None else FileStat(len(inode.data), inode.mtime_ms, False)

    def listdir(self, path: str) -> list[str]:
        self.process.tick()
        if path not in self.disk.names:
            raise self._missing(path)
        prefix = path.rstrip("/") + "/"
        return sorted(name[len(prefix) :] for name in self.disk.names if self._is_child(name, prefix))

    @staticmethod
    def _is_child(name: str, prefix: str) -> bool:
        return name.startswith(prefix) and len(name) > len(prefix) and "/" not in name[len(prefix) :]

    def mkdir(self, path: str) -> None:
        self.process.tick()
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            self.disk.names.setdefault("/" + "/".join(parts[:depth]), None)
        self.disk.changed()

    def rename(self, old: str, new: str) -> None:
        self.process.tick()
        if old not in self.disk.names:
            raise self._missing(old)
        for name in [n for n in self.disk.names if n == old or n.startswith(old + "/")]:
            self.disk.names[new + name[len(old) :]] = self.disk.names.pop(name)
        self.disk.changed()

    def unlink(self, path: str) -> None:
        self.process.tick()
        self._inode(path)
        del self.disk.names[path]
        self.disk.changed()

    def rmtree(self, path: str) -> None:
        self.process.tick()
        if path not in self.disk.names:
            raise self._missing(path)
        for name in [n for n in self.disk.names if n == path or n.startswith(path + "/")]:
            del self.disk.names[name]
        self.disk.changed()

    def set_mtime(self, path: str, mtime_ms: int) -> None:
        self._inode(path).mtime_ms = mtime_ms

    def lock(self, path: str) -> SimLock:
        self.process.tick()
        holder = self.disk.locks.get(path)
        if holder is not None and not holder.dead:
            raise BlockingIOError(errno.EAGAIN, "locked by another process", path)
        self.disk.names.setdefault(path, Inode(self.wall_ms()))
        self.disk.locks[path] = self.process
        return SimLock(self, path)

    def usage(self, path: str) -> tuple[int, int]:
        total = self.disk.capacity if self.disk.capacity is not None else 1 << 40
        return total, max(total - self.disk.used(), 0)

    async def fsync_dir(self, path: str) -> None:
        self.process.tick()
        upto = len(self.disk.operations)
        await self.wait(self.disk.sync_seconds)
        self.disk.check(self.disk.sync_error, path)
        self.disk.synced_names(min(upto, len(self.disk.operations)))
