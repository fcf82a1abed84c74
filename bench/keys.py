"""The dashboard in a pseudo-terminal: from the write of a key until the screen that it changes has arrived.

    python -m bench.keys [--only isr,topics] [--keys 50] [--held] [--idle 60] -- -b HOST:PORT [--zookeeper HOST:PORT]

What follows the two dashes goes to `kops tui`. Nothing is changed in the cluster. A key is answered when the last byte
of the burst that shows its effect has been read; what comes is parsed afterwards, so that reading is prompt.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import pty
import random
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence

import psutil
import pyte

Seen = Callable[[], object]
Key = tuple[str, Seen]
PAUSES = 0.08, 0.35
"""Seconds between an answer and the next key: at random, so that keys meet refreshes as they do in life."""
BURST = 0.005
"""A screen has arrived when nothing more came for so many seconds."""
FEW = ("j", "j", "j", "k", "j", "k", "k", "k", "G", "k", "k", "g")
"""From the first row back to it; each one moves the cursor in a table of four rows or more."""
PAGE_DOWN, PAGE_UP = "\x1b[6~", "\x1b[5~"
LONG = "topics", "isr", "groups", "zookeeper"
"""Screens with more rows than a held key passes."""
MANY = (*FEW, PAGE_DOWN, "j", PAGE_DOWN, "j", PAGE_UP, "g")


class Program:
    """`kops tui` in a terminal of its own."""

    def __init__(self, words: Sequence[str], columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)

    def burst(self, seconds: float) -> float:
        """Read until nothing more came for BURST; when the last of it came, 0 when nothing did within ``seconds``."""
        chunks: list[bytes] = []
        last, wait = 0.0, seconds
        while select.select([self.master], [], [], wait)[0]:
            chunks.append(os.read(self.master, 1 << 16))
            last, wait = time.perf_counter(), BURST
        self.stream.feed(b"".join(chunks))
        return last

    def until(self, seen: Callable[[], bool], limit: float = 30.0) -> float:
        """When the burst ended that made it true."""
        deadline = time.perf_counter() + limit
        while time.perf_counter() < deadline:
            at = self.burst(0.5)
            if at and seen():
                return at
        raise SystemExit(f"not on the screen after {limit} s:\n{self.text}")

    def rest(self, seconds: float) -> None:
        """As somebody who looks at the screen."""
        deadline = time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.burst(left)

    def type(self, keys: str) -> float:
        os.write(self.master, keys.encode())
        return time.perf_counter()

    def press(self, key: str, effect: Seen) -> float:
        """Milliseconds until what ``effect`` sees has changed."""
        self.burst(0)
        before = effect()
        at = self.type(key)
        return 1000 * (self.until(lambda: effect() != before, 10) - at)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def cursor(self) -> str:
        """The row under the cursor, by its first words: figures change by themselves."""
        row = next((line for line in self.screen.display if line.startswith("▶")), "")
        return " ".join(row.split()[:3])

    def title(self) -> str:
        return self.screen.display[0].split("   ")[0].partition("(")[0]

    def headings(self) -> str:
        return next((line for line in self.screen.display if "▲" in line or "▼" in line), "")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def plans(program: Program, topic: str) -> dict[str, tuple[str, Sequence[Key]]]:
    """Of each screen how it is opened, and keys with what each changes; they may be repeated from the first row on."""
    few, many = ([(key, program.cursor) for key in keys] for keys in (FEW, MANY))
    sorts: list[Key] = [(key, program.headings) for key in "sSsS"]
    more: list[Key] = [(key, lambda: "keys of this screen" in program.text) for key in "??"]
    more += [(key, lambda: "PAUSED" in program.text) for key in "pp"]
    return {
        "overview": ("1", more),
        "brokers": ("2", [*few, *sorts, *more]),
        "topics": ("3", [*many, *sorts]),
        "partitions": (f":topics {topic}\r", [*few, *more]),
        "isr": ("4", [*many, *sorts]),
        "groups": ("5", [*many, *sorts]),
        "records": (f":records {topic}\r", [*few, *more]),
        "zookeeper": (":zookeeper /brokers/topics\r", [*many, *more]),
        "events": ("8", [*few, *more]),
        "switching": ("1", [(key, program.title) for key in "23458721"]),
    }


def measure(program: Program, opening: str, keys: Sequence[Key], wanted: int) -> list[float]:
    program.type(opening)
    program.rest(3.0)
    if "only affected of" in program.text:
        program.type("a")
        program.rest(2.0)
    taken: list[float] = []
    for number, (key, effect) in enumerate(itertools.islice(itertools.cycle(keys), wanted)):
        if not number % len(keys):
            program.type("g")
            program.rest(0.3)
        taken.append(program.press(key, effect))
        program.rest(random.uniform(*PAUSES))
    return taken


def share(program: Program, opening: str, seconds: float) -> float:
    """Of one core, while the screen is only looked at."""
    program.type(opening)
    program.rest(3.0)
    process = psutil.Process(program.process.pid)
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    program.rest(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began)


def held(program: Program, opening: str) -> tuple[float, float]:
    """Milliseconds until the cursor is at rest after a key was held down for three seconds, 30 ms from one to the next.

    And after a hundred keys that were typed at once.
    """
    program.type(opening)
    program.rest(3.0)
    program.type("g")
    program.rest(0.5)
    for _ in range(100):
        program.rest(0.03)
        released = program.type("j")
    after = settled(program, released)
    typed = program.type("j" * 100)
    return after, settled(program, typed)


def settled(program: Program, since: float) -> float:
    """Milliseconds until the cursor moved for the last time."""
    at, last = since, program.cursor()
    while time.perf_counter() < at + 1.5:
        now = program.burst(0.2)
        if now and program.cursor() != last:
            at, last = now, program.cursor()
    return 1000 * (at - since)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.keys", description=__doc__)
    parser.add_argument("--only", default="", help="screens, with commas")
    parser.add_argument("--keys", type=int, default=50, help="on each screen")
    parser.add_argument("--held", action="store_true", help="also a key that is held down, on screens with long tables")
    parser.add_argument("--idle", type=float, default=0.0, help="seconds over which the CPU is measured on each screen")
    parser.add_argument("--topic", default="topic-0000", help="whose partitions and records are shown")
    parser.add_argument("--size", default="160x50")
    parser.add_argument("words", nargs="*", help="for kops tui")
    options = parser.parse_args()
    columns, lines = map(int, options.size.split("x"))
    program = Program([sys.executable, "-m", "kops", "tui", *options.words], columns, lines)
    try:
        first = program.until(lambda: "kops ·" in program.text) - program.began
        data = program.until(lambda: "partitions" in program.text and "LIVE" in program.text) - program.began
        print(f"first paint {first:.2f} s, first data {data:.2f} s after the start")
        program.rest(5.0)
        chosen = {
            name: one
            for name, one in plans(program, options.topic).items()
            if name in options.only.split(",") or not options.only
        }
        print(f"{'screen':>12} {'keys':>5} {'median':>7} {'p90':>7} {'max':>7} ms")
        for name, (opening, keys) in chosen.items():
            if options.keys:
                taken = sorted(measure(program, opening, keys, options.keys))
                p90 = taken[int(len(taken) * 0.9)]
                print(
                    f"{name:>12} {len(taken):>5} {statistics.median(taken):>7.1f} {p90:>7.1f} {taken[-1]:>7.1f}",
                    flush=True,
                )
            if options.held and name in LONG:
                after, typed = held(program, opening)
                print(
                    f"{name:>12} at rest {after:.0f} ms after a held key, {typed:.0f} ms after 100 at once", flush=True
                )
            if options.idle:
                print(f"{name:>12} {share(program, opening, options.idle):.1%} of a core", flush=True)
        memory = psutil.Process(program.process.pid).memory_info().rss / (1 << 20)
        print(f"memory {memory:.0f} MiB")
    finally:
        program.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
