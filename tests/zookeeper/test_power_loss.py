"""The server on a simulated machine that loses power: what was acknowledged, or only seen, is there afterwards."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

import pytest

from broker.host import Host
from broker.zookeeper.config import ZooKeeperConfig
from broker.zookeeper.jute import Reader
from broker.zookeeper.messages import (
    OPEN_ACL,
    ChildrenReply,
    ConnectRequest,
    CreateRequest,
    OpCode,
    PathReply,
    PathWatch,
    ReplyHeader,
    decode_reply,
    encode_request,
    frame,
)
from broker.zookeeper.server import ZooKeeperServer
from tests.sim.disk import Disk
from tests.sim.host import sim_host
from tests.sim.network import Network
from tests.sim.world import Process, World

CONFIG = {"dataDir": "/zk", "clientPort": "2181", "snapCount": "60"}


class Client(asyncio.Protocol):
    """Creates nodes as fast as replies come and lists them; remembers all that it was told."""

    def __init__(self, name: str, told: dict[str, None]) -> None:
        self.name = name
        self.told = told
        self.buffer = b""
        self.connected = False
        self.sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(frame(ConnectRequest(0, 0, 30_000, 0, bytes(16)).encode()))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4 and len(self.buffer) >= 4 + (size := int.from_bytes(self.buffer[:4], "big")):
            payload, self.buffer = self.buffer[4 : 4 + size], self.buffer[4 + size :]
            self.packet(payload)

    def packet(self, payload: bytes) -> None:
        if not self.connected:
            self.connected = True
            for _ in range(8):
                self.request()
            return
        reader = Reader(payload)
        header = ReplyHeader.decode(reader)
        assert header.err == 0
        if header.xid % 10:
            self.told[cast("PathReply", decode_reply(OpCode.CREATE, reader)).path] = None
        else:
            for child in cast("ChildrenReply", decode_reply(OpCode.GET_CHILDREN, reader)).children:
                self.told[f"/{child}"] = None
        self.request()

    def request(self) -> None:
        self.sent += 1
        if self.sent % 10:
            body = CreateRequest(f"/{self.name}-{self.sent}", b"x" * (self.sent % 300), OPEN_ACL, 0)
            self.transport.write(encode_request(self.sent, OpCode.CREATE, body))
        else:
            self.transport.write(encode_request(self.sent, OpCode.GET_CHILDREN, PathWatch("/", False)))


class Machine:
    """A server and two clients, and the disk that outlives them."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.disk = Disk(self.world)
        self.told: dict[str, None] = {}
        self.boots = 0

    def host(self, process: Process) -> Host:
        return sim_host(process, self.network, self.disk)

    def boot(self) -> ZooKeeperServer:
        process = self.world.process("zookeeper")
        started: list[ZooKeeperServer] = []

        async def main() -> None:
            server = ZooKeeperServer(self.host(process), ZooKeeperConfig.of(CONFIG))
            await server.start()
            started.append(server)

        process.spawn(main(), "main")
        self.world.run_until(lambda: started, 30, "start")
        self.boots += 1
        return started[0]

    def work(self) -> None:
        for number in range(2):
            name = f"c{self.boots}-{number}"
            process = self.world.process(name)
            dial = self.host(process).net.dial("127.0.0.1", 2181, partial(Client, name, self.told))
            process.spawn(dial, "dial")

    def crash(self, *, power: bool) -> None:
        self.world.processes["zookeeper"].kill()
        if power:
            self.disk.lose_power()
        for name, process in self.world.processes.items():
            if name != "zookeeper" and not process.dead:
                process.kill()


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_anyone_was_told_is_lost(seed: int) -> None:
    machine = Machine(seed)
    try:
        highest = 0
        for round_ in range(5):
            server = machine.boot()
            missing = [path for path in machine.told if path not in server.tree.nodes]
            assert not missing, f"told, and gone after round {round_}: {missing[:5]}"
            assert server.tree.last_zxid >= highest
            machine.work()
            machine.world.run(0.005 + machine.world.random.random() * 0.03)
            highest = server.durable_zxid
            machine.crash(power=machine.world.random.random() < 0.8)
        assert len(machine.told) > 50
        assert not machine.world.errors
    finally:
        machine.world.close()
