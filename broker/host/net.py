"""Net: listen and connect. Protocols are asyncio's, so real and simulated connections share one code path."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Protocol


class Listener(Protocol):
    """A bound server socket."""

    port: int

    def close(self) -> None:
        """Stop accepting; connections that were accepted stay."""
        ...


class Net(Protocol):
    async def listen(
        self, host: str | None, port: int, factory: Callable[[], asyncio.BaseProtocol], backlog: int = 128
    ) -> Listener:
        """Bind ``host:port`` (host None or "": every address; port 0: a free one). Raises OSError."""
        ...

    async def dial(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect. Raises OSError (ConnectionRefusedError when every address of ``host`` says that nobody listens)."""
        ...

    def descriptors(self) -> int:
        """How many descriptors, of files and connections, this process may hold."""
        ...

    def hostname(self) -> str:
        """The canonical name of this host (``InetAddress.getCanonicalHostName``)."""
        ...


class RealListener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    def close(self) -> None:
        close_server(self._server)


def close_server(server: asyncio.Server) -> None:
    """Close ``server``, and lose no connection that it is accepting in this moment.

    asyncio's selector loop accepts a socket in one turn and gives it to its server in the next. A server that was
    closed in between refuses it with an assertion that nobody hears, and the socket stays open until it is collected.
    """
    loop = server.get_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        for listening in server.sockets:
            loop.remove_reader(listening.fileno())
        loop.call_soon(server.close)
    else:
        server.close()


class RealNet:
    """TCP of this machine, TCP_NODELAY on (asyncio and uvloop set it)."""

    async def listen(
        self, host: str | None, port: int, factory: Callable[[], asyncio.BaseProtocol], backlog: int = 128
    ) -> Listener:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, host or None, port, backlog=backlog, reuse_address=True)
        return RealListener(server)

    async def dial(
        self, host: str, port: int, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        loop = asyncio.get_running_loop()
        failures: list[OSError] = []
        for family, _, _, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return await loop.create_connection(factory, str(address[0]), port, family=family)
            except OSError as error:
                failures.append(error)
        raise next((it for it in failures if not isinstance(it, ConnectionRefusedError)), failures[0])

    def descriptors(self) -> int:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def hostname(self) -> str:
        name = socket.getfqdn()
        try:
            socket.getaddrinfo(name, None)
        except OSError:
            return "localhost"  # a name that not even this machine can resolve is of use to nobody
        return name
