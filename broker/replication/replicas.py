"""Every partition that this broker leads or follows (kafka.server.ReplicaManager).

The shell around the partition machines: it owns the logs, performs the machines' effects, and knows who waits. All of
its calls are plain ``def`` and leave nothing half done; what must be awaited (ISR changes, fetching, notices in
ZooKeeper) is handed to its own tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from broker.cluster.ibp import Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.config import KafkaConfig, LogConfig
from broker.host import Host
from broker.replication.expected import ExpectedFollowers
from broker.replication.fetch_sessions import FetchSession, FetchSessions, Reader
from broker.replication.fetchers import Fetchers
from broker.replication.hosted import HostedPartition
from broker.replication.moves import Moves
from broker.replication.partition import (
    Deposed,
    Effects,
    EpochBegins,
    HighWatermark,
    IsrCommitted,
    Partition,
    Proposal,
    ProposeIsr,
    Role,
    Rules,
)
from broker.replication.purgatory import Wake
from broker.replication.quota import Throttles
from broker.replication.reads import FetchLimits, ParkedFetch, PartitionRead, Reads
from broker.replication.repairs import Repairs
from broker.storage.damage import holes_of
from broker.storage.log import AppendInfo, Log, Origin
from broker.storage.logdirs import LogDirs
from broker.wire.batch import Buffer
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.validation import Walked

if TYPE_CHECKING:
    from broker.cluster.peers import Peers

logger = logging.getLogger(__name__)


class IsrChanges(Protocol):
    """Where proposals go: the controller or ZooKeeper (``alter_partition``)."""

    def propose(self, hosted: HostedPartition, proposal: Proposal) -> None: ...


class Appended(NamedTuple):
    """``hosted`` is for those who wait for the high watermark past ``info.last_offset``."""

    hosted: HostedPartition
    info: AppendInfo


class Replicas:
    """``config_of(topic)``: defaults plus the topic's overrides. ``on_dir_failed(dir)``: tell the controller.

    ``isr_changes`` is connected by ``broker/broker.py`` before :meth:`start`.
    """

    def __init__(
        self,
        config: KafkaConfig,
        ibp: Ibp,
        host: Host,
        logdirs: LogDirs,
        metadata: MetadataCache,
        peers: Peers,
        config_of: Callable[[str], LogConfig],
        broker_epoch: Callable[[], int] = lambda: -1,
        on_dir_failed: Callable[[str], None] = lambda directory: None,
        on_dropped: Callable[[HostedPartition], None] = lambda hosted: None,
    ) -> None:
        self.config = config
        self.host = host
        self.logdirs = logdirs
        self.metadata = metadata
        self.config_of = config_of
        self.broker_epoch = broker_epoch
        self.controller_epoch = -1
        self.isr_changes: IsrChanges | None = None
        self.is_stopping = False
        """Leadership is being handed over: what this broker comes to follow now, it does not begin to fetch."""
        self.lag = config.replica_lag_time_max_ms / 1000
        self.wake = Wake()
        self.sessions = FetchSessions(config.max_incremental_fetch_session_cache_slots, host.dice.random, self.wake)
        self.throttles = Throttles(config)
        self.fetchers = Fetchers(config, ibp, host.clock, peers, metadata, broker_epoch, self.perform, self.throttles)
        self.moves = Moves(self, self.throttles.moves)
        self.repairs = Repairs(config, host.clock, peers, metadata, self._is_hosted)
        self._on_dir_failed = on_dir_failed
        self._on_dropped = on_dropped
        self._rules = Rules(config.broker_id, self.lag, ibp.high_watermark_gate, metadata.is_alive)
        self._hosted: dict[tuple[str, int], HostedPartition] = {}
        self._names: dict[UUID, str] = {}  # LeaderAndIsr comes before UpdateMetadata, and followers fetch at once
        self._offline: set[tuple[str, int]] = set()
        self._expected = ExpectedFollowers()
        self._reads = Reads(host.clock, self._resolve, self._is_hosted, self.perform, self.throttles)
        self._shrinking: asyncio.Task[None] | None = None
        self._monotonic = host.clock.monotonic
        self._wall_ms = host.clock.wall_ms

    # life

    def start(self) -> None:
        """Begin to watch for followers that lag."""
        self._shrinking = asyncio.ensure_future(self._shrink_now_and_then())

    async def stop(self) -> None:
        """Stop fetching and watching; the logs are left to ``LogDirs.stop``."""
        if self._shrinking is not None:
            self._shrinking.cancel()
        await self.moves.stop()
        await self.repairs.stop()
        await self.fetchers.stop()

    # looking up

    def get(self, topic: str, index: int) -> HostedPartition | None:
        """The partition if it is hosted and online here."""
        return self._hosted.get((topic, index))

    def partition(self, topic: str, index: int) -> HostedPartition:
        """The partition hosted here. Raises KafkaError KAFKA_STORAGE_ERROR (its dir is offline),
        NOT_LEADER_OR_FOLLOWER (it is elsewhere) or UNKNOWN_TOPIC_OR_PARTITION.
        """
        hosted = self._hosted.get((topic, index))
        if hosted is not None:
            return hosted
        if (topic, index) in self._offline or self.logdirs.is_offline(topic, index):
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
        if self.metadata.partition(topic, index) is not None:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)

    def leader(self, topic: str, index: int, epoch: int = -1) -> HostedPartition:
        """As :meth:`partition`, if this broker leads it in ``epoch`` (-1: any). Raises KafkaError otherwise."""
        hosted = self.partition(topic, index)
        hosted.partition.check_epoch(epoch)
        if not hosted.is_leader:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return hosted

    def all(self) -> Iterator[HostedPartition]:
        """Every hosted partition, in the order in which they came."""
        return iter(list(self._hosted.values()))

    # the life of a batch

    def append(
        self,
        topic: str,
        index: int,
        records: Buffer,
        acks: int,
        *,
        epoch: int = -1,
        origin: Origin = Origin.CLIENT,
        walked: Walked | None = None,
    ) -> Appended:
        """Append one batch as leader. Raises KafkaError or NeedsWorker (nothing was written) and LogDirFailed.

        acks=all is done once ``hosted.acks`` has passed ``info.last_offset + 1``: see ``purgatory.WaitingProduce``.
        """
        hosted = self.partition(topic, index)
        partition, log = hosted.partition, hosted.log
        partition.admit(acks, epoch)
        info = log.append_as_leader(records, partition.leader_epoch, self._wall_ms(), origin=origin, walked=walked)
        if not info.duplicate:
            settled = hosted.settle_quiet_followers()
            effects = partition.appended(log.log_end_offset, self._monotonic())
            hosted.grown()
            self.perform(hosted, settled + effects)
        return Appended(hosted, info)

    def fetch(self, session: FetchSession, full: bool, limits: FetchLimits) -> list[PartitionRead] | ParkedFetch:
        """Read what a session asks for, or park it until there is enough."""
        if session.replica_id >= 0:
            wait = self._expected.wait_of(session.replica_id, limits.max_wait, self._monotonic())
            limits = limits._replace(max_wait=wait)
        return self._reads.fetch(session, full, limits)

    def expect_followers(self, led: Iterable[HostedPartition]) -> None:
        """This broker has come to lead these: their followers shall not be kept waiting here for others."""
        replicas = dict.fromkeys(replica for hosted in led for replica in hosted.partition.replicas)
        self._expected.expect(replicas, self._monotonic())
        for session in list(self.sessions):
            if session.parked is not None and session.replica_id in replicas:
                session.parked.finish()

    def _resolve(self, reader: Reader) -> HostedPartition:
        """The partition that a fetch may read here. Raises KafkaError; registers the reader for news."""
        topic = reader.topic
        if reader.session.uses_topic_ids:
            name = self._names.get(reader.topic_id) or self.metadata.topic_name(reader.topic_id)
            if name is None:
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
            topic = reader.topic = name
        hosted = self._hosted.get((topic, reader.index))
        reader.register(hosted)
        if hosted is None:
            hosted = self.partition(topic, reader.index)
        partition = hosted.partition
        partition.check_epoch(reader.leader_epoch)
        knows_leader = reader.session.reads_followers and reader.leader_epoch >= 0
        if not (hosted.is_leader or (knows_leader and partition.role is Role.FOLLOWER)):
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if reader.session.uses_topic_ids and hosted.topic_id not in (None, reader.topic_id):
            raise KafkaError(ErrorCode.INCONSISTENT_TOPIC_ID)
        if reader.replica_id >= 0 and not partition.is_replica(reader.replica_id):
            known = reader.leader_epoch >= 0
            raise KafkaError(ErrorCode.UNKNOWN_LEADER_EPOCH if known else ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return hosted

    def perform(self, hosted: HostedPartition, effects: Effects) -> None:
        """Do what a partition machine asks for; those who wait are looked at after the state has changed."""
        for effect in effects:
            if type(effect) is HighWatermark:
                hosted.log.high_watermark = effect.offset
                hosted.committed()
            elif type(effect) is ProposeIsr:
                logger.info("%s %s: isr %s to %s", hosted, effect.proposal.change.value, *_ways(hosted, effect))
                if self.isr_changes is not None:
                    self.isr_changes.propose(hosted, effect.proposal)
            elif type(effect) is IsrCommitted:
                logger.info("%s isr is %s", hosted, _list(effect.isr))
                hosted.isr_changed()
            elif type(effect) is EpochBegins:
                with hosted.log.dir:
                    hosted.log.leader_epochs.begin(effect.epoch, effect.start_offset)
            elif type(effect) is Deposed:
                hosted.fail_waiters(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    # hosting, for role_changes

    def host_partition(self, topic: str, index: int, log: Log) -> HostedPartition:
        """The hosted partition, made around its log when it is new here."""
        hosted = self._hosted.get((topic, index)) or self._host(topic, index, log)
        if log.topic_id is not None:
            self._names[log.topic_id] = topic
        return hosted

    def _host(self, topic: str, index: int, log: Log) -> HostedPartition:
        partition = Partition(
            topic,
            index,
            self._rules,
            lambda: hosted.log.config.min_insync_replicas,
            lambda: hosted.log.durability.end,
            high_watermark=log.high_watermark,
        )
        hosted = self._hosted[topic, index] = HostedPartition(partition, log)
        self._connect(hosted, log)
        self._offline.discard((topic, index))
        return hosted

    def _connect(self, hosted: HostedPartition, log: Log) -> None:
        """What happens in the log and matters to others; damage that is known already is mended now."""
        log.durability.on_settled = lambda: self._settled(hosted)
        log.on_damaged = lambda: self.repairs.begin(hosted)
        if holes_of(log):
            self.repairs.begin(hosted)

    def _is_hosted(self, hosted: HostedPartition) -> bool:
        return self._hosted.get((hosted.topic, hosted.index)) is hosted

    def log_replaced(self, hosted: HostedPartition, log: Log) -> None:
        """The replica moved to another log directory: the same records, in other files."""
        hosted.log = log
        self._connect(hosted, log)
        if hosted.partition.role is Role.FOLLOWER and self.fetchers.follows(hosted.topic, hosted.index):
            self.fetchers.remove(hosted.topic, hosted.index)
            self.fetchers.add(hosted)

    def _settled(self, hosted: HostedPartition) -> None:
        """The log is synced as far as flush.messages wants it: what waited for that may be committed."""
        if hosted.is_leader and self._is_hosted(hosted):
            hosted.grown()
            self.perform(hosted, hosted.partition.reconsider(self._monotonic()))

    def silence(self, topic: str, index: int) -> None:
        """Neither lead nor follow it until the next LeaderAndIsr; the log and the epochs are kept."""
        self.fetchers.remove(topic, index)
        self.moves.forget(topic, index)
        hosted = self._hosted.get((topic, index))
        if hosted is not None:
            self.perform(hosted, hosted.partition.stop())
            hosted.role_changed()

    def drop(self, topic: str, index: int, error: ErrorCode) -> None:
        """Host it no longer: first no fetching, then whoever waits ends with ``error``."""
        self.fetchers.remove(topic, index)
        self.moves.forget(topic, index)
        hosted = self._hosted.pop((topic, index), None)
        if hosted is not None:
            hosted.partition.stop()
            hosted.fail_waiters(error)
            self._on_dropped(hosted)
            if hosted.topic_id is not None and not any(each.topic == topic for each in self._hosted.values()):
                self._names.pop(hosted.topic_id, None)

    # trouble

    def log_dir_failed(self, directory: str, partitions: list[tuple[str, int]]) -> None:
        """A log dir went offline: stop appends, drop fetchers, fail waiters with 56, tell the controller, in order."""
        self._offline.update(partitions)
        for topic, index in partitions:
            self.drop(topic, index, ErrorCode.KAFKA_STORAGE_ERROR)
        logger.error("log dir %s is offline, with %d partitions", directory, len(partitions))
        self._on_dir_failed(directory)

    def tell_controller_of(self, directory: str) -> None:
        """Something has changed in a log dir: the controller asks again what of it can be led or followed."""
        self._on_dir_failed(directory)

    def is_offline(self, topic: str, index: int) -> bool:
        """Whether the partition was here, on a dir that failed."""
        return (topic, index) in self._offline or self.logdirs.is_offline(topic, index)

    async def _shrink_now_and_then(self) -> None:
        """Every half lag time, ask each partition whom to drop from its ISR (ReplicaManager.maybeShrinkIsr)."""
        while True:
            await self.host.clock.sleep(self.lag / 2)
            now = self._monotonic()
            for hosted in self.all():
                if hosted.is_leader:
                    self.perform(hosted, hosted.partition.shrink(now) + hosted.partition.reconsider(now))


def _list(isr: tuple[int, ...]) -> str:
    return ",".join(str(replica) for replica in isr)


def _ways(hosted: HostedPartition, effect: ProposeIsr) -> tuple[str, str]:
    return _list(hosted.partition.isr), _list(effect.proposal.isr)
