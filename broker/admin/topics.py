"""Creating, deleting and extending topics in ZooKeeper (kafka.server.ZkAdminManager, kafka.zk.AdminZkClient).

The creator writes the topic's settings before ``/brokers/topics/T``, since the controller acts on the latter (here in
one transaction). Who calls waits for the result to show in the metadata; nothing here waits for the controller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from broker.admin import placement
from broker.admin.placement import Assignment, PlacementError
from broker.admin.topic_names import check_collision, check_name
from broker.cluster.metadata_cache import MetadataCache
from broker.config import InvalidTopicConfig, KafkaConfig, LogConfig
from broker.host import Dice
from broker.wire.errors import ErrorCode, KafkaError
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import (
    ANY_VERSION,
    Check,
    Create,
    Exists,
    GetChildren,
    GetData,
    Multi,
    SetData,
    ZkCode,
    ZkError,
)
from broker.zk.znodes import ReplicaAssignment, TopicZnode

log = logging.getLogger(__name__)

DEFAULT = -1
MOST_PARTITIONS = 10_000
"""Of one topic in one request, as Kafka has it since KRaft; before, two billion of them took all memory."""
RACES = (ZkCode.NODE_EXISTS, ZkCode.NO_NODE, ZkCode.BAD_VERSION)
"""What a write answers when somebody else was faster since the reads before it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be created: by numbers (-1: the broker's default), or by ``assignments``, never by both."""

    name: str
    partitions: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Mapping[int, Sequence[int]] = field(default_factory=dict)
    settings: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedTopic:
    """What was created, or would be; ``topic_id`` None below IBP 2.8 and when only validated."""

    name: str
    assignment: Assignment
    config: LogConfig
    topic_id: UUID | None


class TopicAdmin:
    """Validates as Kafka does, with its codes and words (facts H.2, H.3), and writes.

    ZooKeeper away: every call raises REQUEST_TIMED_OUT after ``timeout`` seconds; what was asked may still happen.
    """

    def __init__(
        self, zk: ZooKeeperClient, metadata: MetadataCache, config: KafkaConfig, dice: Dice, *, topic_ids: bool
    ) -> None:
        """``topic_ids``: topics get ids (IBP 2.8 and later)."""
        self._zk = zk
        self._metadata = metadata
        self._config = config
        self._dice = dice
        self._topic_ids = topic_ids

    # --- create ----------------------------------------------------------------------------------------------------

    async def create(self, topic: NewTopic, *, validate_only: bool = False, timeout: float = 30.0) -> CreatedTopic:
        """Raises KafkaError: 17, 36, 37, 38, 39, 40, 42, or 7 when ZooKeeper does not answer within ``timeout``."""
        planned = self._plan(topic)
        return await _within(timeout, self._create(planned, validate_only))

    async def create_automatically(
        self, topic: str, partitions: int, factor: int, settings: Mapping[str, str]
    ) -> CreatedTopic:
        """For topics that were asked about (auto.create.topics.enable) and internal ones. Raises as :meth:`create`."""
        return await self.create(NewTopic(topic, partitions, factor, settings=settings))

    def _plan(self, topic: NewTopic) -> CreatedTopic:
        """Everything that can be said without ZooKeeper, in Kafka's order."""
        if self._metadata.has_topic(topic.name):
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{topic.name}' already exists.")
        nulls = [name for name, value in topic.settings.items() if value is None]
        if nulls:
            message = f"Null value not supported for topic configs: {','.join(nulls)}"
            raise KafkaError(ErrorCode.INVALID_CONFIG, message)
        assignment = self._assignment(topic)
        check_name(topic.name)
        _check_assignment(assignment)
        config = self._log_config({name: value for name, value in topic.settings.items() if value is not None})
        return CreatedTopic(topic.name, assignment, config, self._dice.uuid() if self._topic_ids else None)

    def _log_config(self, settings: Mapping[str, str]) -> LogConfig:
        try:
            return self._config.topic_defaults().with_overrides(settings)
        except InvalidTopicConfig as error:
            raise KafkaError(ErrorCode.INVALID_CONFIG, str(error)) from error

    def _assignment(self, topic: NewTopic) -> Assignment:
        if topic.assignments:
            if topic.partitions != DEFAULT or topic.replication_factor != DEFAULT:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST,
                    "Both numPartitions or replicationFactor and replicasAssignments were set. "
                    "Both cannot be used at the same time.",
                )
            return {index: tuple(replicas) for index, replicas in topic.assignments.items()}
        config = self._config
        partitions = config.num_partitions if topic.partitions == DEFAULT else topic.partitions
        factor = config.default_replication_factor if topic.replication_factor == DEFAULT else topic.replication_factor
        racks = self._racks()
        _check_numbers(partitions, factor, len(racks))
        return _placed(lambda: placement.assign(racks, partitions, factor, random=self._dice.random))

    def _racks(self) -> dict[int, str | None]:
        return {broker.broker_id: broker.rack for broker in self._metadata.brokers()}

    async def _create(self, topic: CreatedTopic, validate_only: bool) -> CreatedTopic:
        """Settings and topic in one transaction: no topic without its settings, no settings of another's topic."""
        partitions = {index: ReplicaAssignment(replicas) for index, replicas in topic.assignment.items()}
        payload = TopicZnode(partitions, topic.topic_id).encode()
        path = znodes.topic(topic.name)
        while True:
            settings = await self._check_absent(topic)
            if validate_only:
                return topic
            [created] = await self._zk.request([Multi((settings, Create(path, payload)))])
            if created.retried and created.code in RACES and await self._is_ours(path, payload):
                break  # the first attempt did it, only its answer was lost
            if created.code not in RACES:
                created.or_raise()
                break
        log.info("%s: created, %d partitions: %s", topic.name, len(topic.assignment), topic.assignment)
        return topic

    async def _is_ours(self, path: str, payload: bytes) -> bool:
        [found] = await self._zk.request([GetData(path)])
        return found.data == payload

    async def _check_absent(self, topic: CreatedTopic) -> Create | SetData:
        """What writes the settings, over those that an earlier topic of that name may have left."""
        name, config = topic.name, znodes.config_entity("topics", topic.name)
        marked, exists, topics, left = await self._zk.request(
            [Exists(znodes.delete_topic(name)), Exists(znodes.topic(name)), GetChildren(znodes.TOPICS), Exists(config)]
        )
        if marked.ok:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' is marked for deletion.")
        if exists.ok:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        check_collision(name, topics.or_raise().children)
        payload = znodes.encode_config(topic.config.overrides)
        return SetData(config, payload) if left.ok else Create(config, payload)

    # --- delete ----------------------------------------------------------------------------------------------------

    async def delete(self, name: str, *, timeout: float = 30.0) -> None:
        """Mark the topic for deletion; one that is marked already is no error. Raises KafkaError 3 or 7."""
        await _within(timeout, self._delete(name))

    async def _delete(self, name: str) -> None:
        [marked] = await self._zk.request(
            [Multi((Check(znodes.topic(name), ANY_VERSION), Create(znodes.delete_topic(name))))]
        )
        if marked.code == ZkCode.NO_NODE:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Topic '{name}' to delete does not exist.")
        if marked.code != ZkCode.NODE_EXISTS:
            marked.or_raise()
        log.info("%s: marked for deletion", name)

    # --- more partitions -------------------------------------------------------------------------------------------

    async def add_partitions(
        self,
        name: str,
        total: int,
        assignments: Sequence[Sequence[int]] | None = None,
        *,
        validate_only: bool = False,
        timeout: float = 30.0,
    ) -> Assignment:
        """Extend a topic to ``total`` partitions; ``assignments``: the replicas of the new ones, in order.

        Returns the new partitions. Raises KafkaError 3, 7, 37, 38, 39, 60.
        """
        return await _within(timeout, self._add_partitions(name, total, assignments, validate_only))

    async def _add_partitions(
        self, name: str, total: int, given: Sequence[Sequence[int]] | None, validate_only: bool
    ) -> Assignment:
        path = znodes.topic(name)
        [found] = await self._zk.request([GetData(path)])
        if found.code == ZkCode.NO_NODE:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        topic = TopicZnode.decode(name, found.or_raise().data)
        added = self._added(name, topic, total, given)
        if validate_only:
            return added
        new = {index: ReplicaAssignment(replicas) for index, replicas in added.items()}
        payload = TopicZnode({**topic.partitions, **new}, topic.topic_id).encode()
        [written] = await self._zk.request([SetData(path, payload, found.version)])
        if written.code == ZkCode.BAD_VERSION:
            [now] = await self._zk.request([GetData(path)])
            if not (written.retried and now.data == payload):
                return await self._add_partitions(name, total, given, validate_only)
            written = now
        written.or_raise()
        log.info("%s: partitions added: %s", name, added)
        return added

    def _added(self, name: str, topic: TopicZnode, total: int, given: Sequence[Sequence[int]] | None) -> Assignment:
        existing = {index: partition.replicas for index, partition in topic.partitions.items()}
        if any(partition.adding or partition.removing for partition in topic.partitions.values()):
            message = f"A partition reassignment is in progress for the topic '{name}'."
            raise KafkaError(ErrorCode.REASSIGNMENT_IN_PROGRESS, message)
        if total < len(existing):
            message = f"Topic currently has {len(existing)} partitions, which is higher than the requested {total}."
            raise KafkaError(ErrorCode.INVALID_PARTITIONS, message)
        if total == len(existing):
            raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {len(existing)} partitions.")
        racks = self._racks()
        if given is not None and total - len(existing) <= MOST_PARTITIONS:
            return _check_added(existing, total, given, set(racks))
        _check_numbers(total - len(existing), len(existing[0]), len(racks))
        return _placed(lambda: placement.extend(racks, existing, total))


