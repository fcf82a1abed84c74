"""Every path that Kafka keeps in ZooKeeper and the JSON in it (kafka.zk.ZkData): nobody else spells a path.

Pure. Payloads are small frozen dataclasses with ``encode() -> bytes`` and ``decode(data)``; unknown keys are ignored,
what cannot be read raises :class:`MalformedZnode`. Both forms are known: what an inter.broker.protocol.version of 2.6
writes and what one of 3.9 writes. Mind the types, as Java does: partition keys, timestamps, block ends are strings.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

from broker.zk.operations import CREATOR_ALL, OPEN_ACL, WORLD_READ, Acl

CONSUMERS = "/consumers"
BROKER_IDS = "/brokers/ids"
TOPICS = "/brokers/topics"
SEQUENCE_ID = "/brokers/seqid"
CONTROLLER = "/controller"
CONTROLLER_EPOCH = "/controller_epoch"
CLUSTER_ID = "/cluster/id"
CONFIG = "/config"
CONFIG_CHANGES = "/config/changes"
DELETE_TOPICS = "/admin/delete_topics"
REASSIGN_PARTITIONS = "/admin/reassign_partitions"
PREFERRED_REPLICA_ELECTION = "/admin/preferred_replica_election"
ISR_CHANGES = "/isr_change_notification"
LOG_DIR_EVENTS = "/log_dir_event_notification"
PRODUCER_ID_BLOCK = "/latest_producer_id_block"
ACL_CHANGES, TOPIC_ACLS = "/kafka-acl-changes", "/kafka-acl/Topic"
FEATURE = "/feature"

ISR_CHANGE_PREFIX = f"{ISR_CHANGES}/isr_change_"
LOG_DIR_EVENT_PREFIX = f"{LOG_DIR_EVENTS}/log_dir_event_"
CONFIG_CHANGE_PREFIX = f"{CONFIG_CHANGES}/config_change_"

DEFAULT_ENTITY = "<default>"
NO_LEADER = -1

PERSISTENT_PATHS = (
    *(CONSUMERS, BROKER_IDS, TOPICS, CONFIG_CHANGES, DELETE_TOPICS, SEQUENCE_ID, ISR_CHANGES, PRODUCER_ID_BLOCK),
    *(LOG_DIR_EVENTS, "/config/topics", "/config/clients", "/config/users", "/config/brokers", "/config/ips"),
)
"""The skeleton that every broker makes at its start, with null data (ZkData.PersistentZkPaths)."""

_SENSITIVE = ("/config/users", "/config/brokers", "/delegation_token/tokens")


class MalformedZnode(ValueError):
    """A znode holds what no Kafka writes there."""


# --- paths ---------------------------------------------------------------------------------------------------------


def broker_id(broker: int) -> str:
    return f"{BROKER_IDS}/{broker}"


def topic(name: str) -> str:
    return f"{TOPICS}/{name}"


def partitions(name: str) -> str:
    return f"{TOPICS}/{name}/partitions"


def partition(name: str, index: int) -> str:
    return f"{TOPICS}/{name}/partitions/{index}"


def partition_state(name: str, index: int) -> str:
    return f"{TOPICS}/{name}/partitions/{index}/state"


def delete_topic(name: str) -> str:
    """The mark that asks the controller to delete a topic."""
    return f"{DELETE_TOPICS}/{name}"


def config_entity(entity_type: str, name: str) -> str:
    """``entity_type``: topics, brokers, users, clients, ips; ``name`` sanitised, or ``<default>``."""
    return f"{CONFIG}/{entity_type}/{name}"


def config_path(entity_path: str) -> str:
    """The config node for the ``entity_path`` of a change notification (``topics/foo``, ``users/u/clients/c``)."""
    return f"{CONFIG}/{entity_path}"


def child(parent: str, name: str) -> str:
    return f"{parent}/{name}"


def sequence_of(name: str) -> int:
    """The number that ZooKeeper appended to a sequential node. Raises MalformedZnode."""
    digits = name[-10:]
    if len(digits) < 10 or not digits.isdigit():
        raise MalformedZnode(f"{name} does not end in a sequence number")
    return int(digits)


def parents(path: str) -> list[str]:
    """Every proper ancestor but the root, outermost first: what must be there before ``path`` can be created."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]


