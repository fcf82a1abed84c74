"""Real clients judge three brokers: they create, produce, compress, consume, delete, and survive killed leaders."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.drivers import DRIVERS, Driver
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # kafka-python leaves sockets open
]

CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture(params=list(DRIVERS))
def client(request: pytest.FixtureRequest) -> Driver:
    return DRIVERS[request.param]


def servers(cluster: Cluster) -> str:
    return ",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values())


def lines(prefix: str, count: int) -> list[bytes]:
    return [f"{prefix} line {index} ".encode() + b"." * (index % 90) for index in range(count)]


async def test_create_produce_with_every_codec_consume_and_delete(cluster: Cluster, client: Driver) -> None:
    at = servers(cluster)
    await asyncio.to_thread(client.create, at, "orders", 3)
    await cluster.isr("orders", {0, 1, 2})
    written: list[bytes] = []
    for codec in CODECS:
        values = lines(str(codec), 500)
        await asyncio.to_thread(client.produce, at, "orders", iter(values), codec)
        written += values
    assert await asyncio.to_thread(client.read, at, "orders", len(written)) == written
    assert "orders" in await asyncio.to_thread(client.topics, at)
    await asyncio.to_thread(client.delete, at, "orders")

    async def gone() -> bool:
        left = [list(node.data.glob("orders-?")) for node in cluster.nodes.values()]
        return not any(left) and "orders" not in await asyncio.to_thread(client.topics, at)

    await eventually("the topic and its directories are gone", gone)


def paced(values: list[bytes], seconds: float) -> Iterator[bytes]:
    """Values over ``seconds``, so that what happens meanwhile happens in the middle."""
    for value in values:
        yield value
        time.sleep(seconds / len(values))


async def test_a_killed_leader_costs_an_idempotent_producer_nothing(cluster: Cluster, client: Driver) -> None:
    at = servers(cluster)
    await cluster.create("orders", [[1, 2, 0]])
    values = lines("record", 2000)
    producing = asyncio.ensure_future(asyncio.to_thread(client.produce, at, "orders", paced(values, 6)))
    try:
        for victim in (1, 2):
            await asyncio.sleep(1)
            cluster.kill(victim)
            await cluster.leader("orders", not_=victim)
            cluster.start(victim)
            await cluster.isr("orders", {0, 1, 2})
    finally:
        await producing
    assert await asyncio.to_thread(client.read, at, "orders", len(values)) == values


async def kcat(*arguments: str, given: bytes = b"") -> bytes:
    """Its standard output."""
    process = await asyncio.create_subprocess_exec(
        "kcat",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(given), 60)
    assert process.returncode == 0, errors.decode()
    return output


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
async def test_kcat_lists_produces_and_consumes(cluster: Cluster) -> None:
    at = servers(cluster)
    await cluster.create("orders", [[0, 1, 2]])
    written = b"".join(line + b"\n" for line in lines("kcat", 1000))
    for codec in ("none", "gzip", "snappy", "lz4"):
        await kcat("-P", "-b", at, "-t", "orders", "-p", "0", "-z", codec, "-X", "acks=all", given=written)
    read = await kcat("-C", "-b", at, "-t", "orders", "-p", "0", "-o", "beginning", "-e", "-q")
    assert read == written * 4
    listed = await kcat("-L", "-b", at)
    assert b'topic "orders" with 1 partitions' in listed
    assert b"partition 0, leader 0, replicas: 0,1,2, isrs: 0,1,2" in listed


async def test_producing_to_a_topic_that_is_not_there_creates_it(tmp_path: Path, client: Driver) -> None:
    async with Cluster(tmp_path, brokers=1, num_partitions="2") as cluster:
        at = servers(cluster)
        await asyncio.to_thread(client.produce, at, "unasked", iter(lines("first", 20)))
        assert await asyncio.to_thread(client.read, at, "unasked", 20) == lines("first", 20)
        assert len((await cluster.talk(0).metadata("unasked")).topics[0].partitions) == 2
