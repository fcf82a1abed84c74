"""What can be done to the processes of a cluster under load, and to the network between them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
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
from tests.cluster.failing_disk import FailingDisk
from tests.cluster.processes import eventually
from tests.soak.load import COMPACTED, PARTITIONS, TOPIC

SESSION = SESSION_TIMEOUT_MS / 1000
WHOLE_SECONDS = 60.0
REPLICATED = (*((TOPIC, each) for each in range(PARTITIONS)), (COMPACTED, 0))
LOOP = 6
"""Kills in a row, one to three seconds apart, without waiting until all is whole."""


@dataclass(slots=True)
class Harm:
    """A cluster, and chance. ``frail``: brokers that may have ended by themselves, to be started again; some always.

    ``figures`` counts what a harm met that it could only hope for.
    """

    cluster: Cluster
    dice: Random
    disks: dict[int, FailingDisk] = field(default_factory=dict)
    small_disk: Path | None = None
    number: int = 0
    frail: set[int] = field(default_factory=set)
    always_frail: frozenset[int] = frozenset()
    figures: Counter[str] = field(default_factory=Counter)

    def any(self) -> int:
        return self.dice.choice(list(self.cluster.nodes))

    async def leader(self) -> int:
        return await self.cluster.leader(TOPIC, self.dice.randrange(PARTITIONS))

    async def follower(self) -> int:
        leader = await self.leader()
        return self.dice.choice([each for each in self.cluster.nodes if each != leader])

    async def controller(self) -> int:
        async def known() -> tuple[int] | None:
            found = (await self.cluster.talk(self.any()).metadata()).controller_id
            return (found,) if found in self.cluster.nodes else None

        return (await eventually("there is a controller", known, WHOLE_SECONDS) or (-1,))[0]

    async def pause(self, most: float) -> None:
        await asyncio.sleep(self.dice.uniform(0.1, most))

    async def whole(self) -> None:
        """Every replica is in sync, and every broker says so; whoever is frail is started as often as it takes."""

        async def stands() -> bool:
            for each in self.frail | self.always_frail:
                if not self.cluster.nodes[each].process.running:
                    self.cluster.start(each)
            for each in REPLICATED:
                for ask in self.cluster.nodes:
                    if {*(await self.cluster.partition(*each, ask)).isr_nodes} != {*self.cluster.nodes}:
                        return False
            return True

        await eventually("all replicas are in sync", stands, WHOLE_SECONDS)
        self.frail.clear()

    async def out_of_isr(self, victim: int) -> None:
        """It was killed; nobody counts upon its records any more."""
        for topic, partition in REPLICATED:
            await self.cluster.isr(topic, {*self.cluster.nodes} - {victim}, partition, limit=WHOLE_SECONDS)

    # kills

    async def kill(self, *victims: int, away: float = 3.0) -> None:
        for victim in victims:
            self.cluster.kill(victim)
        if away:
            await self.pause(away)
        for victim in victims:
            self.cluster.start(victim)

    async def kill_leader(self) -> None:
        await self.kill(await self.leader())

    async def kill_follower(self) -> None:
        await self.kill(await self.follower())

    async def kill_controller(self) -> None:
        await self.kill(await self.controller())

    async def kill_any(self) -> None:
        await self.kill(self.any())

    async def kill_and_start_at_once(self) -> None:
        await self.kill(self.any(), away=0)

    async def kill_in_a_loop(self) -> None:
        for _ in range(LOOP):
            await self.kill(self.any(), away=self.dice.choice((0, 0.5)))
            await asyncio.sleep(self.dice.uniform(1, 3))

    async def kill_all(self) -> None:
        await self.kill(*self.cluster.nodes, away=1)

    async def kill_all_in_a_loop(self) -> None:
        for _ in range(LOOP // 2):
            await self.kill_all()
            await asyncio.sleep(self.dice.uniform(1, 3))

    async def kill_zookeeper(self) -> None:
        self.cluster.zookeeper.kill()
        await self.pause(3)
        self.cluster.zookeeper.start()

    async def kill_everything(self) -> None:
        self.cluster.zookeeper.kill()
        await asyncio.gather(self.kill_all(), self._start_zookeeper())

    async def _start_zookeeper(self) -> None:
        await self.pause(1)
        self.cluster.zookeeper.start()

    async def stop_zookeeper(self, seconds: float = 5) -> None:
        self.cluster.zookeeper.kill()
        await asyncio.sleep(seconds)
        self.cluster.zookeeper.start()

    async def stop_zookeeper_for_long(self) -> None:
        await self.stop_zookeeper(60)

    async def freeze_leader(self) -> None:
        await self._freeze(await self.leader())

    async def freeze_controller(self) -> None:
        await self._freeze(await self.controller())

    async def _freeze(self, victim: int) -> None:
        self.cluster.pause(victim)
        await asyncio.sleep(2 * SESSION)
        self.cluster.resume(victim)

    async def roll(self) -> None:
        for victim in self.cluster.nodes:
            await self.cluster.stop(victim)
            self.cluster.start(victim)
            await self.whole()

    # cuts by proxies: what is connected breaks off (``silence`` has those at which nothing does)

    async def cut_off(self) -> None:
        node = self.cluster.nodes[self.any()]
        await node.cut()
        await self.pause(2 * SESSION)
        await node.heal()

    async def cut_inbound(self) -> None:
        """One way: it reaches others, nobody reaches it."""
        node = self.cluster.nodes[self.any()]
        await node.inbound.cut()
        await self.pause(2 * SESSION)
        await node.inbound.heal()

    async def cut_from_zookeeper(self) -> None:
        node = self.cluster.nodes[self.any()]
        await node.to_zookeeper.cut()
        await self.pause(2 * SESSION)
        await node.to_zookeeper.heal()

    async def flap(self) -> None:
        node = self.cluster.nodes[self.any()]
        for _ in range(10):
            await node.cut()
            await self.pause(0.5)
            await node.heal()
            await self.pause(0.5)

    # kills in the middle of something

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
        await self.kill(self.dice.choice((controller, self.any())), away=1)
        with contextlib.suppress(OSError, TimeoutError):
            await deleting
        talk.close()

    async def kill_in_reassignment(self) -> None:
        """A partition goes to two brokers and back to three."""
        partition = self.dice.randrange(PARTITIONS)
        replicas = self.dice.sample(list(self.cluster.nodes), 2)
        await self.move(partition, replicas)
        await asyncio.sleep(self.dice.uniform(0, 0.5))
        await self.kill(self.any())
        await self.move(partition, [*replicas, *({*self.cluster.nodes} - {*replicas})])

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

    async def kill_in_compaction(self) -> None:
        """As soon as files are there that have not taken the place of others yet."""
        victim = self.any()
        directory, deadline = self.cluster.nodes[victim].data / f"{COMPACTED}-0", time.monotonic() + 5
        while time.monotonic() < deadline:
            if any(path.suffix in (".cleaned", ".swap") for path in directory.iterdir()):
                self.figures["kills that met a compaction"] += 1
                break
            await asyncio.sleep(0)
        await self.kill(victim, away=1)
