"""The views of every model: topics, partitions, brokers, znodes, contexts, servers of this machine."""

from typing import Any

from kops.cluster.brokers import BrokerSummary
from kops.cluster.metadata import Partition, Topic
from kops.cluster.partitions import Change, Offsets
from kops.cluster.topics import Deleted
from kops.cluster.zookeeper import Seen, ServerStatus, Znode
from kops.columns import Column, View, configs, ids, yes
from kops.contexts import Context
from kops.local.state import BROKER, Server


def _partition(partition: Partition) -> dict[str, Any]:
    return {
        "partition": partition.index,
        "leader": partition.leader,
        "leaderEpoch": partition.leader_epoch,
        "replicas": list(partition.replicas),
        "isr": list(partition.isr),
        "offline": list(partition.offline),
        "state": partition.state,
    }


def _topic(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "id": topic.id,
        "internal": topic.internal,
        "partitionCount": len(topic.partitions),
        "replicationFactor": topic.replication_factor,
    }


TOPICS: View[Topic] = View(
    "TopicList",
    (
        Column("TOPIC", lambda topic: topic.name),
        Column("PARTITIONS", lambda topic: len(topic.partitions)),
        Column("REPLICAS", lambda topic: topic.replication_factor),
        Column("UNDER-REPLICATED", lambda topic: sum(p.under_replicated for p in topic.partitions)),
        Column("INTERNAL", lambda topic: yes(topic.internal)),
        Column("ID", lambda topic: topic.id or "-", wide=True),
    ),
    _topic,
    lambda topic: topic.name,
)

TOPIC_DETAILS: View[Topic] = View(
    "TopicDescription",
    (*TOPICS.columns, Column("CONFIGS", lambda topic: configs(topic.configs))),
    lambda topic: _topic(topic) | {"configs": topic.configs, "partitions": [_partition(p) for p in topic.partitions]},
    lambda topic: topic.name,
)

TOPIC_PARTITIONS: View[Partition] = View(
    "PartitionList",
    (
        Column("TOPIC", lambda partition: partition.topic),
        Column("PARTITION", lambda partition: partition.index),
        Column("LEADER", lambda partition: partition.leader if partition.leader >= 0 else "none"),
        Column("EPOCH", lambda partition: partition.leader_epoch),
        Column("REPLICAS", lambda partition: ids(partition.replicas)),
        Column("ISR", lambda partition: ids(partition.isr)),
        Column("STATE", lambda partition: partition.state),
        Column("OFFLINE", lambda partition: ids(partition.offline), wide=True),
    ),
    lambda partition: {"topic": partition.topic} | _partition(partition),
    lambda partition: partition.name,
)

DELETED: View[Deleted] = View(
    "TopicDeletion",
    (
        Column("TOPIC", lambda deleted: deleted.name),
        Column("PARTITIONS", lambda deleted: deleted.partitions),
        Column("SECONDS", lambda deleted: f"{deleted.seconds:.2f}"),
    ),
    lambda deleted: {"name": deleted.name, "partitionCount": deleted.partitions, "seconds": round(deleted.seconds, 3)},
    lambda deleted: deleted.name,
)


def _of_first(column: Column[Partition]) -> Column[tuple[Partition, Offsets]]:
    """A column of partitions, for rows that have the partition first."""
    return Column(column.title, lambda row: column.value(row[0]), column.wide)


PARTITIONS: View[tuple[Partition, Offsets]] = View(
    "PartitionList",
    (
        *(_of_first(column) for column in TOPIC_PARTITIONS.columns),
        Column("EARLIEST", lambda row: "-" if row[1].earliest is None else row[1].earliest),
        Column("LATEST", lambda row: "-" if row[1].latest is None else row[1].latest),
    ),
    lambda row: {**TOPIC_PARTITIONS.document(row[0]), "earliest": row[1].earliest, "latest": row[1].latest},
    lambda row: row[0].name,
)

CHANGES: View[Change] = View(
    "PartitionChange",
    (
        Column("TIME", lambda change: _clock(change.at)),
        Column("PARTITION", lambda change: f"{change.topic}-{change.partition}"),
        Column("WHAT", lambda change: change.what),
        Column("OLD", lambda change: change.old or "-"),
        Column("NEW", lambda change: change.new or "-"),
        Column("RESOLUTION", lambda change: f"±{change.resolution_ms} ms" if change.resolution_ms else "pushed"),
    ),
    lambda change: {
        "at": change.at,
        "topic": change.topic,
        "partition": change.partition,
        "what": change.what,
        "old": change.old,
        "new": change.new,
        "leader": change.leader,
        "leaderEpoch": change.leader_epoch,
        "isr": list(change.isr),
        "resolutionMs": change.resolution_ms,
    },
    lambda change: f"{change.topic}-{change.partition}",
)

BROKERS: View[BrokerSummary] = View(
    "BrokerList",
    (
        Column("BROKER", lambda one: one.broker.id),
        Column("ADDRESS", lambda one: one.broker.address if one.alive else "-"),
        Column("STATE", lambda one: "up" if one.alive else "down"),
        Column("CONTROLLER", lambda one: yes(one.controller)),
        Column("LEADERS", lambda one: one.leaders),
        Column("REPLICAS", lambda one: one.replicas),
        Column("IN-SYNC", lambda one: one.in_sync),
        Column("RACK", lambda one: one.broker.rack or "-", wide=True),
    ),
    lambda one: {
        "id": one.broker.id,
        "host": one.broker.host if one.alive else None,
        "port": one.broker.port if one.alive else None,
        "rack": one.broker.rack,
        "alive": one.alive,
        "controller": one.controller,
        "leaders": one.leaders,
        "replicas": one.replicas,
        "inSync": one.in_sync,
    },
    lambda one: str(one.broker.id),
)

