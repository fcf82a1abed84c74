"""The committed offsets of one group, as a machine (GroupMetadata's offsets, GroupMetadataManager; facts F.6, F.7).

A commit counts once its record is stored: until then it is an overlay that nobody is shown. Of two commits to one
partition the one that stands later in the log wins, whichever append was acknowledged first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.coordinator.group_records import OffsetCommitValue


class Position(NamedTuple):
    """A partition that has a committed offset."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Committed:
    """``log_offset``: where the record stands in ``__consumer_offsets``."""

    value: OffsetCommitValue
    log_offset: int


@dataclass(slots=True)
class Offsets:
    """``committed`` is what is stored and shown; ``pending`` counts the commits under way per partition."""

    committed: dict[Position, Committed] = field(default_factory=dict)
    pending: dict[Position, int] = field(default_factory=dict)

    def begin(self, positions: Iterable[Position]) -> None:
        """Commits are about to be appended."""
        for position in positions:
            self.pending[position] = self.pending.get(position, 0) + 1

    def end(self, values: dict[Position, OffsetCommitValue], log_offset: int | None) -> None:
        """Their append ended: stored from ``log_offset`` on, in order, or (None) not stored."""
        for index, (position, value) in enumerate(values.items()):
            left = self.pending[position] - 1
            if left:
                self.pending[position] = left
            else:
                del self.pending[position]
            if log_offset is not None:
                self.apply(position, value, log_offset + index)

    def apply(self, position: Position, value: OffsetCommitValue | None, log_offset: int) -> None:
        """A record of the log: the latest one wins; None is a tombstone."""
        known = self.committed.get(position)
        if known is not None and known.log_offset > log_offset:
            return
        if value is None:
            self.committed.pop(position, None)
        else:
            self.committed[position] = Committed(value, log_offset)

    def forget(self, positions: Iterable[Position]) -> None:
        """Their tombstones are on the way: they are not shown any more."""
        for position in positions:
            self.committed.pop(position, None)

    def of_topics(self, topics: frozenset[str]) -> list[Position]:
        return [position for position in self.committed if position.topic in topics]

    def expired(self, wall_ms: int, base_ms: Callable[[Position, OffsetCommitValue], int | None]) -> list[Position]:
        """Positions whose time is over. ``base_ms``: when retention ends by the broker's setting, None for never.

        A commit that carries an expiry of its own (OffsetCommit v2-v4) goes by that. One under way keeps its partition.
        """
        gone = []
        for position, found in self.committed.items():
            if position in self.pending:
                continue
            value = found.value
            ends = value.expire_timestamp if value.expire_timestamp >= 0 else base_ms(position, value)
            if ends is not None and wall_ms >= ends:
                gone.append(position)
        return gone
