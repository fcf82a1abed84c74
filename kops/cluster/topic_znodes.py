"""What ZooKeeper holds of a topic, place by place, and removing it in one multi that checks the controller's epoch.

Nothing here asks a broker: it works on a topic that no broker knows any more.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kops.cluster.zookeeper import tree
from kops.errors import Failed

if TYPE_CHECKING:
    from kazoo.client import KazooClient

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of the multi: delete ``path``, or write ``data``, when it still is at ``version``."""

    path: str
    version: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class ZnodeTrace:
    """A place (a path, or the path of what holds it) and what it has of the topic, in words; how to undo each."""

    place: str
    held: tuple[str, ...]
    changes: tuple[Change, ...] = field(default_factory=tuple)


def places(topic: str) -> list[str]:
    """Every place of ZooKeeper where Kafka writes a topic's name."""
    from broker.zk import znodes

    return [
        znodes.topic(topic),
        znodes.config_entity("topics", topic),
        znodes.delete_topic(topic),
        znodes.REASSIGN_PARTITIONS,
        znodes.PREFERRED_REPLICA_ELECTION,
        znodes.ISR_CHANGES,
        znodes.CONFIG_CHANGES,
        f"{znodes.CONSUMERS}/*/offsets/{topic}",
        f"{znodes.CONSUMERS}/*/owners/{topic}",
        znodes.child(znodes.TOPIC_ACLS, topic),
        znodes.ACL_CHANGES,
    ]


def traces(client: "KazooClient", topic: str) -> dict[str, ZnodeTrace]:
    """By place, those that hold something of the topic."""
    from broker.zk import znodes

    found: dict[str, ZnodeTrace] = {}
    for path in (
        znodes.topic(topic),
        znodes.config_entity("topics", topic),
        znodes.delete_topic(topic),
        znodes.child(znodes.TOPIC_ACLS, topic),
    ):
        _add(found, path, _subtree(client, path))
    _add(found, znodes.REASSIGN_PARTITIONS, _shared(client, znodes.REASSIGN_PARTITIONS, _reassigned(topic)))
    _add(found, znodes.PREFERRED_REPLICA_ELECTION, _shared(client, znodes.PREFERRED_REPLICA_ELECTION, _set_of(topic)))
    for place, rest in ((znodes.ISR_CHANGES, _set_of(topic)), (znodes.CONFIG_CHANGES, _config_change(topic))):
        for name in sorted(_children(client, place)):
            _add(found, place, _shared(client, znodes.child(place, name), rest))
    for name in sorted(_children(client, znodes.ACL_CHANGES)):
        _add(found, znodes.ACL_CHANGES, _shared(client, znodes.child(znodes.ACL_CHANGES, name), _acl_change(topic)))
    for group in sorted(_children(client, znodes.CONSUMERS)):
        for kind in ("offsets", "owners"):
            path = f"{znodes.CONSUMERS}/{group}/{kind}/{topic}"
            _add(found, f"{znodes.CONSUMERS}/*/{kind}/{topic}", _subtree(client, path))
    return found


Held = tuple[list[str], list[Change]]
Rest = Callable[[bytes], tuple[list[str], bytes | None] | None]
"""What of the topic is in a znode's data, and the data without it (None: nothing else); None when it is not there."""


def _add(found: dict[str, ZnodeTrace], place: str, held: Held | None) -> None:
    if held is None:
        return
    before = found.get(place, ZnodeTrace(place, ()))
    found[place] = ZnodeTrace(place, (*before.held, *held[0]), (*before.changes, *held[1]))


def _subtree(client: "KazooClient", path: str) -> Held | None:
    """A path and all below it, to be deleted from the leaves up."""
    from kazoo.exceptions import NoNodeError

    paths = tree(client, path)
    changes = []
    for one in reversed(paths):
        try:
            _, stat = client.get(one)
        except NoNodeError:
            continue
        changes.append(Change(one, stat.version))
    return (list(paths), changes) if changes else None


