"""A process of its own for work that takes long: a generator runs there step by step, at the lowest priority.

Each step waits until it is asked for, so that whoever asked can slow the work down, or stop it by ending the process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from multiprocessing.connection import Connection
from typing import Any

from broker.host.workers import ServantDied

NICE = 10


class Outcome(Enum):
    STEP = 0
    END = 1
    FAILED = 2


class Servant:
    """``run`` begins a generator, ``step`` asks for its next value; one generator at a time."""

    def __init__(self) -> None:
        """Starts the process, which takes about 20 ms here and 0.2 s over there."""
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True, name="servant")
        self._process.start()
        self._is_held = False
        theirs.close()

    def run(self, fn: Callable[..., Iterator[Any]], args: tuple[Any, ...]) -> None:
        """Send the work; may wait while the process is still starting."""
        self._is_held = False
        self._say((fn, args))

    async def step(self) -> tuple[Outcome, Any]:
        """The next value, the end, or what the generator raised. Raises ServantDied."""
        if self._is_held:
            self._say(None)
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        descriptor = self._line.fileno()
        loop.add_reader(descriptor, _readable, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        try:
            outcome: tuple[Outcome, Any] = self._line.recv()
        except (EOFError, OSError) as error:
            raise ServantDied(f"the worker process ended with status {self._process.exitcode}") from error
        self._is_held = outcome[0] is Outcome.STEP
        return outcome

    def _say(self, what: Any) -> None:
        try:
            self._line.send(what)
        except OSError as error:
            raise ServantDied(f"the worker process ended with status {self._process.exitcode}") from error

    def end(self) -> None:
        """Kill the process, whatever it does, and wait until it is gone: milliseconds."""
        self._process.kill()
        self._process.join()
        self._line.close()


def _readable(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _serve(line: Connection) -> None:
    """The process: work, until the other side hangs up."""
    os.nice(NICE)
    belong_to_parent()
    try:
        while True:
            fn, args = line.recv()
            line.send(_run(line, fn, args))
    except (EOFError, OSError):
        return


def _run(line: Connection, fn: Callable[..., Iterator[Any]], args: tuple[Any, ...]) -> tuple[Outcome, Any]:
    try:
        for value in fn(*args):
            line.send((Outcome.STEP, value))
            line.recv()
    except EOFError:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised again on the other side
        return Outcome.FAILED, _portable(error)
    return Outcome.END, None


def _portable(error: Exception) -> Exception:
    """The error itself if it survives the way, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - any class may spoil its own pickling
        return RuntimeError(repr(error))
    return error


def belong_to_parent() -> None:
    """In a worker process: it ends when its parent does, however that ends, and Ctrl-C is the parent's to decide."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches the whole group
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A parent that was killed cannot say so; its successor must find nobody writing in its directories."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
