"""What the controller last told this broker of the cluster (kafka.server.metadata.ZkMetadataCache).

Changed only by UpdateMetadata requests; everyone else reads. ``version`` grows with every change, so that replies built
from the cache can be kept until it differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from broker.wire.messages.update_metadata import (
        UpdateMetadataBroker,
        UpdateMetadataPartitionState,
        UpdateMetadataRequest,
    )

ZERO_UUID = UUID(int=0)
NO_LEADER = -1
LEADER_DURING_DELETE = -2


class Endpoint(NamedTuple):
    """Where a broker listens; ``security_protocol`` as in Kafka: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL."""

    host: str
    port: int
    listener: str
    security_protocol: int


class LiveBroker(NamedTuple):
    broker_id: int
    rack: str | None
    endpoints: tuple[Endpoint, ...]

    def endpoint(self, listener: str) -> Endpoint | None:
        """The endpoint under that listener name, None if the broker has no such listener."""
        for endpoint in self.endpoints:
            if endpoint.listener == listener:
                return endpoint
        return None


class PartitionState(NamedTuple):
    """``leader`` is -1 when there is none; ``offline_replicas`` are those on failed log dirs."""

    leader: int
    leader_epoch: int
    controller_epoch: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]
    offline_replicas: tuple[int, ...]
    partition_epoch: int


class Delta(NamedTuple):
    """What one UpdateMetadata changed, each in the order of the request or sorted."""

    changed: tuple[tuple[str, int], ...]
    removed: tuple[tuple[str, int], ...]
    removed_topics: tuple[str, ...]
    brokers_changed: bool


class MetadataCache:
    """Live brokers, topics with their ids and partitions, the controller's id."""

    def __init__(self) -> None:
        self.version = 0
        self.controller_id = -1
        self._brokers: dict[int, LiveBroker] = {}
        self._topics: dict[str, dict[int, PartitionState]] = {}
        self._topic_ids: dict[str, UUID] = {}
        self._topic_names: dict[UUID, str] = {}
        self._waiting: list[tuple[Callable[[MetadataCache], bool], asyncio.Future[bool]]] = []

    # brokers

    def broker(self, broker_id: int) -> LiveBroker | None:
        """The live broker of that id."""
        return self._brokers.get(broker_id)

    def brokers(self) -> tuple[LiveBroker, ...]:
        """All live brokers by ascending id."""
        return tuple(self._brokers[broker_id] for broker_id in sorted(self._brokers))

    def is_alive(self, broker_id: int) -> bool:
        return broker_id in self._brokers

    def endpoint(self, broker_id: int, listener: str) -> Endpoint | None:
        """Where to reach a live broker by a listener name."""
        broker = self._brokers.get(broker_id)
        return broker.endpoint(listener) if broker else None

    # topics

    def topics(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted(self._topics))

    def has_topic(self, topic: str) -> bool:
        return topic in self._topics

    def partitions(self, topic: str) -> Mapping[int, PartitionState]:
        """The partitions of a topic by index; empty if the topic is unknown."""
        return self._topics.get(topic, {})

    def partition(self, topic: str, partition: int) -> PartitionState | None:
        return self._topics.get(topic, {}).get(partition)

    def topic_id(self, topic: str) -> UUID:
        """The zero UUID if unknown."""
        return self._topic_ids.get(topic, ZERO_UUID)

    def topic_name(self, topic_id: UUID) -> str | None:
        return self._topic_names.get(topic_id)

    def all_partitions(self) -> Iterator[tuple[str, int, PartitionState]]:
        for topic in sorted(self._topics):
            for index in sorted(self._topics[topic]):
                yield topic, index, self._topics[topic][index]

    # change

    def update(self, request: UpdateMetadataRequest) -> Delta:
        """Apply UpdateMetadata: brokers are replaced, partitions are put; leader -2 removes one (facts C.4)."""
        brokers = {broker.id: _live_broker(broker) for broker in request.live_brokers}
        brokers_changed = brokers != self._brokers
        self._brokers = brokers
        self.controller_id = request.controller_id
        changed: list[tuple[str, int]] = []
        removed: list[tuple[str, int]] = []
        for topic, topic_id, states in _states_by_topic(request):
            self._set_topic_id(topic, topic_id)
            for state in states:
                (removed if self._put(topic, state) else changed).append((topic, state.partition_index))
        removed_topics = tuple(sorted({topic for topic, _ in removed if topic not in self._topics}))
        self.version += 1
        self._wake()
        return Delta(tuple(changed), tuple(removed), removed_topics, brokers_changed)

    def _put(self, topic: str, state: UpdateMetadataPartitionState) -> bool:
        """True if the partition was removed."""
        if state.leader == LEADER_DURING_DELETE:
            partitions = self._topics.get(topic, {})
            partitions.pop(state.partition_index, None)
            if not partitions:
                self._topics.pop(topic, None)
                self._set_topic_id(topic, ZERO_UUID)
            return True
        self._topics.setdefault(topic, {})[state.partition_index] = PartitionState(
            state.leader,
            state.leader_epoch,
            state.controller_epoch,
            tuple(state.isr),
            tuple(state.replicas),
            tuple(state.offline_replicas),
            state.zk_version,
        )
        return False

    def _set_topic_id(self, topic: str, topic_id: UUID) -> None:
        """A zero id (a controller below 2.8) forgets what was known."""
        known = self._topic_ids.pop(topic, None)
        if known is not None and self._topic_names.get(known) == topic:
            del self._topic_names[known]
        if topic_id != ZERO_UUID:
            self._topic_ids[topic] = topic_id
            self._topic_names[topic_id] = topic

    # waiting

    async def wait_for(self, predicate: Callable[[MetadataCache], bool], timeout: float) -> bool:
        """Wait until ``predicate(cache)`` holds after some update; False if it does not within ``timeout`` seconds."""
        if predicate(self):
            return True
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        entry = (predicate, answer)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                return await answer
        except TimeoutError:
            return predicate(self)
        finally:
            self._waiting = [other for other in self._waiting if other is not entry]

    def _wake(self) -> None:
        for predicate, answer in list(self._waiting):
            if not answer.done() and predicate(self):
                answer.set_result(True)


def _states_by_topic(
    request: UpdateMetadataRequest,
) -> Iterator[tuple[str, UUID, list[UpdateMetadataPartitionState]]]:
    for topic_state in request.topic_states:
        yield topic_state.topic_name, topic_state.topic_id, topic_state.partition_states
    for state in request.ungrouped_partition_states:
        yield state.topic_name, ZERO_UUID, [state]


def _live_broker(broker: UpdateMetadataBroker) -> LiveBroker:
    endpoints = tuple(
        Endpoint(
            endpoint.host,
            endpoint.port,
            endpoint.listener or _PROTOCOLS[endpoint.security_protocol],
            endpoint.security_protocol,
        )
        for endpoint in broker.endpoints
    )
    if not endpoints and broker.v0_host:
        endpoints = (Endpoint(broker.v0_host, broker.v0_port, _PROTOCOLS[0], 0),)
    return LiveBroker(broker.id, broker.rack, endpoints)


_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
