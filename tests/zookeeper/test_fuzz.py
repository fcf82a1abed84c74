"""Bytes that lie: the server stays up, says nothing, and serves the next client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.host import real_host
from broker.zookeeper.config import ZooKeeperConfig
from broker.zookeeper.messages import (
    OPEN_ACL,
    AuthRequest,
    ConnectRequest,
    CreateRequest,
    MultiRequest,
    OpCode,
    PathVersion,
    PathWatch,
    SetWatchesRequest,
    encode_request,
    frame,
)
from broker.zookeeper.server import ZooKeeperServer
from tests.zookeeper.wire import Wire

MULTI = ((1, CreateRequest("/m", b"", OPEN_ACL, 0)), (13, PathVersion("/", 1)))
FRAMES = [
    encode_request(1, OpCode.CREATE, CreateRequest("/fuzz", b"data", OPEN_ACL, 3)),
    encode_request(2, OpCode.GET_DATA, PathWatch("/fuzz", True)),
    encode_request(-4, OpCode.AUTH, AuthRequest(0, "digest", b"a:b")),
    encode_request(-8, OpCode.SET_WATCHES, SetWatchesRequest(1, ("/a",), ("/b",), ("/c",))),
    encode_request(
        5, OpCode.MULTI, MultiRequest(((1, CreateRequest("/m", b"", OPEN_ACL, 0)), (13, PathVersion("/", 1))))
    ),
    encode_request(6, OpCode.ADD_WATCH, PathVersion("/fuzz", 1)),
    encode_request(7, OpCode.DELETE, PathVersion("/fuzz0000000000", -1)),
]
CONNECT = frame(ConnectRequest(0, 0, 5000, 0, bytes(16)).encode())


def streams(seed: int) -> Iterator[bytes]:
    """Sessions with bytes changed, lengths changed, opcodes changed, or cut off."""
    dice = random.Random(seed)
    for _ in range(60):
        data = bytearray(CONNECT + b"".join(dice.choices(FRAMES, k=dice.randint(1, 6))))
        begin = 0 if dice.random() < 0.2 else len(CONNECT)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(begin, len(data))] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        yield bytes(data[: dice.randint(1, len(data))] if dice.random() < 0.3 else data)


@pytest.mark.parametrize("seed", range(5))
async def test_no_bytes_bring_it_down(tmp_path: Path, seed: int) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    settings = {"dataDir": str(tmp_path), "clientPort": "0", "clientPortAddress": "127.0.0.1", "maxClientCnxns": "0"}
    server = ZooKeeperServer(real_host(), ZooKeeperConfig.of({**settings, "extendedTypesEnabled": "true"}))
    await server.start()
    try:
        for data in streams(seed):
            async with Wire(server.port) as wire:
                wire.raw(data)
                await wire.writer.drain()
                wire.writer.write_eof()
                async with asyncio.timeout(5):
                    while await wire.reader.read(65536):
                        pass
        async with Wire(server.port) as wire:
            await wire.connect()
            assert (await wire.exists("/")).err == 0
        assert errors == []
        nodes = {path: node.stat() for path, node in server.tree.nodes.items()}
    finally:
        await server.stop()
    again = ZooKeeperServer(real_host(), ZooKeeperConfig.of(settings))
    await again.start()
    try:
        assert {path: node.stat() for path, node in again.tree.nodes.items()} == nodes
    finally:
        await again.stop()
