"""Apache's own layouts: what ``kafka-topics.sh`` prints (org.apache.kafka.tools.TopicCommand)."""

import base64
from collections.abc import Iterator, Sequence
from uuid import UUID

from kops.cluster.configs import DEFAULT, Setting
from kops.cluster.metadata import Partition, Topic
from kops.cluster.topics import Deleted
from kops.columns import ids


def topic_names(topics: Sequence[Topic]) -> Iterator[str]:
    for topic in topics:
        yield topic.name


def topics_described(topics: Sequence[Topic]) -> Iterator[str]:
    """A summary line per topic, and an indented line per partition."""
    for topic in topics:
        configs = ",".join(f"{key}={value}" for key, value in topic.configs.items())
        identity = f"TopicId: {_short(topic.id)}\t" if topic.id else ""
        yield (
            f"Topic: {topic.name}\t{identity}PartitionCount: {len(topic.partitions)}\t"
            f"ReplicationFactor: {topic.replication_factor}\tConfigs: {configs}"
        )
        for partition in topic.partitions:
            yield _partition(partition)


def _partition(partition: Partition) -> str:
    leader = str(partition.leader) if partition.leader >= 0 else "none"
    isr = ids(partition.isr) if partition.isr else ""
    return (
        f"\tTopic: {partition.topic}\tPartition: {partition.index}\tLeader: {leader}\t"
        f"Replicas: {ids(partition.replicas)}\tIsr: {isr}"
    )


def _short(identity: str) -> str:
    """A topic id as Kafka writes it: 22 characters of base64url."""
    return base64.urlsafe_b64encode(UUID(identity).bytes).decode().rstrip("=")


def partitions(found: Sequence[Partition]) -> Iterator[str]:
    """Lines of ``--under-replicated-partitions``."""
    for partition in found:
        yield _partition(partition)


def topics_created(topics: Sequence[Topic]) -> Iterator[str]:
    for topic in topics:
        yield f"Created topic {topic.name}."


def topics_deleted(deleted: Sequence[Deleted]) -> Iterator[str]:
    """Kafka's own tool says nothing, as it does not wait; here the topic is gone."""
    for one in deleted:
        yield f"Deleted topic {one.name}."


def settings_described(settings: Sequence[Setting]) -> Iterator[str]:
    """As ConfigCommand: a heading per entity, a line per setting."""
    for entity in dict.fromkeys(one.entity for one in settings):
        named = f"default {entity.kind}s" if entity.name == DEFAULT else f"{entity.kind} {entity.name}"
        yield f"Dynamic configs for {named} are:"
        for one in settings:
            if one.entity == entity:
                synonyms = ", ".join(f"{_SOURCES[source]}:{name}={value}" for source, name, value in one.synonyms)
                value = "null" if one.sensitive else one.value
                yield f"  {one.name}={value} sensitive={str(one.sensitive).lower()} synonyms={{{synonyms}}}"


_SOURCES = {
    "topic": "DYNAMIC_TOPIC_CONFIG",
    "broker": "DYNAMIC_BROKER_CONFIG",
    "all brokers": "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "file": "STATIC_BROKER_CONFIG",
    "default": "DEFAULT_CONFIG",
    "logger": "DYNAMIC_BROKER_LOGGER_CONFIG",
}


def settings_altered(settings: Sequence[Setting]) -> Iterator[str]:
    for entity in dict.fromkeys(one.entity for one in settings):
        named = f"default {entity.kind}s in the cluster" if entity.name == DEFAULT else f"{entity.kind} {entity.name}"
        yield f"Completed updating {'default config for ' if entity.name == DEFAULT else 'config for '}{named}."
