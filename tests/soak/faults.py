"""Three brokers and ZooKeeper, real processes under load, harmed in every way; the simulation's checker judges.

Replication 3, min ISR 2, acks=all. After each harm everything must be whole again within a minute.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.cluster.clusters import Cluster
from tests.cluster.failing_disk import HAS_COMPILER, FailingDisk
from tests.interop.test_mixed_cluster import APACHE, mixed_cluster
from tests.sim.checker import check
from tests.soak import disks
from tests.soak.harms import Harm
from tests.soak.load import COMPACTED, PARTITIONS, TOPIC, Load, held, keep, read_all_replicas
from tests.soak.silence import SILENCES, ZOOKEEPER, Machines, Silence, SilentCluster
from tests.soak.table import Verdict, Wish

SMALL_MIB = 160
SETTINGS = {
    "log_segment_bytes": "100000",
    "default_replication_factor": "3",
    "log_cleaner_backoff_ms": "200",
    "log_initial_task_delay_ms": "100",
}
COMPACTION = {
    "cleanup_policy": "compact",
    "segment_bytes": "20000",
    "min_cleanable_dirty_ratio": "0.01",
    "file_delete_delay_ms": "1000",
}
REPLICAS = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]

Harms = dict[str, Callable[[Any], Awaitable[None]]]

PROCESSES: Harms = {
    "kill the leader": Harm.kill_leader,
    "kill a follower": Harm.kill_follower,
    "kill the controller": Harm.kill_controller,
    "kill a broker, start it at once": Harm.kill_and_start_at_once,
    "kill one after another, every 1 to 3 s": Harm.kill_in_a_loop,
    "kill all brokers": Harm.kill_all,
    "kill all brokers, every 1 to 3 s": Harm.kill_all_in_a_loop,
    "kill ZooKeeper": Harm.kill_zookeeper,
    "kill everything": Harm.kill_everything,
    "ZooKeeper away for 5 s": Harm.stop_zookeeper,
    "ZooKeeper away for 60 s": Harm.stop_zookeeper_for_long,
    "freeze the leader": Harm.freeze_leader,
    "freeze the controller": Harm.freeze_controller,
    "rolling restart": Harm.roll,
    "cut off": Harm.cut_off,
    "cut one way": Harm.cut_inbound,
    "cut from ZooKeeper": Harm.cut_from_zookeeper,
    "flapping": Harm.flap,
    "kill in creation": Harm.kill_in_creation,
    "kill in deletion": Harm.kill_in_deletion,
    "kill in reassignment": Harm.kill_in_reassignment,
    "kill in compaction": Harm.kill_in_compaction,
}
HARMS: Harms = PROCESSES | {
    "flip bits of records": disks.flip_bits,
    "flip bits of indexes, snapshots, epochs, checkpoints": disks.flip_bits_beside,
    "tear the tail": disks.tear_tail,
    "swap, delete and restore segments": disks.misplace_segments,
    "flip bits of compacted segments": disks.flip_bits_of_compacted,
    "swap, delete and restore compacted segments": disks.misplace_compacted_segments,
    "restore an old directory": disks.restore_directory,
    "failing disk": disks.fail_disk,
    "full disk": disks.fill_disk,
    "no descriptors": disks.exhaust_descriptors,
}


@contextmanager
def small_disk(path: Path) -> Iterator[Path | None]:
    """A file system of its own at ``path``; None where none can be mounted."""
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "none", str(path)], capture_output=True, check=False
    )
    yield path if mounted.returncode == 0 else None
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", str(path)], check=True)


async def run(wish: Wish, harm: Harm, harms: Harms) -> Verdict:
    """Harm after harm, each once in an order by the seed before any comes again, until the time is over."""
    verdict, counts, slowest, cluster = Verdict(), Counter[str](), dict[str, float](), harm.cluster
    async with cluster:
        await cluster.create(TOPIC, REPLICAS, min_insync_replicas="2")
        await cluster.create(COMPACTED, REPLICAS[:1], min_insync_replicas="2", **COMPACTION)
        load = Load(cluster.bootstrap)
        load.start()
        end, waiting = time.monotonic() + wish.minutes * 60, list[str]()
        while time.monotonic() < end and not verdict.faults:
            waiting = waiting or harm.dice.sample(list(harms), len(harms))
            name = waiting.pop()
            counts[name] += 1
            began, gap = time.monotonic(), load.longest_gap
            load.longest_gap = 0.0
            try:
                await harms[name](harm)
                await harm.whole()
            except AssertionError as error:
                verdict.faults.append(f"after '{name}' ({sum(counts.values())}th): {error}")
            took, ours = time.monotonic() - began, load.longest_gap
            load.longest_gap = max(gap, ours)
            slowest[name] = max(slowest.get(name, 0.0), took)
            wish.say(f"{name}: whole after {took:.1f} s, {load.acknowledged()} acknowledged, longest gap {ours:.1f} s")
            await harm.pause(1)
        await load.stop()
        try:
            await read_all_replicas(cluster)
            await keep(cluster, load.history)
        except AssertionError as error:
            verdict.faults.append(f"in the end: {error}")
        await judge(harm, load, verdict)
    verdict.faults += [str(each) for each in check(load.history)][:20]
    verdict.figures |= dict(sorted(counts.items())) | harm.figures
    verdict.figures["history"] = str(load.history)
    verdict.figures["keyed writes"] = len(load.history.keyed)
    verdict.figures["longest gap of acks, s"] = f"{load.longest_gap:.1f}"
    name = max(slowest, key=lambda each: slowest[each])
    verdict.figures["longest until whole, s"] = f"{slowest[name]:.1f} ({name})"
    return verdict


async def judge(harm: Harm, load: Load, verdict: Verdict) -> None:
    """What the brokers leave behind: no traceback, and files that are sound and alike."""
    nodes = harm.cluster.nodes
    for broker_id, node in nodes.items():
        if not node.process.running:
            verdict.faults.append(f"broker {broker_id} has ended by itself")
        elif (status := await harm.cluster.stop(broker_id)) != 0 and broker_id not in harm.always_frail:
            verdict.faults.append(f"broker {broker_id} ended with {status}")
        if "Traceback" in (output := node.process.output()):
            at = output.index("Traceback")
            verdict.faults.append(f"a traceback of broker {broker_id}: {output[max(at - 300, 0) : at + 1500]}")
    for partition in range(PARTITIONS):
        load.history.final[partition] = {}
        for broker_id, node in nodes.items():
            if (log := held(node.data, partition)) is None:
                verdict.faults.append(f"partition {partition} on broker {broker_id} was read, and is still damaged")
            else:
                load.history.final[partition][f"broker {broker_id}"] = log


def soak(wish: Wish) -> Verdict:
    directory = Path(tempfile.mkdtemp(prefix="kops-faults-"))
    harms = dict(HARMS)
    with small_disk(directory / "logs-2") as small:
        if small is None:
            del harms["full disk"]
        cluster = Cluster(directory, brokers=3, **SETTINGS)
        harm = Harm(cluster, Random(wish.seed), small_disk=small)
        if HAS_COMPILER:
            harm.disks = {each: FailingDisk(node.process, node.data) for each, node in cluster.nodes.items()}
        else:
            del harms["failing disk"]
        verdict = asyncio.run(run(wish, harm, harms))
    return _left(wish, verdict, directory)


def soak_mixed(wish: Wish) -> Verdict:
    """Two brokers of ours and one of Apache's; the protocol between them is 2.6 or 3.9, by the seed."""
    directory = Path(tempfile.mkdtemp(prefix="kops-mixed-"))
    cluster = mixed_cluster(directory, ("3.9", "2.6")[wish.seed % 2], **SETTINGS)
    # Apache's broker exits where its old session is still there, and where its new one ends while it starts
    cluster.nodes[APACHE].process.settings["zookeeper.session.timeout.ms"] = "10000"
    harm = Harm(cluster, Random(wish.seed), always_frail=frozenset({APACHE}))
    return _left(wish, asyncio.run(run(wish, harm, PROCESSES)), directory)


def soak_silence(wish: Wish) -> Verdict:
    directory = Path(tempfile.mkdtemp(prefix="kops-silence-"))
    machines = Machines((1, 2, 3, ZOOKEEPER))
    try:
        cluster = SilentCluster(machines, directory, **SETTINGS)
        harm = Silence(cluster, Random(wish.seed), machines=machines)
        return _left(wish, asyncio.run(run(wish, harm, SILENCES)), directory)
    finally:
        machines.end()


def _left(wish: Wish, verdict: Verdict, directory: Path) -> Verdict:
    if verdict.faults:
        wish.say(f"logs and data are left in {directory}")
    else:
        shutil.rmtree(directory)
    return verdict