def acl_for(path: str, secure: bool) -> tuple[Acl, ...]:
    """The access list of a new node (``ZkData.defaultAcls``); ``secure`` is zookeeper.set.acl."""
    if not secure or path == CONSUMERS or path.startswith(f"{CONSUMERS}/"):
        return OPEN_ACL
    if any(path == root or path.startswith(f"{root}/") for root in _SENSITIVE):
        return (CREATOR_ALL,)
    return (CREATOR_ALL, WORLD_READ)


def sanitize(name: str) -> str:
    """A user or client id as a path element (org.apache.kafka.common.utils.Sanitizer): URL-encoded, space as %20."""
    return quote(name, safe="").replace("~", "%7E")


def desanitize(name: str) -> str:
    return unquote(name)


# --- JSON and ids --------------------------------------------------------------------------------------------------


def _write(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


class _Reading:
    """Opens a JSON object, and turns every error of walking through what others wrote into MalformedZnode."""

    def __init__(self, data: bytes | None, what: str) -> None:
        self.data = data
        self.what = what

    def __enter__(self) -> dict[str, Any]:
        try:
            content = json.loads(self.data or b"")
        except ValueError as error:
            raise MalformedZnode(f"{self.what}: not JSON: {self.data!r}") from error
        if not isinstance(content, dict):
            raise MalformedZnode(f"{self.what}: not a JSON object: {self.data!r}")
        return content

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MalformedZnode):
            return
        if isinstance(error, (KeyError, TypeError, ValueError, AttributeError)):
            raise MalformedZnode(f"{self.what}: {type(error).__name__} {error} in {self.data!r}") from error


def uuid_text(value: UUID) -> str:
    """Kafka's Uuid.toString: 22 characters of base64url, no padding."""
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def uuid_of(text: str) -> UUID:
    """Raises MalformedZnode."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise MalformedZnode(f"not an id: {text}") from error


# --- controller ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ControllerZnode:
    """``/controller``. ``kraft_controller_epoch`` None writes version 1 (2.6), a number version 2 (3.9: -1)."""

    broker_id: int
    timestamp_ms: int
    kraft_controller_epoch: int | None = -1

    def encode(self) -> bytes:
        content: dict[str, Any] = {
            "version": 1 if self.kraft_controller_epoch is None else 2,
            "brokerid": self.broker_id,
            "timestamp": str(self.timestamp_ms),
        }
        if self.kraft_controller_epoch is not None:
            content["kraftControllerEpoch"] = self.kraft_controller_epoch
        return _write(content)

    @classmethod
    def decode(cls, data: bytes | None) -> ControllerZnode:
        with _Reading(data, CONTROLLER) as content:
            kraft = content.get("kraftControllerEpoch")
            return cls(
                int(content["brokerid"]), int(content.get("timestamp", -1)), None if kraft is None else int(kraft)
            )


def encode_controller_epoch(epoch: int) -> bytes:
    return b"%d" % epoch


def decode_controller_epoch(data: bytes | None) -> int:
    try:
        return int(data or b"")
    except ValueError as error:
        raise MalformedZnode(f"{CONTROLLER_EPOCH}: not a number: {data!r}") from error


@dataclass(frozen=True, slots=True)
class FeatureZnode:
    """``/feature`` (IBP >= 2.7). ``features``: name -> (min or None, max); min: version 1 only."""

    enabled: bool
    features: Mapping[str, tuple[int | None, int]] = field(default_factory=dict)
    version: int = 2

    def encode(self) -> bytes:
        features: dict[str, dict[str, int]] = {}
        for name, (low, high) in self.features.items():
            levels = {} if low is None or self.version >= 2 else {"min_version_level": low}
            features[name] = {**levels, "max_version_level": high}
        return _write({"version": self.version, "status": int(self.enabled), "features": features})

    @classmethod
    def decode(cls, data: bytes | None) -> FeatureZnode:
        with _Reading(data, FEATURE) as content:
            features = {
                str(name): (levels.get("min_version_level"), int(levels["max_version_level"]))
                for name, levels in (content.get("features") or {}).items()
            }
            return cls(bool(int(content["status"])), features, int(content["version"]))


# --- cluster and brokers -------------------------------------------------------------------------------------------


def encode_cluster_id(cluster_id: str) -> bytes:
    return _write({"version": "1", "id": cluster_id})


def decode_cluster_id(data: bytes | None) -> str:
    with _Reading(data, CLUSTER_ID) as content:
        return str(content["id"])


class Endpoint(NamedTuple):
    """Where a listener is advertised; ``protocol`` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""

    listener: str
    host: str
    port: int
    protocol: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.listener}://{host}:{self.port}"