BROKER_DETAILS: View[BrokerSummary] = View(
    "BrokerDescription",
    (*BROKERS.columns, Column("CONFIGS", lambda one: configs(one.configs))),
    lambda one: {**BROKERS.document(one), "configs": dict(one.configs)},
    BROKERS.name,
)


def _znode(znode: Znode) -> dict[str, Any]:
    return {
        "path": znode.path,
        "data": znode.text if znode.data is not None else None,
        "czxid": f"0x{znode.czxid:x}",
        "mzxid": f"0x{znode.mzxid:x}",
        "pzxid": f"0x{znode.pzxid:x}",
        "ctime": znode.ctime,
        "mtime": znode.mtime,
        "version": znode.version,
        "cversion": znode.cversion,
        "aclVersion": znode.aversion,
        "ephemeralOwner": f"0x{znode.ephemeral_owner:x}" if znode.ephemeral_owner else None,
        "dataLength": znode.data_length,
        "numChildren": znode.children,
    }


ZNODES: View[Znode] = View(
    "Znode",
    (
        Column("PATH", lambda znode: znode.path),
        Column("DATA", lambda znode: znode.text),
        Column("VERSION", lambda znode: znode.version),
        Column("CHILDREN", lambda znode: znode.children),
        Column("EPHEMERAL", lambda znode: f"0x{znode.ephemeral_owner:x}" if znode.ephemeral_owner else "-"),
    ),
    _znode,
    lambda znode: znode.path,
)

PATHS: View[str] = View(
    "ZnodeList", (Column("PATH", lambda path: path),), lambda path: {"path": path}, lambda path: path
)

SEEN: View[Seen] = View(
    "ZnodeEvent",
    (
        Column("TIME", lambda seen: _clock(seen.at)),
        Column("PATH", lambda seen: seen.path),
        Column("WHAT", lambda seen: seen.what),
        Column("VALUE", lambda seen: seen.value),
    ),
    lambda seen: {"at": seen.at, "path": seen.path, "what": seen.what, "value": seen.value},
    lambda seen: seen.path,
)

ZOOKEEPERS: View[ServerStatus] = View(
    "ZooKeeperStatus",
    (
        Column("SERVER", lambda one: one.server),
        Column("MODE", lambda one: one.mode),
        Column("VERSION", lambda one: one.version),
        Column("ZXID", lambda one: one.zxid),
        Column("NODES", lambda one: one.nodes),
        Column("CONNECTIONS", lambda one: one.connections),
        Column("LATENCY-MIN/AVG/MAX", lambda one: one.latency),
    ),
    lambda one: {
        "server": one.server,
        "mode": one.mode,
        "version": one.version,
        "zxid": one.zxid,
        "nodes": one.nodes,
        "connections": one.connections,
        "latency": one.latency,
    },
    lambda one: one.server,
)

CONTEXTS: View[tuple[Context, bool]] = View(
    "ContextList",
    (
        Column("CURRENT", lambda row: "*" if row[1] else "-"),
        Column("CONTEXT", lambda row: row[0].name),
        Column("BOOTSTRAP-SERVERS", lambda row: row[0].bootstrap_servers),
        Column("ZOOKEEPER", lambda row: row[0].zookeeper or "-"),
        Column("LOCAL", lambda row: row[0].cluster or "-"),
        Column("PROTECTED", lambda row: yes(row[0].protected)),
        Column("READ-ONLY", lambda row: yes(row[0].read_only), wide=True),
    ),
    lambda row: {
        "name": row[0].name,
        "current": row[1],
        "bootstrapServers": row[0].bootstrap_servers,
        "zookeeper": row[0].zookeeper,
        "cluster": row[0].cluster,
        "protected": row[0].protected,
        "readOnly": row[0].read_only,
        "properties": dict(row[0].properties),
    },
    lambda row: row[0].name,
)

SERVERS: View[tuple[Server, str, int]] = View(
    "ServerList",
    (
        Column("KIND", lambda row: row[0].kind),
        Column("ID", lambda row: row[0].id if row[0].kind == BROKER else "-"),
        Column("STATE", lambda row: row[1]),
        Column("PID", lambda row: row[0].pid if row[1] != "stopped" else "-"),
        Column("ADDRESS", lambda row: row[0].address),
        Column("CLUSTER", lambda row: row[0].cluster or "-"),
        Column("MEMORY-MIB", lambda row: row[2] // 1_048_576 or "-"),
        Column("FILE", lambda row: row[0].file),
        Column("LOG", lambda row: row[0].log or "-", wide=True),
    ),
    lambda row: {
        "kind": row[0].kind,
        "id": row[0].id if row[0].kind == BROKER else None,
        "state": row[1],
        "pid": row[0].pid if row[1] != "stopped" else None,
        "address": row[0].address,
        "cluster": row[0].cluster,
        "memoryBytes": row[2],
        "engine": row[0].engine,
        "file": row[0].file,
        "log": row[0].log or None,
    },
    lambda row: row[0].name,
)


def _clock(milliseconds: int) -> str:
    """Local time of day with milliseconds."""
    from datetime import datetime

    moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    return moment.strftime("%H:%M:%S.") + f"{milliseconds % 1000:03d}"