def _shared(client: "KazooClient", path: str, rest: Rest) -> Held | None:
    """A znode that may be about other topics, too: those stay."""
    from kazoo.exceptions import NoNodeError

    try:
        data, stat = client.get(path)
    except NoNodeError:
        return None
    told = rest(data or b"")
    if told is None:
        return None
    held, others = told
    return [f"{path}: {one}" for one in held], [Change(path, stat.version, others)]


def _reassigned(topic: str) -> Rest:
    from broker.zk import znodes

    def rest(data: bytes) -> tuple[list[str], bytes | None] | None:
        targets = _decoded(znodes.decode_reassignment, data) or {}
        mine = [
            f"{name}-{index} to {','.join(map(str, ids))}" for (name, index), ids in targets.items() if name == topic
        ]
        others = {key: ids for key, ids in targets.items() if key[0] != topic}
        return (mine, znodes.encode_reassignment(others) if others else None) if mine else None

    return rest


def _set_of(topic: str) -> Rest:
    from broker.zk import znodes

    def rest(data: bytes) -> tuple[list[str], bytes | None] | None:
        pairs = _decoded(znodes.decode_partition_set, data) or ()
        mine = [f"{name}-{index}" for name, index in pairs if name == topic]
        others = [pair for pair in pairs if pair[0] != topic]
        return (mine, znodes.encode_partition_set(others) if others else None) if mine else None

    return rest


def _config_change(topic: str) -> Rest:
    from broker.zk import znodes

    def rest(data: bytes) -> tuple[list[str], bytes | None] | None:
        entity = _decoded(znodes.decode_config_change, data)
        return ([entity], None) if entity == f"topics/{topic}" else None

    return rest


def _acl_change(topic: str) -> Rest:
    def rest(data: bytes) -> tuple[list[str], bytes | None] | None:
        return ([data.decode()], None) if data == f"Topic:{topic}".encode() else None

    return rest


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """None for what no Kafka wrote: it names no topic that Kafka could find."""
    from broker.zk.znodes import MalformedZnode

    try:
        return decode(data)
    except MalformedZnode:
        return None


def controller_epoch(client: "KazooClient") -> tuple[int, int] | None:
    """(epoch, version of its znode); None where no controller was ever elected."""
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    try:
        data, stat = client.get(znodes.CONTROLLER_EPOCH)
    except NoNodeError:
        return None
    return znodes.decode_controller_epoch(data), stat.version


def remove(
    client: "KazooClient", topic: str, keep: frozenset[str] = frozenset(), *, reelect: bool = False, gone: bool = False
) -> list[str]:
    """Remove all traces but those at the places to ``keep``, in one multi; the paths that were changed.

    ``reelect``: the controller that has the topic in memory gives way to a new one, which reads what is there.
    ``gone``: the topic's own znode is not there; nothing is removed when somebody creates the topic again meanwhile.
    Read again and tried again when somebody changed one of them meanwhile. Raises Failed after some tries.
    """
    from kazoo.exceptions import (
        BadVersionError,
        KazooException,
        NodeExistsError,
        NoNodeError,
        NotEmptyError,
        RolledBackError,
    )

    for _ in range(_TRIES):
        epoch = controller_epoch(client)
        found = traces(client, topic)
        changes = [change for place, trace in found.items() if place not in keep for change in trace.changes]
        if not changes:
            return []
        outcome = _commit(client, epoch, changes, places(topic)[0] if gone else None, reelect=reelect)
        failed = [result for result in outcome if isinstance(result, KazooException)]
        if not failed:
            return [change.path for change in changes]
        if gone and any(isinstance(one, NodeExistsError) for one in failed):
            return []
        unexpected = [
            one
            for one in failed
            if not isinstance(one, BadVersionError | NoNodeError | NotEmptyError | RolledBackError)
        ]
        if unexpected:
            raise unexpected[0]
    raise Failed(f"ZooKeeper's traces of {topic} change faster than they are removed", "Who still works on it?")


