"""Brokers without a controller, in one process: real logs, real sockets on loopback, LeaderAndIsr applied by hand.

A test is the controller: ``await cluster.elect(1, isr=[1, 2, 3])`` sends everyone its LeaderAndIsr, and ISR proposals
are accepted at once unless ``cluster.accepts`` is off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from broker.api import control, fetch, offsets, produce
from broker.api.services import Services
from broker.api.table import Table
from broker.cluster.ibp import Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Line, Peers
from broker.config import KafkaConfig, LogConfig
from broker.host import real_host
from broker.network.dispatch import Dispatcher
from broker.network.listener import SocketServer
from broker.replication.hosted import HostedPartition
from broker.replication.partition import Proposal
from broker.replication.replicas import Replicas
from broker.replication.role_changes import Errors, RoleChanges
from broker.storage.logdirs import LogDirs
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, PartitionData
from broker.wire.messages.leader_and_isr import (
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
)
from broker.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    TopicProduceData,
)
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)
from broker.wire.records import Record, build_batch, read_all

TOPIC = "orders"
TOPIC_ID = UUID(int=77)


class Broker:
    """One of them. ``cut()`` is a kill as the others see it: no more sockets, and its logs are not closed cleanly."""

    def __init__(self, cluster: Cluster, broker_id: int) -> None:
        self.cluster = cluster
        self.broker_id = broker_id
        self.config = KafkaConfig.of(
            broker_id,
            listeners="PLAINTEXT://127.0.0.1:0",
            log_dirs=(str(cluster.path / str(broker_id)),),
            inter_broker_protocol_version=cluster.ibp.release,
            **{"replica_fetch_wait_max_ms": 100, "replica_fetch_backoff_ms": 50} | cluster.settings,
        )
        self.host = real_host()
        self.peers = Peers(self.host.net, self.host.clock)
        self.metadata = MetadataCache()
        self.failed_dirs: list[str] = []

    async def start(self) -> None:
        def dir_failed(directory: str, partitions: list[tuple[str, int]]) -> None:
            self.replicas.log_dir_failed(directory, partitions)

        def fatal(reason: str) -> None:
            self.failed_dirs.append(reason)

        self.logdirs = LogDirs(self.host, self.config, dir_failed, fatal)
        self.logdirs.lock_and_read_meta()
        await self.logdirs.write_meta(self.broker_id, "cluster")
        await self.logdirs.load(lambda topic: self.cluster.log_config)
        self.replicas = Replicas(
            self.config,
            self.cluster.ibp,
            self.host,
            self.logdirs,
            self.metadata,
            self.peers,
            lambda topic: self.cluster.log_config,
            on_dir_failed=self.failed_dirs.append,
        )
        self.replicas.isr_changes = self.cluster
        self.roles = RoleChanges(self.replicas)
        services = Services(
            config=self.config,
            host=self.host,
            table=Table.of([produce, fetch, offsets, control]),
        )
        services.logdirs, services.replicas = self.logdirs, self.replicas
        services.metadata, services.role_changes = self.metadata, self.roles
        self.sockets = SocketServer(self.host, self.config, Dispatcher(services))
        await self.sockets.bind()
        self.sockets.serve()
        self.replicas.start()
        self.port = self.sockets.port("PLAINTEXT")

    async def cut(self) -> None:
        self.sockets.close()
        await self.replicas.stop()
        self.peers.close()
        self.logdirs.release_locks()

    async def stop(self) -> None:
        await self.cut()
        self.host.workers.close()

    @property
    def hosted(self) -> HostedPartition:
        return self.replicas.partition(TOPIC, 0)

    @property
    def values(self) -> list[str]:
        """What its log holds, read past the high watermark."""
        log = self.hosted.log
        found: list[str] = []
        at = log.log_start_offset
        while at < log.log_end_offset:
            records = list(read_all(log.read(at, 1 << 20, log.log_end_offset).records))
            found += [record.value.decode() for record in records if record.value is not None]
            at = records[-1].offset + 1
        return found


class Cluster:
    """``accepts``: whether ISR proposals are answered, as an ideal controller would."""

    def __init__(self, path: Path, ibp: str = "3.9", log_config: LogConfig | None = None, **settings: Any) -> None:
        self.path = path
        self.ibp = Ibp.of(ibp)
        self.log_config = log_config or LogConfig.of()
        self.settings = settings
        self.brokers: dict[int, Broker] = {}
        self.lines: dict[int, Line] = {}
        self.stops: list[Callable[[], Awaitable[None]]] = []
        self.accepts = True
        self.proposals: list[Proposal] = []
        self.epoch = 0
        self.version = 0
        self.isr: list[int] = []
        self.leader = -1
        self.topic_id = TOPIC_ID if self.ibp.topic_ids else UUID(int=0)

    async def start(self, *broker_ids: int) -> None:
        for broker_id in broker_ids:
            broker = self.brokers[broker_id] = Broker(self, broker_id)
            await broker.start()
        self.announce()

    async def stop(self) -> None:
        for stop in self.stops:
            await stop()
        for line in self.lines.values():
            line.close()
        for broker in self.brokers.values():
            await broker.stop()

    async def cut(self, broker_id: int) -> Broker:
        """Kill one; the others' metadata says that it is gone."""
        broker = self.brokers.pop(broker_id)
        self.lines.pop(broker_id, None)
        await broker.cut()
        self.announce()
        return broker

    def announce(self) -> None:
        """UpdateMetadata to everyone."""
        brokers = [
            UpdateMetadataBroker(
                id=broker.broker_id,
                endpoints=[UpdateMetadataEndpoint(port=broker.port, host="127.0.0.1", listener="PLAINTEXT")],
            )
            for broker in self.brokers.values()
        ]
        state = UpdateMetadataPartitionState(
            partition_index=0, leader=self.leader, leader_epoch=self.epoch, isr=self.isr, replicas=[1, 2, 3]
        )
        topics = [UpdateMetadataTopicState(topic_name=TOPIC, topic_id=self.topic_id, partition_states=[state])]
        for broker in self.brokers.values():
            request = UpdateMetadataRequest(live_brokers=brokers, topic_states=topics if self.epoch else [])
            broker.roles.metadata_updated(broker.metadata.update(request))

    def elect(self, leader: int, isr: Iterable[int], replicas: Iterable[int] = (1, 2, 3)) -> dict[int, Errors]:
        """A new leader epoch, told to every broker that runs."""
        self.epoch += 1
        self.version += 1
        self.leader, self.isr = leader, list(isr)
        answers = {broker_id: self.tell(broker_id, list(replicas)) for broker_id in self.brokers}
        self.announce()
        return answers

    def tell(self, broker_id: int, replicas: list[int]) -> Errors:
        """LeaderAndIsr of the present state to one broker."""
        state = LeaderAndIsrPartitionState(
            partition_index=0,
            controller_epoch=1,
            leader=self.leader,
            leader_epoch=self.epoch,
            isr=list(self.isr),
            partition_epoch=self.version,
            replicas=replicas,
            is_new=True,
        )
        topics = [LeaderAndIsrTopicState(topic_name=TOPIC, topic_id=self.topic_id, partition_states=[state])]
        request = LeaderAndIsrRequest(controller_id=9, controller_epoch=1, topic_states=topics)
        return self.brokers[broker_id].roles.become_leader_or_follower(request)

    def propose(self, hosted: HostedPartition, proposal: Proposal) -> None:
        """The controller's side of AlterPartition."""
        self.proposals.append(proposal)
        if self.accepts:
            asyncio.get_running_loop().call_soon(self.accept, hosted, proposal)

    def accept(self, hosted: HostedPartition, proposal: Proposal) -> None:
        leader = self.brokers.get(self.leader)
        if leader is None or leader.hosted is not hosted or proposal.leader_epoch != self.epoch:
            return
        self.version += 1
        self.isr = list(proposal.isr)
        now = leader.host.clock.monotonic()
        effects = hosted.partition.isr_accepted(proposal, self.epoch, proposal.isr, self.version, now)
        leader.replicas.perform(hosted, effects)

    # a client

    def line(self, broker_id: int) -> Line:
        line = self.lines.get(broker_id)
        if line is None:
            broker = self.brokers[broker_id]
            line = broker.peers.line(broker_id, "127.0.0.1", broker.port, "test")
            self.lines[broker_id] = line
        return line

    def produce(
        self, broker_id: int, *values: str, acks: int = -1, timeout_ms: int = 10_000
    ) -> Awaitable[PartitionProduceResponse]:
        """One batch; the answer for the partition."""
        now = self.brokers[broker_id].host.clock.wall_ms()
        batch = build_batch([Record(at, now, None, value.encode()) for at, value in enumerate(values)], base_offset=0)
        data = [PartitionProduceData(index=0, records=bytes(batch))]
        topics = [TopicProduceData(name=TOPIC, partition_data=data)]
        request = ProduceRequest(acks=acks, timeout_ms=timeout_ms, topic_data=topics)
        sent = self.line(broker_id).send(ApiKey.PRODUCE, 9, request, 30)

        async def answer() -> PartitionProduceResponse:
            found: PartitionProduceResponse = (await sent).responses[0].partition_responses[0]
            return found

        return answer()

    async def fetch(self, broker_id: int, offset: int, **wanted: Any) -> PartitionData:
        """A consumer's fetch without a session."""
        partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
        topics = [FetchTopic(topic=TOPIC, partitions=[partition])]
        request = FetchRequest(**{"max_wait_ms": 0, "min_bytes": 1, "topics": topics} | wanted)
        response = await self.line(broker_id).send(ApiKey.FETCH, 12, request, 30)
        found: PartitionData = response.responses[0].partitions[0]
        return found


async def until(condition: Callable[[], bool], what: str = "", seconds: float = 20) -> None:
    """Wait for a condition that tasks of this loop bring about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
