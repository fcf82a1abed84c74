"""A raw client: it sends what it is told and sees every frame in its order."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import NamedTuple

from broker.zookeeper.jute import Reader
from broker.zookeeper.messages import (
    OPEN_ACL,
    ConnectRequest,
    ConnectResponse,
    CreateRequest,
    Empty,
    OpCode,
    PathWatch,
    Record,
    ReplyHeader,
    SetDataRequest,
    WatcherEvent,
    decode_reply,
    encode_request,
    frame,
)


class Closed(Exception):
    """The server closed the connection."""


class Answer(NamedTuple):
    xid: int
    zxid: int
    err: int
    body: Record | WatcherEvent | None


class Wire:
    """One connection to 127.0.0.1:port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pending: dict[int, int] = {}
        self.next_xid = 1

    async def __aenter__(self) -> Wire:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def connect(
        self,
        session_id: int = 0,
        password: bytes | None = bytes(16),
        timeout_ms: int = 10_000,
        zxid: int = 0,
        read_only: bool | None = False,
    ) -> ConnectResponse:
        self.raw(frame(ConnectRequest(0, zxid, timeout_ms, session_id, password, read_only).encode()))
        return ConnectResponse.decode(Reader(await self.frame()))

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> bytes:
        try:
            async with asyncio.timeout(10):
                size = int.from_bytes(await self.reader.readexactly(4), "big")
                return await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as end:
            raise Closed from end

    def send(self, opcode: int, body: Record | None = None, xid: int | None = None) -> int:
        if xid is None:
            xid, self.next_xid = self.next_xid, self.next_xid + 1
        self.pending[xid] = opcode
        self.raw(encode_request(xid, opcode, body or Empty()))
        return xid

    async def answer(self) -> Answer:
        reader = Reader(await self.frame())
        header = ReplyHeader.decode(reader)
        if header.xid == -1:
            return Answer(*header, WatcherEvent.decode(reader))
        body = None if header.err else decode_reply(self.pending[header.xid], reader)
        assert reader.pos == reader.end, "nothing behind the body"
        return Answer(*header, body)

    async def ask(self, opcode: int, body: Record | None = None, xid: int | None = None) -> Answer:
        sent = self.send(opcode, body, xid)
        answer = await self.answer()
        assert answer.xid == sent
        return answer

    async def create(self, path: str, data: bytes | None = b"", flags: int = 0) -> Answer:
        return await self.ask(OpCode.CREATE, CreateRequest(path, data, OPEN_ACL, flags))

    async def set(self, path: str, data: bytes | None) -> Answer:
        return await self.ask(OpCode.SET_DATA, SetDataRequest(path, data, -1))

    async def get(self, path: str, *, watch: bool = False) -> Answer:
        return await self.ask(OpCode.GET_DATA, PathWatch(path, watch))

    async def exists(self, path: str, *, watch: bool = False) -> Answer:
        return await self.ask(OpCode.EXISTS, PathWatch(path, watch))
