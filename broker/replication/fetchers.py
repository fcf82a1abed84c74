"""Which fetcher follows which partition (kafka.server.ReplicaFetcherManager)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.cluster.ibp import Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Line, Peers
from broker.config import KafkaConfig
from broker.host import Clock
from broker.replication.fetcher import Fetcher
from broker.replication.followed import Followed
from broker.replication.follower import Follower
from broker.replication.partition import Effects
from broker.replication.quota import Throttles

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition


class Fetchers:
    """``num.replica.fetchers`` fetchers per leader, made when they have something to follow."""

    def __init__(
        self,
        config: KafkaConfig,
        ibp: Ibp,
        clock: Clock,
        peers: Peers,
        metadata: MetadataCache,
        broker_epoch: Callable[[], int],
        perform: Callable[[HostedPartition, Effects], None],
        throttles: Throttles,
    ) -> None:
        self._throttles = throttles
        self._config = config
        self._ibp = ibp
        self._clock = clock
        self._peers = peers
        self._metadata = metadata
        self._broker_epoch = broker_epoch
        self._perform = perform
        self._fetchers: dict[tuple[int, int], Fetcher] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    def add(self, hosted: HostedPartition) -> None:
        """Follow the leader that the partition now has, in its present epoch."""
        partition, log = hosted.partition, hosted.log
        fetcher_id = fetcher_of(hosted.topic, hosted.index, self._config.num_replica_fetchers)
        fetcher = self._fetchers.get((partition.leader, fetcher_id))
        if fetcher is None:
            fetcher = self._fetchers[partition.leader, fetcher_id] = Fetcher(
                partition.leader,
                fetcher_id,
                self._config,
                self._ibp,
                self._clock,
                self._connect,
                self._broker_epoch,
                self._perform,
                self._throttles,
            )
        backoff = self._config.replica_fetch_backoff_ms / 1000
        follower = Follower(partition.leader_epoch, log.leader_epochs, self._ibp.truncates_on_fetch, backoff)
        followed = Followed(hosted, follower)
        followed.do(follower.begin(log.log_end_offset, log.high_watermark))
        fetcher.add(followed)

    def resized(self) -> None:
        """num.replica.fetchers has changed: each partition goes to the fetcher that has it now."""
        for hosted in [hosted for fetcher in self._fetchers.values() for hosted in fetcher.hosted()]:
            self.remove(hosted.topic, hosted.index)
            self.add(hosted)
        self.end_idle()

    def remove(self, topic: str, index: int) -> None:
        """Fetch it no longer, from whomever."""
        for fetcher in self._fetchers.values():
            fetcher.remove((topic, index))

    def follows(self, topic: str, index: int) -> bool:
        return any((topic, index) in fetcher for fetcher in self._fetchers.values())

    def end_idle(self) -> None:
        """Stop the fetchers that have nothing to follow."""
        for key, fetcher in list(self._fetchers.items()):
            if not len(fetcher):
                del self._fetchers[key]
                stopping = asyncio.ensure_future(fetcher.stop())
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)

    async def stop(self) -> None:
        fetchers, self._fetchers = self._fetchers, {}
        for fetcher in fetchers.values():
            await fetcher.stop()

    def _connect(self, leader: int, client_id: str) -> Line | None:
        endpoint = self._metadata.endpoint(leader, self._config.inter_broker_listener())
        if endpoint is None:
            return None
        return self._peers.line(leader, endpoint.host, endpoint.port, client_id)


def fetcher_of(topic: str, index: int, fetchers: int) -> int:
    """Which fetcher has the partition: abs(31 * hash + partition) modulo the number, as in Java (facts D.6)."""
    code = 0
    for unit in range(0, len(encoded := topic.encode("utf-16-be")), 2):
        code = (31 * code + int.from_bytes(encoded[unit : unit + 2], "big")) & 0xFFFFFFFF
    code = (31 * code + index) & 0xFFFFFFFF
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return (0 if signed == -(1 << 31) else abs(signed)) % fetchers
