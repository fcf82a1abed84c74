"""How fast replicas may be copied while partitions are moved (KIP-73), by the settings that Apache's tool uses.

A rate for every broker that sends or receives, and on each topic which replicas count: those that are sent from
(leaders), and those that are new (followers). Whoever sets a throttle has to take it away, or the next broker that
falls behind stays behind.
"""

from collections.abc import Iterable, Mapping, Sequence

from kops.cluster import configs
from kops.cluster.configs import BROKER, TOPIC, Entity
from kops.cluster.offsets import Position
from kops.session import Session

RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
LEADERS, FOLLOWERS = "leader.replication.throttled.replicas", "follower.replication.throttled.replicas"

Moves = Mapping[Position, tuple[Sequence[int], Sequence[int]]]
"""By partition: the brokers that have it, and those that are to have it, too."""


def replicas(moves: Moves) -> dict[str, dict[str, str]]:
    """The settings of each topic: ``partition:broker`` of every replica that is copied from, and to."""
    found: dict[str, dict[str, list[str]]] = {}
    for position, (now, adding) in sorted(moves.items()):
        if not adding:
            continue
        of_topic = found.setdefault(position.topic, {LEADERS: [], FOLLOWERS: []})
        of_topic[LEADERS] += [f"{position.partition}:{broker}" for broker in now]
        of_topic[FOLLOWERS] += [f"{position.partition}:{broker}" for broker in adding]
    return {topic: {key: ",".join(value) for key, value in lists.items()} for topic, lists in found.items()}


def put(session: Session, moves: Moves, rate: int) -> None:
    """Throttle these moves, before they begin, to ``rate`` bytes a second in and out of each broker."""
    for topic, settings in replicas(moves).items():
        configs.alter(session, Entity(TOPIC, topic), settings, [])
    brokers = {broker for now, adding in moves.values() if adding for broker in (*now, *adding)}
    for broker in sorted(brokers):
        configs.alter(session, Entity(BROKER, str(broker)), dict.fromkeys(RATES, str(rate)), [])


def found(session: Session, topics: Iterable[str], brokers: Iterable[int]) -> dict[Entity, list[str]]:
    """What is throttled among these, and by which settings."""
    wanted = {Entity(TOPIC, topic): (LEADERS, FOLLOWERS) for topic in sorted(set(topics))}
    wanted |= {Entity(BROKER, str(broker)): RATES for broker in sorted(set(brokers))}
    told = {
        entity: [one.name for one in configs.describe(session, entity) if one.name in names and one.overridden]
        for entity, names in wanted.items()
    }
    return {entity: names for entity, names in told.items() if names}


def clear(session: Session, throttled: Mapping[Entity, Sequence[str]]) -> None:
    """Take away what :func:`found` told."""
    for entity, names in throttled.items():
        configs.alter(session, entity, {}, names)
