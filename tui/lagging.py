"""How groups do over time: rates, trends, and in words why one deserves a look. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from kops.cluster.lag import GroupLag
from tui.rates import Rates, Trends

STUCK_AFTER_MS = 5000


@dataclass(frozen=True, slots=True)
class Doing:
    """A group's pace: records per second, None before there are two looks; ``reason`` is empty when all is well."""

    produced: float | None
    consumed: float | None
    trend: Sequence[float]
    reason: str

    def seconds_left(self, total: int) -> float | None:
        """Until it has caught up at this pace; None when it never will, or nobody knows yet."""
        if total == 0:
            return 0.0
        if self.produced is None or self.consumed is None or self.consumed <= self.produced:
            return None
        return total / (self.consumed - self.produced)


class Lagging:
    """Remembers the looks at all groups."""

    def __init__(self) -> None:
        self._ends = Rates()
        self._committed = Rates()
        self._trends = Trends(kept=20)
        self._moved: dict[str, tuple[int, int]] = {}
        """Of each group what it has committed altogether, and when that last changed."""
        self._names: dict[str, list[str]] = {}
        """Of each group what its partitions are called here."""
        self._now = 0

    def add(self, at: int, seen: Sequence[GroupLag]) -> None:
        self._now = at
        self._names = {group.group.id: [f"{one.group} {one.position}" for one in group.partitions] for group in seen}
        parts = [pair for group in seen for pair in zip(self._names[group.group.id], group.partitions, strict=True)]
        self._ends.add(at, {name: one.end for name, one in parts if one.end is not None})
        self._committed.add(at, {name: one.committed for name, one in parts if one.committed is not None})
        self._trends.add(at, {group.group.id: float(group.total) for group in seen})
        for group in seen:
            total = sum(one.committed or 0 for one in group.partitions)
            if self._moved.get(group.group.id, (None, 0))[0] != total:
                self._moved[group.group.id] = (total, at)

    def of(self, group: GroupLag) -> Doing:
        names = self._names.get(group.group.id, ())
        produced, consumed = self._ends.rate(names), self._committed.rate(names)
        trend = self._trends.of(group.group.id)
        return Doing(produced, consumed, trend, self._reason(group, produced, consumed, trend))

    def _reason(self, group: GroupLag, produced: float | None, consumed: float | None, trend: Sequence[float]) -> str:
        noted = [one for one in group.partitions if one.note]
        if noted:
            more = f" and {len(noted) - 1} more" if len(noted) > 1 else ""
            return f"{noted[0].position}: {noted[0].note}{more}"
        if group.group.members:
            alone = [one for one in group.partitions if one.owner is None]
            if alone and group.group.state == "Stable":
                return f"{alone[0].position}: nobody reads it"
        if not group.total:
            return ""
        if not group.group.members:
            return "nobody is in it"
        since = self._now - self._moved.get(group.group.id, (0, self._now))[1]
        if since >= STUCK_AFTER_MS:
            return f"stuck: nothing committed for {since / 1000:.0f} s"
        growing = len(trend) >= 4 and trend[-1] > trend[-4]
        if growing and produced is not None and consumed is not None and produced > consumed:
            return "falling behind"
        return ""
