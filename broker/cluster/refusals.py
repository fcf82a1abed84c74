"""Whether a process that listened is gone, by the word of its own host's kernel; Kafka has nothing that answers to it.

A kernel resets or closes the connections of a process that ended, and refuses (RST) who dials a port that nobody holds.
It does neither for a process that is only stopped, slow, or collecting garbage: it goes on accepting for it, up to the
backlog, and beyond that it is silent. Nor does a network that was cut refuse: who dials hears nothing. So a connection
that broke, and then nothing but refusals, says what no time-out can say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from broker.host import Clock, Net

log = logging.getLogger(__name__)

KNOCKS: Final = 5
"""Refusals in a row, spread evenly over the window, the first and the last at its ends."""
PAUSE_S: Final = 0.25
"""Between attempts that can prove nothing, and between connections that are closed at once."""
DIAL_S: Final = 5.0


class _Held(asyncio.Protocol):
    """A connection on which nothing is said."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class RefusalWatch:
    """Holds a connection to ``host:port``; calls ``on_refused`` when it broke and a whole window brought only refusals.

    ``window`` is in seconds. Where ``was_here``, whoever listens is known to have begun, so that a first attempt that
    is refused counts like one after a connection. After a call, none follows before a connection was made again. Any
    other outcome of an attempt (accepted, timed out, unreachable) begins the count anew.
    """

    def __init__(
        self,
        net: Net,
        clock: Clock,
        host: str,
        port: int,
        window: float,
        on_refused: Callable[[], None],
        *,
        was_here: bool = False,
    ) -> None:
        self._net = net
        self._clock = clock
        self._host = host
        self._port = port
        self._between = window / (KNOCKS - 1)
        self._on_refused = on_refused
        self._counts = was_here
        self._held: _Held | None = None
        self._broke_at_once = 0
        self._task = asyncio.ensure_future(self._run())
        self._task.add_done_callback(self._ended)

    @property
    def is_connected(self) -> bool:
        """Whoever listens there has not ended since it was last accepted."""
        return self._held is not None and not self._held.lost.is_set()

    def close(self) -> None:
        self._task.cancel()
        if self._held is not None:
            self._held.abort()

    async def _run(self) -> None:
        refusals = 0
        while True:
            is_refused = await self._knock()
            if self._held is not None:
                refusals = 0
                await self._hold(self._held)
                continue
            refusals = refusals + 1 if is_refused and self._counts else 0
            if refusals == KNOCKS:
                self._counts, refusals = False, 0
                self._on_refused()
            await self._clock.sleep(self._between if refusals else PAUSE_S)

    async def _knock(self) -> bool:
        """True where the kernel said that nobody listens."""
        try:
            async with asyncio.timeout(DIAL_S):
                _, held = await self._net.dial(self._host, self._port, _Held)
        except ConnectionRefusedError:
            return True
        except OSError:  # time-outs are among them
            return False
        self._held = cast(_Held, held)
        return False

    async def _hold(self, held: _Held) -> None:
        """Until it breaks. Where they break at once, one after another (too many are open there, say), with pauses."""
        self._counts = True
        began = self._clock.monotonic()
        await held.lost.wait()
        self._held = None
        is_brief = self._clock.monotonic() - began < PAUSE_S
        self._broke_at_once = self._broke_at_once + 1 if is_brief else 0
        if self._broke_at_once > 1:
            await self._clock.sleep(PAUSE_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("no longer watching %s:%d", self._host, self._port, exc_info=task.exception())
