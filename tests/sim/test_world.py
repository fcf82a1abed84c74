"""The simulated machine keeps the promises of a real one, and the same seed gives the same run."""

from __future__ import annotations

import asyncio

import pytest

from broker.host import Host
from tests.sim.disk import Disk
from tests.sim.host import sim_host
from tests.sim.network import Network
from tests.sim.world import Process, Stuck, World


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.got += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


class Pair:
    """An echo server and a client, each a process of its own."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.disk = Disk(self.world)
        self.server, self.client = self.world.process("server"), self.world.process("client")
        self.there, self.here = self.host(self.server), self.host(self.client)
        self.protocol = Client()
        self.server.spawn(self.there.net.listen(None, 9000, Echo), "listen")
        self.world.run(0.001)

    def host(self, process: Process) -> Host:
        return sim_host(process, self.network, self.disk)

    async def call(self, *parts: bytes) -> None:
        transport, _ = await self.here.net.dial("127.0.0.1", 9000, lambda: self.protocol)
        for part in parts:
            transport.write(part)
            await self.here.clock.sleep(0.01)

    def got(self, data: bytes) -> bool:
        return self.protocol.got == data


def test_bytes_arrive_in_order_and_time_is_virtual() -> None:
    pair = Pair()
    pair.client.spawn(pair.call(b"one ", b"two ", b"three"), "call")
    assert 0 < pair.world.run_until(lambda: pair.got(b"one two three"), 10) < 1


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    def trace(seed: int) -> int:
        pair = Pair(seed)
        pair.client.spawn(pair.call(b"x", b"y"), "call")
        pair.world.run_until(lambda: pair.got(b"xy"), 10)
        return pair.world.trace

    assert trace(7) == trace(7) != trace(8)


def test_a_cut_holds_what_is_sent_until_it_is_healed() -> None:
    pair = Pair()
    pair.client.spawn(pair.call(b"a", b"b"), "call")
    pair.world.run_until(lambda: pair.got(b"a"), 1)
    pair.network.cut("client", "server")
    with pytest.raises(Stuck):
        pair.world.run_until(lambda: pair.got(b"ab"), 60)
    pair.network.heal()
    pair.world.run_until(lambda: pair.got(b"ab"), 1)


def test_a_killed_process_resets_its_connections_and_runs_no_finally() -> None:
    pair = Pair()
    written: list[str] = []

    async def forever() -> None:
        try:
            await pair.there.clock.sleep(1000)
        finally:
            written.append("finally")

    pair.server.spawn(forever(), "forever")
    pair.client.spawn(pair.call(b"a"), "call")
    pair.world.run_until(lambda: pair.got(b"a"), 1)
    pair.server.kill()
    pair.world.run_until(lambda: pair.protocol.lost, 1)
    pair.world.run(2000)
    assert written == []
    pair.world.close()


def test_a_paused_process_accepts_but_answers_only_after_it_goes_on() -> None:
    pair = Pair()
    pair.server.pause()
    pair.client.spawn(pair.call(b"a"), "call")
    with pytest.raises(Stuck):
        pair.world.run_until(lambda: pair.got(b"a"), 30)
    pair.server.resume()
    pair.world.run_until(lambda: pair.got(b"a"), 1)


def test_power_loss_keeps_what_was_synced_and_kill_keeps_what_was_written() -> None:
    pair = Pair()
    files = pair.there.files

    async def write() -> None:
        files.mkdir("/data")
        file = files.open("/data/log", create=True)
        file.append(b"synced ")
        await file.sync()
        await files.fsync_dir("/data")
        file.append(b"not synced")

    task = pair.server.spawn(write(), "write")
    pair.world.run_until(task.done, 1)
    pair.server.kill()
    assert bytes(pair.disk.names["/data/log"].data) == b"synced not synced"  # type: ignore[union-attr]
    pair.disk.lose_power()
    assert bytes(pair.disk.names["/data/log"].data).startswith(b"synced ")  # type: ignore[union-attr]


def test_a_data_directory_is_locked_while_its_process_lives() -> None:
    pair = Pair()
    pair.there.files.mkdir("/data")
    pair.there.files.lock("/data/.lock")
    with pytest.raises(BlockingIOError):
        pair.here.files.lock("/data/.lock")
    pair.server.kill()
    pair.here.files.lock("/data/.lock")
