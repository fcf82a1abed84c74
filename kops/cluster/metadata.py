"""One look at a cluster through Kafka's Metadata API: brokers, controller, topics, partitions, leaders, ISR.

Asked with allow_auto_topic_creation=false: looking never creates.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kops.errors import Unreachable, not_found
from kops.session import LastAnswer, Session

NO_LEADER = -1
NO_TOPIC_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as the cluster's metadata names it."""

    id: int
    host: str
    port: int
    rack: str | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: who leads it (-1: nobody), where it is, who is in sync, whose replicas are offline."""

    topic: str
    index: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    offline: tuple[int, ...] = ()
    error: int = 0

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.index}"

    @property
    def under_replicated(self) -> bool:
        return len(self.isr) < len(self.replicas)

    @property
    def preferred_leads(self) -> bool:
        return bool(self.replicas) and self.leader == self.replicas[0]

    @property
    def state(self) -> str:
        """One word: ``ok``, ``under-replicated``, ``offline``."""
        if self.leader == NO_LEADER:
            return "offline"
        return "under-replicated" if self.under_replicated else "ok"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic and its partitions in order."""

    name: str
    id: str | None = None
    internal: bool = False
    partitions: tuple[Partition, ...] = ()
    configs: dict[str, str] = field(default_factory=dict)
    error: int = 0

    @property
    def replication_factor(self) -> int:
        return len(self.partitions[0].replicas) if self.partitions else 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one broker knows of its cluster at one moment."""

    cluster_id: str | None
    controller: int
    brokers: tuple[Broker, ...]
    topics: tuple[Topic, ...]
    kraft: bool = False
    """Whether it keeps its metadata without ZooKeeper."""

    def topic(self, name: str) -> Topic | None:
        return next((topic for topic in self.topics if topic.name == name), None)

    def broker(self, broker: int) -> Broker | None:
        return next((one for one in self.brokers if one.id == broker), None)

    @property
    def partitions(self) -> list[Partition]:
        return [partition for topic in self.topics for partition in topic.partitions]


def snapshot(
    session: Session, topics: Sequence[str] | None = None, broker: int | None = None, last: LastAnswer | None = None
) -> Snapshot:
    """Metadata of ``topics`` (all when None, none when empty) as ``broker`` (any when None) sees it now.

    ``last``: for who looks again and again; topics that are as they were are the same objects then.
    """
    from kafka.protocol.metadata import MetadataRequest

    wanted = None if topics is None else [MetadataRequest.MetadataRequestTopic(name=name) for name in topics]
    last = last or LastAnswer()
    response = session.send(last.to(MetadataRequest(topics=wanted, allow_auto_topic_creation=False)), broker)
    seen = last.made(response, _snapshot)
    return replace(seen, controller=_quorum_leader(session, seen, broker), kraft=True) if session.kraft else seen


def _quorum_leader(session: Session, seen: Snapshot, broker: int | None) -> int:
    """Without ZooKeeper brokers name any one of themselves as the controller; the real one need not be a broker.

    Where ``broker`` may not tell its word counts; where the quorum does not answer it, nobody is the controller.
    """
    from kafka.errors import ClusterAuthorizationFailedError, KafkaError
    from kafka.protocol.admin import DescribeQuorumRequest as Request

    log = Request.TopicData(topic_name="__cluster_metadata", partitions=[Request.TopicData.PartitionData(0)])
    try:
        answer = session.send(Request(topics=[log]), broker)
    except KafkaError:
        return NO_LEADER
    if answer.error_code == ClusterAuthorizationFailedError.errno:
        return seen.controller
    leaders = [partition.leader_id for topic in answer.topics or () for partition in topic.partitions]
    return int(leaders[0]) if leaders else NO_LEADER


def topics_of(session: Session, names: Sequence[str]) -> tuple[Snapshot, list[Topic]]:
    """The named topics in the order asked for. Raises NotFound, proposing the nearest name, for a missing one."""
    seen = snapshot(session, names)
    found = []
    for name in names:
        topic = seen.topic(name)
        if topic is None or topic.error in (3, 17):
            known = [one.name for one in snapshot(session).topics]
            raise not_found("topic", name, known, "`kops topic list` shows the topics there are.")
        found.append(topic)
    return seen, found


def on_every_broker(session: Session, topics: Sequence[str]) -> dict[int, Snapshot | None]:
    """Each broker's own view of ``topics``; None for a broker that does not answer."""
    from kafka.errors import KafkaError

    views: dict[int, Snapshot | None] = {}
    for broker in snapshot(session, []).brokers:
        try:
            views[broker.id] = snapshot(session, topics, broker.id)
        except KafkaError:
            views[broker.id] = None
    return views


def wait_until(session: Session, look: Callable[[], str | None], timeout: float, step: float = 0.1) -> float:
    """Ask ``look`` until it answers None; it answers with what is still missing. Seconds taken. Raises Unreachable."""
    from kafka.errors import KafkaError

    began = time.monotonic()
    while True:
        try:
            missing = look()
        except KafkaError as error:
            missing = f"{type(error).__name__}"
        waited = time.monotonic() - began
        if missing is None:
            return waited
        if waited > timeout:
            raise Unreachable(
                f"after {timeout:g} s: {missing}", "Wait longer with --timeout, or see `kops broker list`."
            )
        time.sleep(step)


def _snapshot(response: Any) -> Snapshot:
    return Snapshot(
        cluster_id=getattr(response, "cluster_id", None),
        controller=getattr(response, "controller_id", NO_LEADER),
        brokers=tuple(
            sorted((Broker(b.node_id, b.host, b.port, b.rack or None) for b in response.brokers), key=lambda b: b.id)
        ),
        topics=tuple(sorted((_topic(topic) for topic in response.topics), key=lambda topic: topic.name)),
    )


def _topic(topic: Any) -> Topic:
    identity = str(topic.topic_id) if getattr(topic, "topic_id", None) is not None else NO_TOPIC_ID
    return Topic(
        name=topic.name,
        id=None if identity == NO_TOPIC_ID else identity,
        internal=bool(topic.is_internal),
        partitions=tuple(
            sorted((_partition(topic.name, partition) for partition in topic.partitions), key=lambda one: one.index)
        ),
        error=topic.error_code,
    )


def _partition(topic: str, partition: Any) -> Partition:
    return Partition(
        topic=topic,
        index=partition.partition_index,
        leader=partition.leader_id,
        leader_epoch=partition.leader_epoch if partition.leader_epoch is not None else -1,
        replicas=tuple(partition.replica_nodes),
        isr=tuple(partition.isr_nodes),
        offline=tuple(partition.offline_replicas or ()),
        error=partition.error_code,
    )
