"""Topics through ZooKeeper, as Kafka's tools worked up to 2.x with ``--zookeeper`` (kafka.zk.AdminZkClient).

Reading needs no broker at all. Changes are written where a broker's controller watches for them: they take effect when
it has seen them, which is what the functions here wait for.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kops.cluster.metadata import NO_LEADER, Partition, Topic
from kops.cluster.topics import Deleted, NewTopic, check_name
from kops.errors import BadUsage, Failed, Refused, Unreachable, not_found

if TYPE_CHECKING:
    from kazoo.client import KazooClient

Watch = Callable[[Any], None]


def topics(client: "KazooClient", names: Sequence[str] | None = None, watch: Watch | None = None) -> list[Topic]:
    """Topics as their znodes tell it; with ``watch``, every znode that was read is watched for its next change."""
    from broker.zk import znodes

    known = sorted(_children(client, znodes.TOPICS, watch))
    for name in names or ():
        if name not in known:
            if watch is None:
                raise not_found("topic", name, known, "`kops topic list` shows the topics there are.")
            client.exists(znodes.topic(name), watch=watch)
    return [_topic(client, name, watch) for name in known if names is None or name in names]


def marked_for_deletion(client: "KazooClient") -> set[str]:
    """Topics that wait to be deleted by the controller."""
    from broker.zk import znodes

    return set(_children(client, znodes.DELETE_TOPICS))


def live_brokers(client: "KazooClient") -> list[int]:
    from broker.zk import znodes

    return sorted(int(broker) for broker in _children(client, znodes.BROKER_IDS))


def create_topic(client: "KazooClient", new: NewTopic, timeout: float) -> Topic:
    """Write the settings, then the assignment, and wait until the controller has elected leaders.

    Raises BadUsage, Failed (exists, more replicas than brokers), Unreachable when no controller took it up.
    """
    from broker.zk import znodes

    check_name(new.name)
    existing = _children(client, znodes.TOPICS)
    if new.name in existing:
        raise Failed(
            f"topic {new.name}: Topic '{new.name}' already exists.", "Choose another name, or --if-not-exists."
        )
    collisions = [name for name in existing if name.replace(".", "_") == new.name.replace(".", "_")]
    if collisions:
        raise Failed(f"topic {new.name} collides with {collisions[0]}", "'.' and '_' are the same in metric names.")
    assignment = dict(enumerate(new.assignment)) if new.assignment else _assignment(client, new)
    if new.configs:
        _set_or_create(client, znodes.config_entity("topics", new.name), znodes.encode_config(new.configs))
    content = znodes.TopicZnode({index: znodes.ReplicaAssignment(replicas) for index, replicas in assignment.items()})
    client.create(znodes.topic(new.name), content.encode())
    _wait(lambda: _without_leader(client, new.name), timeout)
    return _topic(client, new.name)


def delete_topic(client: "KazooClient", topic: Topic, timeout: float) -> Deleted:
    """Mark for deletion, and wait until the controller has done it. Raises Refused, Unreachable (what it waits for)."""
    from kazoo.exceptions import NodeExistsError

    from broker.zk import znodes

    began = time.monotonic()
    with suppress(NodeExistsError):  # marked already: what is left is to wait
        client.create(znodes.delete_topic(topic.name), b"")
    _wait(lambda: _not_deleted(client, topic.name), timeout)
    return Deleted(topic.name, len(topic.partitions), time.monotonic() - began)


def add_partitions(client: "KazooClient", topic: Topic, total: int, timeout: float) -> Topic:
    """Write the larger assignment and wait until the new partitions have leaders. Raises BadUsage for fewer."""
    from broker.admin import placement
    from broker.zk import znodes

    present = len(topic.partitions)
    if total <= present:
        raise BadUsage(
            f"topic {topic.name} has {present} partitions: {total} is not more", "Partitions can only be added."
        )
    path = znodes.topic(topic.name)
    data, stat = client.get(path)
    content = znodes.TopicZnode.decode(topic.name, data)
    added = placement.extend(_racks(client), {p.index: p.replicas for p in topic.partitions}, total)
    merged = dict(content.partitions) | {index: znodes.ReplicaAssignment(ids) for index, ids in added.items()}
    client.set(path, znodes.TopicZnode(merged, content.topic_id).encode(), stat.version)
    _wait(lambda: _without_leader(client, topic.name, total), timeout)
    return _topic(client, topic.name)


def alter_configs(client: "KazooClient", name: str, put: Mapping[str, str], drop: Sequence[str]) -> Topic:
    """Change the settings' znode, then tell the brokers by a config change node, as ConfigCommand did."""
    from broker.zk import znodes

    path = znodes.config_entity("topics", name)
    configs = {key: value for key, value in _configs(client, name).items() if key not in drop} | dict(put)
    _set_or_create(client, path, znodes.encode_config(configs))
    client.create(znodes.CONFIG_CHANGE_PREFIX, znodes.encode_config_change(f"topics/{name}"), sequence=True)
    return _topic(client, name)


