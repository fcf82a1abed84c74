"""Twenty members of a group on twenty partitions, as programs of each client: they join, leave and crash, and their
coordinator is killed in the middle. Every record is processed, and committed offsets never go back.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import kafka
import msgpack
import pytest

from broker.coordinator.shards import partition_for
from tests.clients.test_groups import committed, rising, servers, spread
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

OFFSETS = "__consumer_offsets"
TOPIC, GROUP, PARTITIONS, MEMBERS = "facts", "workers", 20, 5


class Heard:
    """What the members said: who holds what, what was processed, the highest offset committed per partition."""

    def __init__(self) -> None:
        self.assigned: dict[int, list[int]] = {}
        self.read: set[int] = set()
        self.committed: dict[int, int] = {}

    def line(self, told: dict[str, Any]) -> None:
        if "assigned" in told:
            self.assigned[told["member"]] = told["assigned"]
        self.read.update(told.get("read", ()))
        for partition, offset in told.get("committed", ()):
            self.committed[partition] = max(self.committed.get(partition, 0), offset)


class Program:
    """One process with ``MEMBERS`` members: ``async with Program(...) as program``, which ends it at the latest."""

    def __init__(self, heard: Heard, at: str, client: str, strategy: str, first: int) -> None:
        self.heard, self.members = heard, range(first, first + MEMBERS)
        self.spec = {"client": client, "strategy": strategy, "count": MEMBERS, "first": first}
        self.spec |= {"at": at, "group": GROUP, "topic": TOPIC}

    async def __aenter__(self) -> Program:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.clients.members", json.dumps(self.spec)),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self._over()

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.heard.line(json.loads(line))

    async def leave(self) -> None:
        self.process.terminate()
        await asyncio.wait_for(self._over(), 60)
        assert self.process.returncode == 0

    async def crash(self) -> None:
        self.process.kill()
        await self._over()

    async def _over(self) -> None:
        await self.process.wait()
        await self._listening
        for member in self.members:
            self.heard.assigned.pop(member, None)


async def shared(heard: Heard, programs: Iterable[Program]) -> None:
    """Every partition is with exactly one of the members, who have as many as each other."""
    members = [member for program in programs for member in program.members]

    async def so() -> bool:
        found = [heard.assigned.get(member, []) for member in members]
        sizes = [len(one) for one in found]
        held = sorted(partition for one in found for partition in one)
        return held == list(range(PARTITIONS)) and max(sizes) - min(sizes) <= 1

    try:
        await eventually(f"{PARTITIONS} partitions are shared by {len(members)} members", so, 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {heard.assigned}") from error


async def write(at: str, numbers: Iterable[int]) -> None:
    def work() -> None:
        producer = kafka.KafkaProducer(
            bootstrap_servers=at.split(","), acks="all", value_serializer=msgpack.packb, retry_backoff_ms=50,
            metadata_max_age_ms=1000, delivery_timeout_ms=60_000, request_timeout_ms=10_000,
        )  # fmt: skip
        try:
            sent = [producer.send(TOPIC, {"number": number}, partition=number % PARTITIONS) for number in numbers]
            for each in sent:
                each.get(60)
        finally:
            producer.close(5)

    await asyncio.to_thread(work)


@pytest.mark.parametrize(
    ("client", "strategy"), [("confluent-kafka", "roundrobin"), ("kafka-python", "range"), ("aiokafka", "roundrobin")]
)
async def test_twenty_members_join_leave_and_crash_around_a_killed_coordinator(
    tmp_path: Path, client: str, strategy: str
) -> None:
    async with AsyncExitStack() as all_:
        cluster = await all_.enter_async_context(
            Cluster(
                tmp_path,
                group_min_session_timeout_ms="1000",
                offsets_topic_num_partitions="5",
                offsets_topic_replication_factor="3",
            )
        )
        at, heard, stop = servers(cluster), Heard(), asyncio.Event()
        await spread(cluster, TOPIC, PARTITIONS)

        async def join(first: int) -> Program:
            return await all_.enter_async_context(Program(heard, at, client, strategy, first))

        one, two, three, four = [await join(first) for first in (0, 5, 10, 15)]
        watching = asyncio.create_task(rising(at, GROUP, TOPIC, PARTITIONS, stop))
        try:
            await shared(heard, (one, two, three, four))
            await write(at, range(400))
            coordinates = partition_for(GROUP, 5)
            victim = await cluster.leader(OFFSETS, coordinates)
            writing = asyncio.create_task(write(at, range(400, 800)))
            cluster.kill(victim)
            await asyncio.gather(two.crash(), three.leave(), writing)
            five = await join(20)
            writing = asyncio.create_task(write(at, range(800, 1200)))
            await shared(heard, (one, four, five))
            cluster.start(victim)
            await writing
            await all_read(heard, 1200)
            await asyncio.gather(*(program.leave() for program in (one, four, five)))
        finally:
            stop.set()
        assert await watching == []
        left = await asyncio.to_thread(committed, at, GROUP, TOPIC, PARTITIONS)
        assert left == dict.fromkeys(range(PARTITIONS), 60)
        assert all(left[partition] >= offset for partition, offset in heard.committed.items())


async def all_read(heard: Heard, count: int) -> None:
    async def so() -> bool:
        return heard.read == set(range(count))

    await eventually(f"all {count} records are processed", so, 60)
