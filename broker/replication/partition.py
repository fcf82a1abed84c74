"""Who leads a partition, who is in sync, and what is committed: a machine (kafka.cluster.Partition and Replica).

It is told what happened (a LeaderAndIsr, an append, a follower's fetch, an answer to an ISR proposal) and returns
effects; it touches no byte of a log, no clock and no socket. Why it is right:

* A record is committed once every replica of the *maximal* ISR has it, so any of them may lead next without losing it.
  Maximal means the committed ISR and every one that may have been written in its place: while a change is pending
  nobody knows which of the two the controller holds, so the high watermark waits for both.
* A follower's fetch at offset ``f`` in the leader's epoch proves that it has all of this leader's log below ``f``.
* The high watermark never goes back, but by truncation on a follower.
* At most one ISR change is pending; its answer counts only while that very proposal is still pending, so an answer that
  was overtaken by a newer LeaderAndIsr changes nothing.

    event              allowed as       does
    lead / follow      any, newer epoch takes the state as told; pending changes are void
    admit              leader           refuses by epoch and min ISR, changes nothing
    appended           leader           high watermark (a lone replica commits at once)
    follower_fetched   leader           progress, high watermark, may propose to expand
    shrink             leader           may propose to shrink
    isr_accepted       leader, pending  the ISR as answered is committed, high watermark
    isr_refused        leader, pending  back to the committed ISR, high watermark
    learned            follower         high watermark := leader's, within its own log
    truncated          follower         high watermark is clamped
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.wire.messages.leader_and_isr import LeaderAndIsrPartitionState

UNKNOWN_OFFSET = -1
NEVER = float("-inf")


class Role(Enum):
    """What this broker is for the partition; NONE before the first LeaderAndIsr and after StopReplica."""

    NONE = "none"
    LEADER = "leader"
    FOLLOWER = "follower"


class Change(Enum):
    """Which way a pending ISR change goes."""

    EXPAND = "expand"
    SHRINK = "shrink"


class Proposal(NamedTuple):
    """An ISR that the leader asks for; ``isr`` is the whole new one. Compared by identity while pending."""

    change: Change
    isr: tuple[int, ...]
    leader_epoch: int
    partition_epoch: int


class HighWatermark(NamedTuple):
    """Effect: everything below ``offset`` is committed (leader) or known to be (follower)."""

    offset: int


class EpochBegins(NamedTuple):
    """Effect: note in the log's leader epochs that ``epoch`` begins at ``start_offset``."""

    epoch: int
    start_offset: int


class ProposeIsr(NamedTuple):
    """Effect: ask the controller (or ZooKeeper) for this ISR; the answer comes back as isr_accepted or isr_refused."""

    proposal: Proposal


class IsrCommitted(NamedTuple):
    """Effect: the committed ISR is now this one; waiters for min ISR look again."""

    isr: tuple[int, ...]


class Deposed(NamedTuple):
    """Effect: this broker no longer leads; whoever waits for its high watermark ends with NOT_LEADER_OR_FOLLOWER."""

    leader_epoch: int


Effect = HighWatermark | EpochBegins | ProposeIsr | IsrCommitted | Deposed
Effects = tuple[Effect, ...]


class IllegalEvent(Exception):
    """The event does not exist in this state; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every partition of a broker. ``is_alive`` asks the metadata cache; ``lag`` is in seconds.

    ``gated`` (3.9, KIP-966 part 1): the high watermark stands still below min ISR, and the min ISR is capped by the
    number of replicas. Without (2.6) the raw setting counts, and only appends with acks=all look at it.
    """

    broker_id: int
    lag: float
    gated: bool
    is_alive: Callable[[int], bool]


