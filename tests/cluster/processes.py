"""Real processes on ephemeral ports: started, stopped, killed, paused and resumed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from broker.host.net import close_server
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


async def eventually(what: str, condition: Callable[[], Awaitable[T]], limit: float = 30) -> T:
    """Ask again until ``condition`` answers something true; fail with what it last said."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    while True:
        try:
            last: object = await condition()
        except (OSError, TimeoutError) as error:
            last = error
        else:
            if last:
                return last  # type: ignore[return-value]
        if loop.time() > deadline:
            raise AssertionError(f"not within {limit} s: {what}; last seen: {last!r}")
        await asyncio.sleep(0.05)


class Process:
    """A process with its output in a file. Ends with its test, whatever happens."""

    def __init__(self, name: str, module: str, settings: Mapping[str, str], directory: Path, limit_file_size: int = 0):
        self.name = name
        self.module = module
        self.directory = directory
        self.settings = dict(settings)
        self.log = directory / f"{name}.out"
        self.file_size_limit = limit_file_size
        self.environment: dict[str, str] = {}
        self.prefix: list[str] = []
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> Path:
        return self.directory / f"{self.name}.properties"

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        assert self._popen is not None
        return self._popen.pid

    def start(self) -> None:
        assert not self.running, f"{self.name} is running"
        self.path.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        argv = [*self.prefix, sys.executable, "-W", "error::ResourceWarning", "-m", self.module, str(self.path)]
        if self.file_size_limit:  # bash: a limit for this process alone, without running Python between fork and exec
            argv = ["bash", "-c", f'ulimit -f {self.file_size_limit}; exec "$@"', "bash", *argv]
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                argv, stdout=out, stderr=out, cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ | self.environment
            )

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9."""
        if self._popen is not None and self.running:
            self._popen.kill()
            self._popen.wait(10)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    async def stop(self, limit: float = 30) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return await self.ended(limit)

    async def ended(self, limit: float = 30) -> int:
        assert self._popen is not None
        popen = self._popen

        async def status() -> tuple[int | None] | None:
            return None if popen.poll() is None else (popen.returncode,)

        found = await eventually(f"the end of {self.name}", status, limit)
        assert found is not None and found[0] is not None
        return found[0]

    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


class Proxy:
    """A TCP proxy that can be cut: what is connected breaks off, what dials is refused, until it is healed."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def heal(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            close_server(self._server)
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            back, onward = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(onward)
            await asyncio.gather(_pump(reader, onward), _pump(back, writer))
        except OSError:
            pass  # one of the two ends is gone: so is the connection
        finally:
            for end in (writer, onward):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("end of stream")