def _topic(client: "KazooClient", name: str, watch: Watch | None = None) -> Topic:
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    try:
        data, _ = client.get(znodes.topic(name), watch=watch)
    except NoNodeError:
        return Topic(name)
    content = znodes.TopicZnode.decode(name, data)
    identity = str(content.topic_id) if content.topic_id else None
    partitions = tuple(
        _partition(client, name, index, assigned.replicas, watch)
        for index, assigned in sorted(content.partitions.items())
    )
    internal = name in ("__consumer_offsets", "__transaction_state")
    return Topic(name, identity, internal, partitions, _configs(client, name))


def _partition(
    client: "KazooClient", topic: str, index: int, replicas: tuple[int, ...], watch: Watch | None
) -> Partition:
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    path = znodes.partition_state(topic, index)
    try:
        data, _ = client.get(path, watch=watch)
    except NoNodeError:
        if watch is not None:
            client.exists(path, watch=watch)
        return Partition(topic, index, NO_LEADER, -1, replicas, ())
    state = znodes.PartitionState.decode(data)
    return Partition(topic, index, state.leader, state.leader_epoch, replicas, state.isr)


def _configs(client: "KazooClient", name: str) -> dict[str, str]:
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    try:
        data, _ = client.get(znodes.config_entity("topics", name))
    except NoNodeError:
        return {}
    return dict(sorted(znodes.decode_config(data).items()))


def _racks(client: "KazooClient") -> dict[int, str | None]:
    """Live brokers and the rack of each."""
    from broker.zk import znodes

    found = {}
    for broker in live_brokers(client):
        data, _ = client.get(znodes.broker_id(broker))
        found[broker] = znodes.BrokerZnode.decode(broker, data).rack
    return found


def _assignment(client: "KazooClient", new: NewTopic) -> Mapping[int, tuple[int, ...]]:
    """Kafka's placement over the live brokers. Raises BadUsage, Failed for more replicas than brokers."""
    from broker.admin import placement

    racks = _racks(client)
    count, factor = new.partitions or 1, new.replication_factor or 1
    if count < 1 or factor < 1:
        raise BadUsage("partitions and replication factor must be larger than 0", "For example --partitions 1.")
    if factor > len(racks):
        raise Failed(
            f"topic {new.name}: Replication factor: {factor} larger than available brokers: {len(racks)}.",
            "Start more brokers, or ask for fewer replicas: `kops broker list`.",
        )
    return placement.assign(racks, count, factor, random=random.Random())


def _without_leader(client: "KazooClient", name: str, total: int | None = None) -> str | None:
    partitions = _topic(client, name).partitions
    missing = [p.index for p in partitions if p.leader == NO_LEADER]
    if missing or len(partitions) < (total or 1):
        return f"the controller has not elected a leader for {name}-{missing[0] if missing else 0}"
    return None


def _not_deleted(client: "KazooClient", name: str) -> str | None:
    """What is waited for. Raises Refused when the controller does not delete."""
    from broker.zk import znodes

    if client.exists(znodes.topic(name)):
        if not client.exists(znodes.delete_topic(name)) and client.exists(znodes.topic(name)):
            raise Refused(
                f"topic {name} is not deleted: the controller took the mark away, delete.topic.enable is false",
                "Set delete.topic.enable=true on every broker, restart them, and try again.",
                subject=name,
            )
        return f"topic {name} is marked for deletion; the controller has not finished (is a broker of it down?)"
    return None


def _wait(look: Callable[[], str | None], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while missing := look():
        if time.monotonic() > deadline:
            raise Unreachable(f"after {timeout:g} s: {missing}", "See `kops broker list`, or wait with --timeout.")
        time.sleep(0.1)


def _children(client: "KazooClient", path: str, watch: Watch | None = None) -> list[str]:
    from kazoo.exceptions import NoNodeError

    try:
        return list(client.get_children(path, watch=watch))
    except NoNodeError:
        return []


def _set_or_create(client: "KazooClient", path: str, data: bytes) -> None:
    from kazoo.exceptions import NoNodeError

    try:
        client.set(path, data)
    except NoNodeError:
        client.create(path, data, makepath=True)
