"""How a follower finds its way back into its leader's log: a machine (kafka.server.AbstractFetcherThread).

It says what to ask the leader next, is told the answer, and returns what to do with the log. It lives for one leader
epoch; a new LeaderAndIsr makes a new one. Why it is right:

* What a follower holds beyond its leader's history is found by leader epochs (KIP-101, KIP-279), never by the high
  watermark, which lags: only a log that knows no epoch at all falls back to it.
* An answer is used only if it answers the question that would be asked now: same leader epoch, same offset, same epoch.

    phase          asks                     answer -> what is done, next phase
    TRUNCATING     end of our last epoch    same epoch known -> Truncate, FETCHING; else Truncate, TRUNCATING again
    FETCHING       records at our end       records -> Append; diverging epoch -> Truncate; both FETCHING
                                            OFFSET_OUT_OF_RANGE -> SEEKING_END
    SEEKING_END    leader's log end         below ours -> Truncate, FETCHING; else SEEKING_START
    SEEKING_START  leader's log start       above our end -> RestartAt; FETCHING
    any of these                            FENCED_LEADER_EPOCH -> FAILED; other errors -> wait, then ask again
    FAILED         nothing, until a new LeaderAndIsr
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from broker.wire.errors import ErrorCode

UNDEFINED_EPOCH = -1
UNDEFINED_OFFSET = -1
FIRST_DELAY = 64
"""The part of the longest delay that the first one is."""


class Phase(Enum):
    TRUNCATING = "truncating"
    FETCHING = "fetching"
    SEEKING_END = "seeking end"
    SEEKING_START = "seeking start"
    FAILED = "failed"


class Question(NamedTuple):
    """What would be asked now; ``epoch`` is our last one, that of the last record that we hold."""

    phase: Phase
    leader_epoch: int
    offset: int
    epoch: int


class Truncate(NamedTuple):
    """Effect: cut our log from ``offset`` on; then call :meth:`Follower.at`."""

    offset: int


class RestartAt(NamedTuple):
    """Effect: drop our whole log and begin at ``offset``; then call :meth:`Follower.at`."""

    offset: int


class Append(NamedTuple):
    """Effect: append what was fetched, verbatim; then call :meth:`Follower.at`."""


Effect = Truncate | RestartAt | Append


class Epochs(Protocol):
    """The part of the log's leader epochs that truncation needs."""

    @property
    def latest(self) -> int: ...

    def end_offset_for(self, epoch: int, log_end: int) -> tuple[int, int]: ...


class IllegalEvent(Exception):
    """The event does not exist in this phase; nothing was changed."""


