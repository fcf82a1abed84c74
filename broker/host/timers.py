"""The timers of one event loop in a heap, of which the loop itself has to know only when the first is due.

Whoever waits for a request takes a timer and mostly gives it back unused: the loop's own cost 7 µs each, these 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

_EARLY: Final = 0.001
"""Loops count in milliseconds, and may be early by one."""
_NEVER: Final = float("inf")


class HeapTimer:
    """One pending call."""

    __slots__ = ("_args", "_callback", "_timers")

    def __init__(self, timers: Timers, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._timers = timers
        self._callback: Callable[..., object] | None = callback
        self._args = args

    @property
    def is_cancelled(self) -> bool:
        return self._callback is None

    def cancel(self) -> None:
        if self._callback is not None:
            self._callback, self._args = None, ()
            self._timers.cancelled()

    def run(self) -> None:
        callback, args = self._callback, self._args
        self._callback, self._args = None, ()
        if callback is not None:
            callback(*args)


class Timers:
    """``now`` is in the seconds of ``call_later``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self.loop = loop
        self._now = now
        self._heap: list[tuple[float, int, HeapTimer]] = []
        self._count = 0
        self._cancelled = 0
        self._wakes_at = _NEVER
        self._wake: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def call_later(self, seconds: float, callback: Callable[..., object], args: tuple[Any, ...]) -> HeapTimer:
        """Those that are due at the same time run in the order in which they were asked for."""
        timer, at = HeapTimer(self, callback, args), self._now() + seconds
        self._count += 1
        heappush(self._heap, (at, self._count, timer))
        if at < self._wakes_at:
            self._wake_at(at)
        return timer

    def cancelled(self) -> None:
        """One more will not be run: once they are most, they are taken out."""
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].is_cancelled]
            heapify(self._heap)
            self._cancelled = 0

    def _wake_at(self, at: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wakes_at = at
        self._wake = self.loop.call_later(max(at - self._now(), 0.0), self._run_due)

    def _run_due(self) -> None:
        self._wake, self._wakes_at = None, _NEVER
        heap, until = self._heap, self._now() + _EARLY
        while heap and (heap[0][0] <= until or heap[0][2].is_cancelled):
            timer = heappop(heap)[2]
            if timer.is_cancelled:
                self._cancelled -= 1
            else:
                self.loop.call_soon(timer.run)
        if heap:
            self._wake_at(heap[0][0])
