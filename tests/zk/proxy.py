"""A TCP proxy in the test's own loop that can be cut, and that can swallow what the server answers."""

from __future__ import annotations

import asyncio
import contextlib

from broker.host.net import close_server


class Proxy:
    """Between a client and ``port``; :meth:`cut` resets every connection, ``swallow`` loses the server's bytes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.swallow = False
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers += (writer, upstream)
        self._tasks.append(asyncio.create_task(self._pump(reader, upstream, False)))
        self._tasks.append(asyncio.create_task(self._pump(upstream_reader, writer, True)))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not (from_server and self.swallow):
                    writer.write(data)
        writer.transport.abort()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def stop(self) -> None:
        if self._server is not None:
            close_server(self._server)
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
