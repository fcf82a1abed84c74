"""The views of a topic's life: the proof of a purge, what emptying removed, log directories, moves, findings."""

from typing import TYPE_CHECKING

from kops.cluster.logdirs import LogDirectory, Replica
from kops.columns import Column, View

if TYPE_CHECKING:
    from kops.operations.purge import Item

PURGED: "View[Item]" = View(
    "TopicPurge",
    (
        Column("TOPIC", lambda item: item.topic),
        Column("AREA", lambda item: item.area),
        Column("WHERE", lambda item: item.where),
        Column("OUTCOME", lambda item: item.outcome),
        Column("HELD", lambda item: len(item.before) or "-"),
        Column("LEFT", lambda item: "; ".join(item.after) or "-"),
        Column("NOTE", lambda item: item.note or "-"),
        Column("BEFORE", lambda item: "; ".join(item.before) or "-", wide=True),
    ),
    lambda item: {
        "topic": item.topic,
        "area": item.area,
        "where": item.where,
        "outcome": item.outcome,
        "before": list(item.before),
        "after": list(item.after),
        "note": item.note or None,
    },
    lambda item: f"{item.topic} {item.where}",
)

LOG_DIRS: View[LogDirectory] = View(
    "LogDirList",
    (
        Column("BROKER", lambda one: one.broker),
        Column("LOG-DIR", lambda one: one.path),
        Column("STATE", lambda one: one.error or "ok"),
        Column("REPLICAS", lambda one: len(one.replicas)),
        Column("BYTES", lambda one: one.size),
        Column("TOTAL", lambda one: one.total if one.total >= 0 else "-"),
        Column("USABLE", lambda one: one.usable if one.usable >= 0 else "-"),
    ),
    lambda one: {
        "broker": one.broker,
        "logDir": one.path,
        "error": one.error or None,
        "bytes": one.size,
        "totalBytes": one.total if one.total >= 0 else None,
        "usableBytes": one.usable if one.usable >= 0 else None,
        "replicas": [_replica(replica) for replica in one.replicas],
    },
    lambda one: f"{one.broker}:{one.path}",
)


def _replica(replica: Replica) -> dict[str, object]:
    return {
        "topic": replica.topic,
        "partition": replica.partition,
        "bytes": replica.size,
        "offsetLag": replica.lag,
        "future": replica.future,
    }


LOG_DIR_REPLICAS: View[tuple[LogDirectory, Replica]] = View(
    "LogDirReplicaList",
    (
        Column("BROKER", lambda row: row[0].broker),
        Column("LOG-DIR", lambda row: row[0].path),
        Column("TOPIC", lambda row: row[1].topic),
        Column("PARTITION", lambda row: row[1].partition),
        Column("BYTES", lambda row: row[1].size),
        Column("LAG", lambda row: row[1].lag),
        Column("FUTURE", lambda row: "yes" if row[1].future else "-"),
    ),
    lambda row: {"broker": row[0].broker, "logDir": row[0].path, **_replica(row[1])},
    lambda row: row[1].name,
)