@dataclass(slots=True)
class Progress:
    """What the leader knows of one follower (kafka.cluster.ReplicaState). Times are monotonic seconds."""

    end: int = UNKNOWN_OFFSET
    log_start: int = UNKNOWN_OFFSET
    leader_end_at_fetch: int = 0
    fetched_at: float = NEVER
    caught_up_at: float = NEVER

    def fetched(self, offset: int, log_start: int, leader_end: int, now: float) -> None:
        """Caught up means: within the window it has reached what was the end at its previous fetch (facts D.1)."""
        if offset >= leader_end:
            self.caught_up_at = max(self.caught_up_at, now)
        elif offset >= self.leader_end_at_fetch:
            self.caught_up_at = max(self.caught_up_at, self.fetched_at)
        self.end = offset
        self.log_start = log_start
        self.leader_end_at_fetch = max(leader_end, self.leader_end_at_fetch)
        self.fetched_at = now

    def reset(self, leader_end: int, now: float, *, new_leader: bool, in_sync: bool) -> None:
        """A new epoch: a new leader knows nothing of its followers, a re-elected one keeps what it knew."""
        if new_leader:
            self.end = UNKNOWN_OFFSET
            self.log_start = UNKNOWN_OFFSET
            self.leader_end_at_fetch = 0
            self.fetched_at = NEVER
        else:
            self.leader_end_at_fetch = leader_end
            self.fetched_at = now if in_sync else NEVER
        self.caught_up_at = now if in_sync else NEVER

    def is_caught_up(self, leader_end: int, now: float, lag: float) -> bool:
        return self.end == leader_end or now - self.caught_up_at <= lag


