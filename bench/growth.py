"""`python -m bench.growth`: how cost grows with partitions, connections, members, batch size and followers.

Each curve has a cluster of its own. Figures go to --json, one small SVG per curve to --plots. `--draw` only draws.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bench import load
from bench.client import Connection, batch_of, create_topic, delete_topics, leader_port, produce_frame, until_led
from bench.clients import gathered
from bench.engines import Cluster
from bench.memory import warm
from bench.plot import svg
from bench.row import fresh


class Points:
    """What one curve has so far; each figure is told on stderr as it comes."""

    def __init__(self) -> None:
        self.lines: Curve = {}

    def add(self, line: str, x: float, y: float) -> None:
        self.lines.setdefault(line, []).append((x, y))
        print(f"  {x:g}: {y:.4g} {line}", file=sys.stderr, flush=True)


Curve = dict[str, list[tuple[float, float]]]
"""Points by what the line is called."""

TITLES = {
    "partitions": ("A broker with n partitions", "partitions", "MB, µs"),
    "connections": ("n connections, 100 B produce, one at a time each", "connections", "k req/s, ms, MB"),
    "members": ("A consumer group of n members", "members", "ms"),
    "batch": ("Produce with acks=1, 5 in flight", "bytes of a batch", "MB/s, µs"),
    "followers": ("Produce 16 KiB with acks=all", "replicas", "MB/s, ms"),
}


async def partitions(engine: str, seconds: float) -> Curve:
    """Memory, and what a small batch costs where each request has one for every partition."""
    found = Points()
    for count in (1, 10, 100, 1000, 2000, 5000):
        cluster = Cluster(engine, 1)
        await cluster.start()
        try:
            topic = fresh("many")
            await create_topic(cluster.port, topic, count, 1)
            await until_led(cluster.ports, topic, count)
            frame = produce_frame(topic, list(range(count)), batch_of(100), 1)
            await load.produce([cluster.port], [frame], 1, 60, 1, most=2)
            done = await load.produce([cluster.port], [frame], 1, seconds, 1)
            found.add("memory of broker and ZooKeeper, MB", count, cluster.memory_mb())
            found.add("µs a batch, all partitions in each request", count, 1e6 / (done.per_second * count))
        finally:
            cluster.stop()
    return found.lines


async def connections(engine: str, seconds: float) -> Curve:
    """Closed loops on all connections at once; then memory with all of them idle."""
    found = Points()
    cluster = Cluster(engine, 1, socket_listen_backlog_size="2048")
    await cluster.start()
    try:
        topic = fresh("connections")
        await create_topic(cluster.port, topic, 8, 1)
        await leader_port(cluster.port, topic, 7)
        frames = [produce_frame(topic, [partition], batch_of(100), 1) for partition in range(8)]
        for count in (1, 10, 50, 200, 500, 1000, 2000):
            await load.produce([cluster.port] * count, frames, 100, seconds / 2, 1)
            done = await load.produce([cluster.port] * count, frames, 100, seconds, 1)
            idle = [await Connection.open(cluster.port) for _ in range(count)]
            found.add("thousand requests a second", count, done.per_second / 1000)
            found.add("p50, ms", count, done.percentile_ms(50))
            found.add("p99, ms", count, done.percentile_ms(99))
            found.add("memory with all of them idle, MB", count, cluster.memory_mb())
            for connection in idle:
                connection.close()
    finally:
        cluster.stop()
    return found.lines


async def members(engine: str, seconds: float) -> Curve:
    found = Points()
    cluster = Cluster(engine, 1)
    await cluster.start()
    try:
        await gathered(cluster.port, fresh("first"), 1)
        for count in (1, 5, 20, 50, 100, 200):
            taken = min([await gathered(cluster.port, fresh("group"), count) for _ in range(3)])
            found.add("until all have their assignment, ms", count, 1000 * taken)
    finally:
        cluster.stop()
    return found.lines


async def batch(engine: str, seconds: float) -> Curve:
    found = Points()
    cluster = Cluster(engine, 1)
    await cluster.start()
    try:
        for size in (100, 1_000, 4_096, 16_384, 65_536, 262_144, 1_000_000):
            topic = fresh("batch")
            await create_topic(cluster.port, topic, 1, 1)
            port, made = await leader_port(cluster.port, topic), batch_of(size)
            frame = produce_frame(topic, [0], made, 1)
            warm(load.MOST // 2)
            await load.produce([port], [frame], len(made), seconds / 2, 5)
            done = await load.produce([port], [frame], len(made), seconds, 5)
            found.add("MB/s", size, done.mb_per_second)
            found.add("µs a request", size, 1e6 / done.per_second)
            await delete_topics(cluster.port, [topic])
            await asyncio.sleep(1)
    finally:
        cluster.stop()
    return found.lines


async def followers(engine: str, seconds: float) -> Curve:
    found = Points()
    cluster = Cluster(engine, 4)
    await cluster.start()
    try:
        for replicas in (1, 2, 3, 4):
            topic = fresh("followers")
            await create_topic(cluster.port, topic, 1, replicas)
            port, made = await leader_port(cluster.port, topic), batch_of(16_384)
            warm(load.MOST // 2 * replicas)
            frame, small = produce_frame(topic, [0], made, -1), produce_frame(topic, [0], batch_of(100), -1)
            await load.produce([port], [frame], len(made), seconds / 2, 5)
            done = await load.produce([port], [frame], len(made), seconds, 5)
            single = await load.produce([port], [small], 100, seconds, 1)
            found.add("MB/s, 5 in flight", replicas, done.mb_per_second)
            found.add("p50 of 100 B, one at a time, ms", replicas, single.percentile_ms(50))
            await delete_topics(cluster.port, [topic])
            await asyncio.sleep(1)
    finally:
        cluster.stop()
    return found.lines


CURVES: dict[str, Callable[[str, float], Awaitable[Curve]]] = {
    "partitions": partitions,
    "connections": connections,
    "members": members,
    "batch": batch,
    "followers": followers,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--engine", default="kops", choices=("kops", "apache"))
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each point is measured")
    parser.add_argument("--only", default="", help="the curve of this name")
    parser.add_argument(
        "--json", type=Path, default=Path("docs/growth/figures.json"), help="figures, kept and added to"
    )
    parser.add_argument("--plots", type=Path, default=Path("docs/growth"), help="the directory of the pictures")
    parser.add_argument("--draw", action="store_true", help="draw what is in --json, measure nothing")
    options = parser.parse_args()
    figures: dict[str, dict[str, Curve]] = json.loads(options.json.read_text()) if options.json.exists() else {}
    if not options.draw:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
        for name, curve in CURVES.items():
            if options.only in ("", name):
                began = time.perf_counter()
                found = _run(curve(options.engine, options.seconds))
                figures.setdefault(name, {})[options.engine] = dict(found)
                print(f"{options.engine} {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    for name, by_engine in figures.items():
        (options.plots / f"{name}.svg").write_text(svg(*TITLES[name], by_engine["kops"]))
    return 0


def _run(work: Awaitable[Curve]) -> Curve:
    async def wait() -> Curve:
        return await work

    try:
        import uvloop
    except ImportError:
        return asyncio.run(wait())
    return uvloop.run(wait())


if __name__ == "__main__":
    sys.exit(main())
