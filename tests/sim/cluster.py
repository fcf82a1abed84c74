"""ZooKeeper and brokers, the real code, as simulated processes of one world; and a client that speaks to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from broker.broker import KafkaServer, StartupFailed
from broker.cluster.peers import Line, Peers
from broker.config import KafkaConfig
from broker.host import Host
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from broker.wire.messages.metadata import MetadataResponsePartition as PartitionView
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.records import Record, build_batch, read_all
from broker.zookeeper.config import ZooKeeperConfig
from broker.zookeeper.server import ZooKeeperServer
from broker.zookeeper.tree import Tree
from tests.sim.disk import SYNC_SECONDS, Disk
from tests.sim.host import sim_host
from tests.sim.network import Network
from tests.sim.world import Process, World

ZOOKEEPER_PORT = 2181
BROKER_PORT = 9092
SESSION_MS = 6000
T = TypeVar("T")


class Cluster:
    """``brokers`` are 1..n on ports 9092 up. Each process has a disk that outlives it."""

    def __init__(self, seed: int = 1, brokers: int = 3, **settings: Any) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.settings = {"default_replication_factor": min(3, brokers), "num_partitions": 1, **settings}
        self.disks: dict[str, Disk] = {}
        self.sync_seconds = SYNC_SECONDS
        self.servers: dict[int, KafkaServer] = {}
        self.zookeeper: ZooKeeperServer | None = None
        self.clock_offsets: dict[str, int] = {}
        self.halted: list[str] = []
        self.ids = list(range(1, brokers + 1))

    # -- processes -----------------------------------------------------------------------------------------------
    def host(self, name: str) -> tuple[Process, Host]:
        process = self.world.process(name)
        self.network.revive(name)
        disk = self.disks.get(name)
        if disk is None:
            disk = self.disks[name] = Disk(self.world)
            disk.sync_seconds = self.sync_seconds
        offsets = self.clock_offsets
        return process, sim_host(process, self.network, disk, lambda: offsets.get(name, 0))

    def start(self) -> None:
        self.start_zookeeper()
        for broker_id in self.ids:
            self.start_broker(broker_id)
        self.until(lambda: self.is_whole(), 60, "every broker knows every broker")

    def start_zookeeper(self) -> None:
        process, host = self.host("zookeeper")
        self.zookeeper = None

        async def run() -> None:
            config = ZooKeeperConfig(data_dir="/zookeeper", client_port=ZOOKEEPER_PORT, tick_time=1000)
            server = self.zookeeper = ZooKeeperServer(host, config)
            try:
                await server.start()
                reason: object = await server.failed
            except OSError as error:
                reason = error
            self.halted.append(f"{self.world.now:.3f} zookeeper: {reason}")  # as its main does: the process ends
            process.kill()

        process.spawn(run(), "start")

    def start_broker(self, broker_id: int) -> None:
        process, host = self.host(f"broker-{broker_id}")
        self.servers.pop(broker_id, None)
        config = KafkaConfig.of(
            broker_id=broker_id,
            listeners=(f"PLAINTEXT://127.0.0.1:{BROKER_PORT + broker_id - 1}",),
            zookeeper_connect=f"127.0.0.1:{ZOOKEEPER_PORT}",
            **{"zookeeper_session_timeout_ms": SESSION_MS, "log_dirs": ("/kafka-logs",), **self.settings},
        )

        def halt(reason: str) -> None:
            self.halted.append(f"{self.world.now:.3f} {process.name}: {reason}")
            process.kill()

        async def run() -> None:
            server = self.servers[broker_id] = KafkaServer(host, config, halt)
            try:
                await server.start()
            except StartupFailed as failed:
                halt(f"{failed.what} {failed.todo}")

        process.spawn(run(), "start")

    def process(self, broker_id: int) -> Process:
        return self.world.processes[f"broker-{broker_id}"]

    def kill(self, broker_id: int) -> None:
        self.process(broker_id).kill()

    def lose_power(self, name: str) -> None:
        """The machine of this process goes off; what its disk had not synced is lost, by the seed."""
        process = self.world.processes[name]
        if not process.dead:
            process.kill(power=True)
            self.disks[name].lose_power()

    def cut_off(self, broker_id: int, *, clients_too: bool = True) -> None:
        """Nothing goes between this broker and the others and ZooKeeper (nor, usually, between it and clients)."""
        self.network.isolate(f"broker-{broker_id}", besides=() if clients_too else ("client",))

    # -- what is seen --------------------------------------------------------------------------------------------
    def alive(self) -> list[KafkaServer]:
        return [self.servers[n] for n in self.ids if n in self.servers and not self.process(n).dead]

    def tree(self) -> Tree | None:
        """ZooKeeper's data; None while it is dead or recovering."""
        process = self.world.processes["zookeeper"]
        return None if process.dead or self.zookeeper is None else getattr(self.zookeeper, "tree", None)

    def is_whole(self) -> bool:
        servers = self.alive()
        return len(servers) == len(self.ids) and all(len(s.metadata.brokers()) == len(self.ids) for s in servers)

    def until(self, condition: Callable[[], object], seconds: float, what: str = "") -> float:
        return self.world.run_until(condition, seconds, what)

    def call(self, work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
        """Run ``work`` on the client's process until it is done."""
        name = next(n for n in ("client", "observer") if n in self.world.processes)
        task = self.world.processes[name].spawn(work, "call")
        self.until(task.done, seconds, "the client's call")
        result: T = task.result()
        return result

    def close(self) -> None:
        logging.captureWarnings(False)
        self.world.close()


class Client:
    """Raw requests on the brokers' own lines. Errors of the wire are the caller's to see."""

    def __init__(self, cluster: Cluster, name: str = "client") -> None:
        self.cluster = cluster
        self.process, self.host = cluster.host(name)
        self.peers = Peers(self.host.net, self.host.clock)

    def line(self, broker_id: int) -> Line:
        return self.peers.line(broker_id, "127.0.0.1", BROKER_PORT + broker_id - 1, "client")

    async def view(self, topic: str, broker_id: int) -> PartitionView | None:
        """Partition 0 as one broker sees it."""
        request = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
        reply: MetadataResponse = await self.line(broker_id).send(ApiKey.METADATA, 8, request, 2)
        return next((p for t in reply.topics for p in t.partitions), None)

    async def create(self, topic: str, *, via: int, replicas: int = 3, partitions: int = 1) -> int:
        wanted = CreatableTopic(name=topic, num_partitions=partitions, replication_factor=replicas)
        request = CreateTopicsRequest(topics=[wanted], timeout_ms=10_000)
        reply = await self.line(via).send(ApiKey.CREATE_TOPICS, 4, request, 15)
        error: int = reply.topics[0].error_code
        return error

    async def produce(self, topic: str, value: bytes, *, to: int, acks: int = -1, timeout_ms: int = 3000) -> int:
        """The error code."""
        batch = build_batch([Record(0, self.host.clock.wall_ms(), None, value)], base_offset=0)
        data = TopicProduceData(name=topic, partition_data=[PartitionProduceData(index=0, records=bytes(batch))])
        request = ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=[data])
        reply = await self.line(to).send(ApiKey.PRODUCE, 8, request, timeout_ms / 1000 + 2)
        error: int = reply.responses[0].partition_responses[0].error_code
        return error

    async def read(self, topic: str, *, of: int) -> list[bytes]:
        """Every value that a consumer sees from the beginning."""
        partition = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
        request = FetchRequest(
            max_wait_ms=100,
            min_bytes=1,
            max_bytes=1 << 20,
            session_epoch=-1,
            topics=[FetchTopic(topic=topic, partitions=[partition])],
        )
        reply = await self.line(of).send(ApiKey.FETCH, 11, request, 5)
        found = reply.responses[0].partitions[0]
        assert found.error_code == 0, f"fetch answered {found.error_code}"
        return [record.value or b"" for record in read_all(found.records or b"")]
