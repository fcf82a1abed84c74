"""The watch for refusals on real sockets: what a kernel says of a process that is gone, and of one that is not."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from broker.cluster.refusals import KNOCKS, RefusalWatch
from broker.host import real_host
from broker.host.net import close_server
from tests.controller.cluster import until

WINDOW_S = 0.08


class Door:
    """A listener that can be shut, and shut its connections."""

    def __init__(self) -> None:
        self.transports: list[asyncio.BaseTransport] = []
        self.server: asyncio.Server | None = None
        self.port = 0
        self.accepted = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Visitor(self), "127.0.0.1", self.port, reuse_address=True)
        self.port = self.server.sockets[0].getsockname()[1]

    def hang_up(self) -> None:
        for transport in self.transports:
            transport.abort()  # type: ignore[attr-defined]
        self.transports.clear()

    def close(self) -> None:
        if self.server is not None:
            close_server(self.server)
        self.server = None
        self.hang_up()


class Visitor(asyncio.Protocol):
    def __init__(self, door: Door) -> None:
        self.door = door

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.door.transports.append(transport)
        self.door.accepted += 1


class Watching:
    """A watch, and how often it has called."""

    def __init__(self, port: int, *, was_here: bool = False) -> None:
        host = real_host()
        self.calls: list[float] = []
        self.watch = RefusalWatch(
            host.net,
            host.clock,
            "127.0.0.1",
            port,
            WINDOW_S,
            lambda: self.calls.append(host.clock.monotonic()),
            was_here=was_here,
        )


@pytest.fixture
def watches() -> Iterator[list[Watching]]:
    made: list[Watching] = []
    yield made
    for each in made:
        each.watch.close()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_door_that_is_gone_is_told_once_and_again_only_after_it_was_open(watches: list[Watching]) -> None:
    door = Door()
    await door.open()
    watches.append(seen := Watching(door.port))
    await until(lambda: seen.watch.is_connected)
    began = real_host().clock.monotonic()
    door.close()
    await until(lambda: bool(seen.calls))
    assert seen.calls[0] - began >= WINDOW_S * 0.99
    await asyncio.sleep(4 * WINDOW_S)
    assert len(seen.calls) == 1
    await door.open()
    await until(lambda: seen.watch.is_connected)
    door.close()
    await until(lambda: len(seen.calls) == 2)


async def test_a_door_that_only_hangs_up_or_opens_again_in_time_is_not_told(watches: list[Watching]) -> None:
    door = Door()
    await door.open()
    watches.append(seen := Watching(door.port))
    await until(lambda: door.accepted == 1)
    door.hang_up()
    await until(lambda: door.accepted == 2)
    door.close()
    await asyncio.sleep(WINDOW_S / (KNOCKS - 1))
    await door.open()
    await until(lambda: door.accepted == 3)
    await asyncio.sleep(3 * WINDOW_S)
    assert seen.calls == []
    door.close()


async def test_a_door_that_was_never_open_says_nothing_unless_it_must_have_been(watches: list[Watching]) -> None:
    port = unused_port()
    watches += [new := Watching(port), known := Watching(port, was_here=True)]
    await until(lambda: bool(known.calls))
    await asyncio.sleep(2 * WINDOW_S)
    assert (new.calls, len(known.calls)) == ([], 1)


async def test_a_process_that_does_not_accept_but_is_there_is_not_told(watches: list[Watching]) -> None:
    """Stopped, or with a full backlog: the kernel accepts for it, or is silent; it does not refuse."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(1)
        watches += [Watching(held.getsockname()[1], was_here=True) for _ in range(8)]
        await asyncio.sleep(6 * WINDOW_S)
        assert [each.calls for each in watches] == [[]] * 8


ACCEPTING = """
import socket
door, kept = socket.create_server(("127.0.0.1", 0), backlog=2), []
print(door.getsockname()[1], flush=True)
while True:
    kept.append(door.accept())
"""


async def test_a_stopped_process_is_not_told_though_its_connection_breaks_and_its_backlog_fills(
    watches: list[Watching],
) -> None:
    """A real process, stopped for many windows; the same one is told once it is killed."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ACCEPTING, stdout=asyncio.subprocess.PIPE)
    crowd: list[socket.socket] = []
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        watches.append(seen := Watching(port))
        await until(lambda: seen.watch.is_connected)
        process.send_signal(signal.SIGSTOP)
        for _ in range(8):  # more than its backlog takes: from then on the kernel is silent
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
            crowd.append(one)
        assert seen.watch._held is not None
        seen.watch._held.abort()  # as a reset by something in between
        await asyncio.sleep(8 * WINDOW_S)
        assert seen.calls == []
        process.send_signal(signal.SIGCONT)
        await until(lambda: seen.watch.is_connected)
        assert seen.calls == []
        process.kill()
        await until(lambda: bool(seen.calls))
    finally:
        for one in crowd:
            one.close()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_name_with_several_addresses_refuses_when_all_of_them_do() -> None:
    with pytest.raises(ConnectionRefusedError):
        await real_host().net.dial("localhost", unused_port(), asyncio.Protocol)


async def test_a_name_that_cannot_be_resolved_is_no_refusal() -> None:
    with pytest.raises(OSError) as raised:
        await real_host().net.dial("no-such-host.invalid", 9092, asyncio.Protocol)
    assert not isinstance(raised.value, ConnectionRefusedError)
