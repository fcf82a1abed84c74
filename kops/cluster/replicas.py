"""Replicas as each broker has them: how far every copy is written, and how far followers are behind (ReplicaManager).

A ListOffsets request with Kafka's replica id for debuggers (-2) is answered by followers, too, with their own log end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kops.cluster.metadata import NO_LEADER, Partition
from kops.session import Session

_DEBUGGER, _LATEST = -2, -1
Ends = Mapping[str, Mapping[int, int]]
"""Log end offset by ``topic-partition`` and broker; a broker that did not tell is left out."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the brokers said; ``silent`` names those that were asked and did not answer."""

    ends: Ends
    silent: tuple[int, ...] = ()


def log_ends(session: Session, partitions: Iterable[Partition], brokers: Sequence[int]) -> Measured:
    """The log end offset of every replica on ``brokers``, asked of all of them at once."""
    wanted = list(partitions)
    asked = {broker: _request(broker, wanted) for broker in brokers}
    answers = session.send_all({broker: request for broker, request in asked.items() if request is not None})
    ends: dict[str, dict[int, int]] = {}
    for broker, answer in answers.items():
        for topic in () if isinstance(answer, Exception) else answer.topics:
            for one in topic.partitions:
                if not one.error_code:
                    ends.setdefault(f"{topic.name}-{one.partition_index}", {})[broker] = one.offset
    return Measured(ends, tuple(sorted(broker for broker, answer in answers.items() if isinstance(answer, Exception))))


def lags(partition: Partition, ends: Mapping[int, int]) -> dict[int, int] | None:
    """Records by which each follower is behind its leader; None where the leader's end is not known.

    The replicas are asked one after the other while records arrive: a follower may seem ahead, which is shown as 0.
    """
    head = ends.get(partition.leader)
    if head is None or partition.leader == NO_LEADER:
        return None
    return {
        broker: max(0, head - ends[broker])
        for broker in partition.replicas
        if broker != partition.leader and broker in ends
    }


def _request(broker: int, partitions: Sequence[Partition]) -> Any:
    from kafka.protocol.consumer import ListOffsetsRequest

    by_topic: dict[str, list[Any]] = {}
    of_topic = ListOffsetsRequest.ListOffsetsTopic
    for one in partitions:
        if broker in one.replicas:
            by_topic.setdefault(one.topic, []).append(
                of_topic.ListOffsetsPartition(
                    partition_index=one.index, current_leader_epoch=-1, timestamp=_LATEST, max_num_offsets=1
                )
            )
    if not by_topic:
        return None
    topics = [of_topic(name=name, partitions=indexes) for name, indexes in by_topic.items()]
    return ListOffsetsRequest(replica_id=_DEBUGGER, isolation_level=0, topics=topics)


def min_insync(session: Session, topics: Sequence[str]) -> dict[str, int]:
    """``min.insync.replicas`` that holds for each topic."""
    from kafka.admin import ConfigResource, ConfigResourceType

    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, ["min.insync.replicas"]) for name in topics]
    described = session.patiently(lambda: session.admin.describe_configs(resources, config_filter="all"))
    found = described.get("topic", {})
    return {
        name: int(found[name]["min.insync.replicas"]["value"])
        for name in topics
        if "min.insync.replicas" in found.get(name, {})
    }


def log_sizes(session: Session, brokers: Sequence[int]) -> dict[int, dict[str, int] | None]:
    """Bytes that each broker's log directories hold, by ``topic-partition``; None for a broker that did not answer."""
    from kafka.protocol.admin import DescribeLogDirsRequest

    answers = session.send_all({broker: DescribeLogDirsRequest(topics=None) for broker in brokers})
    return {broker: None if isinstance(answer, Exception) else _sizes(answer) for broker, answer in answers.items()}


def _sizes(answer: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in answer.results:
        for topic in folder.topics:
            for one in topic.partitions:
                if not one.is_future_key:
                    name = f"{topic.name}-{one.partition_index}"
                    found[name] = found.get(name, 0) + one.partition_size
    return found
