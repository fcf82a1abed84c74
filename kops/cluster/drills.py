"""What a drill is asked to do, and what it measured: plain data, shared by the command line and the dashboard."""

from collections.abc import Mapping
from dataclasses import dataclass

from kops.cluster.probe import Comparison

ACTIONS = ("kill", "pause", "stop", "restart")


@dataclass(frozen=True, slots=True)
class Drill:
    """``target``: ``leader``, ``controller`` or a broker's id. ``topic`` None makes one and removes it afterwards.

    ``hold``: seconds for which the broker stays away after everything has moved; ``limit``: how long to wait for each
    step. ``restore``: bring the broker back, and wait until the ISR is whole.
    """

    target: str = "leader"
    action: str = "kill"
    topic: str | None = None
    partition: int = 0
    acks: int = -1
    rate: float = 200.0
    before: float = 2.0
    hold: float = 2.0
    limit: float = 60.0
    restore: bool = True

    @property
    def acks_name(self) -> str:
        return "all" if self.acks == -1 else str(self.acks)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened ``ms`` after the signal. ``source``: here, probe, pushed, or ``±N ms`` when polled."""

    ms: float
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of a drill. Times in milliseconds; None where it did not happen or could not be measured."""

    action: str
    broker: int
    topic: str
    partition: int
    acks: str
    timeline: tuple[Moment, ...]
    sent: int
    acknowledged: int
    errors: Mapping[str, int]
    write_gap_ms: float
    slowest_usual_ms: float
    """The longest time between two acknowledgements before the trigger: what a gap is to be compared with."""
    leader_ms: float | None
    isr_ms: float | None
    whole_ms: float | None
    comparison: Comparison
    not_whole: tuple[str, ...] = ()
    """Partitions of the whole cluster that are not ``ok`` at the end, though they were at the beginning."""
    read_gap_ms: float | None = None
    """The longest time in which nothing new arrived at a reader; None when nothing arrived any more."""

    @property
    def lost(self) -> int:
        return len(self.comparison.lost)

    @property
    def verdict(self) -> str:
        """One word: ``lost``, ``disordered`` (records twice or out of order), ``not whole``, ``ok``."""
        if self.lost:
            return "lost"
        if self.comparison.duplicated or self.comparison.out_of_order:
            return "disordered"
        return "not whole" if self.not_whole else "ok"