@dataclass(slots=True)
class Follower:
    """One followed partition under one leader epoch. ``backoff`` in seconds, the longest delay; times are monotonic.

    ``truncates_on_fetch`` (IBP from 2.7): divergence is told by fetch replies, so it starts FETCHING.
    """

    leader_epoch: int
    epochs: Epochs
    truncates_on_fetch: bool
    backoff: float
    offset: int = 0
    last_epoch: int = UNDEFINED_EPOCH
    phase: Phase = Phase.FETCHING
    delayed_until: float = 0.0
    refusals: int = 0

    def begin(self, log_end: int, high_watermark: int) -> Effect | None:
        """Start at our ``log_end``. A log that knows no epochs is cut to its high watermark (facts D.7)."""
        self.at(log_end)
        if self.last_epoch == UNDEFINED_EPOCH:
            return Truncate(high_watermark) if high_watermark < log_end else None
        if not self.truncates_on_fetch:
            self.phase = Phase.TRUNCATING
        return None

    def at(self, log_end: int) -> None:
        """Our log now ends at ``log_end``."""
        self.refusals = 0
        self.offset = log_end
        self.last_epoch = self.epochs.latest

    def is_ready(self, now: float) -> bool:
        """Whether there is something to ask now; False while delayed and once failed."""
        return self.phase is not Phase.FAILED and self.delayed_until <= now

    def is_fetching(self, now: float) -> bool:
        """Whether it is records that are to be asked for now."""
        return self.phase is Phase.FETCHING and self.delayed_until <= now

    def question(self) -> Question:
        """What to ask the leader; compare it with the one whose answer came, and drop the answer if it differs."""
        return Question(self.phase, self.leader_epoch, self.offset, self.last_epoch)

    # answers

    def epoch_ended(self, epoch: int, end_offset: int, high_watermark: int) -> Truncate | None:
        """OffsetForLeaderEpoch answered where the largest epoch up to our last one ends in the leader's log."""
        self._must_be(Phase.TRUNCATING)
        offset, done = self._cut(epoch, end_offset, high_watermark)
        if done:
            self.phase = Phase.FETCHING
        return Truncate(offset) if offset < self.offset else None

    def diverged(self, epoch: int, end_offset: int, high_watermark: int) -> Truncate | None:
        """A fetch reply carried a diverging epoch (KIP-595): our offset and epoch are no prefix of the leader's log."""
        self._must_be(Phase.FETCHING)
        offset, _ = self._cut(epoch, end_offset, high_watermark)
        # An epoch in which we led and wrote nothing goes, too, though no record does: the leader would say so for ever.
        return Truncate(offset) if offset < self.offset or epoch < self.last_epoch else None

    def fetched(self, *, has_records: bool) -> Append | None:
        """A fetch was answered without error."""
        self._must_be(Phase.FETCHING)
        return Append() if has_records else None

    def leader_ends_at(self, offset: int) -> Truncate | None:
        """Our offset was out of range. A leader that ends below us was elected uncleanly: what it lacks is lost."""
        self._must_be(Phase.SEEKING_END)
        if offset < self.offset:
            self.phase = Phase.FETCHING
            return Truncate(offset)
        self.phase = Phase.SEEKING_START
        return None

    def leader_starts_at(self, offset: int, now: float) -> RestartAt | None:
        """The leader no longer has what we lack: begin where it begins. If it has, it will say the same again."""
        self._must_be(Phase.SEEKING_START)
        self.phase = Phase.FETCHING
        if offset > self.offset:
            return RestartAt(offset)
        self.delay(now)
        return None

    def refused(self, error: int, now: float) -> None:
        """The leader answered with an error (facts D.6). FENCED means that a LeaderAndIsr for us is on its way."""
        if error == ErrorCode.FENCED_LEADER_EPOCH:
            self.phase = Phase.FAILED
        elif error == ErrorCode.OFFSET_OUT_OF_RANGE and self.phase is Phase.FETCHING:
            self.phase = Phase.SEEKING_END
        else:
            self.delay(now)

    def delay(self, now: float) -> None:
        """Ask nothing for a while: the leader is not yet leader, or sent what cannot be used.

        The first delays are short, since a new leader often hears of it a moment after its followers.
        """
        self.delayed_until = now + min(self.backoff, self.backoff * 2**self.refusals / FIRST_DELAY)
        self.refusals += 1

    def fail(self) -> None:
        """Ask nothing more: our own log cannot be written."""
        self.phase = Phase.FAILED

    def _cut(self, epoch: int, end_offset: int, high_watermark: int) -> tuple[int, bool]:
        """Where to cut, and whether that is the point of divergence (getOffsetTruncationState)."""
        if end_offset == UNDEFINED_OFFSET:
            return high_watermark, True
        if epoch == UNDEFINED_EPOCH:
            return min(end_offset, self.offset), True
        our_epoch, our_end = self.epochs.end_offset_for(epoch, self.offset)
        if our_end == UNDEFINED_OFFSET:
            return min(end_offset, self.offset), True
        if our_epoch != epoch:
            return min(our_end, self.offset), False
        return min(our_end, end_offset, self.offset), True

    def _must_be(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise IllegalEvent(f"{self.phase.value}, not {phase.value}")
