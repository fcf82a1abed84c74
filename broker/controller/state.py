"""What the active controller knows of the cluster (kafka.controller.ControllerContext).

Pure data and questions about it; nothing here decides. It is built by reading ZooKeeper at failover and thrown away at
resignation, so nothing in it needs to outlive an epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple
from uuid import UUID

from broker.zk import znodes
from broker.zk.znodes import NO_LEADER, BrokerZnode, ReplicaAssignment

LEADER_DURING_DELETE = -2
EPOCH_DURING_DELETE = -2
NO_EPOCH = -1
RECOVERED = 0
RECOVERING = 1
ZERO_UUID = UUID(int=0)


class TopicPartition(NamedTuple):
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Replica(NamedTuple):
    """One broker's copy of one partition (kafka.controller.PartitionAndReplica)."""

    partition: TopicPartition
    broker: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.broker}"


class PartitionState(Enum):
    """Where a partition stands in the controller's eyes (kafka.controller.PartitionState)."""

    NON_EXISTENT = "NonExistent"
    NEW = "New"
    ONLINE = "Online"
    OFFLINE = "Offline"


class ReplicaState(Enum):
    """Where a replica stands in the controller's eyes (kafka.controller.ReplicaState)."""

    NON_EXISTENT = "NonExistent"
    NEW = "New"
    ONLINE = "Online"
    OFFLINE = "Offline"
    DELETION_STARTED = "DeletionStarted"
    DELETION_SUCCESSFUL = "DeletionSuccessful"
    DELETION_INELIGIBLE = "DeletionIneligible"


class Leadership(NamedTuple):
    """A partition's state znode with its version (kafka.controller.LeaderIsrAndControllerEpoch)."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    recovery_state: int
    partition_epoch: int
    controller_epoch: int

    @classmethod
    def of(cls, znode: znodes.PartitionState, partition_epoch: int) -> Leadership:
        return cls(
            znode.leader,
            znode.leader_epoch,
            znode.isr,
            znode.leader_recovery_state,
            partition_epoch,
            znode.controller_epoch,
        )

    def znode(self) -> znodes.PartitionState:
        return znodes.PartitionState(
            self.leader, self.leader_epoch, self.isr, self.controller_epoch, self.recovery_state
        )

    def led_by(self, leader: int, isr: tuple[int, ...]) -> Leadership:
        """Another leader or ISR by the controller's word, hence the next leader epoch."""
        return self._replace(leader=leader, isr=isr, leader_epoch=self.leader_epoch + 1)


class LiveBroker(NamedTuple):
    """A registered broker; ``epoch`` is the czxid of its znode."""

    znode: BrokerZnode
    epoch: int