_ENDPOINT = re.compile(r"(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)")


def _endpoint(text: str, protocols: Mapping[str, str]) -> Endpoint:
    found = _ENDPOINT.fullmatch(text)
    if found is None:
        raise MalformedZnode(f"{BROKER_IDS}: not an endpoint: {text}")
    listener = found[1].upper()
    return Endpoint(listener, found[2], int(found[3]), protocols.get(listener, listener))


@dataclass(frozen=True, slots=True)
class BrokerZnode:
    """``/brokers/ids/N``. ``features`` None writes version 4 (2.6), a mapping version 5 (3.9 writes ``{}``)."""

    broker_id: int
    endpoints: tuple[Endpoint, ...]
    timestamp_ms: int
    rack: str | None = None
    jmx_port: int = -1
    features: Mapping[str, tuple[int, int]] | None = None

    def encode(self) -> bytes:
        plain = next((end for end in self.endpoints if end.protocol == "PLAINTEXT"), None)
        content: dict[str, Any] = {
            "version": 4 if self.features is None else 5,
            "host": plain.host if plain else None,
            "port": plain.port if plain else -1,
            "jmx_port": self.jmx_port,
            "timestamp": str(self.timestamp_ms),
            "endpoints": [str(end) for end in self.endpoints],
            "listener_security_protocol_map": {end.listener: end.protocol for end in self.endpoints},
        }
        if self.rack is not None:
            content["rack"] = self.rack
        if self.features is not None:
            levels = {name: {"min_version": low, "max_version": high} for name, (low, high) in self.features.items()}
            content["features"] = levels
        return _write(content)

    @classmethod
    def decode(cls, broker: int, data: bytes | None) -> BrokerZnode:
        what = broker_id(broker)
        with _Reading(data, what) as content:
            version = int(content["version"])
            protocols: dict[str, str] = content.get("listener_security_protocol_map") or {}
            if version < 1:
                raise MalformedZnode(f"{what}: version {version} is not supported")
            if version == 1:
                endpoints = [Endpoint("PLAINTEXT", str(content["host"]), int(content["port"]), "PLAINTEXT")]
            else:
                endpoints = [_endpoint(text, protocols) for text in content["endpoints"]]
            features = content.get("features")
            levels = features and {n: (int(f["min_version"]), int(f["max_version"])) for n, f in features.items()}
            return cls(
                broker,
                tuple(endpoints),
                int(content.get("timestamp", -1)),
                content.get("rack"),
                int(content.get("jmx_port", -1)),
                None if features is None else levels or {},
            )


# --- topics and partitions -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplicaAssignment:
    """The replicas of one partition, preferred leader first; during a reassignment the union of target and original."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TopicZnode:
    """``/brokers/topics/T``. With ``topic_id`` it writes version 3 (IBP >= 2.8), without it version 2 (2.6)."""

    partitions: Mapping[int, ReplicaAssignment]
    topic_id: UUID | None = None

    def encode(self) -> bytes:
        ordered = sorted(self.partitions.items())
        content: dict[str, Any] = {
            "version": 2 if self.topic_id is None else 3,
            "partitions": {str(index): list(it.replicas) for index, it in ordered},
            "adding_replicas": {str(index): list(it.adding) for index, it in ordered if it.adding},
            "removing_replicas": {str(index): list(it.removing) for index, it in ordered if it.removing},
        }
        if self.topic_id is not None:
            content["topic_id"] = uuid_text(self.topic_id)
        return _write(content)

    @classmethod
    def decode(cls, name: str, data: bytes | None) -> TopicZnode:
        what = topic(name)
        with _Reading(data, what) as content:
            adding = content.get("adding_replicas") or {}
            removing = content.get("removing_replicas") or {}
            found = {
                int(key): ReplicaAssignment(_ids(replicas), _ids(adding.get(key, ())), _ids(removing.get(key, ())))
                for key, replicas in content["partitions"].items()
            }
            topic_id = content.get("topic_id")
            return cls(dict(sorted(found.items())), None if topic_id is None else uuid_of(topic_id))


def _ids(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """``.../partitions/P/state``. The partition epoch is the node's data version, see ``Result.version``."""

    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    controller_epoch: int
    leader_recovery_state: int = 0

    def encode(self) -> bytes:
        content: dict[str, Any] = {
            "controller_epoch": self.controller_epoch,
            "leader": self.leader,
            "version": 1,
            "leader_epoch": self.leader_epoch,
            "isr": list(self.isr),
        }
        if self.leader_recovery_state:
            content["leader_recovery_state"] = self.leader_recovery_state
        return _write(content)

    @classmethod
    def decode(cls, data: bytes | None) -> PartitionState:
        with _Reading(data, "partition state") as content:
            return cls(
                int(content["leader"]),
                int(content["leader_epoch"]),
                _ids(content["isr"]),
                int(content["controller_epoch"]),
                int(content.get("leader_recovery_state", 0)),
            )


