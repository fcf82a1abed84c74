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
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

import psutil

from broker.api.families import FAMILIES
from broker.api.table import Table
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually
from tests.cluster.talk import Talk
from tests.soak.frames import cut_everywhere, frames, served
from tests.soak.table import Verdict, Wish

AT_ONCE = 20
PATIENCE = 0.1
TOPIC = "witness"
MOST_LINES = 400
"""Lines of log per 20 000 frames; Apache Kafka 3.9.1 writes 38 000."""


@dataclass(slots=True)
class Hostilities:
    """One broker, an honest client beside it, and what was seen."""

    cluster: Cluster
    dice: Random
    sent: int = 0
    answered: int = 0
    honest: int = 0
    slowest: float = 0.0
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
            await asyncio.sleep(0.02)


async def lying_batches(talk: Talk) -> dict[str, int]:
    """What is told for each abuse of a batch."""
    good = build_batch([Record(0, 1_700_000_000_000, None, b"x" * 50)] * 3, base_offset=0)
    told: dict[str, int] = {}
    for name, lie in _lies(good).items():
        data = [TopicProduceData(name=TOPIC, partition_data=[PartitionProduceData(index=0, records=lie)])]
        request = ProduceRequest(acks=-1, timeout_ms=5000, topic_data=data)
        reply = await talk.send(ApiKey.PRODUCE, 9, request, 20)
        told[name] = reply.responses[0].partition_responses[0].error_code
    return told


def _lies(good: bytes | bytearray) -> dict[str, bytes]:
    def changed(at: int, to: bytes, *, crc: bool = True) -> bytes:
        made = bytearray(good)
        made[at : at + len(to)] = to
        if crc:
            made[17:21] = batches.computed_crc(made, 0, len(made)).to_bytes(4, "big")
        return bytes(made)

    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bomb.compress(bytes(200 << 20)) + bomb.flush()
    inflated = bytearray(good[:61]) + zeros
    inflated[8:12] = (len(inflated) - 12).to_bytes(4, "big")
    inflated[22] = 1
    inflated[17:21] = batches.computed_crc(inflated, 0, len(inflated)).to_bytes(4, "big")
    return {
        "crc": changed(17, b"\0\0\0\0", crc=False),
        "length short": changed(8, (60).to_bytes(4, "big")),
        "length long": changed(8, (1 << 20).to_bytes(4, "big"), crc=False),
        "length negative": changed(8, b"\xff\xff\xff\xff", crc=False),
        "magic 1": changed(16, b"\1", crc=False),
        "magic 9": changed(16, b"\x09", crc=False),
        "count": changed(57, (2).to_bytes(4, "big")),
        "count huge": changed(57, b"\x7f\xff\xff\xff"),
        "count negative": changed(57, b"\xff\xff\xff\xff"),
        "delta": changed(23, (7).to_bytes(4, "big")),
        "delta negative": changed(23, b"\xff\xff\xff\xff"),
        "control": changed(22, b"\x20"),
        "codec": changed(22, b"\x07"),
        "cut": bytes(good[:80]),
        "empty": b"",
        "bomb": bytes(inflated),
    }


REFUSALS = {
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.INVALID_RECORD,
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.RECORD_LIST_TOO_LARGE,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
}


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
    await cluster.create(TOPIC, [[0]])
    honest = asyncio.ensure_future(hostilities.be_honest())
    await asyncio.sleep(0.5)
    memory, lines = hostilities.memory(), hostilities.lines()
    connections = len(hostilities.process.net_connections())
    if all_cuts:
        await hostilities.send(cut_everywhere(apis, hostilities.dice))
    await hostilities.send(islice(frames(apis, hostilities.dice), frame_count))
    told = await lying_batches(cluster.talk(0, direct=True))
    hostilities.faults += [
        f"a batch with a wrong {name} was told {code}" for name, code in told.items() if code not in REFUSALS
    ]
    writers = await slow_and_half(hostilities, 50)
    await asyncio.sleep(0.5)
    for writer in writers:
        writer.transport.abort()
    await flood(hostilities)

    async def back() -> bool:
        return len(hostilities.process.net_connections()) <= connections + 2

    await eventually("only honest connections are left", back, 30)
    honest.cancel()
    await asyncio.gather(honest, return_exceptions=True)
    more = hostilities.lines() - lines
    if more > MOST_LINES * max(hostilities.sent, 20_000) // 20_000:
        hostilities.faults.append(f"{more} lines of log for {hostilities.sent} frames")
    return {
        "frames": hostilities.sent,
        "of them answered": hostilities.answered,
        "lines of log": more,
        "memory, MiB before and after": f"{memory:.0f} {hostilities.memory():.0f}",
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
