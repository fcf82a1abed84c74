"""Moving the offsets of groups: a plan of what it costs, the change, the proof, and the way back.

Every way to change offsets (reset, delete-offsets, delete, undo) is a list of ``OffsetChange``; :func:`carry_out` saves
it, commits it, reads it back and fails when what it reads is not the plan.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kops.cluster import changes as kinds
from kops.cluster import groups, offsets
from kops.cluster.changes import Entry, OffsetChange, Step
from kops.cluster.groups import Committed, Group
from kops.cluster.metadata import snapshot
from kops.cluster.offsets import EARLIEST, LATEST, Position
from kops.errors import BadUsage, Failed, KopsError, NotFound, Refused, not_found
from kops.operations import journal
from kops.operations.targets import Target, Where
from kops.session import Session
from kops.words import counted


@dataclass(frozen=True, slots=True)
class Scope:
    """``topics``: which partitions of which topics (none: all of them); empty: all that is committed.

    ``uncommitted``: with all that is committed, also the other partitions of those topics.
    """

    topics: Mapping[str, tuple[int, ...]]
    uncommitted: bool = False


def plan(
    session: Session,
    names: Sequence[str],
    scope: Scope,
    target: Target,
    held: Mapping[str, groups.Offsets] | None = None,
) -> list[Step]:
    """What would become of each partition; nothing is changed. A group that is not there yet is planned, too.

    ``held``: what the groups have committed, where that is not with the brokers.
    """
    listed = {one.id: one for one in groups.listed(session)} if held is None else {}
    known = listed.keys() if held is None else held.keys()
    mine = [listed[name] for name in names if name in listed]
    committed = groups.committed(session, mine) if held is None else held
    source = target.given or {}
    for name in names:
        if name not in known and not scope.topics and not source:
            raise not_found("group", name, known, "`kops group list` shows the groups there are; --topic makes one.")
    wanted = {name: _positions(session, name, committed.get(name, {}), scope, source) for name in names}
    every = {position for positions in wanted.values() for position in positions}
    led = offsets.leaders(snapshot(session, sorted({p.topic for p in every}))) if every else {}
    first = offsets.at_times(session, led, dict.fromkeys(every, EARLIEST))
    last = offsets.at_times(session, led, dict.fromkeys(every, LATEST))
    timed = offsets.at_times(session, led, dict.fromkeys(every, target.number)) if target.where is Where.TIME else {}
    steps: list[Step] = []
    for name in names:
        given = source.get(name, source.get("", {}))
        for position in wanted[name]:
            now = committed.get(name, {}).get(position)
            steps.append(_step(name, position, now, first, last, target, given.get(position), timed.get(position)))
    return _dated(session, led, steps)


def _positions(
    session: Session,
    name: str,
    committed: groups.Offsets,
    scope: Scope,
    source: Mapping[str, Mapping[Position, int]],
) -> list[Position]:
    if source:
        return sorted(source.get(name, source.get("", {})))
    if not scope.topics and not scope.uncommitted:
        return sorted(committed)
    topics = scope.topics or dict.fromkeys({p.topic for p in committed}, ())
    seen = snapshot(session, sorted(topics))
    found: set[Position] = set() if scope.topics else set(committed)
    for topic, chosen in topics.items():
        there = seen.topic(topic)
        indices = {p.index for p in there.partitions} if there else set()
        if scope.topics and not indices and not any(p.topic == topic for p in committed):
            raise NotFound(f"topic '{topic}' does not exist", "`kops topic list` shows the topics there are.")
        for index in chosen:
            if index not in indices:
                raise NotFound(f"topic {topic} has no partition {index}", f"It has {len(indices)}, counted from 0.")
        found |= {Position(topic, index) for index in (chosen or indices)}
    return sorted(found)


def _step(
    group: str,
    position: Position,
    committed: Committed | None,
    first: Mapping[Position, int],
    last: Mapping[Position, int],
    target: Target,
    given: int | None,
    timed: int | None,
) -> Step:
    earliest, latest = first.get(position), last.get(position)
    if earliest is None or latest is None:
        note = "topic gone or without a leader: left as it is"
        return Step(group, position, committed, None, earliest, latest, note=note)
    wish, note = _wish(target, committed, earliest, latest, given, timed)
    if wish is None:
        return Step(group, position, committed, None, earliest, latest, note=note)
    clamped = min(max(wish, earliest), latest)
    if clamped != wish and target.where is not Where.CURRENT:
        note = f"clamped from {wish}: " + ("it begins later" if wish < earliest else "it ends earlier")
    if earliest == latest and not note:
        note = "empty"
    return Step(
        group, position, committed, wish if target.where is Where.CURRENT else clamped, earliest, latest, note=note
    )


def _wish(
    target: Target, committed: Committed | None, earliest: int, latest: int, given: int | None, timed: int | None
) -> tuple[int | None, str]:
    """(offset before clamping, note)."""
    nothing = "" if committed else "no commit yet"
    match target.where:
        case Where.EARLIEST:
            return earliest, nothing
        case Where.LATEST:
            return latest, nothing
        case Where.OFFSET:
            return target.number, nothing
        case Where.CURRENT:
            return (committed.offset, "") if committed else (latest, "no commit yet: the end")
        case Where.SHIFT:
            return (committed.offset + target.number, "") if committed else (None, "no commit yet: nothing to shift")
        case Where.TIME:
            return (timed, nothing) if timed is not None and timed >= 0 else (latest, "no record so late: the end")
        case _:
            return given, nothing


def _dated(session: Session, led: Mapping[Position, int], steps: list[Step]) -> list[Step]:
    """With the time of the record at each target, where there is one."""
    from dataclasses import replace

    wanted: dict[int, dict[Position, int]] = {}
    rounds: dict[Position, int] = {}
    for step in steps:
        if step.target is not None and step.latest is not None and step.target < step.latest:
            turn = rounds.get(step.position, 0)
            rounds[step.position] = turn + 1
            wanted.setdefault(turn, {})[step.position] = step.target
    found: dict[tuple[Position, int], int] = {}
    for asked in wanted.values():
        for position, written in offsets.timestamps(session, led, asked).items():
            found[position, asked[position]] = written
    return [
        replace(step, timestamp=found.get((step.position, step.target))) if step.target is not None else step
        for step in steps
    ]


def totals(steps: Sequence[Step]) -> str:
    """What the whole costs, in one line."""
    moved = [step for step in steps if step.change]
    return (
        f"{len(moved)} of {counted(len(steps), 'partition', 'moves', 'move')}; at most "
        f"{counted(sum(s.replayed for s in steps), 'record', 'is', 'are')} replayed "
        f"and {sum(s.skipped for s in steps)} skipped"
    )


def busy(session: Session, names: Iterable[str]) -> list[Group]:
    """Groups among ``names`` that have members, so that their offsets cannot be changed."""
    wanted = set(names)
    found = [one for one in groups.listed(session) if one.id in wanted]
    return [one for one in groups.describe(session, found) if not one.idle]


def carry_out(session: Session, what: str, changes: Sequence[OffsetChange]) -> tuple[Entry | None, list[KopsError]]:
    """Save, change, read back. (the journal's entry, what failed); no entry where nothing was to be changed."""
    if not changes:
        return None, []
    entry = remember(session, what, changes)
    try:
        errors = put_back(session, changes)
    except BaseException:
        journal.ended(entry, kinds.FAILED)
        raise
    return journal.ended(entry, kinds.FAILED if errors else kinds.DONE), errors


def remember(session: Session, what: str, changes: Sequence[OffsetChange]) -> Entry:
    """Save what is there, before it is changed."""
    return journal.begin(what, snapshot(session, []).cluster_id or "", ",".join(session.servers), changes)


def put_back(session: Session, changes: Sequence[OffsetChange]) -> list[KopsError]:
    """Make the changes and read them back, without an entry of their own. What failed."""
    errors = _apply(session, changes)
    return errors + verify(session, changes, {error.subject for error in errors})


def still_there(group: str) -> Failed:
    return Failed(f"group {group} is still there", "A consumer of it came back: `kops group describe`.", subject=group)


def _apply(session: Session, changes: Sequence[OffsetChange]) -> list[KopsError]:
    errors: list[KopsError] = []
    for group in dict.fromkeys(change.group for change in changes):
        mine = [change for change in changes if change.group == group]
        put = {change.position: change.after for change in mine if change.after is not None}
        drop = [change.position for change in mine if change.after is None]
        if put:
            errors += groups.commit(session, group, put).values()
        if drop:
            errors += groups.delete_offsets(session, group, drop).values()
    return errors


def verify(session: Session, changes: Sequence[OffsetChange], told: set[str]) -> list[KopsError]:
    """What is not as planned, but for the subjects that failed already."""
    names = {change.group for change in changes}
    present = groups.committed(session, [one for one in groups.listed(session) if one.id in names])
    errors: list[KopsError] = []
    for change in changes:
        subject = f"group {change.group}: {change.position}"
        now = present.get(change.group, {}).get(change.position)
        if subject not in told and offset_of(now) != offset_of(change.after):
            errors.append(
                Failed(
                    f"{subject}: read back {_told(now)} instead of {_told(change.after)}",
                    "Somebody else commits to this group: `kops group describe` shows who.",
                    subject=subject,
                )
            )
    return errors


def check_cluster(session: Session, entry: Entry, *, force: bool) -> None:
    """Raises Refused when ``entry`` was made on another cluster, or is undone already."""
    cluster = snapshot(session, []).cluster_id or ""
    if entry.cluster and entry.cluster != cluster:
        raise Refused(
            f"change {entry.id} was made on another cluster ({entry.servers})", "Use a context of that cluster."
        )
    if entry.state == kinds.UNDONE and not force:
        raise Refused(f"change {entry.id} is undone already", "`kops history` shows what can be undone.")


def undo_plan(session: Session, entry: Entry, *, force: bool) -> list[OffsetChange]:
    """The changes that take ``entry`` back. Raises Refused when the cluster is another, or somebody committed since."""
    check_cluster(session, entry, force=force)
    names = set(entry.groups)
    present = groups.committed(session, [one for one in groups.listed(session) if one.id in names])
    back, moved = [], []
    for change in entry.changes:
        now = present.get(change.group, {}).get(change.position)
        if offset_of(now) == offset_of(change.before):
            continue  # it never took place, or is back already
        if offset_of(now) != offset_of(change.after):
            moved.append(f"{change.group} {change.position} is at {_told(now)}, was left at {_told(change.after)}")
        back.append(OffsetChange(change.group, change.position, now, change.before))
    if moved and not force:
        raise Refused(
            f"somebody committed since: {'; '.join(moved[:5])}" + (" ..." if len(moved) > 5 else ""),
            "--force puts the older offsets back all the same.",
            code="CommittedSince",
        )
    return back


def offset_of(one: Committed | None) -> int | None:
    return None if one is None else one.offset


def _told(one: Committed | None) -> str:
    return "nothing" if one is None else str(one.offset)


def from_group(session: Session, name: str) -> dict[str, dict[Position, int]]:
    """The offsets of another group, for every group that is reset. Raises NotFound, BadUsage when it has none."""
    found = groups.committed(session, groups.select(session, [name]))[name]
    if not found:
        raise BadUsage(f"group {name} has committed nothing", "Name a group that has.")
    return {"": {position: one.offset for position, one in found.items()}}
