"""Real clients judge three brokers: they create, produce, compress, consume, delete, and survive killed leaders."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.drivers import DRIVERS, Driver
from tests.clients.programs import PROGRAMS, Java, Kcat
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # kafka-python leaves sockets open
]

CODECS = (None, "gzip", "snappy", "lz4", "zstd")
KCAT, JAVA = Kcat(), Java()
EVERY: dict[str, Any] = {**DRIVERS, **PROGRAMS}


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture(params=[*DRIVERS, "java"])
def client(request: pytest.FixtureRequest) -> Driver:
    if request.param == "java" and JAVA.missing():
        pytest.skip(str(JAVA.missing()))
    found: Driver = EVERY[request.param]
    return found


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


STREAM = lines("record", 2000)


async def produced_while_leaders_die(directory: Path, clients: Sequence[str]) -> dict[str, list[bytes] | Exception]:
    """All ``clients`` produce at once, each to a topic of its own; two leaders of all of them are killed meanwhile.

    What each client then reads of what it wrote, or how it failed.
    """
    async with Cluster(directory) as cluster:
        at = servers(cluster)
        for client in clients:
            await cluster.create(client, [[1, 2, 0]])

        async def produce(client: str) -> None:
            await asyncio.to_thread(EVERY[client].produce, at, client, paced(STREAM, 8))

        producing = [asyncio.ensure_future(produce(client)) for client in clients]
        try:
            for victim in (1, 2):
                await asyncio.sleep(1.5)
                cluster.kill(victim)
                for client in clients:
                    await cluster.leader(client, not_=victim)
                cluster.start(victim)
                for client in clients:
                    await cluster.isr(client, {0, 1, 2})
        finally:
            failures = await asyncio.gather(*producing, return_exceptions=True)
        reading = [asyncio.to_thread(EVERY[client].read, at, client, len(STREAM)) for client in clients]
        found = zip(clients, failures, await asyncio.gather(*reading), strict=True)
        return {client: failed if isinstance(failed, Exception) else read for client, failed, read in found}


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes] | Exception]:
    here = [*DRIVERS, *(name for name, program in PROGRAMS.items() if program.missing() is None)]
    return asyncio.run(produced_while_leaders_die(tmp_path_factory.mktemp("kills"), here))


@pytest.mark.parametrize("name", list(EVERY))
def test_killed_leaders_cost_an_idempotent_producer_nothing(
    survived: dict[str, list[bytes] | Exception], name: str
) -> None:
    if name not in survived:
        pytest.skip(PROGRAMS[name].missing() or "")
    assert survived[name] == STREAM


@pytest.mark.skipif(KCAT.missing() is not None, reason=str(KCAT.missing()))
async def test_kcat_lists_produces_and_consumes(cluster: Cluster) -> None:
    at = servers(cluster)
    await cluster.create("orders", [[0, 1, 2]])
    written = lines("kcat", 1000)
    for codec in CODECS:
        await asyncio.to_thread(KCAT.produce, at, "orders", iter(written), codec)
    assert await asyncio.to_thread(KCAT.read, at, "orders", 5000) == written * 5
    listed = await asyncio.to_thread(KCAT.run, "-L", "-b", at)
    assert b'topic "orders" with 1 partitions' in listed
    assert b"partition 0, leader 0, replicas: 0,1,2, isrs: 0,1,2" in listed


@pytest.mark.parametrize("client", list(DRIVERS.values()), ids=list(DRIVERS))
async def test_producing_to_a_topic_that_is_not_there_creates_it(tmp_path: Path, client: Driver) -> None:
    async with Cluster(tmp_path, brokers=1, num_partitions="2") as cluster:
        at = servers(cluster)
        await asyncio.to_thread(client.produce, at, "unasked", iter(lines("first", 20)))
        assert await asyncio.to_thread(client.read, at, "unasked", 20) == lines("first", 20)
        assert len((await cluster.talk(0).metadata("unasked")).topics[0].partitions) == 2
