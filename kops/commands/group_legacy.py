"""``kops group ... --zookeeper``: groups of clients from before 0.9, whose offsets are in ZooKeeper."""

from collections.abc import Sequence

from kops.cluster import legacy_groups, offsets
from kops.cluster.changes import DONE, FAILED, UNDONE, Entry, OffsetChange, Step
from kops.cluster.groups import Committed
from kops.cluster.legacy_groups import LegacyGroup
from kops.cluster.metadata import snapshot
from kops.columns import Column, View
from kops.columns.group_views import STEPS
from kops.commands.run import Run
from kops.contexts import Context
from kops.errors import Refused, Unreachable
from kops.operations import journal, reset
from kops.operations.reset import Scope
from kops.operations.targets import Target
from kops.session import Session, open_zookeeper
from kops.words import counted

GROUPS: View[LegacyGroup] = View(
    "LegacyGroupList",
    (
        Column("GROUP", lambda one: one.id),
        Column("CONSUMERS", lambda one: len(one.consumers)),
        Column("PARTITIONS", lambda one: len(one.offsets)),
    ),
    lambda one: {
        "group": one.id,
        "consumers": list(one.consumers),
        "partitions": [
            {
                "topic": position.topic,
                "partition": position.partition,
                "committed": one.offsets.get(position),
                "owner": one.owners.get(position),
            }
            for position in one.positions
        ],
    },
    lambda one: one.id,
)

Row = tuple[LegacyGroup, offsets.Position, int | None]

PARTITIONS: View[Row] = View(
    "LegacyGroupDescription",
    (
        Column("GROUP", lambda row: row[0].id),
        Column("TOPIC", lambda row: row[1].topic),
        Column("PARTITION", lambda row: row[1].partition),
        Column("COMMITTED", lambda row: row[0].offsets.get(row[1], "-")),
        Column("END", lambda row: "-" if row[2] is None else row[2]),
        Column("LAG", lambda row: "-" if row[2] is None or row[1] not in row[0].offsets else _lag(row)),
        Column("OWNER", lambda row: row[0].owners.get(row[1], "-")),
    ),
    lambda row: {
        "group": row[0].id,
        "topic": row[1].topic,
        "partition": row[1].partition,
        "committed": row[0].offsets.get(row[1]),
        "end": row[2],
        "lag": None if row[2] is None or row[1] not in row[0].offsets else _lag(row),
        "owner": row[0].owners.get(row[1]),
    },
    lambda row: f"{row[0].id} {row[1]}",
)


def _lag(row: Row) -> int:
    return max(0, (row[2] or 0) - row[0].offsets[row[1]])


def show(run: Run, names: Sequence[str]) -> None:
    run.show(GROUPS, legacy_groups.select(run.session.zookeeper, list(names)), lambda found: (one.id for one in found))


def describe(run: Run, names: Sequence[str]) -> None:
    found = legacy_groups.select(run.session.zookeeper, list(names))
    every = {position for one in found for position in one.positions}
    ends: dict[offsets.Position, int] = {}
    if every and (servers := legacy_groups.bootstrap(run.session.zookeeper)):
        with Session(Context(bootstrap_servers=servers), run.timeout) as session:
            led = offsets.leaders(snapshot(session, sorted({p.topic for p in every})))
            ends = offsets.at_times(session, led, dict.fromkeys(every, offsets.LATEST))
    run.show(PARTITIONS, [(one, position, ends.get(position)) for one in found for position in one.positions])


def delete(run: Run, names: Sequence[str]) -> None:
    client = run.session.zookeeper
    found = legacy_groups.select(client, list(names))
    for one in found:
        legacy_groups.raise_if_used(one)
    plan = [f"/consumers/{one.id}: {counted(len(one.offsets), 'offset')}" for one in found]
    if run.confirm(f"delete {', '.join(names)} from ZooKeeper", plan):
        run.each(found, lambda one: legacy_groups.delete(client, one))
    run.show(GROUPS, found, plan=plan)


def move(run: Run, names: Sequence[str], scope: Scope, target: Target) -> None:
    """Reset offsets in ZooKeeper: the same plan, saved and read back; groups with consumers are refused."""
    client = run.session.zookeeper
    found = legacy_groups.select(client, list(names))
    for one in found:
        legacy_groups.raise_if_used(one)
    servers = legacy_groups.bootstrap(client)
    if not servers:
        raise Unreachable("no broker is registered in ZooKeeper", "Where partitions begin and end is not known.")
    committed = {one.id: {position: Committed(offset) for position, offset in one.offsets.items()} for one in found}
    with Session(Context(bootstrap_servers=servers), run.timeout) as session:
        steps = reset.plan(session, list(committed), scope, target, committed)
        what = f"reset {', '.join(names)} in ZooKeeper to {target.told}"
        summary = reset.totals(steps)
        if run.confirm(what, [summary]):
            _write(run, session, what, steps)
    run.show(STEPS, steps, summary=summary, what=what)


def _write(run: Run, session: Session, what: str, steps: Sequence[Step]) -> None:
    changes = [change for step in steps if (change := step.change)]
    cluster = snapshot(session, []).cluster_id or ""
    entry = journal.begin(what, cluster, run.settings.zookeeper or "", changes, "zookeeper")
    for group in dict.fromkeys(change.group for change in changes):
        mine = {change.position: change.after for change in changes if change.group == group and change.after}
        run.errors += legacy_groups.commit(run.session.zookeeper, group, mine)
    journal.ended(entry, FAILED if run.errors else DONE)


def undo(run: Run, entry: Entry, *, force: bool) -> Entry:
    """Put back what a reset in ZooKeeper changed. Raises Refused when a consumer came back or committed since."""
    client = open_zookeeper(entry.servers, min(run.timeout, 10.0))
    run.session.adopt(client)
    now = {one.id: one for one in legacy_groups.select(client, entry.groups)}
    for one in now.values():
        legacy_groups.raise_if_used(one)
    moved = [c for c in entry.changes if c.after and now[c.group].offsets.get(c.position) != c.after.offset]
    if moved and not force:
        raise Refused(
            f"somebody committed since: {', '.join(f'{c.group} {c.position}' for c in moved[:5])}",
            "--force puts the older offsets back all the same.",
            code="CommittedSince",
        )
    plan = [f"undo of {entry.id}: {entry.what}", *(_told(change) for change in entry.changes)]
    if not run.confirm(f"undo {entry.what}", plan):
        return entry
    for group in entry.groups:
        mine = {c.position: c.before for c in entry.changes if c.group == group and c.before}
        run.errors += legacy_groups.commit(client, group, mine)
    return entry if run.errors else journal.ended(entry, UNDONE)


def _told(change: OffsetChange) -> str:
    before, after = (one.offset if one else "nothing" for one in (change.before, change.after))
    return f"  {change.group} {change.position}: {after} -> {before}"
