"""Groups whose offsets old clients keep in ZooKeeper, as all did before 0.9 (kafka.utils.ZkUtils).

``/consumers/GROUP/ids`` are the live consumers (ephemeral), ``owners/TOPIC/P`` who has which partition,
``offsets/TOPIC/P`` what is committed, as a decimal number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kops.cluster.groups import Committed
from kops.cluster.offsets import Position
from kops.errors import Failed, KopsError, Refused, not_found

if TYPE_CHECKING:
    from kazoo.client import KazooClient

_ROOT = "/consumers"


@dataclass(frozen=True, slots=True)
class LegacyGroup:
    """``consumers``: ids of those that are connected; ``owners`` says who has which partition."""

    id: str
    consumers: tuple[str, ...]
    owners: Mapping[Position, str]
    offsets: Mapping[Position, int]

    @property
    def positions(self) -> list[Position]:
        return sorted(self.offsets.keys() | self.owners.keys())


def select(client: "KazooClient", names: list[str]) -> list[LegacyGroup]:
    """Groups by name, all when none is given. Raises NotFound, proposing the nearest name."""
    known = sorted(_children(client, _ROOT))
    for name in names:
        if name not in known:
            raise not_found("group", name, known, "`kops group list --zookeeper ...` shows what is in ZooKeeper.")
    return [_group(client, name) for name in known if not names or name in names]


def _group(client: "KazooClient", name: str) -> LegacyGroup:
    return LegacyGroup(
        name,
        tuple(sorted(_children(client, f"{_ROOT}/{name}/ids"))),
        _values(client, f"{_ROOT}/{name}/owners"),
        {
            position: int(text)
            for position, text in _values(client, f"{_ROOT}/{name}/offsets").items()
            if text.isdigit()
        },
    )


def commit(client: "KazooClient", group: str, values: Mapping[Position, Committed]) -> list[KopsError]:
    """Write offsets and read them back; what is not as written."""
    for position, one in values.items():
        path, data = _offset(group, position), str(one.offset).encode()
        client.ensure_path(path)
        client.set(path, data)
    now = _group(client, group).offsets
    return [
        Failed(
            f"group {group}: {position}: read back {now.get(position)} instead of {one.offset}", subject=str(position)
        )
        for position, one in values.items()
        if now.get(position) != one.offset
    ]


def delete(client: "KazooClient", group: LegacyGroup) -> None:
    """Remove the group and all below it. Raises Refused while a consumer is connected."""
    raise_if_used(group)
    client.delete(f"{_ROOT}/{group.id}", recursive=True)


def raise_if_used(group: LegacyGroup) -> None:
    if group.consumers:
        raise Refused(
            f"group {group.id} is in use by {', '.join(group.consumers)}", "Stop them first.", code="GroupNotEmpty"
        )


def bootstrap(client: "KazooClient") -> str:
    """The brokers that ZooKeeper knows, to ask where partitions begin and end; empty when none is there."""
    import json

    found = []
    for broker in sorted(_children(client, "/brokers/ids")):
        content = json.loads(client.get(f"/brokers/ids/{broker}")[0])
        plain = [each for each in content.get("endpoints", ()) if each.startswith("PLAINTEXT://")]
        found += [plain[0].removeprefix("PLAINTEXT://")] if plain else []
    return ",".join(found)


def _offset(group: str, position: Position) -> str:
    return f"{_ROOT}/{group}/offsets/{position.topic}/{position.partition}"


def _values(client: "KazooClient", path: str) -> dict[Position, str]:
    """The text of each ``path/TOPIC/PARTITION``."""
    found = {}
    for topic in _children(client, path):
        for partition in _children(client, f"{path}/{topic}"):
            data, _ = client.get(f"{path}/{topic}/{partition}")
            found[Position(topic, int(partition))] = (data or b"").decode()
    return found


def _children(client: "KazooClient", path: str) -> list[str]:
    from kazoo.exceptions import NoNodeError

    try:
        return list(client.get_children(path))
    except NoNodeError:
        return []