@dataclass(slots=True)
class ControllerContext:
    """``live``: registered and not suspected. Those that are shutting down are in it, but elections leave them out."""

    epoch: int = 0
    epoch_zk_version: int = 0
    live: dict[int, LiveBroker] = field(default_factory=dict)
    suspected: dict[int, LiveBroker] = field(default_factory=dict)
    """Registered still, but taken for dead (``fast_failover``); none of them is in ``live``."""
    shutting_down: set[int] = field(default_factory=set)
    offline_dirs: dict[int, set[TopicPartition]] = field(default_factory=dict)
    assignments: dict[str, dict[int, ReplicaAssignment]] = field(default_factory=dict)
    topic_ids: dict[str, UUID] = field(default_factory=dict)
    topic_names: dict[UUID, str] = field(default_factory=dict)
    leadership: dict[TopicPartition, Leadership] = field(default_factory=dict)
    partition_states: dict[TopicPartition, PartitionState] = field(default_factory=dict)
    replica_states: dict[Replica, ReplicaState] = field(default_factory=dict)
    to_delete: dict[str, None] = field(default_factory=dict)
    """Topics queued for deletion, in the order in which they came."""
    deletion_begun: set[str] = field(default_factory=set)
    deletion_ineligible: dict[str, str] = field(default_factory=dict)
    """Topics whose deletion waits, and why."""

    # --- brokers ---

    def recipients(self) -> list[int]:
        """Brokers that hear of metadata: live or shutting down, by id."""
        return sorted(self.live)

    def is_live(self, broker: int) -> bool:
        """Registered and not on its way out: may lead."""
        return broker in self.live and broker not in self.shutting_down

    def is_online(self, broker: int, partition: TopicPartition) -> bool:
        """The broker is live and its log dir for the partition works."""
        return self.is_live(broker) and partition not in self.offline_dirs.get(broker, ())

    def registered(self, broker: int) -> LiveBroker | None:
        """Live or suspected."""
        return self.live.get(broker) or self.suspected.get(broker)

    def broker_epoch(self, broker: int) -> int | None:
        found = self.live.get(broker)
        return None if found is None else found.epoch

    # --- topics and partitions ---

    def partitions(self) -> Iterator[TopicPartition]:
        for topic, partitions in self.assignments.items():
            for partition in partitions:
                yield TopicPartition(topic, partition)

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, partition) for partition in self.assignments.get(topic, ())]

    def assignment(self, partition: TopicPartition) -> ReplicaAssignment:
        """Raises KeyError for a partition that is not known."""
        return self.assignments[partition.topic][partition.partition]

    def is_known(self, partition: TopicPartition) -> bool:
        return partition.partition in self.assignments.get(partition.topic, ())

    def assign(self, partition: TopicPartition, assignment: ReplicaAssignment) -> None:
        self.assignments.setdefault(partition.topic, {})[partition.partition] = assignment

    def set_topic_id(self, topic: str, topic_id: UUID) -> None:
        self.topic_ids[topic] = topic_id
        self.topic_names[topic_id] = topic

    def topic_id(self, topic: str) -> UUID:
        return self.topic_ids.get(topic, ZERO_UUID)

    def online_replicas(self, partition: TopicPartition) -> list[int]:
        """Of the assignment, in its order."""
        return [broker for broker in self.assignment(partition).replicas if self.is_online(broker, partition)]

    def replicas_of(self, topic: str) -> list[Replica]:
        return [
            Replica(TopicPartition(topic, partition), broker)
            for partition, assignment in self.assignments.get(topic, {}).items()
            for broker in assignment.replicas
        ]

    def replicas_on(self, brokers: Collection[int]) -> list[Replica]:
        return [
            Replica(TopicPartition(topic, partition), broker)
            for topic, partitions in self.assignments.items()
            for partition, assignment in partitions.items()
            for broker in assignment.replicas
            if broker in brokers
        ]

    def without_live_leader(self) -> list[TopicPartition]:
        """Partitions whose leader is none or not online, those of topics to be deleted left out."""
        return [
            partition
            for partition, leadership in self.leadership.items()
            if not self.is_online(leadership.leader, partition) and not self.is_to_be_deleted(partition.topic)
        ]

    def state_of(self, partition: TopicPartition) -> PartitionState:
        return self.partition_states.get(partition, PartitionState.NON_EXISTENT)

    def state_of_replica(self, replica: Replica) -> ReplicaState:
        return self.replica_states.get(replica, ReplicaState.NON_EXISTENT)

    def replicas_in(self, topic: str, state: ReplicaState) -> list[Replica]:
        return [replica for replica in self.replicas_of(topic) if self.state_of_replica(replica) is state]

    def is_to_be_deleted(self, topic: str) -> bool:
        return topic in self.to_delete

    def forget_topic(self, topic: str) -> None:
        """As if it had never been there, the queue for deletion included."""
        for partition in self.partitions_of(topic):
            self.leadership.pop(partition, None)
            self.partition_states.pop(partition, None)
            for offline in self.offline_dirs.values():
                offline.discard(partition)
        for replica in self.replicas_of(topic):
            self.replica_states.pop(replica, None)
        self.assignments.pop(topic, None)
        topic_id = self.topic_ids.pop(topic, None)
        if topic_id is not None:
            self.topic_names.pop(topic_id, None)
        self.to_delete.pop(topic, None)
        self.deletion_begun.discard(topic)
        self.deletion_ineligible.pop(topic, None)


__all__ = [
    "EPOCH_DURING_DELETE",
    "LEADER_DURING_DELETE",
    "NO_EPOCH",
    "NO_LEADER",
    "RECOVERED",
    "RECOVERING",
    "ControllerContext",
    "Leadership",
    "LiveBroker",
    "PartitionState",
    "Replica",
    "ReplicaAssignment",
    "ReplicaState",
    "TopicPartition",
]
