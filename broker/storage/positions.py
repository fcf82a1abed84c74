"""File positions that a log remembers, so that reading at its end, or on, looks nothing up (LogOffsetMetadata)."""

from __future__ import annotations

from array import array
from bisect import bisect_right

TAIL = 128
"""Batches at the end of the active segment whose ends are remembered: 2 kB."""
HINTS = 8
"""Places where cut reads ended that are remembered."""


class Positions:
    """Empty until used: ``appended`` per batch of the active segment, ``rolled`` and ``forget`` when that changes."""

    __slots__ = ("_ends", "_hints", "_positions")

    def __init__(self) -> None:
        self._ends: array[int] | None = None
        self._positions: array[int] | None = None
        self._hints: dict[int, int] | None = None

    def appended(self, end_offset: int, end_position: int) -> None:
        """A batch that ends before ``end_offset`` ends at byte ``end_position`` of the active segment."""
        ends, positions = self._ends, self._positions
        if ends is None or positions is None:
            self._ends, self._positions = array("q", (end_offset,)), array("q", (end_position,))
            return
        ends.append(end_offset)
        positions.append(end_position)
        if len(ends) > TAIL:
            del ends[: TAIL // 2]
            del positions[: TAIL // 2]

    def read_ended(self, offset: int, position: int) -> None:
        """A read was cut where the batch with base ``offset`` starts; the reader will go on there."""
        if self._hints is None:
            self._hints = {}
        elif len(self._hints) >= HINTS:
            del self._hints[next(iter(self._hints))]
        self._hints[offset] = position

    def in_tail(self, offset: int) -> int | None:
        """Where the batch that holds ``offset`` starts in the active segment, if that is remembered."""
        if self._ends is None or self._positions is None:
            return None
        at = bisect_right(self._ends, offset)
        return self._positions[at - 1] if at else None

    def hinted(self, offset: int) -> int | None:
        return self._hints.get(offset) if self._hints is not None else None

    def rolled(self) -> None:
        """Another segment is active; hints stay good."""
        self._ends = self._positions = None

    def moved(self) -> None:
        """Bytes of closed segments moved; the active one's are where they were."""
        self._hints = None

    def forget(self) -> None:
        """Bytes moved or went."""
        self._ends = self._positions = self._hints = None
