"""Who uses a topic, and which settings of the brokers decide whether it can be deleted and comes back by itself."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kops.cluster import groups, partitions
from kops.cluster.metadata import NO_LEADER, Topic
from kops.session import Session
from kops.words import counted

AUTO_CREATE, DELETE_ENABLE = "auto.create.topics.enable", "delete.topic.enable"
DELETE_DELAY = "log.segment.delete.delay.ms"
_RECENTLY = 60.0


@dataclass(frozen=True, slots=True)
class BrokerRules:
    """Brokers by what their settings say; those that could not be asked are in none."""

    auto_creating: tuple[int, ...] = ()
    not_deleting: tuple[int, ...] = ()
    delete_delay: Mapping[int, float] = field(default_factory=dict)
    """Seconds for which a broker keeps the files of a deleted log."""


def rules(session: Session, brokers: Sequence[int]) -> BrokerRules:
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaError

    found: dict[int, Mapping[str, str]] = {}
    for broker in brokers:
        resource = ConfigResource(ConfigResourceType.BROKER, str(broker), [AUTO_CREATE, DELETE_ENABLE, DELETE_DELAY])
        try:
            entries = session.admin.describe_configs([resource], config_filter="all")["broker"][str(broker)]
        except KafkaError:
            continue
        found[broker] = {name: str(entry["value"]) for name, entry in entries.items()}
    return BrokerRules(
        tuple(broker for broker, entries in found.items() if entries.get(AUTO_CREATE) == "true"),
        tuple(broker for broker, entries in found.items() if entries.get(DELETE_ENABLE) == "false"),
        {broker: int(entries[DELETE_DELAY]) / 1000 for broker, entries in found.items() if DELETE_DELAY in entries},
    )


def consumers(session: Session, topic: str) -> list[str]:
    """Members of groups that read the topic, in words."""
    return [
        f"group {group.id}: {member.client_id} at {member.host.lstrip('/')}"
        for group in groups.describe(session, groups.listed(session))
        for member in group.members
        if topic in member.subscribed or any(position.topic == topic for position in member.assigned)
    ]


def producers(session: Session, topic: Topic, seconds: float = 1.0) -> list[str]:
    """Signs of somebody writing: producers that the leaders know (KIP-664), and ends that move while we look."""
    led = [partition for partition in topic.partitions if partition.leader != NO_LEADER]
    before = partitions.offsets(session, led)
    began = time.monotonic()
    found = _known_producers(session, topic)
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    after = partitions.offsets(session, led)
    moved = {
        name: (after[name].latest or 0) - (one.latest or 0)
        for name, one in before.items()
        if name in after and after[name].latest != one.latest
    }
    return found + [f"{name} grew by {counted(count, 'record')} while we looked" for name, count in moved.items()]


def _known_producers(session: Session, topic: Topic) -> list[str]:
    """Idempotent producers that wrote within the last minute; none where the broker cannot tell."""
    from kafka.errors import KafkaError
    from kafka.protocol.admin import DescribeProducersRequest as Request

    by_leader: dict[int, list[int]] = {}
    for partition in topic.partitions:
        if partition.leader != NO_LEADER:
            by_leader.setdefault(partition.leader, []).append(partition.index)
    found = []
    for leader, indexes in by_leader.items():
        asked = [Request.TopicRequest(name=topic.name, partition_indexes=indexes)]
        try:
            answer = session.send(Request(topics=asked), leader)
        except KafkaError:
            continue
        for one in (partition for each in answer.topics for partition in each.partitions):
            for producer in one.active_producers or ():
                ago = time.time() - producer.last_timestamp / 1000
                if ago < _RECENTLY:
                    found.append(
                        f"producer {producer.producer_id} wrote to {topic.name}-{one.partition_index} {ago:.0f} s ago"
                    )
    return found
