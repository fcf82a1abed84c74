"""One ZooKeeper and n brokers, each a process behind proxies of its own: verbs to harm them, questions to ask them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from broker.wire.errors import ErrorCode
from broker.wire.messages.metadata import MetadataResponsePartition
from tests.cluster.processes import Process, Proxy, eventually
from tests.cluster.talk import RETRIABLE, Talk
from tests.ports import free_port

SESSION_TIMEOUT_MS = 3000
LAG_TIME_MAX_MS = 2000


class Node:
    """A broker: its process, the proxy that others reach it through, and the one through which it reaches ZooKeeper."""

    def __init__(self, broker_id: int, zookeeper_port: int, directory: Path, *, direct: bool, **settings: str) -> None:
        self.broker_id = broker_id
        self.port = free_port()
        self.inbound = Proxy(self.port)
        self.to_zookeeper = Proxy(zookeeper_port)
        self.data = directory / f"logs-{broker_id}"
        given = {
            "broker.id": str(broker_id),
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port if direct else self.inbound.port}",
            "zookeeper.connect": f"127.0.0.1:{self.to_zookeeper.port}",
            "zookeeper.session.timeout.ms": str(SESSION_TIMEOUT_MS),
            "replica.lag.time.max.ms": str(LAG_TIME_MAX_MS),
            "log.dirs": str(self.data),
            "controlled.shutdown.retry.backoff.ms": "500",
            "offsets.topic.replication.factor": "1",
            "group.initial.rebalance.delay.ms": "0",
            **{name.replace("_", "."): text for name, text in settings.items()},
        }
        self.process = Process(f"broker-{broker_id}", "broker", given, directory)

    async def cut(self) -> None:
        """Nobody reaches it, and it does not reach ZooKeeper."""
        await self.inbound.cut()
        await self.to_zookeeper.cut()

    async def heal(self) -> None:
        await self.inbound.heal()
        await self.to_zookeeper.heal()


class Cluster:
    """Use as ``async with Cluster(tmp_path, brokers=3) as cluster``: started, and ended whatever happens."""

    def __init__(self, directory: Path, brokers: int = 3, *, direct: bool = False, **settings: str) -> None:
        """``direct``: brokers advertise their own ports, not those of their proxies, which accept for the dead."""
        self.directory = directory
        self.zookeeper_port = free_port()
        zookeeper = {"dataDir": str(directory / "zookeeper"), "clientPort": str(self.zookeeper_port)}
        zookeeper |= {"clientPortAddress": "127.0.0.1", "tickTime": "500", "admin.enableServer": "false"}
        zookeeper["4lw.commands.whitelist"] = "*"
        self.zookeeper = Process("zookeeper", "broker.zookeeper", zookeeper, directory)
        self.nodes = {
            broker_id: Node(broker_id, self.zookeeper_port, directory, direct=direct, **settings)
            for broker_id in range(brokers)
        }
        self._talks: list[Talk] = []

    async def __aenter__(self) -> Cluster:
        try:
            self.zookeeper.start()
            for node in self.nodes.values():
                await node.heal()
                node.process.start()
            await self.registered(*self.nodes)
        except BaseException:
            await self.close()
            self._show()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
        if exc[0] is not None:
            self._show()

    def _show(self) -> None:
        """For pytest to print with a failure: what every process said last."""
        for process in (self.zookeeper, *(node.process for node in self.nodes.values())):
            print(f"----- {process.name}\n{process.output()[-6000:]}")

    async def close(self) -> None:
        """End every process at once: the tests that are about stopping stop for themselves."""
        for talk in self._talks:
            talk.close()
        for process in (*(node.process for node in self.nodes.values()), self.zookeeper):
            process.kill()
        for node in self.nodes.values():
            await node.cut()

    # verbs

    def kill(self, broker_id: int) -> None:
        """kill -9."""
        self.nodes[broker_id].process.kill()

    def start(self, broker_id: int) -> None:
        self.nodes[broker_id].process.start()

    async def stop(self, broker_id: int) -> int:
        """SIGTERM; the exit status."""
        return await self.nodes[broker_id].process.stop()

    def pause(self, broker_id: int) -> None:
        """SIGSTOP."""
        self.nodes[broker_id].process.pause()

    def resume(self, broker_id: int) -> None:
        self.nodes[broker_id].process.resume()

    # questions

    @property
    def bootstrap(self) -> str:
        """For clients: every broker, by way of its proxy."""
        return ",".join(f"127.0.0.1:{node.inbound.port}" for node in self.nodes.values())

    def talk(self, broker_id: int, direct: bool = False) -> Talk:
        """A connection of its own, closed with the cluster; ``direct``: past the proxy."""
        node = self.nodes[broker_id]
        talk = Talk(broker_id, node.port if direct else node.inbound.port)
        self._talks.append(talk)
        return talk

    async def registered(self, *broker_ids: int, limit: float = 30) -> None:
        """Those of ``broker_ids`` that are processes here know all of them, and no other."""

        async def known() -> bool:
            for broker_id in self.nodes.keys() & set(broker_ids):
                if {each.node_id for each in (await self._ask(broker_id).metadata()).brokers} != set(broker_ids):
                    return False
            return True

        await eventually(f"brokers {sorted(broker_ids)} know each other", known, limit)

    def _ask(self, broker_id: int) -> Talk:
        for talk in self._talks:
            if talk.is_general and talk.broker_id == broker_id:
                return talk
        talk = self.talk(broker_id)
        talk.is_general = True
        return talk

    async def create(self, topic: str, assignment: Iterable[Iterable[int]], **configs: str) -> None:
        """Create it, and wait until every replica is in the ISR of its partition, on every broker's word."""
        wanted = [list(replicas) for replicas in assignment]
        named = {name.replace("_", "."): text for name, text in configs.items()}

        async def created() -> bool:
            controller = (await self._ask(min(self._running())).metadata()).controller_id
            if controller not in self.nodes:
                return False
            error = await self._ask(controller).create(topic, assignment=wanted, configs=named)
            assert error in RETRIABLE | {ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS, ErrorCode.NOT_CONTROLLER}, (
                error
            )
            return error in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS)

        await eventually(f"topic {topic} is created", created)
        for partition, replicas in enumerate(wanted):
            await self.isr(topic, replicas, partition)

    def _running(self) -> list[int]:
        return [broker_id for broker_id, node in self.nodes.items() if node.process.running]

    async def partition(self, topic: str, partition: int = 0, ask: int | None = None) -> MetadataResponsePartition:
        found = await self._ask(min(self._running()) if ask is None else ask).partition(topic, partition)
        if found is None:
            raise ConnectionError(f"{topic}-{partition} is not known yet")
        return found

    async def leader(self, topic: str, partition: int = 0, not_: int = -1, ask: int | None = None) -> int:
        """Its leader, once there is one that is not ``not_``."""

        async def elected() -> tuple[int] | None:
            found = (await self.partition(topic, partition, ask)).leader_id
            return (found,) if found not in (-1, not_) else None

        return (await eventually(f"{topic}-{partition} has a leader other than {not_}", elected) or (-1,))[0]

    async def isr(
        self, topic: str, expected: Iterable[int], partition: int = 0, ask: Iterable[int] = (), limit: float = 30
    ) -> None:
        """Every running broker, or each of ``ask``, says that the ISR is ``expected``."""
        wanted = set(expected)

        async def agreed() -> bool:
            states = [await self.partition(topic, partition, each) for each in ask or self._running()]
            return all(set(state.isr_nodes) == wanted for state in states)

        await eventually(f"ISR of {topic}-{partition} is {sorted(wanted)}", agreed, limit)

    async def produce(self, topic: str, values: list[bytes], partition: int = 0, ask: int | None = None) -> int:
        """acks=all to whoever leads, again until it is taken (at least once). The base offset."""

        async def taken() -> tuple[int] | None:
            leader = await self.leader(topic, partition, ask=ask)
            reply = await self._ask(leader).produce(topic, values, partition)
            assert reply.error_code == 0 or reply.error_code in RETRIABLE, ErrorCode(reply.error_code)
            return None if reply.error_code else (reply.base_offset,)

        return (await eventually(f"{len(values)} records of {topic}-{partition} are taken", taken) or (-1,))[0]

    async def read(self, topic: str, partition: int = 0, ask: int | None = None) -> list[bytes]:
        """Everything that consumers can see, from whoever leads."""

        async def seen() -> tuple[list[bytes]]:
            return (await self._ask(await self.leader(topic, partition, ask=ask)).read(topic, partition),)

        return (await eventually(f"{topic}-{partition} is read", seen))[0]
