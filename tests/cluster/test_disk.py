"""A disk that takes no more: KAFKA_STORAGE_ERROR, the directory goes offline, the others and the cluster go on.

The disk is filled with a limit on the size of files (ulimit -f), which fails a write as a full one does: in the middle.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode
from tests.cluster.clusters import Cluster
from tests.cluster.processes import eventually

pytestmark = pytest.mark.timeout(180)

LIMIT_KIB = 12 * 1024  # above the 10 MiB that an index file may be allocated with
VALUE = b"x" * 1_000_000


async def fill(cluster: Cluster, topic: str, broker_id: int) -> int:
    """Produce to ``broker_id`` until it says KAFKA_STORAGE_ERROR; how many records it had taken."""
    talk = cluster.talk(broker_id)
    for taken in range(40):
        reply = await talk.produce(topic, [VALUE], acks=1)
        if reply.error_code:
            assert reply.error_code == ErrorCode.KAFKA_STORAGE_ERROR
            return taken
    raise AssertionError("the disk never filled up")


async def test_a_full_directory_goes_offline_and_the_other_goes_on(tmp_path: Path) -> None:
    dirs = f"{tmp_path / 'a'},{tmp_path / 'b'}"
    cluster = Cluster(tmp_path, brokers=1, log_dirs=dirs)
    cluster.nodes[0].process.file_size_limit = LIMIT_KIB
    async with cluster:
        await cluster.create("full", [[0]])
        await cluster.create("small", [[0]])
        assert (tmp_path / "a" / "full-0").exists() != (tmp_path / "a" / "small-0").exists()
        taken = await fill(cluster, "full", 0)
        assert taken == LIMIT_KIB * 1024 // len(VALUE)
        assert (await cluster.talk(0).produce("small", [b"still"], acks=-1)).error_code == 0
        assert (await cluster.talk(0).fetch("full")).error_code == ErrorCode.KAFKA_STORAGE_ERROR
        assert await cluster.read("small") == [b"still"]

        async def leaderless() -> bool:
            return (await cluster.partition("full")).leader_id == -1

        await eventually("the controller took the leadership away", leaderless)
        cluster.kill(0)
        cluster.nodes[0].process.file_size_limit = 0
        cluster.start(0)
        await cluster.leader("full")
        assert len(await cluster.read("full")) == taken
        assert await cluster.read("small") == [b"still"]


async def test_a_leader_whose_only_directory_is_full_ends_and_another_leads(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, brokers=3)
    cluster.nodes[1].process.file_size_limit = LIMIT_KIB
    async with cluster:
        await cluster.create("orders", [[1, 0, 2]], min_insync_replicas="2")
        written = 0
        for number in range(20):
            await cluster.produce("orders", [b"%03d" % number + VALUE])
            written += 1
        assert not cluster.nodes[1].process.running
        assert "The broker halted" in cluster.nodes[1].process.output()
        assert await cluster.leader("orders") in (0, 2)
        values = await cluster.read("orders")
        assert sorted({value[:3] for value in values}) == [b"%03d" % number for number in range(written)]
        await cluster.isr("orders", {0, 2})
