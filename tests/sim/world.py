"""The world: virtual time, one seeded scheduler, and simulated processes that each have an event loop of their own.

Nothing here waits: when no process is runnable, time jumps to the next deadline. The seed decides who runs next and how
equal deadlines are ordered, so the same seed gives the same run.
"""

from __future__ import annotations

import heapq
import random
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.sim.loop import Killed, ProcLoop

EPOCH_MS = 1_700_000_000_000
LIVELOCK_STEPS = 2_000_000


class Stuck(AssertionError):
    """A condition did not come true within its simulated time."""


class Process:
    """One simulated operating-system process: alive, paused (SIGSTOP) or dead (kill -9)."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.loop = ProcLoop(self)
        self.paused = False
        self.dead = False
        self.powerless = False
        self.on_death: list[Callable[[], None]] = []
        self._doors_left = 0
        self._fate: Callable[[], None] = self.kill

    @property
    def runnable(self) -> bool:
        return not self.dead and not self.paused and bool(self.loop.ready)

    def tick(self) -> None:
        """Every door begins with this: a killed process does nothing more, not even in its ``finally``."""
        if self.dead:
            raise Killed
        if self._doors_left:
            self._doors_left -= 1
            if not self._doors_left:
                self._fate()
                raise Killed

    def doom(self, doors: int, fate: Callable[[], None]) -> None:
        """At its ``doors``-th door call from now, ``fate`` (which must kill this process) comes over it."""
        self._doors_left, self._fate = doors, fate

    @contextmanager
    def observed(self) -> Iterator[None]:
        """Who looks from outside uses its doors, which does not bring its doom nearer."""
        left, self._doors_left = self._doors_left, 0
        try:
            yield
        finally:
            self._doors_left = left

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Any:
        return self.loop.create_task(coroutine, name=f"{self.name}/{name}")

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def kill(self, *, power: bool = False) -> None:
        """kill -9: frozen at its doors and never stepped again; peers see their connections reset.

        ``power``: the machine is off, so peers hear nothing. What becomes of its disk is the disk's.
        """
        if self.dead:
            return
        self.dead, self.powerless = True, power
        for callback in self.on_death:
            callback()


class World:
    """The scheduler. ``now`` is in seconds since the world began."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.trace = 0
        self.processes: dict[str, Process] = {}
        self._all: list[Process] = []
        self.errors: list[str] = []
        self._agenda: list[tuple[float, float, int, Callable[[], None]]] = []
        self._sequence = 0
        self._look: Callable[[], None] | None = None
        self._look_every = self._look_at = 0.0

    def process(self, name: str) -> Process:
        """A new process; the one that had this name before must be dead."""
        old = self.processes.get(name)
        assert old is None or old.dead, f"{name} is still alive"
        process = self.processes[name] = Process(self, name)
        self._all.append(process)
        return process

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Run ``action`` at ``when``; equal times are shuffled by the seed."""
        self._sequence += 1
        heapq.heappush(self._agenda, (max(when, self.now), self.random.random(), self._sequence, action))

    def observe(self, every: float, look: Callable[[], None]) -> None:
        """Have ``look()`` called about every so many seconds. It must change nothing: no dice are thrown for it."""
        self._look, self._look_every, self._look_at = look, every, self.now

    def note(self, *numbers: int) -> None:
        """Fold numbers into the running hash of this run."""
        self.trace = zlib.crc32(repr(numbers).encode(), self.trace)

    def fold(self, data: bytes) -> None:
        """Fold bytes that were delivered into the hash: two runs are the same only if every byte was."""
        self.trace = zlib.crc32(data, self.trace)

    def run_until(self, condition: Callable[[], object], seconds: float, what: str = "") -> float:
        """Step until ``condition()`` holds; returns the simulated seconds that took. Raises :class:`Stuck`."""
        began = self.now
        deadline = began + seconds
        while not condition():
            if not self._step(deadline):
                raise Stuck(f"not within {seconds} simulated seconds: {what or condition}; errors: {self.errors[-5:]}")
        return self.now - began

    def run(self, seconds: float) -> None:
        """Let ``seconds`` of simulated time pass."""
        deadline = self.now + seconds
        while self._step(deadline):
            pass

    def _step(self, deadline: float) -> bool:
        self.steps += 1
        runnable = [p for p in self.processes.values() if p.loop.ready and not p.dead and not p.paused]
        if runnable:
            process = runnable[0] if len(runnable) == 1 else self.random.choice(runnable)
            process.loop.step()
            self._guard_against_livelock()
            return True
        self._spins = 0
        if not self._agenda or self._agenda[0][0] > deadline:
            self.now = deadline
            return False
        when, _, sequence, action = heapq.heappop(self._agenda)
        if self._look is not None and when >= self._look_at:
            self._look_at = when + self._look_every
            self._look()
        self.now = when
        self.note(int(when * 1e6), sequence)
        action()
        return True

    _spins = 0

    def _guard_against_livelock(self) -> None:
        self._spins += 1
        if self._spins > LIVELOCK_STEPS:
            raise Stuck(f"livelock at {self.now}: {[p.name for p in self.processes.values() if p.runnable]}")

    def close(self) -> None:
        """Bury everybody: close what is left of their coroutines with the doors shut."""
        for process in self._all:
            process.dead = True
        for process in self._all:
            process.loop.bury()
