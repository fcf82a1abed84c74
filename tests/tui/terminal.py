"""A program in a pseudo-terminal, and what is on its screen (pyte plays the terminal)."""

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

import pyte


class Terminal:
    """Runs ``words`` in a terminal of that size until it is left."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], columns: int = 120, lines: int = 40
    ) -> None:
        self.words = words
        self.environment = {**os.environ, **environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self._master = -1
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> "Terminal":
        self._master, slave = pty.openpty()
        size = struct.pack("HHHH", self.screen.lines, self.screen.columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        self._process = subprocess.Popen(
            self.words, stdin=slave, stdout=slave, stderr=slave, env=self.environment, start_new_session=True
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        asyncio.get_running_loop().add_reader(self._master, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        self.hang_up()

    def _read(self) -> None:
        try:
            self.stream.feed(os.read(self._master, 1 << 16))
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """As when a window is closed, or a connection breaks."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            self._master = -1

    @property
    def pid(self) -> int:
        """Of the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def line(self, beginning: str) -> str:
        """The first line that begins so, cursor and blanks aside; empty when there is none."""
        lines = (line.strip().lstrip("▶ ") for line in self.screen.display)
        return next((line for line in lines if line.startswith(beginning)), "")

    async def until(self, *words: str, limit: float = 30) -> None:
        """All of the words are on the screen."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while missing := [word for word in words if word not in self.text]:
            assert loop.time() < deadline, f"not on the screen after {limit} s: {missing}\n{self.text}"
            await asyncio.sleep(0.05)

    async def ended(self, limit: float = 15) -> int:
        """Its exit status."""
        assert self._process is not None
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait, limit), limit + 1)
