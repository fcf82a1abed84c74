"""An asyncio event loop on virtual time: it holds what is ready, and the world decides when it is stepped."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.sim.world import Process


class Killed(BaseException):
    """Raised by every door of a process that was killed."""


class ProcLoop(asyncio.AbstractEventLoop):
    """The loop of one simulated process. Executors and threads do not exist here: using one raises."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[int, asyncio.Task[Any]] = {}

    def step(self) -> None:
        """Run what is ready now, in order, each in its context."""
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(self.ready)):
                if self.process.dead or self.process.paused:
                    return
                handle = self.ready.popleft()
                if not handle.cancelled():
                    handle._run()
        except Killed:
            pass
        finally:
            asyncio._set_running_loop(None)

    def time(self) -> float:
        return self.process.world.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self.ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)

        def due() -> None:
            if not handle.cancelled() and not self.process.dead:
                self.ready.append(handle)

        self.process.world.at(when, due)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers stay on the agenda and do nothing when they are due."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **kwargs)
        self._tasks[id(task)] = task  # strong: a collected task would run its finally
        task.add_done_callback(lambda done: self._tasks.pop(id(done), None))
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.process.dead or isinstance(context.get("exception"), Killed):
            return
        self.process.world.errors.append(f"{self.process.name}: {context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        return False

    def run_in_executor(self, *_: Any) -> Any:
        raise RuntimeError("no executor in the simulation: use host.workers")

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no threads in the simulation")

    def bury(self) -> None:
        """Close what is left of the coroutines; their ``finally`` meets shut doors."""
        for task in list(self._tasks.values()):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                task.get_coro().close()  # type: ignore[union-attr]
        self._tasks.clear()
        self.ready.clear()
