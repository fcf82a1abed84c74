"""How far groups are behind: per partition now, and per group as rates over time.

``Lag`` joins what a group committed with where its partitions begin and end and who reads them.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kops.cluster import groups, offsets
from kops.cluster.groups import Group, Listed, Member
from kops.cluster.metadata import snapshot
from kops.cluster.offsets import EARLIEST, LATEST, Position
from kops.errors import KopsError
from kops.session import Session
from kops.words import counted


@dataclass(frozen=True, slots=True)
class Lag:
    """One partition of one group. None: nothing committed, or a partition that cannot be asked (topic gone)."""

    group: str
    position: Position
    committed: int | None
    earliest: int | None
    end: int | None
    owner: Member | None = None
    metadata: str = ""
    age_ms: int | None = None
    """How old the next unread record is; only where it was asked for."""

    @property
    def lag(self) -> int | None:
        return None if self.committed is None or self.end is None else max(0, self.end - self.committed)

    @property
    def note(self) -> str:
        """Why the row deserves a look, in words; empty when it does not."""
        if self.end is None:
            return "topic gone or without a leader"
        if self.committed is None:
            return "nothing committed" if self.owner else "unassigned"
        if self.committed > self.end:
            return "committed past the end"
        if self.earliest is not None and self.committed < self.earliest:
            return f"committed below the start: {counted(self.earliest - self.committed, 'record', 'is', 'are')} gone"
        return ""


@dataclass(frozen=True, slots=True)
class GroupLag:
    """All partitions of one group together. ``oldest_ms``: the oldest unread record's age."""

    group: Group
    partitions: tuple[Lag, ...]

    @property
    def total(self) -> int:
        return sum(one.lag or 0 for one in self.partitions)

    @property
    def oldest_ms(self) -> int | None:
        return max((one.age_ms for one in self.partitions if one.age_ms is not None), default=None)

    @property
    def topics(self) -> int:
        return len({one.position.topic for one in self.partitions})


def measure(session: Session, chosen: Sequence[Listed], *, ages: bool = False, starts: bool = False) -> list[GroupLag]:
    """Lag of each group. ``ages`` costs a fetch per leader; ``starts`` asks where partitions begin, too."""
    described = groups.describe(session, chosen)
    committed = groups.committed(session, chosen)
    wanted = {one.id: sorted(committed.get(one.id, {}).keys() | one.owners.keys()) for one in described}
    every = {position for positions in wanted.values() for position in positions}
    led = offsets.leaders(snapshot(session, sorted({p.topic for p in every}))) if every else {}
    ends = offsets.at_times(session, led, dict.fromkeys(every, LATEST))
    begins = offsets.at_times(session, led, dict.fromkeys(every, EARLIEST)) if starts else {}
    rows = []
    for one in described:
        mine, owners = committed.get(one.id, {}), one.owners
        parts = [
            Lag(
                one.id,
                position,
                mine[position].offset if position in mine else None,
                begins.get(position),
                ends.get(position),
                owners.get(position),
                mine[position].metadata if position in mine else "",
            )
            for position in wanted[one.id]
        ]
        rows.append(GroupLag(one, tuple(_aged(session, led, parts) if ages else parts)))
    return rows


def _aged(session: Session, led: Mapping[Position, int], parts: Sequence[Lag]) -> list[Lag]:
    from dataclasses import replace

    unread = {one.position: one.committed for one in parts if one.lag and one.committed is not None}
    written = offsets.timestamps(session, led, unread)
    now = time.time_ns() // 1_000_000
    return [
        replace(one, age_ms=max(0, now - written[one.position]))
        if one.position in written
        else replace(one, age_ms=0 if one.lag == 0 else None)
        for one in parts
    ]


@dataclass(frozen=True, slots=True)
class Pace:
    """A group over one interval: records per second produced to and consumed from its partitions."""

    at: int
    now: GroupLag
    produced: float
    consumed: float

    @property
    def seconds_left(self) -> float | None:
        """Time to catch up at this pace; None when it never will."""
        if self.now.total == 0:
            return 0.0
        gain = self.consumed - self.produced
        return self.now.total / gain if gain > 0 else None


def paces(
    session: Session,
    chosen: Sequence[Listed],
    interval: float,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[list[Pace]]:
    """What happened in each ``interval`` seconds, until ``stop``. Members and partitions are looked up every time.

    A group whose coordinator moves is looked for again for as long as ``session.timeout``; then its error is raised.
    """
    from kafka.errors import KafkaError

    before, began = {one.group.id: one for one in measure(session, chosen)}, time.monotonic()
    while not stop():
        time.sleep(interval)
        try:
            after, ended = {one.group.id: one for one in measure(session, _found(session, chosen))}, time.monotonic()
        except (KopsError, KafkaError):
            if time.monotonic() - began > session.timeout:
                raise
            continue
        stamp = time.time_ns() // 1_000_000
        yield [_pace(before.get(name), now, ended - began, stamp) for name, now in after.items()]
        before, began = after, ended


def _found(session: Session, chosen: Sequence[Listed]) -> list[Listed]:
    """The same groups, at the coordinators that they have now."""
    names = {one.id for one in chosen}
    return [one for one in groups.listed(session) if one.id in names]


def _pace(before: GroupLag | None, now: GroupLag, seconds: float, stamp: int) -> Pace:
    known = {one.position: one for one in before.partitions} if before else {}
    produced = consumed = 0
    for one in now.partitions:
        was = known.get(one.position)
        if was is None:
            continue
        if one.end is not None and was.end is not None:
            produced += one.end - was.end
        if one.committed is not None and was.committed is not None:
            consumed += one.committed - was.committed
    return Pace(stamp, now, produced / seconds, consumed / seconds)
