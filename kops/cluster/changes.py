"""What a change of offsets or settings is: before and after, one step of a plan, and what is remembered of it all."""

from dataclasses import dataclass, field

from kops.cluster.groups import Committed
from kops.cluster.offsets import Position

BEGUN, DONE, FAILED, UNDONE = "begun", "done", "failed", "undone"


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """One partition of one group; None: nothing is committed."""

    group: str
    position: Position
    before: Committed | None
    after: Committed | None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting of a topic or broker (``configs.Entity``); None: not set there. A ``secret`` is not written down."""

    kind: str
    name: str
    key: str
    before: str | None
    after: str | None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """``at``: epoch ms. ``cluster``: its id, so that an undo cannot go to another one. ``way``: brokers, zookeeper."""

    id: str
    at: int
    what: str
    cluster: str
    servers: str
    way: str = "brokers"
    state: str = BEGUN
    changes: tuple[OffsetChange, ...] = field(default_factory=tuple)
    settings: tuple[SettingChange, ...] = field(default_factory=tuple)

    @property
    def groups(self) -> list[str]:
        return list(dict.fromkeys(change.group for change in self.changes))

    @property
    def undoable(self) -> bool:
        return self.state != UNDONE and bool(self.changes or self.settings)


@dataclass(frozen=True, slots=True)
class Step:
    """One partition of the plan. ``target`` None: it stays as it is, for the reason in ``note``."""

    group: str
    position: Position
    committed: Committed | None
    target: int | None
    earliest: int | None
    latest: int | None
    timestamp: int | None = None
    note: str = ""

    @property
    def delta(self) -> int | None:
        return None if self.committed is None or self.target is None else self.target - self.committed.offset

    @property
    def replayed(self) -> int:
        """Records read again, at most: compaction and transactions leave gaps."""
        if self.committed is None or self.target is None:
            return 0
        return max(0, min(self.committed.offset, self.latest or 0) - self.target)

    @property
    def skipped(self) -> int:
        """Records never read, at most; those that retention removed meanwhile do not count."""
        if self.committed is None or self.target is None:
            return 0
        return max(0, self.target - max(self.committed.offset, self.earliest or 0))

    @property
    def change(self) -> OffsetChange | None:
        if self.target is None or (self.committed is not None and self.committed.offset == self.target):
            return None
        return OffsetChange(self.group, self.position, self.committed, Committed(self.target))
