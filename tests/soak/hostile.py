"""Hostile clients of one broker, while an honest one goes on: frames that lie, batches that lie, floods, slow readers.

A fault is: the broker ended, an honest request failed or took long, memory or descriptors did not come back, the log
has more than a few lines for it, or something was answered that is not an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

import psutil

from broker.api.families import FAMILIES
from broker.api.table import Table
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.soak.frames import cut_everywhere, frames, served, sized
from tests.soak.lies import REFUSALS, lying_batches, lying_names
from tests.soak.table import Verdict, Wish

AT_ONCE = 20
PATIENCE = 0.1
TOPIC = "witness"
LIED_TO = "lied-to"
MOST_LINES = 400
"""Lines of log per 20 000 frames; Apache Kafka 3.9.1 writes 38 000."""
MOST_MIB = 48
"""How much more memory may be held when all is over."""
DRIPS = 20


@dataclass(slots=True)
class Hostilities:
    """One broker, an honest client beside it, and what was seen."""

    cluster: Cluster
    dice: Random
    sent: int = 0
    answered: int = 0
    honest: int = 0
    slowest: float = 0.0
    most_memory: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.cluster.nodes[0].process.pid)

    @property
    def port(self) -> int:
        return self.cluster.nodes[0].port

    def lines(self) -> int:
        return self.cluster.nodes[0].process.output().count("\n")

    def memory(self) -> float:
        """MiB of resident memory."""
        return float(self.process.memory_info().rss) / (1 << 20)

    async def send(self, payloads: Iterable[bytes]) -> None:
        """Each on a connection of its own, some at once."""
        rest = iter(payloads)
        await asyncio.gather(*(self._send_each(rest) for _ in range(AT_ONCE)))

    async def _send_each(self, rest: Iterable[bytes]) -> None:
        for payload in rest:
            self.sent += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                self.faults.append(f"connection refused: {error}")
                await asyncio.sleep(0.2)
                continue
            writer.write(payload)
            with contextlib.suppress(TimeoutError, OSError):
                self.answered += bool(await asyncio.wait_for(reader.read(1 << 16), PATIENCE))
            writer.transport.abort()

    async def be_honest(self) -> None:
        """Write and read, one after another, for ever; a failure is a fault."""
        talk, offset = self.cluster.talk(0, direct=True), 0
        while True:
            began = time.monotonic()
            try:
                told = await talk.produce(TOPIC, [b"%d" % self.honest])
                found = await talk.fetch(TOPIC, offset=offset)
            except OSError as error:
                self.faults.append(f"an honest request failed: {error}")
                await asyncio.sleep(0.1)
                continue
            if told.error_code or found.error_code or told.base_offset != offset or not found.records:
                self.faults.append(f"an honest client was told {told.error_code}, {found.error_code}")
            offset = told.base_offset + 1
            self.honest += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.most_memory = max(self.most_memory, self.memory())
            await asyncio.sleep(0.02)


async def drip(port: int) -> None:
    """A byte a second of a request, for as long as it is left alone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            for byte in sized(b"\0\x12\0\0\0\0\0\1\0\4drip"):
                writer.write(bytes([byte]))
                await asyncio.sleep(1)
            assert await reader.read(1 << 16), "a request that came byte by byte is not answered"
    except asyncio.CancelledError:
        return
    finally:
        writer.transport.abort()


async def slow_and_half(hostilities: Hostilities, count: int) -> list[asyncio.StreamWriter]:
    """Connections that send a part of a frame and wait, or ask for much and read nothing."""
    writers = []
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", hostilities.port)
        if number % 2:
            writer.write(b"\0\0\1\0" + b"\0\x12")
        else:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(200):
                writer.write(b"\0\0\0\x0e\0\x12\0\0\0\0\0\1\0\4fuzz")  # ApiVersions, each some 600 bytes of reply
        writers.append(writer)
    return writers


