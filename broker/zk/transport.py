"""Where ZooKeeper is, and one TCP connection to it at a time (zookeeper's ConnectStringParser, ClientCnxnSocket)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from broker.host import Host

log = logging.getLogger(__name__)

DEFAULT_PORT = 2181
MAX_REPLY = 64 << 20


class ConnectString(NamedTuple):
    """``zookeeper.connect``: hosts in the order given, and the chroot ("" or "/kafka")."""

    hosts: tuple[tuple[str, int], ...]
    chroot: str

    @classmethod
    def parse(cls, text: str) -> ConnectString:
        """Raises ValueError that says what is wrong."""
        servers, slash, path = text.partition("/")
        hosts = tuple(_host_port(server.strip(), text) for server in servers.split(",") if server.strip())
        if not hosts:
            raise ValueError(f"zookeeper.connect={text}: no host named; write HOST:PORT[,HOST:PORT...][/CHROOT]")
        return cls(hosts, (slash + path).rstrip("/"))


def _host_port(server: str, text: str) -> tuple[str, int]:
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = server.partition(":")
    if not host or not (port or str(DEFAULT_PORT)).isdigit():
        raise ValueError(f"zookeeper.connect={text}: {server} is not HOST:PORT")
    return host, int(port or DEFAULT_PORT)


class Transport:
    """At most one connection, or one attempt; reports nothing about one that was dropped."""

    def __init__(
        self,
        host: Host,
        hosts: Sequence[tuple[str, int]],
        on_dialed: Callable[[bool], None],
        on_frame: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._host = host
        self._hosts = list(hosts)
        host.dice.random.shuffle(self._hosts)
        self._next = 0
        self.trouble = ""
        """What came of the last attempt that did not end well, for people."""
        self.on_dialed, self.on_frame, self.on_lost = on_dialed, on_frame, on_lost
        self._link: _Link | None = None
        self._dialing: asyncio.Task[None] | None = None

    def dial(self, pause: float) -> None:
        address = self._hosts[self._next % len(self._hosts)]
        self._next += 1
        self._link = _Link(self, address)
        self._dialing = asyncio.get_running_loop().create_task(self._dial(self._link, address, pause))

    async def _dial(self, link: _Link, address: tuple[str, int], pause: float) -> None:
        if pause:
            await self._host.clock.sleep(pause)
        try:
            await self._host.net.dial(*address, lambda: link)
        except OSError as error:
            if link is self._link:
                self._link = None
                known = (
                    error.errno or 0
                ) > 0  # asyncio's own words repeat the address; a resolver's numbers are not errno
                self._note(address, os.strerror(error.errno or 0).lower() if known else error.strerror or str(error))
                self.on_dialed(False)

    def connected(self, link: _Link) -> None:
        if link is self._link:
            self._note(link.address, "it accepted the connection and said nothing: is that a ZooKeeper?")
            self.on_dialed(True)
        else:
            link.abort()

    def is_current(self, link: _Link) -> bool:
        return link is self._link

    def lost(self, link: _Link, why: str) -> None:
        if link is self._link:
            self._link = None
            self._note(link.address, why)
            self.on_lost(why)

    def _note(self, address: tuple[str, int], why: str) -> None:
        self.trouble = f"{address[0]}:{address[1]}: {why}"
        log.debug("zookeeper at %s", self.trouble)

    def send(self, data: bytes) -> None:
        if self._link is not None:
            self._link.send(data)

    def drop(self) -> None:
        link, self._link = self._link, None
        if self._dialing is not None:
            self._dialing.cancel()
            self._dialing = None
        if link is not None:
            link.abort()


class _Link(asyncio.Protocol):
    """Cuts the byte stream into frames."""

    def __init__(self, owner: Transport, address: tuple[str, int]) -> None:
        self.address = address
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, and is no subclass
        self._transport = transport
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= 4 and self._owner.is_current(self):
            size = int.from_bytes(self._buffer[at : at + 4], "big", signed=True)
            if not 0 <= size <= MAX_REPLY:
                self.abort()
                self._owner.lost(self, f"a frame of {size} bytes")
                return
            if len(self._buffer) - at - 4 < size:
                break
            payload = bytes(self._buffer[at + 4 : at + 4 + size])
            at += 4 + size
            self._owner.on_frame(payload)
        del self._buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.lost(self, str(error) if error else "the server closed the connection")

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
