"""The simulated side of ``broker.host``: one :class:`Host` per process, all of them on one world."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, TypeVar

from broker.host import Host, Timer
from tests.sim.disk import Disk, SimFiles
from tests.sim.network import Network, SimNet
from tests.sim.world import EPOCH_MS, Process

T = TypeVar("T")


class SimClock:
    """Virtual time; a timer may fire up to 0.4 ms early, as uvloop's do."""

    def __init__(self, process: Process, offset_ms: Callable[[], int]) -> None:
        """``offset_ms``: by how much the wall clock of this machine is wrong now."""
        self.process, self.offset_ms = process, offset_ms

    def monotonic(self) -> float:
        self.process.tick()
        return self.process.world.now

    def wall_ms(self) -> int:
        self.process.tick()
        return EPOCH_MS + self.offset_ms() + int(self.process.world.now * 1000)

    async def sleep(self, seconds: float) -> None:
        self.process.tick()
        await asyncio.sleep(seconds)
        self.process.tick()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        self.process.tick()
        early = self.process.world.random.random() * 0.0004 if seconds > 0.001 else 0.0
        return self.process.loop.call_later(seconds - early, callback, *args)


class SimDice:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128), version=4)

    def token(self, size: int) -> bytes:
        return self.random.randbytes(size)


class SimWorkers:
    """Work is done at once and takes a little virtual time."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def wait(self, fn: Callable[..., T], *args: Any) -> T:
        self.process.tick()
        result = fn(*args)
        await asyncio.sleep(0.0002)
        self.process.tick()
        return result

    async def compute(self, fn: Callable[..., T], *args: Any) -> T:
        return await self.wait(fn, *args)

    async def steps(self, fn: Callable[..., Iterator[T]], *args: Any) -> AsyncGenerator[T, None]:
        self.process.tick()
        for value in fn(*args):
            await asyncio.sleep(0.0002)
            self.process.tick()
            yield value

    def close(self) -> None:
        """Nothing runs outside of the loop."""


def _right() -> int:
    return 0


def sim_host(process: Process, network: Network, disk: Disk, offset_ms: Callable[[], int] = _right) -> Host:
    """The doors of a simulated process."""
    clock = SimClock(process, offset_ms)
    return Host(
        clock,
        SimNet(network, process),
        SimFiles(disk, process, clock.wall_ms),
        SimWorkers(process),
        SimDice(process.world.random.getrandbits(64)),
    )
