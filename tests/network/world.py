"""A listener with a table of handlers made for tests, and a client that speaks frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from broker.api.services import Services
from broker.api.table import Route, Table
from broker.config import KafkaConfig
from broker.host import real_host
from broker.network.dispatch import Dispatcher
from broker.network.listener import SocketServer
from broker.wire import codec
from broker.wire.keys import ApiKey, newest_version


class Client:
    """One connection; ``send`` and ``receive`` are separate, so that tests can pipeline."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.asked: dict[int, tuple[int, int]] = {}

    def send(self, key: ApiKey, version: int, body: object, correlation_id: int = 0) -> None:
        self.asked[correlation_id] = (key, version)
        self.writer.write(codec.encode_request(key, version, correlation_id, "test", body))

    async def receive(self) -> tuple[int, Any]:
        """(correlation id, body). Raises IncompleteReadError when the broker has closed."""
        payload = await self.receive_raw()
        correlation_id = int.from_bytes(payload[:4], "big")
        key, version = self.asked[correlation_id]
        return codec.decode_response(key, version, payload)

    async def receive_raw(self) -> bytes:
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        return await self.reader.readexactly(size)

    async def call(self, key: ApiKey, version: int, body: object) -> Any:
        self.send(key, version, body)
        return (await self.receive())[1]

    async def at_end(self) -> bool:
        """Whether the broker has closed this connection, with nothing left to be read."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True


class World:
    """``handlers``: API -> handler."""

    def __init__(self, handlers: dict[ApiKey, Callable[..., Any]], **settings: Any) -> None:
        host = real_host()
        routes = [
            Route(key, 0, newest_version(key), handler, asyncio.iscoroutinefunction(handler))
            for key, handler in handlers.items()
        ]
        config = KafkaConfig.of(broker_id=1, listeners="PLAINTEXT://127.0.0.1:0", **settings)
        self.services = Services(config=config, host=host, table=Table(routes))
        self.dispatcher = Dispatcher(self.services)
        self.server = SocketServer(host, config, self.dispatcher)
        self.clients: list[Client] = []

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port("PLAINTEXT"))
        self.clients.append(Client(reader, writer))
        return self.clients[-1]


@asynccontextmanager
async def world(handlers: dict[ApiKey, Callable[..., Any]], **settings: Any) -> AsyncIterator[World]:
    made = World(handlers, **settings)
    await made.server.bind()
    made.server.serve()
    try:
        yield made
    finally:
        for client in made.clients:
            client.writer.close()
        made.server.close()
        await until(lambda: not made.server.connections)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)
