"""The sockets that a broker listens on, and the connections that came in (kafka.network.SocketServer, Acceptor).

Ports are bound early, since a broker must know them to register itself; connections that come before :meth:`serve` are
accepted and left unread until then.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker.network.complaints import Complaints
from broker.network.connection import Connection
from broker.network.departures import Departures

if TYPE_CHECKING:
    import asyncio

    from broker.config import EndPoint, KafkaConfig
    from broker.host import Host, Listener, Timer
    from broker.network.dispatch import Dispatcher
from broker.network.memory import MOST_WAITING, Bounds, RequestMemory

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 10.0
OPEN_SEGMENTS: Final = 4096
"""Segments that ``storage`` may hold open, at most half of what the system allows."""
OTHER_DESCRIPTORS: Final = 64


@dataclass(slots=True)
class Limits:
    """Taken from the settings at each connection, so that changes of settings count at once."""

    config: KafkaConfig

    def refusal(self, client_host: str, total: int, from_host: int, possible: int) -> str | None:
        """Why a connection cannot stay, given how many there are with it, and how many the system allows."""
        if total > possible:
            return f"the limit of open files leaves room for {possible} connections"
        if total > self.config.max_connections:
            return f"max.connections={self.config.max_connections} is reached"
        overrides = parse_overrides(self.config.max_connections_per_ip_overrides)
        most = overrides.get(client_host, self.config.max_connections_per_ip)
        if from_host > most:
            return f"max.connections.per.ip={most} is reached for {client_host}"
        return None


class SocketServer:
    """``bind``, then ``serve``; ``stop_accepting`` and ``close`` at the end."""

    def __init__(self, host: Host, config: KafkaConfig, dispatcher: Dispatcher) -> None:
        self._host = host
        self._config = config
        self._dispatcher = dispatcher
        self._limits = Limits(config)
        most = config.queued_max_request_bytes
        memory = RequestMemory(most) if most > 0 else None
        self._bounds = Bounds(config.socket_request_max_bytes, min(MOST_WAITING, config.queued_max_requests), memory)
        self._listeners: dict[str, Listener] = {}
        self._connections: dict[Connection, None] = {}
        self._by_host: dict[str, int] = {}
        self._numbers = itertools.count()
        self._serving = False
        self._closed = False
        self._complaints = Complaints()
        self.departures = Departures()
        self._sweeper: Timer | None = None

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections)

    def port(self, listener: str) -> int:
        """The port that ``listener`` is bound to. Raises KeyError."""
        return self._listeners[listener].port

    async def bind(self) -> None:
        """Listen on every endpoint of the settings. Raises OSError."""
        for endpoint in self._config.endpoints():
            await self.listen(endpoint)

    async def listen(self, endpoint: EndPoint) -> None:
        """Listen on one endpoint. Raises OSError."""
        backlog = self._config.socket_listen_backlog_size
        listener = await self._host.net.listen(endpoint.host, endpoint.port, self._factory(endpoint.listener), backlog)
        self._listeners[endpoint.listener] = listener
        log.info("listener %s bound to %s:%d", endpoint.listener, endpoint.host, listener.port)

    def _factory(self, name: str) -> Callable[[], asyncio.BaseProtocol]:
        def connection() -> Connection:
            now = self._host.clock.monotonic
            return Connection(name, self._dispatcher, self, self._bounds, now, next(self._numbers))

        return connection

    def serve(self) -> None:
        """Begin to handle requests."""
        self._serving = True
        self._sweep()
        for connection in self.connections:
            connection.open()

    # what a connection tells

    def opened(self, connection: Connection) -> str | None:
        host = connection.client_host
        self._connections[connection] = None
        self._by_host[host] = self._by_host.get(host, 0) + 1
        if self._closed:
            return "the broker stops"
        refusal = self._limits.refusal(host, len(self._connections), self._by_host[host], self._most)
        if refusal is None and self._serving:
            connection.open()
        return refusal

    @property
    def _most(self) -> int:
        """Connections for which there are descriptors: files need some, and a log dir without them would fail."""
        descriptors = self._host.net.descriptors()
        return descriptors - min(OPEN_SEGMENTS, descriptors // 2) - OTHER_DESCRIPTORS

    def told(self, connection: Connection, reason: str) -> None:
        self._complaints.closed(connection.name, reason)

    def closed(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        del self._connections[connection]
        left = self._by_host[connection.client_host] - 1
        if left:
            self._by_host[connection.client_host] = left
        else:
            del self._by_host[connection.client_host]

    # idle connections

    def _sweep(self) -> None:
        """Close what was idle for ``connections.max.idle.ms``; give back the buffers of what is quiet."""
        self._complaints.sweep()
        now = self._host.clock.monotonic()
        idle = self._config.connections_max_idle_ms / 1000
        for connection in self.connections:
            connection.tidy(now, idle if idle >= 0 else float("inf"), SWEEP_SECONDS)
        wait = min(SWEEP_SECONDS, max(idle / 2, 0.05)) if idle >= 0 else SWEEP_SECONDS
        self._sweeper = self._host.clock.call_later(wait, self._sweep)

    def stop_accepting(self) -> None:
        """No new connections; those that are there go on."""
        for listener in self._listeners.values():
            listener.close()

    def close(self) -> None:
        """End every connection, once the replies that were made are out."""
        self._closed = True
        self.stop_accepting()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in self.connections:
            connection.close()
        self._dispatcher.stop()


def parse_overrides(text: str) -> dict[str, int]:
    """``max.connections.per.ip.overrides``: ``address:count,...``, as the settings have checked."""
    found = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, _, count = entry.rpartition(":")
        found[host.strip("[]")] = int(count)
    return found