def _commit(
    client: "KazooClient", epoch: tuple[int, int] | None, changes: list[Change], absent: str | None, *, reelect: bool
) -> list[Any]:
    """The multi's results. ``absent``: it fails when there is a znode at that path."""
    multi = _guarded(client, epoch)
    if absent is not None:
        # The only way to check that something is not there: both take place, or none.
        multi.create(absent)
        multi.delete(absent)
    for change in changes:
        if change.data is None:
            multi.delete(change.path, change.version)
        else:
            multi.set_data(change.path, change.data, change.version)
    if reelect:
        _reelect(client, multi)
    return list(multi.commit())


def _guarded(client: "KazooClient", epoch: tuple[int, int] | None) -> Any:
    """A multi that fails when another controller was elected meanwhile."""
    from broker.zk import znodes

    multi = client.transaction()
    if epoch is not None:
        multi.check(znodes.CONTROLLER_EPOCH, epoch[1])
    return multi


def _reelect(client: "KazooClient", multi: Any) -> None:
    """Have the brokers elect a controller anew, which reads what is there then."""
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    with suppress(NoNodeError):  # there is none now
        multi.delete(znodes.CONTROLLER, client.get(znodes.CONTROLLER)[1].version)


def put_back(client: "KazooClient", topic: str, replicas: Mapping[int, tuple[int, ...]], topic_id: str | None) -> None:
    """Write the topic's znode again, for a newly elected controller to take charge of replicas that brokers still hold.

    The controller of now may remember states of partitions whose znodes somebody took away: it would not begin anew.
    """
    from broker.zk import znodes

    content = znodes.TopicZnode(
        {index: znodes.ReplicaAssignment(ids) for index, ids in replicas.items()},
        znodes.uuid_of(topic_id) if topic_id else None,
    )
    multi = _guarded(client, controller_epoch(client))
    multi.create(znodes.topic(topic), content.encode())
    _reelect(client, multi)
    for result in multi.commit():
        if isinstance(result, Exception):
            raise result


def identity(client: "KazooClient", topic: str) -> str | None:
    """The topic's id as its znode tells it (22 characters); None without one."""
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    try:
        data, _ = client.get(znodes.topic(topic))
        found = znodes.TopicZnode.decode(topic, data).topic_id
    except (NoNodeError, znodes.MalformedZnode):
        return None
    return znodes.uuid_text(found) if found else None


def replicas(client: "KazooClient", topic: str) -> set[int]:
    """Brokers that the topic's znode assigns replicas to; none without one."""
    from kazoo.exceptions import NoNodeError

    from broker.zk import znodes

    try:
        data, _ = client.get(znodes.topic(topic))
        content = znodes.TopicZnode.decode(topic, data)
    except (NoNodeError, znodes.MalformedZnode):
        return set()
    return {broker for one in content.partitions.values() for broker in one.replicas}


def exists(client: "KazooClient", topic: str) -> bool:
    from broker.zk import znodes

    return client.exists(znodes.topic(topic)) is not None


def configured(client: "KazooClient") -> list[str]:
    """Every topic that has a znode for its settings."""
    from broker.zk import znodes

    return sorted(_children(client, f"{znodes.CONFIG}/topics"))


def state_changes(client: "KazooClient", partitions: Iterable[tuple[str, int]]) -> dict[str, float]:
    """When leader or ISR of ``topic-partition`` last changed, epoch seconds; those without a state are left out."""
    from broker.zk import znodes

    stats = {f"{name}-{index}": client.exists(znodes.partition_state(name, index)) for name, index in partitions}
    return {name: stat.mtime / 1000 for name, stat in stats.items() if stat is not None}


def _children(client: "KazooClient", path: str) -> list[str]:
    from kazoo.exceptions import NoNodeError

    try:
        return list(client.get_children(path))
    except NoNodeError:
        return []