def _check_numbers(partitions: int, factor: int, brokers: int) -> None:
    if partitions <= 0:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions must be larger than 0.")
    if partitions > MOST_PARTITIONS:
        message = f"{partitions} partitions are more than the {MOST_PARTITIONS} that may be created at once."
        raise KafkaError(ErrorCode.POLICY_VIOLATION, message)
    if factor <= 0:
        raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.")
    if factor > brokers:
        message = f"Replication factor: {factor} larger than available brokers: {brokers}."
        raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR, message)


def _check_assignment(assignment: Assignment) -> None:
    """AdminZkClient.validateTopicCreate; unknown brokers are allowed, as in Kafka."""
    why = None
    if len({len(replicas) for replicas in assignment.values()}) != 1:
        why = "All partitions should have the same number of replicas"
    elif any(len(set(replicas)) != len(replicas) for replicas in assignment.values()):
        listed = ", ".join(f"{index} -> ArrayBuffer({_join(replicas)})" for index, replicas in assignment.items())
        why = f"Duplicate replica assignment found: HashMap({listed})"
    elif sorted(assignment) != list(range(len(assignment))):
        why = "partitions should be a consecutive 0-based integer sequence"
    elif not assignment[0]:
        why = "Replication factor must be larger than 0."
    if why is not None:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, why)


