"""What no broker can be faster than, here: the bench's client against a server that does nothing.

``python -m bench.floor [--awake]``: a server on uvloop that answers whatever arrives with the same few bytes, in a
process of its own, and the bench's closed loop of 100 B produces on 1, 50 and 200 connections.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import cast

import psutil
import uvloop

from bench import load
from bench.awake import awake
from bench.client import PRODUCE, batch_of, produce_frame
from broker.wire.codec import encode_response
from broker.wire.keys import ApiKey
from broker.wire.messages.produce import PartitionProduceResponse, ProduceResponse, TopicProduceResponse

SECONDS = 2.0


class Nothing(asyncio.Protocol):
    """One reply for whatever arrives."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.reply)


async def serve() -> None:
    topic = TopicProduceResponse(name="t", partition_responses=[PartitionProduceResponse(index=0, base_offset=0)])
    reply = encode_response(ApiKey.PRODUCE, PRODUCE, 1, ProduceResponse(responses=[topic]))
    server = await asyncio.get_running_loop().create_server(lambda: Nothing(reply), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(port: int, server: psutil.Process) -> None:
    both = server, psutil.Process()
    frame = produce_frame("t", [0], batch_of(100), 1)
    for connections in (1, 50, 200):
        await load.produce([port] * connections, [frame], 100, SECONDS / 4, 1)
        before = [cpu_seconds(process) for process in both]
        done = await load.produce([port] * connections, [frame], 100, SECONDS, 1)
        theirs, ours = (
            1e6 * (cpu_seconds(process) - then) / done.requests for process, then in zip(both, before, strict=True)
        )
        print(
            f"{connections} connections: {done.per_second:,.0f} a second, p50 {done.percentile_ms(50):.3f} ms, "
            f"CPU of the server {theirs:.1f} µs, of the client {ours:.1f} µs"
        )


def main() -> None:
    if sys.argv[1:] == ["--serve"]:
        return uvloop.run(serve())
    with awake("--awake" in sys.argv):
        command = [sys.executable, "-m", "bench.floor", "--serve"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                uvloop.run(measure(int(server.stdout.readline()), psutil.Process(server.pid)))
            finally:
                server.kill()


if __name__ == "__main__":
    main()
