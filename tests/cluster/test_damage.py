"""Bits flip and files go, under a running leader and under one that is away: nothing of it reaches a client."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(180)

SEGMENT = "20000"


def logs(cluster: Cluster, broker_id: int) -> list[Path]:
    return sorted((cluster.nodes[broker_id].data / "orders-0").glob("*.log"))


def flip(path: Path, dice: random.Random) -> None:
    """In the place where it is, as a disk does it, not by way of a new file."""
    with path.open("r+b") as file:
        at = dice.randrange(path.stat().st_size)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << dice.randrange(8)]))


async def whole(cluster: Cluster, written: list[bytes]) -> None:
    async def all_there() -> bool:
        return await cluster.read("orders") == written

    await eventually("everything is read, and nothing else", all_there, 60)


async def same_files(cluster: Cluster) -> None:
    async def same() -> bool:
        held = [b"".join(file.read_bytes() for file in logs(cluster, node)) for node in cluster.nodes]
        return held[0] == held[1] == held[2]

    await eventually("all replicas hold the same bytes", same, 60)


async def test_what_is_damaged_on_the_leader_is_mended_with_what_the_followers_have(tmp_path: Path) -> None:
    dice = random.Random(8)
    async with Cluster(tmp_path) as cluster:
        await cluster.create("orders", [[1, 0, 2]], segment_bytes=SEGMENT, min_insync_replicas="2")
        written: list[bytes] = []
        for number in range(80):
            values = [b"%03d-%d" % (number, each) + bytes(dice.randrange(400)) for each in range(5)]
            await cluster.produce("orders", values)
            written += values
        assert len(logs(cluster, 1)) > 4
        for _ in range(3):
            for path in logs(cluster, 1):
                flip(path, dice)
            await whole(cluster, written)
        assert await cluster.leader("orders") == 1
        await same_files(cluster)

        cluster.kill(1)  # files that go, or change places, while it is away
        await cluster.isr("orders", {0, 2})
        first_file, middle, one, two = logs(cluster, 1)[:4]
        first_file.unlink()
        middle.unlink()
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        cluster.start(1)
        await cluster.isr("orders", {0, 1, 2})
        for other in (0, 2):
            await cluster.stop(other)
        assert await cluster.leader("orders") == 1
        for other in (0, 2):
            cluster.start(other)
        await cluster.isr("orders", {0, 1, 2})
        await whole(cluster, written)
        await same_files(cluster)


async def test_what_nobody_else_has_is_told_as_corrupt_and_what_surrounds_it_is_served(tmp_path: Path) -> None:
    async with Cluster(tmp_path, brokers=1) as cluster:
        await cluster.create("orders", [[0]])
        for number in range(3):
            await cluster.produce("orders", [b"%d" % number * 100])
        [path] = logs(cluster, 0)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)  # within the second batch
            file.write(b"!")
        talk = cluster.talk(0)

        async def told() -> bool:
            return (await talk.fetch("orders", offset=1)).error_code == ErrorCode.CORRUPT_MESSAGE

        await eventually("the damage is told", told)
        assert (await talk.fetch("orders", offset=0)).error_code == 0
        assert (await talk.fetch("orders", offset=2)).error_code == 0
        assert (await talk.produce("orders", [b"more"])).error_code == 0
