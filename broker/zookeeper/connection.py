"""One client's TCP connection: frames in, replies out in order (NIOServerCnxn).

Requests are handled synchronously in the protocol's callback. A reply that shows a change which is not on disk yet is
held back, and with it everything behind it, until the shared fdatasync is done: so nobody ever sees what a power loss
could take away, and events and replies keep the order in which they were made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, cast

from broker.zookeeper.acl import Identity
from broker.zookeeper.fourletter import WORDS
from broker.zookeeper.jute import Reader
from broker.zookeeper.sessions import Session

if TYPE_CHECKING:
    from broker.zookeeper.server import ZooKeeperServer

_LENGTH = Struct(">i").unpack_from
_MAX_HELD = 1000


class Connection(asyncio.Protocol):
    """``session`` is None until the handshake; ``identities`` are what auth packets proved."""

    def __init__(self, server: ZooKeeperServer) -> None:
        self.server = server
        self.transport: asyncio.Transport | None = None
        self.session: Session | None = None
        self.identities: list[Identity] = []
        self.host, self.port = "", 0
        self.connected_at = 0.0
        self.connected_wall_ms = 0
        self.closed = False
        self.arrived = 0.0
        self.received = self.sent = 0
        self.last_op = "NA"
        self.last_cxid = self.last_zxid = 0
        self.latencies = Latencies()
        self._buffer = bytearray()
        self._need = 4
        self._out: list[bytes] = []
        self._held: deque[tuple[int, bytes | None, float | None]] = deque()
        self._full = False
        self._paused = False

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self.host, self.port = peer[0], peer[1]
        self.identities = [("ip", self.host)]
        if not self.server.accepted(self):
            self.closed = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._held.clear()
        self._out.clear()
        self.server.lost(self)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        self.arrived = self.server.clock.monotonic()
        rest = self._frames(data)
        if rest < len(data) and not self.closed:
            self._buffer += memoryview(data)[rest:]
        self.server.flush()

    def pause_writing(self) -> None:
        self._full = True
        self._throttle()

    def resume_writing(self) -> None:
        self._full = False
        self._throttle()

    # --- what the server calls ---

    @property
    def outstanding(self) -> int:
        return len(self._held)

    def send(self, frame: bytes, goal: int, arrived: float | None = None) -> None:
        """Queue a reply (to a request that came at ``arrived``) or an event until the journal has synced ``goal``."""
        if self.closed:
            return
        if self._held or goal > self.server.journal.synced:
            self._held.append((goal, frame, arrived))
            self.server.waiting[self] = None
            if len(self._held) >= _MAX_HELD:
                self._throttle()
        else:
            self._out.append(frame)
            self.server.dirty[self] = None
            self._measure(arrived)

    def send_now(self, frame: bytes) -> None:
        """A reply that shows nothing of the tree: at once, unless others are before it."""
        self.send(frame, self.server.journal.appended if self._held else 0)

    def finish(self, goal: int) -> None:
        """Close once everything before is sent."""
        self._held.append((goal, None, None))
        self.server.waiting[self] = None

    def release(self, synced: int) -> None:
        """Move what is durable now to the socket's queue."""
        held = self._held
        while held and held[0][0] <= synced:
            _, frame, arrived = held.popleft()
            if frame is None:
                self.close()
                return
            self._out.append(frame)
            self._measure(arrived)
        if self._out:
            self.server.dirty[self] = None
        if not held:
            del self.server.waiting[self]
        if self._paused:
            self._throttle()

    def flush(self) -> None:
        if self._out and self.transport is not None and not self.closed:
            self.transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
            self._out.clear()

    def close(self) -> None:
        """Send what is queued and close the socket; the session goes on."""
        if self.closed:
            return
        self.flush()
        self.closed = True
        self._held.clear()
        if self.transport is not None:
            self.transport.close()
        self.server.lost(self)

    # --- inside ---

    def _frames(self, data: bytes) -> int:
        """Handle the whole frames in ``data``; the result is where the unfinished one begins."""
        at, size, server = 0, len(data), self.server
        while size - at >= 4:
            length = _LENGTH(data, at)[0]
            if not 0 <= length <= server.config.jute_maxbuffer:
                if self.session is None and self.received == 0 and data[at : at + 4] in WORDS:
                    server.four_letter_word(self, data[at : at + 4].decode())
                else:
                    self.close()
                return size
            end = at + 4 + length
            if end > size:
                self._need = end - at
                return at
            self.received += 1
            server.packet(self, Reader(data, at + 4, end))
            if self.closed:
                return size
            at = end
        self._need = 4
        return at

    def _measure(self, arrived: float | None) -> None:
        self.sent += 1
        self.server.sent += 1
        if arrived is not None:
            self.server.latencies.add(arrived, self.latencies)

    def _throttle(self) -> None:
        """Stop reading from a client that does not read its replies or has too much in flight."""
        pause = self._full or len(self._held) >= _MAX_HELD
        if pause == self._paused or self.transport is None or self.transport.is_closing():
            return
        self._paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class Latencies:
    """Requests and how long they took, in milliseconds (ServerStats)."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = 0.0
        self.most = 0.0
        self.last = 0.0

    def record(self, took: float) -> None:
        self.count += 1
        self.total += took
        self.last = took
        if took > self.most:
            self.most = took
        if took < self.least or self.count == 1:
            self.least = took

    @property
    def average(self) -> float:
        return self.total / self.count if self.count else 0.0
