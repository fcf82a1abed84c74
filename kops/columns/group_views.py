"""The views of groups: who is in them, how far behind they are, what a reset would do, what was changed before."""

from dataclasses import asdict
from typing import Any

from kops.cluster.changes import Entry, Step
from kops.cluster.groups import Group, Listed, Member
from kops.cluster.lag import GroupLag, Lag, Pace
from kops.cluster.times import instant
from kops.columns import Column, View


def _or_dash(value: Any) -> Any:
    return "-" if value is None or value == "" else value


def span(milliseconds: float | None) -> str:
    """A length of time in its two largest units: ``340ms``, ``12s``, ``3m20s``, ``5h02m``, ``3d04h``."""
    if milliseconds is None:
        return "-"
    seconds = int(milliseconds // 1000)
    if seconds < 1:
        return f"{int(milliseconds)}ms" if milliseconds else "0"
    for unit, below, size in (("d", "h", 86_400), ("h", "m", 3_600), ("m", "s", 60)):
        if seconds >= size:
            lesser = {"h": 3_600, "m": 60, "s": 1}[below]
            return f"{seconds // size}{unit}{seconds % size // lesser:02d}{below}"
    return f"{seconds}s"


GROUPS: View[Listed] = View(
    "GroupList",
    (
        Column("GROUP", lambda one: one.id),
        Column("STATE", lambda one: _or_dash(one.state)),
        Column("TYPE", lambda one: _or_dash(one.protocol_type)),
        Column("COORDINATOR", lambda one: one.coordinator.id),
        Column("PROTOCOL", lambda one: one.kind),
    ),
    lambda one: {
        "group": one.id,
        "state": one.state,
        "protocolType": one.protocol_type,
        "coordinator": one.coordinator.id,
        "protocol": one.kind,
    },
    lambda one: one.id,
)


def _member(member: Member) -> dict[str, Any]:
    return {
        "memberId": member.id,
        "instanceId": member.instance_id,
        "clientId": member.client_id,
        "host": member.host.lstrip("/"),
        "subscribed": list(member.subscribed),
        "assigned": [{"topic": p.topic, "partition": p.partition} for p in member.assigned],
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "group": group.id,
        "state": group.state,
        "protocolType": group.protocol_type,
        "assignor": group.protocol,
        "coordinator": group.coordinator.id,
        "coordinatorAddress": group.coordinator.address,
        "memberCount": len(group.members),
    }


STATES: View[Group] = View(
    "GroupState",
    (
        Column("GROUP", lambda one: one.id),
        Column("STATE", lambda one: one.state),
        Column("ASSIGNOR", lambda one: _or_dash(one.protocol)),
        Column("MEMBERS", lambda one: len(one.members)),
        Column("COORDINATOR", lambda one: f"{one.coordinator.id} ({one.coordinator.address})"),
    ),
    _group,
    lambda one: one.id,
)


def assigned(member: Member) -> str:
    """``orders:0,1 audit:2``, or a dash for a member without work."""
    topics: dict[str, list[str]] = {}
    for position in member.assigned:
        topics.setdefault(position.topic, []).append(str(position.partition))
    return " ".join(f"{topic}:{','.join(parts)}" for topic, parts in topics.items()) or "-"


MEMBERS: View[tuple[Group, Member]] = View(
    "GroupMembers",
    (
        Column("GROUP", lambda row: row[0].id),
        Column("MEMBER", lambda row: row[1].id),
        Column("INSTANCE", lambda row: _or_dash(row[1].instance_id)),
        Column("CLIENT", lambda row: _or_dash(row[1].client_id)),
        Column("HOST", lambda row: row[1].host.lstrip("/")),
        Column("PARTITIONS", lambda row: len(row[1].assigned)),
        Column("ASSIGNED", lambda row: assigned(row[1])),
        Column("SUBSCRIBED", lambda row: ",".join(row[1].subscribed) or "-", wide=True),
    ),
    lambda row: {"group": row[0].id, **_member(row[1])},
    lambda row: row[1].id,
)


def _lag(one: Lag) -> dict[str, Any]:
    return {
        "group": one.group,
        "topic": one.position.topic,
        "partition": one.position.partition,
        "committed": one.committed,
        "earliest": one.earliest,
        "end": one.end,
        "lag": one.lag,
        "ageMs": one.age_ms,
        "metadata": one.metadata,
        "member": one.owner.id if one.owner else None,
        "clientId": one.owner.client_id if one.owner else None,
        "host": one.owner.host.lstrip("/") if one.owner else None,
        "note": one.note,
    }


LAGS: View[Lag] = View(
    "GroupOffsets",
    (
        Column("GROUP", lambda one: one.group),
        Column("TOPIC", lambda one: one.position.topic),
        Column("PARTITION", lambda one: one.position.partition),
        Column("COMMITTED", lambda one: _or_dash(one.committed)),
        Column("END", lambda one: _or_dash(one.end)),
        Column("LAG", lambda one: _or_dash(one.lag)),
        Column("BEHIND", lambda one: span(one.age_ms)),
        Column("MEMBER", lambda one: (one.owner.instance_id or one.owner.id) if one.owner else "-"),
        Column("HOST", lambda one: one.owner.host.lstrip("/") if one.owner else "-"),
        Column("NOTE", lambda one: _or_dash(one.note)),
        Column("EARLIEST", lambda one: _or_dash(one.earliest), wide=True),
        Column("CLIENT", lambda one: one.owner.client_id if one.owner else "-", wide=True),
        Column("METADATA", lambda one: _or_dash(one.metadata), wide=True),
    ),
    _lag,
    lambda one: f"{one.group} {one.position}",
)

GROUP_DETAILS: View[GroupLag] = View(
    "GroupDescription",
    (
        Column("GROUP", lambda row: row.group.id),
        Column("STATE", lambda row: row.group.state),
        Column("LAG", lambda row: row.total),
    ),
    lambda row: {
        **_group(row.group),
        "lag": row.total,
        "members": [_member(member) for member in row.group.members],
        "partitions": [_lag(one) for one in row.partitions],
    },
    lambda row: row.group.id,
)

GROUP_LAGS: View[GroupLag] = View(
    "GroupLag",
    (
        Column("GROUP", lambda row: row.group.id),
        Column("STATE", lambda row: row.group.state),
        Column("MEMBERS", lambda row: len(row.group.members)),
        Column("TOPICS", lambda row: row.topics),
        Column("PARTITIONS", lambda row: len(row.partitions)),
        Column("LAG", lambda row: row.total),
        Column("BEHIND", lambda row: span(row.oldest_ms), wide=True),
    ),
    lambda row: {
        "group": row.group.id,
        "state": row.group.state,
        "members": len(row.group.members),
        "topics": row.topics,
        "partitions": len(row.partitions),
        "lag": row.total,
        "ageMs": row.oldest_ms,
    },
    lambda row: row.group.id,
)


def _left(pace: Pace) -> str:
    seconds = pace.seconds_left
    return "never" if seconds is None else span(seconds * 1000)


PACES: View[Pace] = View(
    "GroupPace",
    (
        *(Column(c.title, lambda one, c=c: c.value(one.now)) for c in GROUP_LAGS.columns if not c.wide),  # type: ignore[misc]
        Column("PRODUCED/S", lambda one: f"{one.produced:.1f}"),
        Column("CONSUMED/S", lambda one: f"{one.consumed:.1f}"),
        Column("CATCH-UP", _left),
    ),
    lambda one: {
        "at": one.at,
        **GROUP_LAGS.document(one.now),
        "producedPerSecond": round(one.produced, 3),
        "consumedPerSecond": round(one.consumed, 3),
        "secondsToCatchUp": one.seconds_left,
    },
    lambda one: one.now.group.id,
)

STEPS: View[Step] = View(
    "GroupReset",
    (
        Column("GROUP", lambda one: one.group),
        Column("TOPIC", lambda one: one.position.topic),
        Column("PARTITION", lambda one: one.position.partition),
        Column("COMMITTED", lambda one: one.committed.offset if one.committed else "-"),
        Column("TARGET", lambda one: _or_dash(one.target)),
        Column("DELTA", lambda one: "-" if one.delta is None else f"{one.delta:+d}"),
        Column("EARLIEST", lambda one: _or_dash(one.earliest)),
        Column("LATEST", lambda one: _or_dash(one.latest)),
        Column("REPLAYED", lambda one: one.replayed),
        Column("SKIPPED", lambda one: one.skipped),
        Column("TIME-AT-TARGET", lambda one: instant(one.timestamp) if one.timestamp is not None else "-"),
        Column("NOTE", lambda one: _or_dash(one.note)),
    ),
    lambda one: {
        "group": one.group,
        "topic": one.position.topic,
        "partition": one.position.partition,
        "committed": one.committed.offset if one.committed else None,
        "target": one.target,
        "delta": one.delta,
        "earliest": one.earliest,
        "latest": one.latest,
        "replayedAtMost": one.replayed,
        "skippedAtMost": one.skipped,
        "timestampAtTarget": one.timestamp,
        "note": one.note,
    },
    lambda one: f"{one.group} {one.position}",
)


def _changes(entry: Entry) -> list[dict[str, Any]]:
    return [
        {
            "group": one.group,
            "topic": one.position.topic,
            "partition": one.position.partition,
            "before": one.before.offset if one.before else None,
            "after": one.after.offset if one.after else None,
        }
        for one in entry.changes
    ] + [asdict(one) for one in entry.settings]


HISTORY: View[Entry] = View(
    "History",
    (
        Column("ID", lambda one: one.id),
        Column("TIME", lambda one: instant(one.at)),
        Column("STATE", lambda one: one.state),
        Column("WHAT", lambda one: one.what),
        Column("CHANGES", lambda one: len(one.changes) + len(one.settings)),
        Column("SERVERS", lambda one: one.servers, wide=True),
    ),
    lambda one: {
        "id": one.id,
        "at": one.at,
        "state": one.state,
        "what": one.what,
        "cluster": one.cluster,
        "servers": one.servers,
        "way": one.way,
        "changes": _changes(one),
    },
    lambda one: one.id,
)
