"""Log directories as brokers tell them: which replica lies where, and how large it is (DescribeLogDirs, KIP-113)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kops.session import Session


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica in a directory. ``lag``: records behind the high watermark, or a future one behind the current."""

    topic: str
    partition: int
    size: int
    lag: int
    future: bool

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """One of a broker's ``log.dirs``. ``error``: Kafka's name of why it is offline; -1: the broker does not tell."""

    broker: int
    path: str
    error: str
    total: int
    usable: int
    replicas: tuple[Replica, ...]

    @property
    def size(self) -> int:
        return sum(replica.size for replica in self.replicas)

    def of_topic(self, topic: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.topic == topic]


def directories(session: Session, brokers: Sequence[int]) -> dict[int, list[LogDirectory] | None]:
    """Every directory of each broker, all asked at once; None for a broker that did not answer."""
    from kafka.protocol.admin import DescribeLogDirsRequest

    answers = session.send_all({broker: DescribeLogDirsRequest(topics=None) for broker in brokers})
    return {
        broker: None if isinstance(answer, Exception) else [_directory(broker, one) for one in answer.results]
        for broker, answer in answers.items()
    }


def _directory(broker: int, one: Any) -> LogDirectory:
    from kafka.errors import for_code

    replicas = [
        Replica(topic.name, p.partition_index, p.partition_size, p.offset_lag, bool(p.is_future_key))
        for topic in one.topics
        for p in topic.partitions
    ]
    return LogDirectory(
        broker,
        one.log_dir,
        for_code(one.error_code).__name__ if one.error_code else "",
        getattr(one, "total_bytes", -1) or -1,
        getattr(one, "usable_bytes", -1) or -1,
        tuple(sorted(replicas, key=lambda replica: (replica.topic, replica.partition, replica.future))),
    )
