"""What happens to the controller, and what it wants done: plain values (kafka.controller.ControllerEvent).

Events come from ZooKeeper's watches, from requests, from brokers' replies and from timers. An event with a ``token``
is a request: exactly one :class:`Reply` with that token answers it, unless the controller resigns (NOT_CONTROLLER).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from broker.controller.state import TopicPartition


class Elect(NamedTuple):
    """Look who is controller, and try to become it if nobody is (Startup, Reelect, ControllerChange).

    ``session_id`` tells a /controller that this broker left behind in its own session from one of an earlier life.
    """

    wall_ms: int
    session_id: int


class BrokerChange(NamedTuple):
    """Children of /brokers/ids changed."""


class BrokerModification(NamedTuple):
    """A broker's znode changed: its endpoints."""

    broker: int


class TopicChange(NamedTuple):
    """Children of /brokers/topics changed."""


class PartitionModification(NamedTuple):
    """A topic's znode changed: partitions were added."""

    topic: str


class TopicDeletion(NamedTuple):
    """Children of /admin/delete_topics changed."""


class IsrChange(NamedTuple):
    """Children of /isr_change_notification changed (IBP < 2.7-IV2)."""


class LogDirEvent(NamedTuple):
    """Children of /log_dir_event_notification changed."""


class PreferredElectionZnode(NamedTuple):
    """/admin/preferred_replica_election was created."""


class UncleanElectionEnabled(NamedTuple):
    """A topic, or (None) the default of all topics, now allows leaders that are out of sync."""

    topic: str | None


class AutoRebalance(NamedTuple):
    """Time to look whether leaders are where they are preferred."""


class ControlReply(NamedTuple):
    """A broker answered a control request. ``broker_epoch`` is the one that the request was sent to."""

    broker: int
    broker_epoch: int
    request: Any
    response: Any


class BrokerUnreachable(NamedTuple):
    """A connection to the broker broke, and then it refused every other one. ``broker_epoch``: who was observed."""

    broker: int
    broker_epoch: int


class ControllerSeen(NamedTuple):
    """Another broker that is controller: where it listens, and the versions of what says so in ZooKeeper."""

    broker: int
    host: str
    port: int
    broker_epoch: int
    epoch_version: int
    controller_version: int
    registration_version: int


class ControllerUnreachable(NamedTuple):
    """A connection to the controller broke, and then it refused every other one."""

    seen: ControllerSeen


class ElectLeaders(NamedTuple):
    """ElectLeaders (KIP-460). ``partitions`` None: all. ``election_type``: 0 preferred, 1 unclean.

    The reply is ``dict[TopicPartition, tuple[ErrorCode, str | None]]``.
    """

    token: int
    partitions: tuple[TopicPartition, ...] | None
    election_type: int


class ReassignPartitions(NamedTuple):
    """AlterPartitionReassignments (KIP-455). A target of None cancels.

    The reply is ``dict[TopicPartition, tuple[ErrorCode, str | None]]``.
    """

    token: int
    targets: Mapping[TopicPartition, tuple[int, ...] | None]


class ListReassignments(NamedTuple):
    """ListPartitionReassignments. The reply is ``dict[TopicPartition, ReplicaAssignment]``."""

    token: int
    partitions: tuple[TopicPartition, ...] | None


class ReassignmentZnode(NamedTuple):
    """/admin/reassign_partitions was created or changed."""


class ControlledShutdown(NamedTuple):
    """A broker wants to stop. The reply is the tuple of partitions that it still leads, or a KafkaError."""

    token: int
    broker: int
    broker_epoch: int


class AlterPartition(NamedTuple):
    """A leader proposes ISRs (KIP-497). The reply is an AlterPartitionResponse."""

    token: int
    request: Any
    version: int


class AllocateProducerIds(NamedTuple):
    """A broker wants producer ids (KIP-730). The reply is an AllocateProducerIdsResponse."""

    token: int
    request: Any


Event = (
    Elect
    | BrokerChange
    | BrokerModification
    | TopicChange
    | PartitionModification
    | TopicDeletion
    | IsrChange
    | LogDirEvent
    | PreferredElectionZnode
    | UncleanElectionEnabled
    | AutoRebalance
    | BrokerUnreachable
    | ControllerUnreachable
    | ControlReply
    | ElectLeaders
    | ReassignPartitions
    | ListReassignments
    | ReassignmentZnode
    | ControlledShutdown
    | AlterPartition
    | AllocateProducerIds
)


class Send(NamedTuple):
    """Queue a LeaderAndIsr, UpdateMetadata or StopReplica request for a broker, behind what it was sent before."""

    broker: int
    request: Any


class OpenChannel(NamedTuple):
    """Start sending to a broker; an open channel is pointed at the new address and keeps its queue.

    ``was_here``: it registered before this controller was elected, so it must be listening by now.
    """

    broker: int
    host: str
    port: int
    broker_epoch: int
    was_here: bool = False


class CloseChannel(NamedTuple):
    """The broker is gone: forget what was queued for it."""

    broker: int


class Reply(NamedTuple):
    """Answer the request with that token. A KafkaError as ``value`` is raised to the caller."""

    token: int
    value: Any


class SetTimer(NamedTuple):
    """Post ``event`` in ``seconds``. There is one timer: setting it replaces the former, resignation stops it."""

    seconds: float
    event: Event


Effect = Send | OpenChannel | CloseChannel | Reply | SetTimer
