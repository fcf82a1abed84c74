"""Three brokers and ZooKeeper, real processes under load, harmed in every way; the simulation's checker judges.

Replication 3, min ISR 2, acks=all. After each harm everything must be whole again within a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from broker.wire.keys import ApiKey
from broker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tests.cluster.clusters import SESSION_TIMEOUT_MS, Cluster
from tests.sim.checker import check
from tests.soak.load import PARTITIONS, TOPIC, Load, held
from tests.soak.table import Verdict, Wish

SESSION = SESSION_TIMEOUT_MS / 1000
WHOLE_SECONDS = 60.0


@dataclass(slots=True)
class Harm:
    """What can be done to a cluster, by name."""

    cluster: Cluster
    dice: Random
    number: int = 0

    async def leader(self) -> int:
        return await self.cluster.leader(TOPIC, self.dice.randrange(PARTITIONS))

    async def controller(self) -> int:
        return (await self.cluster.talk(0).metadata()).controller_id

    async def pause(self, most: float) -> None:
        await asyncio.sleep(self.dice.uniform(0.1, most))

    async def kill(self, *victims: int, away: float = 3.0) -> None:
        for victim in victims:
            self.cluster.kill(victim)
        if away:
            await self.pause(away)
        for victim in victims:
            self.cluster.start(victim)

    async def kill_leader(self) -> None:
        await self.kill(await self.leader())

    async def kill_controller(self) -> None:
        await self.kill(await self.controller())

    async def kill_any(self) -> None:
        await self.kill(self.dice.randrange(3))

    async def kill_and_start_at_once(self) -> None:
        await self.kill(self.dice.randrange(3), away=0)

    async def kill_all(self) -> None:
        await self.kill(0, 1, 2, away=1)

    async def kill_zookeeper(self) -> None:
        self.cluster.zookeeper.kill()
        await self.pause(3)
        self.cluster.zookeeper.start()

    async def kill_everything(self) -> None:
        self.cluster.zookeeper.kill()
        await asyncio.gather(self.kill(0, 1, 2, away=1), self._start_zookeeper())

    async def _start_zookeeper(self) -> None:
        await self.pause(1)
        self.cluster.zookeeper.start()

    async def stop_zookeeper_for_long(self) -> None:
        self.cluster.zookeeper.kill()
        await asyncio.sleep(self.dice.choice((5, 5, 5, 60)))
        self.cluster.zookeeper.start()

    async def freeze_leader(self) -> None:
        await self._freeze(await self.leader())

    async def freeze_controller(self) -> None:
        await self._freeze(await self.controller())

    async def _freeze(self, victim: int) -> None:
        self.cluster.pause(victim)
        await asyncio.sleep(2 * SESSION)
        self.cluster.resume(victim)

    async def roll(self) -> None:
        for victim in range(3):
            await self.cluster.stop(victim)
            self.cluster.start(victim)
            await self.whole()

    async def cut_off(self) -> None:
        node = self.cluster.nodes[self.dice.randrange(3)]
        await node.cut()
        await self.pause(2 * SESSION)
        await node.heal()

    async def cut_inbound(self) -> None:
        """One way: it reaches others, nobody reaches it."""
        node = self.cluster.nodes[self.dice.randrange(3)]
        await node.inbound.cut()
        await self.pause(2 * SESSION)
        await node.inbound.heal()

    async def cut_from_zookeeper(self) -> None:
        node = self.cluster.nodes[self.dice.randrange(3)]
        await node.to_zookeeper.cut()
        await self.pause(2 * SESSION)
        await node.to_zookeeper.heal()

    async def flap(self) -> None:
        node = self.cluster.nodes[self.dice.randrange(3)]
        for _ in range(10):
            await node.cut()
            await self.pause(0.5)
            await node.heal()
            await self.pause(0.5)

    async def flip_bits(self) -> None:
        """In files of a running leader, as a disk does it."""
        leader = await self.leader()
        files = [path for path in self.cluster.nodes[leader].data.glob(f"{TOPIC}-*/*.log") if path.stat().st_size]
        for path in self.dice.sample(files, min(3, len(files))):
            with path.open("r+b") as file:
                # not in the last bytes, which may not be committed, and then nobody else has them
                at = self.dice.randrange(max(path.stat().st_size - 20_000, 1))
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << self.dice.randrange(8)]))

    async def tear_tail(self) -> None:
        """Of a broker that was killed: bytes cut, zeroed, or junk appended."""
        victim = self.dice.randrange(3)
        self.cluster.kill(victim)
        others = {0, 1, 2} - {victim}
        for partition in range(PARTITIONS):
            await self.cluster.isr(TOPIC, others, partition, limit=WHOLE_SECONDS)
        for partition in range(PARTITIONS):
            path = max((self.cluster.nodes[victim].data / f"{TOPIC}-{partition}").glob("*.log"))
            data, count = path.read_bytes(), self.dice.randint(1, 200)
            how = self.dice.randrange(3)
            torn = data[:-count] if how < 2 else data
            path.write_bytes(torn + (b"" if how == 0 else bytes(count) if how == 1 else self.dice.randbytes(count)))
        self.cluster.start(victim)

    async def kill_in_creation(self) -> None:
        self.number += 1
        controller = await self.controller()
        talk = self.cluster.talk(controller)
        creating = asyncio.ensure_future(talk.create(f"t{self.number}", partitions=20, replicas=3))
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        await self.kill(controller, away=1)
        with contextlib.suppress(OSError, TimeoutError):
            await creating
        talk.close()

    async def kill_in_deletion(self) -> None:
        controller = await self.controller()
        talk = self.cluster.talk(controller)
        topics = [DeleteTopicState(name=f"t{number}") for number in range(1, self.number + 1)]
        request = DeleteTopicsRequest(topics=topics, timeout_ms=10_000)
        deleting = asyncio.ensure_future(talk.send(ApiKey.DELETE_TOPICS, 6, request, 15))
        await asyncio.sleep(self.dice.uniform(0, 0.3))
        await self.kill(self.dice.choice((controller, self.dice.randrange(3))), away=1)
        with contextlib.suppress(OSError, TimeoutError):
            await deleting
        talk.close()

    async def kill_in_reassignment(self) -> None:
        """A partition goes to two brokers and back to three."""
        partition = self.dice.randrange(PARTITIONS)
        replicas = self.dice.sample(range(3), 2)
        await self.move(partition, replicas)
        await asyncio.sleep(self.dice.uniform(0, 0.5))
        await self.kill(self.dice.randrange(3))
        await self.move(partition, [*replicas, *({0, 1, 2} - set(replicas))])

    async def move(self, partition: int, replicas: list[int]) -> None:
        deadline = time.monotonic() + WHOLE_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, TimeoutError):
                talk = self.cluster.talk(await self.controller())
                wanted = ReassignablePartition(partition_index=partition, replicas=replicas)
                topics = [ReassignableTopic(name=TOPIC, partitions=[wanted])]
                request = AlterPartitionReassignmentsRequest(timeout_ms=10_000, topics=topics)
                reply = await talk.send(ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0, request, 15)
                talk.close()
                if not reply.error_code and not reply.responses[0].partitions[0].error_code:
                    return
            await asyncio.sleep(0.2)
        raise AssertionError(f"the reassignment to {replicas} is refused")

    async def whole(self) -> None:
        for partition in range(PARTITIONS):
            await self.cluster.isr(TOPIC, {0, 1, 2}, partition, limit=WHOLE_SECONDS)


HARMS: dict[str, Callable[[Harm], Awaitable[None]]] = {
    "kill the leader": Harm.kill_leader,
    "kill the controller": Harm.kill_controller,
    "kill a broker": Harm.kill_any,
    "kill a broker, start it at once": Harm.kill_and_start_at_once,
    "kill all brokers": Harm.kill_all,
    "kill ZooKeeper": Harm.kill_zookeeper,
    "kill everything": Harm.kill_everything,
    "ZooKeeper away for 5 or 60 s": Harm.stop_zookeeper_for_long,
    "freeze the leader": Harm.freeze_leader,
    "freeze the controller": Harm.freeze_controller,
    "rolling restart": Harm.roll,
    "cut off": Harm.cut_off,
    "cut one way": Harm.cut_inbound,
    "cut from ZooKeeper": Harm.cut_from_zookeeper,
    "flapping": Harm.flap,
    "flip bits on the leader": Harm.flip_bits,
    "tear the tail": Harm.tear_tail,
    "kill in creation": Harm.kill_in_creation,
    "kill in deletion": Harm.kill_in_deletion,
    "kill in reassignment": Harm.kill_in_reassignment,
}


async def run(wish: Wish, directory: Path, names: tuple[str, ...] = tuple(HARMS)) -> Verdict:
    """Harm after harm, each once in an order by the seed before any comes again, until the time is over."""
    verdict, dice, counts, slowest = Verdict(), Random(wish.seed), Counter[str](), 0.0
    latent: list[str] = []
    cluster = Cluster(directory, brokers=3, log_segment_bytes="100000", default_replication_factor="3")
    async with cluster:
        await cluster.create(TOPIC, [[0, 1, 2], [1, 2, 0], [2, 0, 1]], min_insync_replicas="2")
        load = Load(",".join(f"127.0.0.1:{node.inbound.port}" for node in cluster.nodes.values()))
        load.start()
        harm, end, waiting = Harm(cluster, dice), time.monotonic() + wish.minutes * 60, list[str]()
        while time.monotonic() < end and not verdict.faults:
            waiting = waiting or dice.sample(names, len(names))
            name = waiting.pop()
            counts[name] += 1
            began = time.monotonic()
            try:
                await HARMS[name](harm)
                await harm.whole()
            except AssertionError as error:
                verdict.faults.append(f"after '{name}' ({sum(counts.values())}th): {error}")
            slowest = max(slowest, time.monotonic() - began)
            wish.say(f"{name}: whole after {time.monotonic() - began:.1f} s, {load.acknowledged()} acknowledged")
            await harm.pause(1)
        await load.stop()
        for broker_id in cluster.nodes:
            if not cluster.nodes[broker_id].process.running:
                verdict.faults.append(f"broker {broker_id} has ended by itself")
            elif (status := await cluster.stop(broker_id)) != 0:
                verdict.faults.append(f"broker {broker_id} ended with {status}")
        for partition in range(PARTITIONS):
            logs = {f"broker {broker_id}": held(node.data, partition) for broker_id, node in cluster.nodes.items()}
            load.history.final[partition] = {name: log for name, log in logs.items() if log is not None}
            latent += [name for name, log in logs.items() if log is None]
            if len(load.history.final[partition]) == 0:
                verdict.faults.append(f"partition {partition}: no replica is whole")
        for broker_id, node in cluster.nodes.items():
            if "Traceback" in (output := node.process.output()):
                at = output.index("Traceback")
                verdict.faults.append(f"a traceback of broker {broker_id}: {output[max(at - 300, 0) : at + 1500]}")
    verdict.faults += [str(each) for each in check(load.history)][:20]
    verdict.figures |= dict(sorted(counts.items()))
    verdict.figures["replicas damaged, unread"] = len(latent)
    verdict.figures["history"] = str(load.history)
    verdict.figures["longest gap of acks, s"] = f"{load.longest_gap:.1f}"
    verdict.figures["longest until whole, s"] = f"{slowest:.1f}"
    return verdict


def soak(wish: Wish) -> Verdict:
    directory = Path(tempfile.mkdtemp(prefix="kops-faults-"))
    verdict = asyncio.run(run(wish, directory))
    if verdict.faults:
        wish.say(f"logs and data are left in {directory}")
    else:
        shutil.rmtree(directory)
    return verdict
