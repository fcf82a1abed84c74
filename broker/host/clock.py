"""Clock: wall time, monotonic time, sleep and timers (org.apache.kafka.common.utils.Time)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from broker.host.timers import Timers


class Timer(Protocol):
    """A pending call of :meth:`Clock.call_later`."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic time is in seconds (float) and for timers; wall time is in milliseconds (int) and for records."""

    def monotonic(self) -> float: ...

    def wall_ms(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer: ...


class RealClock:
    """The machine's clock; timers run on the running event loop and may fire up to a millisecond early."""

    def __init__(self) -> None:
        self.monotonic: Callable[[], float] = time.monotonic
        self._timers: Timers | None = None

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
        timers, loop = self._timers, asyncio.get_running_loop()
        if timers is None or timers.loop is not loop:
            timers = self._timers = Timers(loop, self.monotonic)
        return timers.call_later(seconds, callback, args)
