"""Workers: a thread for system calls that wait, a process for work that computes.

A thread that computes stalls the event loop (facts: p50 0.11 -> 5.4 ms), so computing goes to a process. A worker
gets immutable, picklable input and returns its result; it shares no object with the loop. What starts processes is
imported when one is needed: it takes 2 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from broker.host.servant import Servant

T = TypeVar("T")

IDLE_SECONDS = 5.0
"""How long the process for steps stays when nobody needs it: it holds 25 MB."""


class ServantDied(Exception):
    """The process that does steps ended before its work did: it was killed, perhaps for want of memory."""


class Workers(Protocol):
    async def wait(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a waiting system call (directory walk, disk usage) in a thread."""
        ...

    async def compute(self, fn: Callable[..., T], *args: Any) -> T:
        """Run a module-level function in a worker process; arguments and result are pickled."""
        ...

    def steps(self, fn: Callable[..., Iterator[T]], *args: Any) -> AsyncGenerator[T, None]:
        """Run a module-level generator in a process of low priority, each step when it is asked for.

        For work that takes long: it does not delay ``compute``, and closing (or cancelling) ends the process, however
        busy. One at a time; others wait. Raises what the generator raises, and ServantDied.
        """
        ...

    def close(self) -> None: ...


class RealWorkers:
    """Threads of the running loop; one process to compute and one for steps, spawned at their first use."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._servant: Servant | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def wait(self, fn: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(fn, *args)

    async def compute(self, fn: Callable[..., T], *args: Any) -> T:
        if self._pool is None:
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor

            from broker.host.servant import belong_to_parent

            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(max_workers=1, mp_context=spawn, initializer=belong_to_parent)
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    async def steps(self, fn: Callable[..., Iterator[T]], *args: Any) -> AsyncGenerator[T, None]:
        from broker.host.servant import Outcome, Servant

        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            done = False
            try:
                if self._servant is None:
                    self._servant = await asyncio.to_thread(Servant)
                servant = self._servant
                await asyncio.to_thread(servant.run, fn, args)
                while not done:
                    outcome, value = await servant.step()
                    done = outcome is not Outcome.STEP
                    if outcome is Outcome.FAILED:
                        raise value
                    if not done:
                        yield value
            finally:
                if done:
                    self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end_servant)
                else:
                    self._end_servant()

    def _end_servant(self) -> None:
        if self._servant is not None:
            self._servant.end()
            self._servant = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        if self._idle is not None:
            self._idle.cancel()
        self._end_servant()
