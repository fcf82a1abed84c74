"""Lines to other brokers (org.apache.kafka.clients.NetworkClient as brokers use it among themselves).

The only module that dials another broker: fetchers, the controller's channels, AlterPartition, ControlledShutdown and
forwarding all send through a :class:`Line`. A line is ordered and pipelined; it dials when first used and again after a
failure; it negotiates nothing (facts C.1: the version comes from ``cluster/ibp`` and the first bytes are the request).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from broker.host import Clock, Net, Timer
from broker.wire import codec
from broker.wire.errors import Malformed
from broker.wire.frame import FrameBuffer, FrameRefused

_LARGEST_REPLY = 1 << 30


class PeerUnreachable(Exception):
    """The peer cannot be reached, closed the connection, or did not answer in time: the request may have been done."""


class _Sent(NamedTuple):
    correlation_id: int
    api_key: int
    version: int
    answer: asyncio.Future[Any]
    timer: Timer


class _Wire(asyncio.BufferedProtocol):
    """Cuts a peer's bytes into frames, which are views of what was received."""

    def __init__(self, on_frame: Callable[[memoryview], None], on_lost: Callable[[_Wire, str], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._frames = FrameBuffer(_LARGEST_REPLY)
        self.transport: asyncio.Transport | None = None
        self.lost: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._frames.writable()

    def buffer_updated(self, nbytes: int) -> None:
        self._frames.arrived(nbytes)
        try:
            while (frame := self._frames.take()) is not None:
                self._on_frame(frame)
        except FrameRefused as refused:
            self._on_lost(self, f"sent {refused}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = str(exc) if exc else "closed the connection"
        self._on_lost(self, self.lost)


class Line:
    """An ordered, pipelined connection to one broker."""

    def __init__(self, net: Net, clock: Clock, broker_id: int, host: str, port: int, client_id: str) -> None:
        self.broker_id = broker_id
        self.host = host
        self.port = port
        self.is_closed = False
        self._net = net
        self._clock = clock
        self._client_id = client_id
        self._wire: _Wire | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._outstanding: deque[_Sent] = deque()
        self._unwritten: list[bytes] = []
        self._correlation_id = 0

    def send(self, api_key: int, version: int, request: Any, timeout: float) -> asyncio.Future[Any]:
        """Send ``request``; await the decoded reply. Requests are written, and replies come, in the order of the calls.

        ``timeout`` in seconds covers dialing too. The future raises :class:`PeerUnreachable`; the connection is given
        up then, with all that is outstanding on it, so that a late reply is never taken for another's. The next call
        dials again.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.is_closed:
            answer.set_exception(PeerUnreachable(f"{self}: the line was closed"))
            return answer
        self._correlation_id = (self._correlation_id + 1) & 0x7FFFFFFF
        frame = codec.encode_request(api_key, version, self._correlation_id, self._client_id, request)
        timer = self._clock.call_later(timeout, self._drop, f"no answer within {timeout:g} s")
        self._outstanding.append(_Sent(self._correlation_id, api_key, version, answer, timer))
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.write(frame)
        else:
            self._unwritten.append(frame)
            if self._dialing is None:
                self._dialing = asyncio.ensure_future(self._dial())
        return answer

    async def _dial(self) -> None:
        protocol = _Wire(self._on_frame, self._on_lost)
        try:
            await self._net.dial(self.host, self.port, lambda: protocol)
        except OSError as error:
            self._dialing = None
            self._drop(str(error))
            return
        except asyncio.CancelledError:
            if protocol.transport is not None:  # given up in the very moment in which it was made
                protocol.transport.abort()
            raise
        self._dialing = None
        self._wire = protocol
        if protocol.lost is not None or protocol.transport is None:
            self._drop(protocol.lost or "closed the connection")
            return
        unwritten, self._unwritten = self._unwritten, []
        protocol.transport.write(b"".join(unwritten))

    def _on_frame(self, frame: memoryview) -> None:
        if not self._outstanding:
            self._drop("answered what was not asked")
            return
        sent = self._outstanding[0]
        try:
            correlation_id, reply = codec.decode_response(sent.api_key, sent.version, frame)
        except Malformed as error:
            self._drop(f"unreadable reply: {error}")
            return
        if correlation_id != sent.correlation_id:
            self._drop("answered out of order")
            return
        self._outstanding.popleft()
        sent.timer.cancel()
        if not sent.answer.done():
            sent.answer.set_result(reply)

    def _on_lost(self, wire: _Wire, reason: str) -> None:
        if wire is self._wire:
            self._drop(reason)

    def _drop(self, reason: str) -> None:
        """Give up the connection, or the dialing, and fail what is outstanding, in order."""
        wire, self._wire = self._wire, None
        dialing, self._dialing = self._dialing, None
        outstanding, self._outstanding = self._outstanding, deque()
        self._unwritten.clear()
        if dialing is not None:
            dialing.cancel()
        if wire is not None and wire.transport is not None:
            wire.transport.abort()
        for sent in outstanding:
            sent.timer.cancel()
            if not sent.answer.done():
                sent.answer.set_exception(PeerUnreachable(f"{self}: {reason}"))
                sent.answer.exception()  # marks it as retrieved: its caller may be gone

    def close(self) -> None:
        """Close for good; what is outstanding fails with :class:`PeerUnreachable`."""
        self.is_closed = True
        self._drop("the line was closed")

    def __str__(self) -> str:
        return f"broker {self.broker_id} at {self.host}:{self.port}"


class Peers:
    """Makes lines, and closes those that are still open when the broker stops."""

    def __init__(self, net: Net, clock: Clock) -> None:
        self._net = net
        self._clock = clock
        self._lines: list[Line] = []

    def line(self, broker_id: int, host: str, port: int, client_id: str) -> Line:
        """A new line of its own (two callers never share one); it dials when it is first used."""
        self._lines = [line for line in self._lines if not line.is_closed]
        line = Line(self._net, self._clock, broker_id, host, port, client_id)
        self._lines.append(line)
        return line

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self._lines.clear()
