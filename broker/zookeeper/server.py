"""The server: recovery, the listening socket, timers, snapshots, start and stop (ZooKeeperServer, ZooKeeperServerMain).

The shell around the machines ``tree``, ``processor``, ``watches`` and ``sessions``. Time, network and disk come from
``broker.host``, so that it also runs on simulated ones.
"""

from __future__ import annotations

import asyncio
import logging
import os

from broker.host import Host, Listener
from broker.host.files import Lock, append_all, sync_file, write_durably
from broker.zookeeper import snapshot
from broker.zookeeper.config import ZooKeeperConfig
from broker.zookeeper.connection import Connection, Latencies
from broker.zookeeper.dispatch import Dispatch
from broker.zookeeper.fourletter import answer
from broker.zookeeper.journal import Journal
from broker.zookeeper.jute import JuteError, Reader
from broker.zookeeper.processor import Processor
from broker.zookeeper.recovery import DataDamaged, numbered, recover
from broker.zookeeper.sessions import Session, Sessions
from broker.zookeeper.tree import Tree
from broker.zookeeper.watches import Watches

_SESSIONLESS_SECONDS = 10.0
_SWEEP_SECONDS = 2.0
_STALL_SECONDS = 0.25
_KEY = "session.key"
_UNFINISHED = "unfinished."


class ServerLatencies(Latencies):
    """The server's own latencies; every reply counts for its connection too."""

    def __init__(self, server: ZooKeeperServer) -> None:
        super().__init__()
        self._server = server

    def add(self, arrived: float, connection: Latencies) -> None:
        took = (self._server.clock.monotonic() - arrived) * 1000
        self.record(took)
        connection.record(took)


