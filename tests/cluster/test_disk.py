"""A disk that takes no more: KAFKA_STORAGE_ERROR, the directory goes offline, the others and the cluster go on.

The disk is filled with a limit on the size of files (ulimit -f), which fails a write as a full one does: in the middle.
"""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.wire.errors import ErrorCode
from tests.cluster.clusters import Cluster
from tests.cluster.failing_disk import HAS_COMPILER, Calls, FailingDisk
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


@pytest.mark.skipif(not HAS_COMPILER, reason="no gcc is here to make a disk that fails")
async def test_a_leader_whose_syncs_fail_ends_and_does_not_count_on_the_page_cache_when_it_is_back(
    tmp_path: Path,
) -> None:
    cluster = Cluster(tmp_path, brokers=2, min_insync_replicas="1")
    victim = cluster.nodes[1]
    disk = FailingDisk(victim.process, victim.data)
    async with cluster:
        await cluster.create("orders", [[1, 0]], flush_messages="1")
        await cluster.produce("orders", [b"one"])
        disk.fail(errno.EIO, Calls.SYNC)
        await cluster.produce("orders", [b"two"])
        await victim.process.ended()
        assert await cluster.leader("orders") == 0
        disk.heal()
        cluster.start(1)
        await cluster.isr("orders", {0, 1})
        assert "written anew" in victim.process.output()
        assert list(dict.fromkeys(await cluster.read("orders"))) == [b"one", b"two"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MiB of its own."""
    path = tmp_path / "small"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", "size=48m", "none", str(path)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("dirs", [1, 2])
async def test_a_disk_that_was_full_is_used_again_once_there_is_room(
    tmp_path: Path, small_disk: Path, dirs: int
) -> None:
    names = [str(small_disk / "logs"), *(str(tmp_path / f"other-{number}") for number in range(dirs - 1))]
    async with Cluster(tmp_path, brokers=1, log_dirs=",".join(names)) as cluster:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(36 << 20))
        await cluster.create("full", [[0], [0]])
        on_small = next(index for index in range(2) if (small_disk / f"logs/full-{index}").exists())
        talk = cluster.talk(0)
        taken = 0
        while not (await talk.produce("full", [VALUE], on_small, acks=1)).error_code:
            taken += 1
            assert taken < 40
        process = cluster.nodes[0].process
        pid = process.pid
        await eventually("it waits", lambda: told(cluster, "waiting for room" if dirs == 1 else "is offline"))
        ballast.unlink()
        await eventually("it has begun anew", lambda: told(cluster, "started (kafka.server", 2))
        await cluster.leader("full", on_small)
        assert len(await cluster.read("full", on_small)) == taken
        await cluster.produce("full", [b"again"], on_small)
        assert process.running
        assert process.pid == pid


async def told(cluster: Cluster, words: str, times: int = 1) -> bool:
    return cluster.nodes[0].process.output().count(words) >= times
