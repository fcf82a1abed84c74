"""What screens ask for when they are opened, beside what the feed keeps: one call of ``kops.cluster`` each."""

from collections.abc import Mapping
from dataclasses import dataclass

from kops.cluster import brokers, lag, partitions, zookeeper
from kops.cluster.groups import listed
from kops.cluster.lag import GroupLag
from kops.cluster.metadata import Partition
from kops.cluster.partitions import Offsets
from kops.cluster.zookeeper import Znode
from kops.session import Session

AGED = 50
"""So many groups at most have the age of their oldest unread record looked up: it costs a fetch."""

Setting = tuple[str, str, str]
"""Name, value and where it comes from."""


@dataclass(frozen=True, slots=True)
class ZnodePage:
    """A znode and the names of its children."""

    znode: Znode
    children: tuple[str, ...]


def offsets(session: Session, wanted: list[Partition]) -> Mapping[str, Offsets]:
    return partitions.offsets(session, wanted)


def topic_settings(session: Session, name: str) -> list[Setting]:
    """Every setting of a topic, those that were set for it first."""
    from kafka.admin import ConfigResource, ConfigResourceType

    described = session.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    entries = described.get("topic", {}).get(name, {})
    found = [(key, str(entry["value"]), _source(str(entry["config_source"]))) for key, entry in entries.items()]
    return sorted(found, key=lambda one: (one[2] != "topic", one[2] == "default", one[0]))


def broker_settings(session: Session, broker: int) -> list[Setting]:
    """A broker's settings that are not defaults."""
    described = brokers.describe_brokers(session, [broker])
    return [(key, value, "") for one in described for key, value in one.configs.items()]


def znode(session: Session, path: str) -> ZnodePage:
    client = session.zookeeper
    return ZnodePage(zookeeper.get(client, path), tuple(zookeeper.children(client, path)))


def _source(kafka: str) -> str:
    """``DYNAMIC_TOPIC_CONFIG`` as ``topic``."""
    return {
        "DYNAMIC_TOPIC_CONFIG": "topic",
        "DYNAMIC_BROKER_CONFIG": "broker, dynamic",
        "DYNAMIC_DEFAULT_BROKER_CONFIG": "brokers, dynamic",
        "STATIC_BROKER_CONFIG": "broker's file",
        "DEFAULT_CONFIG": "default",
    }.get(kafka, kafka.lower())


def groups(session: Session, names: tuple[str, ...] | None = None) -> list[GroupLag]:
    """State, members and lag of every group, or of those named that are there."""
    chosen = [one for one in listed(session) if names is None or one.id in names]
    return lag.measure(session, chosen, ages=len(chosen) <= AGED, starts=True) if chosen else []