# --- requests to the controller and notifications -------------------------------------------------------------------


def encode_partition_set(pairs: Iterable[tuple[str, int]]) -> bytes:
    """The JSON of ``/isr_change_notification/*`` and ``/admin/preferred_replica_election``."""
    return _write({"version": 1, "partitions": [{"topic": name, "partition": index} for name, index in pairs]})


def decode_partition_set(data: bytes | None) -> tuple[tuple[str, int], ...]:
    with _Reading(data, "partition set") as content:
        return tuple((str(item["topic"]), int(item["partition"])) for item in content["partitions"])


def encode_reassignment(targets: Mapping[tuple[str, int], Iterable[int]]) -> bytes:
    """The JSON of ``/admin/reassign_partitions``."""
    items = [
        {"topic": name, "partition": index, "replicas": list(replicas)} for (name, index), replicas in targets.items()
    ]
    return _write({"version": 1, "partitions": items})


def decode_reassignment(data: bytes | None) -> dict[tuple[str, int], tuple[int, ...]]:
    with _Reading(data, REASSIGN_PARTITIONS) as content:
        return {(str(it["topic"]), int(it["partition"])): _ids(it["replicas"]) for it in content["partitions"]}


def encode_log_dir_event(broker: int) -> bytes:
    """The notice that a log directory of ``broker`` failed."""
    return _write({"version": 1, "broker": broker, "event": 1})


def decode_log_dir_event(data: bytes | None) -> int:
    """The broker whose directory failed."""
    with _Reading(data, LOG_DIR_EVENTS) as content:
        return int(content["broker"])


@dataclass(frozen=True, slots=True)
class ProducerIdBlock:
    """``/latest_producer_id_block``: the ids ``first`` to ``last``, both included, belong to ``broker_id``."""

    broker_id: int
    first: int
    last: int

    def encode(self) -> bytes:
        return _write(
            {"version": 1, "broker": self.broker_id, "block_start": str(self.first), "block_end": str(self.last)}
        )

    @classmethod
    def decode(cls, data: bytes | None) -> ProducerIdBlock | None:
        """None for the empty node of a new cluster."""
        if not data:
            return None
        with _Reading(data, PRODUCER_ID_BLOCK) as content:
            return cls(int(content["broker"]), int(content["block_start"]), int(content["block_end"]))


# --- configs -------------------------------------------------------------------------------------------------------


def encode_config(config: Mapping[str, str]) -> bytes:
    return _write({"version": 1, "config": dict(config)})


def decode_config(data: bytes | None) -> dict[str, str]:
    """An empty node reads as no configs."""
    if not data:
        return {}
    with _Reading(data, CONFIG) as content:
        return {str(key): str(value) for key, value in content["config"].items()}


def encode_config_change(entity_path: str) -> bytes:
    return _write({"version": 2, "entity_path": entity_path})


def decode_config_change(data: bytes | None) -> str:
    """The entity path (``topics/foo``); version 1 named type and entity apart, for topics and clients only."""
    with _Reading(data, CONFIG_CHANGES) as content:
        if content["version"] == 2:
            return str(content["entity_path"])
        if content["version"] == 1 and content["entity_type"] in ("topics", "clients"):
            return f"{content['entity_type']}/{content['entity_name']}"
        raise MalformedZnode(f"{CONFIG_CHANGES}: version 1 or 2 of a topic or client change expected: {data!r}")