@dataclass(slots=True)
class Partition:
    """One replica of one partition on this broker.

    ``min_insync_replicas`` is asked each time, because the topic's setting may change; ``end`` is the leader's log end,
    ``durable_end`` how far the log may be counted upon where flush.messages wants it synced.
    """

    topic: str
    index: int
    rules: Rules
    min_insync_replicas: Callable[[], int]
    durable_end: Callable[[], int] | None = None
    high_watermark: int = 0
    role: Role = Role.NONE
    leader: int = -1
    leader_epoch: int = -1
    leader_epoch_start: int = UNKNOWN_OFFSET
    controller_epoch: int = -1
    partition_epoch: int = -1
    replicas: tuple[int, ...] = ()
    isr: tuple[int, ...] = ()
    pending: Proposal | None = None
    maximal_isr: tuple[int, ...] = ()
    end: int = 0
    progress: dict[int, Progress] = field(default_factory=dict)

    # roles

    def lead(self, state: LeaderAndIsrPartitionState, end: int, now: float) -> Effects:
        """Become leader in a newer epoch, which begins at the log's ``end`` (Partition.makeLeader)."""
        new_leader = self.role is not Role.LEADER
        self._take(state)
        self.role = Role.LEADER
        self.end = end
        self.leader_epoch_start = end
        others = [replica for replica in self.replicas if replica != self.rules.broker_id]
        self.progress = {replica: self.progress.get(replica, Progress()) for replica in others}
        for replica, progress in self.progress.items():
            progress.reset(end, now, new_leader=new_leader, in_sync=replica in self.isr)
        return (EpochBegins(self.leader_epoch, end), *self._advance(now))

    def follow(self, state: LeaderAndIsrPartitionState) -> Effects:
        """Become follower in a newer epoch (Partition.makeFollower)."""
        deposed = self.role is Role.LEADER
        self._take(state)
        self.role = Role.FOLLOWER
        self.leader_epoch_start = UNKNOWN_OFFSET
        self.progress = {}
        return (Deposed(self.leader_epoch),) if deposed else ()

    def stop(self) -> Effects:
        """Serve no longer (StopReplica, a failed log dir); epochs are kept, so that older requests stay refused."""
        deposed = self.role is Role.LEADER
        self.role = Role.NONE
        self.leader = -1
        self._commit((), self.partition_epoch)
        self.progress = {}
        return (Deposed(self.leader_epoch),) if deposed else ()

    def _take(self, state: LeaderAndIsrPartitionState) -> None:
        if state.leader_epoch <= self.leader_epoch:
            raise IllegalEvent(f"{self}: leader epoch {state.leader_epoch} is not above {self.leader_epoch}")
        self.leader = state.leader
        self.leader_epoch = state.leader_epoch
        self.controller_epoch = state.controller_epoch
        self.replicas = tuple(state.replicas)
        self._commit(tuple(state.isr), state.partition_epoch)

    # the leader's work

    def admit(self, acks: int, epoch: int = -1) -> None:
        """May a record be appended now? ``epoch`` -1: in any epoch. Raises KafkaError, before anything is written.

        NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH; NOT_ENOUGH_REPLICAS for acks=-1 when the
        committed ISR is below the minimum (facts D.4).
        """
        if epoch != -1:
            self.check_epoch(epoch)
        if self.role is not Role.LEADER:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        if acks == -1 and len(self.isr) < self.min_isr():
            raise KafkaError(
                ErrorCode.NOT_ENOUGH_REPLICAS,
                f"the in-sync replicas {list(self.isr)} of {self} are fewer than min.insync.replicas {self.min_isr()}",
            )

    def check_epoch(self, epoch: int) -> None:
        """Compare a request's leader epoch with ours, -1 meaning it carries none (KIP-320). Raises KafkaError."""
        if epoch == self.leader_epoch or epoch == -1:
            return
        if epoch < self.leader_epoch:
            raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH)
        raise KafkaError(ErrorCode.UNKNOWN_LEADER_EPOCH)

    def min_isr(self) -> int:
        """How many in-sync replicas acks=all asks for: never more than there are replicas where ``gated``."""
        minimum = self.min_insync_replicas()
        return min(minimum, len(self.replicas)) if self.rules.gated else minimum

    def appended(self, end: int, now: float) -> Effects:
        """The leader's log now ends at ``end``."""
        self._must_lead()
        self.end = end
        return self._advance(now)

    def is_replica(self, broker_id: int) -> bool:
        """Whether that broker is a follower of ours."""
        return broker_id in self.progress

    def follower_fetched(self, broker_id: int, offset: int, log_start: int, leader_end: int, now: float) -> Effects:
        """A follower asked for ``offset``; ``leader_end`` is the log's end before that fetch was read (facts D.1)."""
        self._must_lead()
        progress = self.progress.get(broker_id)
        if progress is None:
            raise IllegalEvent(f"{self}: broker {broker_id} is not a replica")
        moved = offset != progress.end
        progress.fetched(offset, log_start, leader_end, now)
        proposed = self._propose_expansion(broker_id, progress)
        return (*proposed, *self._advance(now)) if moved else proposed

    def shrink(self, now: float) -> Effects:
        """Propose to drop from the ISR whoever has not caught up within the lag time, unless a change is pending."""
        self._must_lead()
        if self.pending is not None:
            return ()
        slow = [
            replica
            for replica, progress in self.progress.items()
            if replica in self.isr and not progress.is_caught_up(self.end, now, self.rules.lag)
        ]
        if not slow:
            return ()
        return self._propose(Change.SHRINK, tuple(replica for replica in self.isr if replica not in slow))

    def reconsider(self, now: float) -> Effects:
        """Time has passed, or others are alive now: whoever was about to join the ISR may be waited for no more."""
        self._must_lead()
        return self._advance(now)

    def _propose_expansion(self, broker_id: int, progress: Progress) -> Effects:
        """In sync: past the high watermark and the start of this epoch, so that it holds what is committed (D.3)."""
        if self.pending is not None or broker_id in self.isr or not self.rules.is_alive(broker_id):
            return ()
        if progress.end < self.high_watermark or progress.end < self.leader_epoch_start:
            return ()
        return self._propose(Change.EXPAND, (*self.isr, broker_id))

    def _propose(self, change: Change, isr: tuple[int, ...]) -> Effects:
        proposal = Proposal(change, isr, self.leader_epoch, self.partition_epoch)
        self.pending = proposal
        self.maximal_isr = isr if change is Change.EXPAND else self.isr
        return (ProposeIsr(proposal),)

    def isr_accepted(
        self, proposal: Proposal, leader_epoch: int, isr: tuple[int, ...], partition_epoch: int, now: float
    ) -> Effects:
        """The controller (or ZooKeeper) holds ``isr``. An answer of another epoch, or of an older state, is ignored."""
        if self.pending is not proposal or leader_epoch != self.leader_epoch or partition_epoch < self.partition_epoch:
            return ()
        self._commit(isr, partition_epoch)
        return (IsrCommitted(isr), *self._advance(now))

    def isr_refused(self, proposal: Proposal, now: float) -> Effects:
        """The proposal was surely not written: the committed ISR counts again."""
        if self.pending is not proposal:
            return ()
        self._commit(self.isr, self.partition_epoch)
        return self._advance(now)

    def _commit(self, isr: tuple[int, ...], partition_epoch: int) -> None:
        self.isr = isr
        self.maximal_isr = isr
        self.partition_epoch = partition_epoch
        self.pending = None

    def _advance(self, now: float) -> Effects:
        """Move the high watermark to the least end of the maximal ISR and of those about to join it (facts D.2).

        Whoever has caught up but is not in the ISR yet is waited for: otherwise a fast leader would keep its high
        watermark ahead of it for ever, and it could never join.
        """
        in_sync = len(self.isr)
        if self.rules.gated and in_sync < len(self.replicas) and in_sync < self.min_isr():
            return ()  # it is asked for no more replicas than there are: see min_isr
        offset = self.end if self.durable_end is None else min(self.end, self.durable_end())
        for replica, progress in self.progress.items():
            if progress.end < offset and (
                replica in self.maximal_isr
                or (progress.is_caught_up(self.end, now, self.rules.lag) and self.rules.is_alive(replica))
            ):
                offset = progress.end
        if offset <= self.high_watermark:
            return ()
        self.high_watermark = offset
        return (HighWatermark(offset),)

    # what waiters ask

    def reached(self, required: int) -> ErrorCode | None:
        """How a produce with acks=all up to ``required`` (last offset + 1) ended; None: not yet (D.4)."""
        if self.role is not Role.LEADER:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        if self.high_watermark < required:
            return None
        in_sync = self.maximal_isr if self.rules.gated else self.isr
        return ErrorCode.NONE if len(in_sync) >= self.min_isr() else ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND

    def low_watermark(self, log_start: int) -> int:
        """The least log start of the leader's log and of its live followers' (DeleteRecords waits for it)."""
        starts = [progress.log_start for replica, progress in self.progress.items() if self.rules.is_alive(replica)]
        return min([log_start, *starts])

    # the follower's work

    def learned(self, leader_high_watermark: int, log_start: int, end: int) -> Effects:
        """A fetch reply told the leader's high watermark; ours follows within our own log, and never back."""
        if self.role is Role.LEADER:
            raise IllegalEvent(f"{self}: a leader learns no high watermark")
        offset = max(min(leader_high_watermark, end), log_start)
        if offset <= self.high_watermark:
            return ()
        self.high_watermark = offset
        return (HighWatermark(offset),)

    def truncated(self, high_watermark: int) -> None:
        """The log was cut, or begins elsewhere; ``high_watermark`` is the log's, which has been clamped with it."""
        if self.role is Role.LEADER:
            raise IllegalEvent(f"{self}: a leader is not truncated")
        self.high_watermark = high_watermark

    def _must_lead(self) -> None:
        if self.role is not Role.LEADER:
            raise IllegalEvent(f"{self}: {self.role.value}, not leader")

    def __str__(self) -> str:
        return f"{self.topic}-{self.index}"