def _check_added(
    existing: Mapping[int, Sequence[int]], total: int, given: Sequence[Sequence[int]], brokers: set[int]
) -> Assignment:
    """ZkAdminManager.createPartitions, AdminZkClient.validateReplicaAssignment (KIP-195)."""
    unknown = dict.fromkeys(broker for replicas in given for broker in replicas if broker not in brokers)
    added = {len(existing) + index: tuple(replicas) for index, replicas in enumerate(given)}
    factor = len(existing[0])
    uneven = {index: len(replicas) for index, replicas in added.items() if len(replicas) != factor}
    empty = next((index for index, replicas in added.items() if not replicas), None)
    double = next((index for index, replicas in added.items() if len(set(replicas)) != len(replicas)), None)
    why = None
    if unknown:
        why = f"Unknown broker(s) in replica assignment: {_join(unknown)}."
    elif len(given) != total - len(existing):
        missing = total - len(existing)
        why = f"Increasing the number of partitions by {missing} but {len(given)} assignments provided."
    elif empty is not None:
        why = f"Cannot have replication factor of 0 for partition id {empty}."
    elif double is not None:
        listed = _join(added[double])
        why = f"Duplicate brokers not allowed in replica assignment: {listed} for partition id {double}."
    elif uneven:
        why = (
            f"Inconsistent replication factor between partitions, partition 0 has {factor} while partitions "
            f"[{_join(uneven)}] have replication factors [{_join(uneven.values())}], respectively."
        )
    if why is not None:
        raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, why)
    return added


def _join(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _placed(place: Callable[[], Assignment]) -> Assignment:
    try:
        return place()
    except PlacementError as error:
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error)) from error


async def _within(timeout: float, work: Awaitable[T]) -> T:
    """Bounds ``work`` to ``timeout`` seconds, and makes ZooKeeper's refusals Kafka's REQUEST_TIMED_OUT."""
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError as error:
        raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, f"ZooKeeper did not answer within {timeout:g} s") from error
    except ZkError as error:
        raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, str(error)) from error
