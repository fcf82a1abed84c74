"""An in-memory network: ordered pipes with delay and a window, listeners by port, and cuts between processes.

A cut holds what is sent (TCP retransmits until the cut is healed) and lets no new connection through. A killed process
resets its connections; a paused one goes on accepting, as a kernel does for a stopped process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Any

from tests.sim.world import Process, World

WINDOW = 256 * 1024
ANY = ("127.0.0.1", "0.0.0.0", "localhost", "::", "", None)


class Network:
    """All connections of one world. Delays are drawn from ``[low, high)`` seconds."""

    def __init__(self, world: World, low: float = 0.000_05, high: float = 0.000_4) -> None:
        self.world = world
        self.low, self.high = low, high
        self.listeners: dict[int, SimListener] = {}
        self.connections: list[tuple[SimTransport, SimTransport]] = []
        self.fragments = 0.02
        self.lag: dict[tuple[str, str], float] = {}
        self._cuts: dict[tuple[str, str], bool] = {}
        self._dark: dict[int, str] = {}
        self._owners: dict[int, str] = {}
        self._next_port = 20_000

    def delay(self) -> float:
        return self.low + (self.high - self.low) * self.world.random.random()

    def is_cut(self, sender: str, receiver: str) -> bool:
        return (sender, receiver) in self._cuts

    def cut(self, one: str, other: str, *, both_ways: bool = True) -> None:
        """Nothing that ``one`` sends reaches ``other`` any more (nor the reverse)."""
        self._cuts[one, other] = True
        if both_ways:
            self._cuts[other, one] = True

    def isolate(self, name: str, besides: Container[str] = ()) -> None:
        """Cut ``name`` off from everybody there is, ``besides`` excepted."""
        for other in self.world.processes:
            if other != name and other not in besides:
                self.cut(name, other)

    def heal(self) -> None:
        """Undo every cut; what was held arrives."""
        self._cuts.clear()
        self._push_all()

    def join(self, one: str, other: str) -> None:
        """Undo the cuts between these two."""
        self._cuts.pop((one, other), None)
        self._cuts.pop((other, one), None)
        self._push_all()

    def _push_all(self) -> None:
        for pair in list(self.connections):
            for side in pair:
                side.push()

    def reset(self, pair: tuple[SimTransport, SimTransport]) -> None:
        """Both ends learn that the connection is gone; of what was under way, a part may arrive: half a frame."""
        for side in pair:
            side.tear()
        for side in pair:
            side.sever()

    def revive(self, name: str) -> None:
        """A machine without power is on again: it refuses what it does not know, and resets its old connections."""
        self._dark = {port: owner for port, owner in self._dark.items() if owner != name}
        for pair in list(self.connections):
            for side in pair:
                if side.process.name == name and side.process.dead:
                    side.process.powerless = False
                    side.peer.push()

    def is_dark(self, port: int) -> bool:
        """Whether the machine of this port is without power: nobody answers, not even with a refusal."""
        return port in self._dark

    def owner(self, port: int) -> str:
        """Whose machine it is that a port belongs to, whether anybody listens there now or not."""
        return self._owners.get(port, "")

    def own(self, port: int, name: str) -> None:
        self._owners[port] = name

    def free_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def forget(self, process: Process) -> None:
        """The process died: its ports are free, its connections are reset (without power: nobody hears of it)."""
        for port in [p for p, listener in self.listeners.items() if listener.process is process]:
            del self.listeners[port]
            if process.powerless:
                self._dark[port] = process.name
        if process.powerless:
            return
        for pair in list(self.connections):
            for side in pair:
                if side.process is process:
                    side.vanish()


class SimListener:
    def __init__(
        self, network: Network, process: Process, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self.network, self.process, self.port, self.factory = network, process, port, factory

    def close(self) -> None:
        if self.network.listeners.get(self.port) is self:
            del self.network.listeners[self.port]


class SimNet:
    """``host.net`` of one process."""

    def __init__(self, network: Network, process: Process) -> None:
        self.network, self.process = network, process
        process.on_death.append(lambda: network.forget(process))

    def descriptors(self) -> int:
        return 1 << 16

    def hostname(self) -> str:
        return "localhost"

    async def listen(
        self, host: str | None, port: int, factory: Callable[[], asyncio.BaseProtocol], backlog: int = 128
    ) -> SimListener:
        self.process.tick()
        port = port or self.network.free_port()
        if port in self.network.listeners:
            raise OSError(98, "Address already in use")
        self.network.own(port, self.process.name)
        listener = self.network.listeners[port] = SimListener(self.network, self.process, port, factory)
        return listener

    async def dial(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        self.process.tick()
        assert host in ANY, f"only loopback exists here, not {host}"
        while True:
            await asyncio.sleep(self.network.delay())
            listener = self.network.listeners.get(port)
            if self.network.is_dark(port):
                await asyncio.sleep(0.2)
                continue
            here, there = self.process.name, self.network.owner(port)
            if self.network.is_cut(here, there) or self.network.is_cut(there, here):
                await asyncio.sleep(0.2)  # a SYN that is lost is sent again, and so is one whose refusal is lost
                continue
            if listener is None:
                raise ConnectionRefusedError(111, f"nobody listens on port {port}")
            break
        mine = SimTransport(self.network, self.process, ("127.0.0.1", self.network.free_port()), ("127.0.0.1", port))
        yours = SimTransport(self.network, listener.process, mine.remote, mine.local)
        mine.peer, yours.peer = yours, mine
        self.network.connections.append((mine, yours))
        yours.attach_later(listener.factory)
        protocol = factory()
        mine.attach(protocol)
        return mine, protocol


class SimTransport(asyncio.Transport):
    """One end of a connection. ``outgoing`` is on its way to the peer, ``arrived`` waits for this end's reader."""

    def __init__(self, network: Network, process: Process, local: tuple[str, int], remote: tuple[str, int]) -> None:
        super().__init__()
        self.network, self.process, self.local, self.remote = network, process, local, remote
        self.peer: SimTransport = self
        self.protocol: asyncio.BaseProtocol | None = None
        self.outgoing: deque[bytes] = deque()
        self.arrived: deque[bytes] = deque()
        self.unsent = 0
        self.reading, self.closing, self.lost, self.blocked, self.pushing = True, False, False, False, False

    # -- asyncio.Transport ---------------------------------------------------------------------------------------
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": self.remote, "sockname": self.local}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self.reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The window is the world's, not the program's."""

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.process.tick()
        if self.closing or not data:
            return
        self.outgoing.append(bytes(data))
        self.unsent += len(data)
        if self.unsent > WINDOW and not self.blocked and self.protocol is not None:
            self.blocked = True
            self.process.loop.call_soon(self.protocol.pause_writing)
        self.push()

    def writelines(self, parts: Sequence[bytes | bytearray | memoryview[Any]]) -> None:  # type: ignore[override]
        self.write(b"".join(parts))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self._read()
        self.peer.push()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.outgoing.append(b"")
            self.push()
            self.process.loop.call_soon(self._connection_lost, None)

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.vanish()
            self.process.loop.call_soon(self._connection_lost, None)

    # -- the pipe ------------------------------------------------------------------------------------------------
    def attach(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol
        protocol.connection_made(self)
        self._read()

    def attach_later(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        self.process.loop.call_soon(lambda: self.attach(factory()))

    def push(self) -> None:
        """Send the next chunk on its way, unless one is under way, the road is cut, or the window is full."""
        if self.pushing or not self.outgoing or self.network.is_cut(self.process.name, self.peer.process.name):
            return
        if self.process.dead:
            return
        if sum(map(len, self.peer.arrived)) > WINDOW:
            return
        self.pushing = True
        delay = self.network.delay()
        if self.network.lag:
            delay += self.network.lag.get((self.process.name, self.peer.process.name), 0.0)
        self.network.world.at(self.network.world.now + delay, self._arrive)

    def _arrive(self) -> None:
        self.pushing = False
        if not self.outgoing or self.network.is_cut(self.process.name, self.peer.process.name):
            return
        if self.peer.process.powerless:
            return
        if self.peer.process.dead or self.peer.lost:
            self.outgoing.clear()
            if not self.process.dead and not self.lost:
                self.closing = True
                self.process.loop.call_soon(self._connection_lost, ConnectionResetError(104, "reset by peer"))
            return
        chunks = [self.outgoing.popleft() for _ in range(len(self.outgoing))]
        if len(chunks[-1]) > 1 and self.network.world.random.random() < self.network.fragments:
            at = self.network.world.random.randrange(1, len(chunks[-1]))
            self.outgoing.append(chunks[-1][at:])
            chunks[-1] = chunks[-1][:at]
        for chunk in chunks:
            self.network.world.fold(chunk)
            self.unsent -= len(chunk)
            self.peer.arrived.append(chunk)
        if self.blocked and self.unsent < WINDOW // 4 and self.protocol is not None and not self.process.dead:
            self.blocked = False
            self.process.loop.call_soon(self.protocol.resume_writing)
        if not self.peer.process.dead:
            self.peer.process.loop.call_soon(self.peer._read)
        self.push()

    def tear(self) -> None:
        """A part of what is under way still arrives."""
        data = b"".join(self.outgoing)
        self.outgoing.clear()
        part = data[: self.network.world.random.randint(0, len(data))]
        if part and not self.peer.process.dead and not self.peer.lost:
            self.peer.arrived.append(part)
            self.peer.process.loop.call_soon(self.peer._read)

    def sever(self) -> None:
        """This end learns that the connection was reset, after it has read what arrived."""

        def gone() -> None:
            self.closing = True
            self._connection_lost(ConnectionResetError(104, "reset by peer"))

        if not self.process.dead:
            self.process.loop.call_soon(gone)

    def _read(self) -> None:
        protocol = self.protocol
        while self.reading and self.arrived and protocol is not None and not self.lost and not self.closing:
            chunk = self.arrived.popleft()
            if not chunk:
                self.closing = True
                self._connection_lost(None)
            elif isinstance(protocol, asyncio.BufferedProtocol):
                self._fill(protocol, chunk)
            else:
                protocol.data_received(chunk)  # type: ignore[attr-defined]
            protocol = self.protocol

    @staticmethod
    def _fill(protocol: asyncio.BufferedProtocol, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            buffer = memoryview(protocol.get_buffer(len(view))).cast("B")
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]

    def vanish(self) -> None:
        """A reset: what was under way is gone, and the peer learns of it if the road is open."""
        self.outgoing.clear()
        peer = self.peer
        if not peer.lost and not peer.process.dead and not self.network.is_cut(self.process.name, peer.process.name):

            def reset() -> None:
                if not peer.process.dead:
                    peer.closing = True
                    peer.process.loop.call_soon(peer._connection_lost, ConnectionResetError(104, "reset by peer"))

            self.network.world.at(self.network.world.now + self.network.delay(), reset)

    def _connection_lost(self, error: Exception | None) -> None:
        if self.lost:
            return
        self.lost = True
        if self.peer.lost or self.peer.process.dead:
            pair = next((p for p in self.network.connections if self in p), None)
            if pair is not None:
                self.network.connections.remove(pair)
        if self.protocol is not None:
            self.protocol.connection_lost(error)
