"""Brokers: who is registered, who is controller, what each leads and holds, its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kops.cluster.metadata import Broker, Snapshot, snapshot
from kops.errors import not_found
from kops.session import Session


@dataclass(frozen=True, slots=True)
class BrokerSummary:
    """A broker and its share of the cluster; ``in_sync`` counts its replicas that are in the ISR."""

    broker: Broker
    controller: bool
    leaders: int
    replicas: int
    in_sync: int
    configs: Mapping[str, str] = field(default_factory=dict)
    alive: bool = True


def summaries(seen: Snapshot) -> list[BrokerSummary]:
    """Every broker that is registered, and those that replicas name though they are away (``alive`` false)."""
    named = {replica for partition in seen.partitions for replica in partition.replicas}
    away = [Broker(broker, "-", -1) for broker in sorted(named - {one.id for one in seen.brokers})]
    ordered = sorted([*seen.brokers, *away], key=lambda broker: broker.id)
    return [_summary(seen, broker, broker not in away) for broker in ordered]


def _summary(seen: Snapshot, broker: Broker, alive: bool) -> BrokerSummary:
    partitions = seen.partitions
    return BrokerSummary(
        broker=broker,
        controller=seen.controller == broker.id,
        leaders=sum(partition.leader == broker.id for partition in partitions),
        replicas=sum(broker.id in partition.replicas for partition in partitions),
        in_sync=sum(broker.id in partition.isr for partition in partitions),
        alive=alive,
    )


def list_brokers(session: Session) -> list[BrokerSummary]:
    return summaries(snapshot(session))


def describe_brokers(session: Session, ids: Sequence[int]) -> list[BrokerSummary]:
    """The brokers asked for (all when none) with their settings that are not defaults. Raises NotFound."""
    from kafka.admin import ConfigResource, ConfigResourceType

    known = {str(one.broker.id): one for one in list_brokers(session)}
    for wanted in ids:
        if str(wanted) not in known:
            raise not_found("broker", str(wanted), known, f"Registered: {', '.join(known) or 'none'}.")
    chosen = [known[str(one)] for one in ids] if ids else list(known.values())
    described = []
    for one in chosen:
        configs: dict[str, str] = {}
        if one.alive:
            resource = ConfigResource(ConfigResourceType.BROKER, str(one.broker.id))
            entries = session.admin.describe_configs([resource], config_filter="all")["broker"][str(one.broker.id)]
            configs = {
                name: "(hidden)" if entry.get("is_sensitive") else str(entry["value"])
                for name, entry in sorted(entries.items())
                if entry["config_source"] != "DEFAULT_CONFIG"
            }
        described.append(
            BrokerSummary(one.broker, one.controller, one.leaders, one.replicas, one.in_sync, configs, one.alive)
        )
    return described
