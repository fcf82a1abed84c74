"""One client's connection: requests begun and answered in order (org.apache.kafka.common.network.KafkaChannel).

A request is handled in the callback that brought its last byte. One that must wait takes a place in the queue of
replies; those behind it are begun at once, unless it holds them, and their replies wait for their turn. Nothing begins
while a request holds, while too many wait, and while the client does not read what it asked for: what comes then is
left in the socket, but for the first read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from broker.api.context import Later
from broker.network.departures import Departures
from broker.network.dispatch import NOTHING, Buffer, Dispatcher, Pending, Reply
from broker.network.memory import Bounds, RequestMemory
from broker.wire.frame import FrameBuffer, FrameRefused

MOST_UNSENT: Final = 512 * 1024
JOINED: Final = 16 * 1024


class Owner(Protocol):
    """The listener's side: whether a connection may stay, and the news that it is gone."""

    departures: Departures

    def opened(self, connection: Connection) -> str | None:
        """None, or why the connection is refused."""
        ...

    def closed(self, connection: Connection) -> None: ...

    def told(self, connection: Connection, reason: str) -> None:
        """It is being closed by us."""
        ...


class Place:
    """A reply's place in the queue: ``reply`` is None until it is known."""

    __slots__ = ("pending", "reply")

    def __init__(self, pending: Pending | None, reply: Reply | None) -> None:
        self.pending = pending
        self.reply = reply


class Connection(asyncio.BufferedProtocol):
    """See above. Nothing is handled before :meth:`open`. ``active_at``: when bytes last came, monotonic seconds."""

    def __init__(
        self, listener: str, dispatcher: Dispatcher, owner: Owner, bounds: Bounds, now: Callable[[], float], number: int
    ) -> None:
        self.listener = listener
        self.principal = "User:ANONYMOUS"
        self.state: dict[str, Any] = {}
        self.client_host = ""
        self.name = ""
        self.active_at = now()
        self.frames = FrameBuffer(bounds.frame_bytes)
        self._most_waiting = bounds.requests
        self._memory = bounds.memory
        self._reserved = 0
        self._dispatcher = dispatcher
        self._owner = owner
        self._now = now
        self._number = number
        self._transport: asyncio.Transport | None = None
        self._places: deque[Place] = deque()
        self._leaving: list[Buffer] = []
        self._leaving_size = 0
        self._held: Later | None = None
        self._closing = False
        self._reading = True
        self._unsent = False
        self._pumping = False
        self._ending = False
        self._open = False

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, and is no subclass
        self._transport = transport
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self.client_host = remote[0] if remote else ""
        self.name = f"{_address(local)}-{_address(remote)}-{self._number}"
        transport.set_write_buffer_limits(high=MOST_UNSENT)
        refused = self._owner.opened(self)
        if refused is not None:
            self.close(refused)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.frames.writable()

    def buffer_updated(self, nbytes: int) -> None:
        self.frames.arrived(nbytes)
        self.active_at = self._now()
        self.pump()

    def eof_received(self) -> None:
        """A client that shuts its sending side down is gone, as for Kafka: asyncio closes the transport."""

    def pause_writing(self) -> None:
        self._unsent = True

    def resume_writing(self) -> None:
        self._unsent = False
        self._send_ready()
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._transport = None
        places, self._places = self._places, deque()
        if self._memory is not None:
            self._memory.forget(self._read_or_wait)
            self._release()
        for place in places:
            if place.pending is not None:
                place.pending.later.drop()
        self._owner.closed(self)

    # what the listener calls

    def open(self) -> None:
        """Handle requests from now on."""
        self._open = True
        self.pump()

    def tidy(self, now: float, most_idle: float, quiet: float) -> None:
        """Close after ``most_idle`` seconds without a request under way, give memory back after ``quiet`` ones."""
        idle = now - self.active_at
        if self._closing and idle > quiet:
            self.abort()  # it does not read what is still to be sent
        elif idle > most_idle and not self._places:
            self.close(f"idle for {idle:.0f} s")
        elif idle > quiet:
            self.frames.shrink()

    # requests

    @property
    def waiting(self) -> int:
        """Requests that were begun and not answered yet."""
        return len(self._places)

    def pump(self) -> None:
        """Begin the requests that are there, as far as may be; then read on, or not."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._may_begin():
                payload = self.frames.take()
                if payload is None:
                    break
                self._begin(payload)
                self._release()
        except FrameRefused as refused:
            self.close(f"{refused}")
        finally:
            self._pumping = False
        self._read_or_wait()

    def _may_begin(self) -> bool:
        blocked = self._held or self._unsent or self._ending or self._closing or not self._open
        return not blocked and len(self._places) < self._most_waiting

    def _begin(self, payload: memoryview) -> None:
        answer = self._dispatcher.begin(self, payload)
        if isinstance(answer, Reply):
            self._ending = answer.closes is not None
            if not self._places:
                self._send(answer)
            elif answer is not NOTHING:
                self._places.append(Place(None, answer))
            return
        place = Place(answer, None)
        self._places.append(place)
        if answer.later.holds:
            self._held = answer.later
        answer.later.when_done(lambda: self._answered(place))

    def _answered(self, place: Place) -> None:
        """A request that waited has its answer: send what is next in order, and go on with what it held."""
        pending = place.pending
        assert pending is not None
        place.reply = self._dispatcher.encode(pending.ctx, pending.request, pending.later.answer)
        place.pending = None
        if self._held is pending.later:
            self._held = None
        self._send_ready()
        self.pump()

    def _read_or_wait(self) -> None:
        """Read on until something waits that may not begin: most held connections are quiet, and seldom paused."""
        reading = not self.frames.untaken or self._may_begin()
        if self._memory is not None and reading:
            reading = self._has_memory(self._memory)
        if reading == self._reading or self._transport is None or self._closing:
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _has_memory(self, memory: RequestMemory) -> bool:
        """Whether the large frame that has begun to arrive may be received: its bytes are reserved first."""
        announced = self.frames.announced
        if announced <= self._reserved:
            return True
        if self._transport is None or not memory.reserve(announced, self._read_or_wait):
            return False
        self._reserved = announced
        return True

    def _release(self) -> None:
        if self._reserved and self._memory is not None:
            reserved, self._reserved = self._reserved, 0
            self._memory.release(reserved)

    # replies

    def _send_ready(self) -> None:
        places = self._places
        while places and places[0].reply is not None and not self._unsent:
            reply = places.popleft().reply
            assert reply is not None
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        """Put a reply with those that leave at the end of this turn: one system call for all of them."""
        if self._transport is None or self._closing:
            return
        parts, closes = reply
        first = not self._leaving
        self._leaving += parts
        self._leaving_size += sum(map(len, parts))
        if self._leaving_size > JOINED:
            self._flush()
        elif first:
            self._owner.departures.add(self._flush)
        if closes is not None:
            self.close(closes)

    def _flush(self) -> None:
        parts, size = self._leaving, self._leaving_size
        if not parts or self._transport is None or self._closing:
            return
        self._leaving, self._leaving_size = [], 0
        if len(parts) == 1:
            self._transport.write(parts[0])
        elif size <= JOINED:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)

    def close(self, reason: str | None = None) -> None:
        """Close once what was sent is out; ``reason`` is logged, None for an ordinary end."""
        if self._closing or self._transport is None:
            return
        if reason is not None:
            self._owner.told(self, reason)
        self._flush()
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()


def _address(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