async def flood(hostilities: Hostilities) -> None:
    """More connections than there are descriptors for: some are closed, nothing spins, all is well afterwards."""
    process = hostilities.process
    before = process.rlimit(psutil.RLIMIT_NOFILE)
    held = process.num_fds()
    process.rlimit(psutil.RLIMIT_NOFILE, (2 * (held + 64 + 50), before[1]))
    writers = []
    for _ in range(held + 400):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", hostilities.port), 2)
            writers.append(writer)
    began, used = time.monotonic(), sum(process.cpu_times()[:2])
    await asyncio.sleep(1.0)
    share = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
    if share > 0.7:
        hostilities.faults.append(f"{share:.0%} of a core while descriptors are short")
    for writer in writers:
        writer.transport.abort()
    process.rlimit(psutil.RLIMIT_NOFILE, before)


async def run(hostilities: Hostilities, frame_count: int, *, all_cuts: bool) -> dict[str, object]:
    """All of it; what was measured."""
    table = Table.of(FAMILIES)
    apis = served(table)
    hostilities.faults.clear()
    cluster = hostilities.cluster
    for topic in (TOPIC, LIED_TO):
        await cluster.create(topic, [[0]])
    honest = asyncio.ensure_future(hostilities.be_honest())
    await asyncio.sleep(0.5)
    memory, lines = hostilities.memory(), hostilities.lines()
    connections = len(hostilities.process.net_connections())
    dripping = [asyncio.ensure_future(drip(hostilities.port)) for _ in range(DRIPS)]
    if all_cuts:
        await hostilities.send(cut_everywhere(apis, hostilities.dice))
    await hostilities.send(islice(frames(apis, hostilities.dice), frame_count))
    told = await lying_batches(cluster.talk(0, direct=True), LIED_TO)
    hostilities.faults += [
        f"a batch with a wrong {name} was told {code}" for name, code in told.items() if code not in REFUSALS
    ]
    hostilities.faults += await lying_names(cluster.talk(0, direct=True))
    writers = await slow_and_half(hostilities, 50)
    await asyncio.sleep(0.5)
    for writer in writers:
        writer.transport.abort()
    for each in dripping:
        each.cancel()
    hostilities.faults += [str(each) for each in await asyncio.gather(*dripping, return_exceptions=True) if each]
    await flood(hostilities)

    async def back() -> bool:
        return len(hostilities.process.net_connections()) <= connections + 2

    await eventually("only honest connections are left", back, 30)
    honest.cancel()
    await asyncio.gather(honest, return_exceptions=True)
    # its last one may have been cancelled when it was written
    if (await cluster.read(TOPIC))[: hostilities.honest] != [b"%d" % number for number in range(hostilities.honest)]:
        hostilities.faults.append("the honest client's records are not what it wrote")
    if await cluster.read(LIED_TO) != [b"good"] * 3:
        hostilities.faults.append("of what lied something was taken")
    now = hostilities.memory()
    if now - memory > MOST_MIB:
        hostilities.faults.append(f"memory grew from {memory:.0f} to {now:.0f} MiB")
    more = hostilities.lines() - lines
    if more > MOST_LINES * max(hostilities.sent, 20_000) // 20_000:
        hostilities.faults.append(f"{more} lines of log for {hostilities.sent} frames")
    return {
        "frames": hostilities.sent,
        "of them answered": hostilities.answered,
        "lines of log": more,
        "memory, MiB before and after": f"{memory:.0f} {now:.0f}, at most {hostilities.most_memory:.0f}",
        "honest requests": 2 * hostilities.honest,
        "slowest pair, ms": f"{hostilities.slowest * 1000:.0f}",
        "batches": ", ".join(f"{name} {code}" for name, code in told.items()),
    }


def soak(wish: Wish) -> Verdict:
    """20 000 frames a minute asked for, every frame of every API cut everywhere first."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    verdict = Verdict()

    async def all_of_it() -> None:
        with tempfile.TemporaryDirectory() as directory:
            async with Cluster(Path(directory), brokers=1) as cluster:
                hostilities = Hostilities(cluster, Random(wish.seed))
                wish.say("one broker is up")
                verdict.figures |= await run(hostilities, int(20_000 * wish.minutes), all_cuts=True)
                verdict.faults += hostilities.faults[:20]
                if " Traceback" in (output := cluster.nodes[0].process.output()) or "\nTraceback" in output:
                    verdict.faults.append("a traceback in the log: " + output[output.index("Traceback") :][:2000])

    asyncio.run(all_of_it())
    return verdict