class ZooKeeperServer:
    """One standalone server. ``start`` returns when clients can connect; ``failed`` is done when the disk failed."""

    def __init__(self, host: Host, config: ZooKeeperConfig) -> None:
        self.host = host
        self.clock = host.clock
        self.config = config
        self.log = logging.getLogger("zookeeper")
        self.connections: dict[Connection, None] = {}
        self.owners: dict[int, Connection] = {}
        self.waiting: dict[Connection, None] = {}
        self.dirty: dict[Connection, None] = {}
        self.watches: Watches[Connection] = Watches()
        self.latencies = ServerLatencies(self)
        self.received = self.sent = 0
        self.durable_zxid = 0
        self.failed: asyncio.Future[OSError] = asyncio.get_running_loop().create_future()
        self._listener: Listener | None = None
        self._lock: Lock | None = None
        self._per_host: dict[tuple[str, bool], int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._since_snapshot = 0
        self._snapshot_after = config.snap_count
        self._snapshotting: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The client port that is bound; 0 before :meth:`start`."""
        return self._listener.port if self._listener else 0

    @property
    def outstanding(self) -> int:
        """Replies that wait for the disk."""
        return sum(connection.outstanding for connection in self.waiting)

    # --- start and stop ---

    async def start(self) -> None:
        """Recover, then listen. Raises DataDamaged, OSError (disk, port in use), BlockingIOError (directory in use)."""
        files, config = self.host.files, self.config
        for directory in dict.fromkeys((config.snap_dir, config.log_dir)):
            files.mkdir(directory)
            await files.fsync_dir(os.path.dirname(directory))
        self._lock = files.lock(os.path.join(config.data_dir, ".lock"))
        key = await self._session_key()
        found = recover(files, config.snap_dir, config.log_dir)
        for note in found.notes:
            self.log.warning("%s", note)
        await self._sync_logs()
        self.tree: Tree = found.tree
        self.durable_zxid = self.tree.last_zxid
        self._since_snapshot = found.logged
        self.sessions = Sessions(key, config.min_timeout_ms, config.max_timeout_ms)
        self.sessions.seen(found.max_session_id)
        now = self.clock.monotonic()
        for session_id, timeout_ms in self.tree.sessions.items():
            self.sessions.open(session_id, timeout_ms, now)
        self.processor = Processor(self.tree, extended_types=config.extended_types, enforce_quota=config.enforce_quota)
        self.dispatch = Dispatch(self)
        self.journal = Journal(files, config.log_dir, self._synced, self._disk_failed)
        self._reset_snapshot_goal()
        for name in files.listdir(config.snap_dir):
            if name.startswith(_UNFINISHED):
                files.unlink(os.path.join(config.snap_dir, name))
        await self._keep_what_was_found()
        self.journal.start()
        await self._listen()
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._expire_sessions(), name="zookeeper-sessions"),
            loop.create_task(self._sweep(), name="zookeeper-sweep"),
            loop.create_task(self._remove_overdue(), name="zookeeper-containers"),
        ]

    async def _keep_what_was_found(self) -> None:
        """A snapshot, as loadData takes one: a log whose sync has failed may read well from the page cache, and every
        later sync of it succeeds, yet it is gone with the power. The next transactions must not hang upon it.
        """
        snapshots = numbered(self.host.files, self.config.snap_dir, "snapshot")
        if not snapshots or snapshots[-1][0] < self.tree.last_zxid:
            await self._write_snapshot()
            self._since_snapshot = 0
            self._purge()

    async def _sync_logs(self) -> None:
        """What was replayed may be in the page cache only, of a server that was killed, and so may a cut.

        The next transactions go into a file of their own: were they kept and these lost, nothing could be read back.
        """
        files, log_dir = self.host.files, self.config.log_dir
        for _, name in numbered(files, log_dir, "log")[-2:]:
            await sync_file(files, os.path.join(log_dir, name))
        await files.fsync_dir(log_dir)

    async def stop(self) -> None:
        """Close the socket and every connection; sessions live on. What was accepted is made durable first."""
        if self._listener is not None:
            self._listener.close()
        tasks = [*self._tasks, *([self._snapshotting] if self._snapshotting else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            try:
                await task
            except asyncio.CancelledError:
                continue
        self._tasks = []
        if self._listener is not None:
            await self.journal.close()
        for connection in list(self.connections):
            connection.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _listen(self) -> None:
        config = self.config
        where = f"{config.client_host or '0.0.0.0'}:{config.client_port}"
        self.log.info("binding to port %s", where)
        backlog = config.backlog if config.backlog > 0 else 50
        self._listener = await self.host.net.listen(
            config.client_host, config.client_port, lambda: Connection(self), backlog=backlog
        )
        self.log.info("bound to port %d", self._listener.port)

    async def _session_key(self) -> bytes:
        """The secret from which session passwords are made; made once per data directory."""
        path = os.path.join(self.config.data_dir, _KEY)
        files = self.host.files
        if files.stat(path) is None:
            secret = self.host.dice.token(32).hex().encode() + b"\n"
            await write_durably(files, path, secret, mode=0o600)
        try:
            return bytes.fromhex(files.read(path).decode().strip())
        except ValueError:
            raise DataDamaged(f"{path}: not a session key; delete it (clients then make new sessions)") from None

    # --- connections ---

    def accepted(self, connection: Connection) -> bool:
        """Whether one more connection of that address is allowed; silent ones are counted apart from sessions."""
        limit, key = self.config.max_client_cnxns, (connection.host, False)
        connection.connected_at, connection.connected_wall_ms = self.clock.monotonic(), self.clock.wall_ms()
        if self.config.max_cnxns and len(self.connections) >= self.config.max_cnxns:
            return False
        if limit and self._per_host.get(key, 0) >= limit:
            return False
        self._per_host[key] = self._per_host.get(key, 0) + 1
        self.connections[connection] = None
        return True

    def lost(self, connection: Connection) -> None:
        """Its socket is gone; its session, if it has one, goes on until it expires."""
        if connection not in self.connections:
            return
        del self.connections[connection]
        self._count(connection.host, connection.session is not None, -1)
        self.waiting.pop(connection, None)
        self.dirty.pop(connection, None)
        self.watches.forget(connection)
        if connection.session is not None and self.owners.get(connection.session.id) is connection:
            del self.owners[connection.session.id]

    def has_room(self, connection: Connection) -> bool:
        """Whether its address may have one more session."""
        limit = self.config.max_client_cnxns
        if limit and self._per_host.get((connection.host, True), 0) >= limit:
            self.log.warning("too many sessions from %s: maxClientCnxns is %d", connection.host, limit)
            return False
        return True

    def attach(self, connection: Connection, session: Session) -> None:
        """The handshake is done."""
        connection.session = session
        self.owners[session.id] = connection
        self._count(connection.host, False, -1)
        self._count(connection.host, True, 1)

    def take_over(self, session_id: int) -> None:
        """The session comes back on another connection: the old one is closed."""
        owner = self.owners.get(session_id)
        if owner is not None:
            owner.close()

    def _count(self, host: str, with_session: bool, change: int) -> None:
        key = (host, with_session)
        count = self._per_host.get(key, 0) + change
        if count:
            self._per_host[key] = count
        else:
            self._per_host.pop(key, None)

    def packet(self, connection: Connection, reader: Reader) -> None:
        self.received += 1
        if connection.session is not None:
            self.dispatch.request(connection, reader)
            return
        try:
            self.dispatch.connect(connection, reader)
        except JuteError:
            connection.close()

    def four_letter_word(self, connection: Connection, word: str) -> None:
        self.received += 1
        if connection.transport is not None:
            connection.transport.write(answer(word, self).encode())
        connection.close()

    def flush(self) -> None:
        """Write what became ready; called at the end of every event."""
        while self.dirty:
            dirty, self.dirty = self.dirty, {}
            for connection in dirty:
                connection.flush()

    # --- the journal ---

    def record(self, zxid: int, payload: bytes) -> int:
        """Hand a transaction to the journal; a snapshot begins when enough came together."""
        self._since_snapshot += 1
        if self._since_snapshot >= self._snapshot_after and self._snapshotting is None:
            self._snapshotting = asyncio.get_running_loop().create_task(self._snapshot(), name="zookeeper-snapshot")
        return self.journal.append(zxid, payload)

    def _synced(self, goal: int, zxid: int) -> None:
        self.durable_zxid = zxid
        for connection in list(self.waiting):
            connection.release(goal)
        self.flush()

    def _disk_failed(self, error: OSError) -> None:
        self.log.error("%s: %s; nothing more is acknowledged, stopping", self.config.log_dir, error)
        for connection in list(self.connections):
            connection.close()
        if not self.failed.done():
            self.failed.set_result(error)

    def _reset_snapshot_goal(self) -> None:
        """At a random point in the second half of snapCount, as ZooKeeper does."""
        half = max(1, self.config.snap_count // 2)
        self._snapshot_after = half + self.host.dice.random.randrange(half)

    async def _snapshot(self) -> None:
        self._since_snapshot = 0
        self._reset_snapshot_goal()
        self.journal.roll()
        try:
            await self._write_snapshot()
            self._purge()
        except OSError as error:
            self.log.error("snapshot failed: %s; the log goes on, it is tried again later", error)
        finally:
            self._snapshotting = None

    async def _write_snapshot(self) -> None:
        """In slices, under another name until it is whole, on disk, and everything in it is in the log."""
        files, directory = self.host.files, self.config.snap_dir
        zxid = self.tree.last_zxid
        path = os.path.join(directory, f"snapshot.{zxid:x}")
        temporary = os.path.join(directory, f"{_UNFINISHED}{zxid:x}")
        file = files.open(temporary, create=True)
        try:
            for part in snapshot.write_slices(self.tree):
                append_all(file, part)
                await self.clock.sleep(0)
            await file.sync()
        except OSError:
            files.unlink(temporary)
            raise
        finally:
            file.close()
        await self.journal.durable(self.journal.appended)
        files.rename(temporary, path)
        await files.fsync_dir(directory)
        self.log.info("snapshot of zxid 0x%x: %d nodes", zxid, len(self.tree.nodes))

    def _purge(self) -> None:
        """Keep the newest snapshots and the logs that the oldest of them needs (PurgeTxnLog)."""
        files, config = self.host.files, self.config
        keep = max(2, config.snap_retain_count) if config.purge_interval else 2
        snapshots = numbered(files, config.snap_dir, "snapshot")
        oldest = snapshots[-keep:][0][0]
        for _, name in snapshots[:-keep]:
            files.unlink(os.path.join(config.snap_dir, name))
        logs = numbered(files, config.log_dir, "log")
        begin = max((zxid for zxid, _ in logs if zxid <= oldest), default=0)
        for zxid, name in logs:
            if zxid < begin:
                files.unlink(os.path.join(config.log_dir, name))

    # --- timers ---

    async def _expire_sessions(self) -> None:
        """Close sessions that were silent for their time-out."""
        while True:
            due = self.sessions.next_deadline()
            now = self.clock.monotonic()
            longest = min(self.config.tick_time / 1000, 0.05 + self.config.min_timeout_ms / 4000)
            pause = longest if due is None else min(longest, max(0.001, due - now))
            await self.clock.sleep(pause)
            if self.clock.monotonic() - now > pause + _STALL_SECONDS:
                await self.clock.sleep(_STALL_SECONDS)  # we were stopped: first hear what clients sent meanwhile
            for session_id in self.sessions.due(self.clock.monotonic()):
                self.log.info("session 0x%x expired", session_id)
                owner = self.owners.get(session_id)
                if owner is not None:
                    owner.close()
                self.dispatch.close_session(session_id)
            self.flush()

    async def _sweep(self) -> None:
        """Close sockets that never made a session."""
        while True:
            await self.clock.sleep(_SWEEP_SECONDS)
            limit = self.clock.monotonic() - _SESSIONLESS_SECONDS
            for connection in list(self.connections):
                if connection.session is None and connection.connected_at <= limit:
                    connection.close()

    async def _remove_overdue(self) -> None:
        """Containers and TTL nodes (ContainerManager)."""
        while True:
            await self.clock.sleep(self.config.container_check_ms / 1000)
            wall_ms = self.clock.wall_ms()
            for path in self.tree.overdue(wall_ms):
                self.dispatch.commit(self.processor.remove_overdue(path, wall_ms))
            self.flush()

    # --- what four-letter words show ---

    def disk_used(self, directory: str) -> int:
        """Bytes of the files in ``directory``."""
        files = self.host.files
        found = [files.stat(os.path.join(directory, name)) for name in files.listdir(directory)]
        return sum(stat.size for stat in found if stat is not None)
