"""What can be done to the disks and files of a cluster under load."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
from pathlib import Path
from random import Random

import psutil

from tests.cluster.failing_disk import Calls
from tests.soak.harms import Harm
from tests.soak.load import COMPACTED, PARTITIONS, TOPIC

FAILURES = (
    (errno.EIO, Calls.WRITE),
    (errno.EIO, Calls.SYNC),
    (errno.EIO, Calls.READ),
    (errno.EIO, Calls.ANY_CHANGE | Calls.READ),
    (errno.ENOSPC, Calls.WRITE),
    (errno.ENOSPC, Calls.SYNC),
    (errno.EROFS, Calls.WRITE | Calls.CHANGE),
)
RECORDS = ("*.log",)
BESIDE = ("*.index", "*.timeindex", "*.snapshot", "leader-epoch-checkpoint", "partition.metadata")
CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", "cleaner-offset-checkpoint")


def flip(path: Path, dice: Random, besides: int = 0) -> None:
    """One bit, in the place where it is, as a disk does it; not in the last bytes ``besides``."""
    with path.open("r+b") as file:
        at = dice.randrange(max(path.stat().st_size - besides, 1))
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << dice.randrange(8)]))


def files(harm: Harm, broker_id: int, *patterns: str, topic: str = TOPIC) -> list[Path]:
    """Of the topic's partitions, those that have something in them."""
    directories = harm.cluster.nodes[broker_id].data.glob(f"{topic}-[0-9]*")
    found = [path for each in sorted(directories) for pattern in patterns for path in sorted(each.glob(pattern))]
    return [path for path in found if path.exists() and path.stat().st_size]


async def flip_bits(harm: Harm) -> None:
    """In segments of a running broker. What is not committed nobody else has: it is left alone."""
    found = files(harm, harm.any(), *RECORDS)
    for path in harm.dice.sample(found, min(3, len(found))):
        flip(path, harm.dice, besides=20_000)


async def flip_bits_beside(harm: Harm) -> None:
    """In indexes, snapshots, epochs and checkpoints of a broker that was killed."""
    victim = harm.any()
    harm.cluster.kill(victim)
    await harm.out_of_isr(victim)
    for pattern in BESIDE:
        if found := files(harm, victim, pattern):
            flip(harm.dice.choice(found), harm.dice)
    for name in CHECKPOINTS:
        path = harm.cluster.nodes[victim].data / name
        if path.exists():
            flip(path, harm.dice)
    harm.cluster.start(victim)


async def tear_tail(harm: Harm) -> None:
    """Of a broker that was killed: bytes cut, zeroed, or junk appended."""
    victim = harm.any()
    harm.cluster.kill(victim)
    await harm.out_of_isr(victim)
    for partition in (*(f"{TOPIC}-{each}" for each in range(PARTITIONS)), f"{COMPACTED}-0"):
        path = max((harm.cluster.nodes[victim].data / partition).glob("*.log"))
        data, count = path.read_bytes(), harm.dice.randint(1, 200)
        how = harm.dice.randrange(3)
        torn = data[:-count] if how < 2 else data
        path.write_bytes(torn + (b"" if how == 0 else bytes(count) if how == 1 else harm.dice.randbytes(count)))
    harm.cluster.start(victim)


async def flip_bits_of_compacted(harm: Harm) -> None:
    """In closed segments of a running broker."""
    closed = files(harm, harm.any(), *RECORDS, topic=COMPACTED)[:-1]
    for path in harm.dice.sample(closed, min(3, len(closed))):
        with contextlib.suppress(FileNotFoundError):  # it was cleaned in this moment
            flip(path, harm.dice)
            harm.figures["flips in compacted segments"] += 1


async def misplace_segments(harm: Harm) -> None:
    """Of a broker that was killed: two change places, one goes, one is what it was some seconds ago."""
    await _misplace_segments(harm, f"{TOPIC}-{harm.dice.randrange(PARTITIONS)}")


async def misplace_compacted_segments(harm: Harm) -> None:
    await _misplace_segments(harm, f"{COMPACTED}-0")


async def _misplace_segments(harm: Harm, partition: str) -> None:
    victim = harm.any()
    directory = harm.cluster.nodes[victim].data / partition
    newest = max(directory.glob("*.log"))
    old = newest.read_bytes()
    await harm.pause(3)
    harm.cluster.kill(victim)
    await harm.out_of_isr(victim)
    closed = sorted(directory.glob("*.log"))[:-1]
    if len(closed) >= 2:
        one, other = harm.dice.sample(closed, 2)
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        harm.dice.choice(closed).unlink()
        harm.figures[f"segments misplaced in {partition[:-2]}"] += 3
    if newest.exists():  # it may have been cleaned, and be a part of another now
        newest.write_bytes(old)
    harm.cluster.start(victim)


async def restore_directory(harm: Harm) -> None:
    """A partition's whole directory is what it was some seconds ago."""
    victim = harm.any()
    directory = harm.cluster.nodes[victim].data / f"{TOPIC}-{harm.dice.randrange(PARTITIONS)}"
    copy = harm.cluster.directory / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    harm.cluster.kill(victim)
    shutil.copytree(directory, copy)
    harm.cluster.start(victim)
    await harm.whole()
    await harm.pause(3)
    harm.cluster.kill(victim)
    await harm.out_of_isr(victim)
    shutil.rmtree(directory)
    shutil.copytree(copy, directory)
    harm.cluster.start(victim)


async def fail_disk(harm: Harm) -> None:
    """EIO, ENOSPC or EROFS of some kinds of system calls for some seconds, and after it the broker is started again."""
    victim = harm.dice.choice((await harm.leader(), harm.any()))
    disk = harm.disks[victim]
    harm.frail.add(victim)
    disk.fail(*harm.dice.choice(FAILURES))
    await harm.pause(5)
    disk.heal()


async def fill_disk(harm: Harm) -> None:
    """A file system of its own is full and has room again: the broker goes on by itself."""
    assert harm.small_disk is not None
    ballast = harm.small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC
    await asyncio.sleep(harm.dice.uniform(2, 8))
    ballast.unlink()


async def exhaust_descriptors(harm: Harm) -> None:
    """Nothing more can be opened for some seconds. A broker whose disk cannot be used for it ends, and is started."""
    victim = harm.dice.choice((await harm.leader(), harm.any()))
    harm.frail.add(victim)
    process = psutil.Process(harm.cluster.nodes[victim].process.pid)
    _, hard = before = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() - harm.dice.randrange(5), hard))
    await harm.pause(5)
    if harm.cluster.nodes[victim].process.running:
        process.rlimit(psutil.RLIMIT_NOFILE, before)
