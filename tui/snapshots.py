"""What the feed brings and screens show: one immutable picture of the cluster, and what was measured beside it.

Three things are never mixed up: not asked yet (``...``), asked and not to be had (``-``), and a number, which may be 0.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from kops.cluster.metadata import NO_LEADER, Broker, Partition, Topic
from kops.local.processes import STOPPED

LOADING = "…"
UNAVAILABLE = "—"


class Condition(Enum):
    """How far what is shown can be trusted."""

    LOADING = "LOADING"
    LIVE = "LIVE"
    PAUSED = "PAUSED"
    STALE = "STALE"
    REPLAY = "REPLAY"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Process:
    """A broker's process on this machine: ``state`` is running, paused or stopped; ``started`` epoch seconds."""

    state: str
    pid: int
    started: float
    memory: int


@dataclass(slots=True)
class Share:
    """What a broker has of the cluster: the partitions that it leads, how many replicas, how many are in sync."""

    led: list[str] = field(default_factory=list)
    replicas: int = 0
    in_sync: int = 0


class Partitions(dict[str, Partition]):
    """By name, never changed: what is counted over all of them is counted once."""

    @classmethod
    def of(cls, partitions: Iterable[Partition]) -> "Partitions":
        return cls((one.name, one) for one in partitions)

    def but(self, others: Iterable[Partition]) -> "Partitions":
        """With others in the place of those of the same names."""
        changed = Partitions(self)
        changed.update((one.name, one) for one in others)
        return changed

    def alike(self, before: "Partitions") -> "Partitions":
        """With the objects of ``before`` where nothing changed: comparing is then a matter of identity."""
        return Partitions((name, old if (old := before.get(name)) == one else one) for name, one in self.items())

    @cached_property
    def shares(self) -> Mapping[int, Share]:
        """Of the brokers that are to hold some, or that lead some."""
        found: defaultdict[int, Share] = defaultdict(Share)
        for name, one in self.items():
            for broker in one.replicas:
                found[broker].replicas += 1
            for broker in one.isr:
                found[broker].in_sync += 1
            if one.leader != NO_LEADER:
                found[one.leader].led.append(name)
        return found

    @cached_property
    def under_replicated(self) -> int:
        return sum(one.under_replicated for one in self.values())

    @cached_property
    def offline(self) -> int:
        return sum(one.leader == NO_LEADER for one in self.values())

    @cached_property
    def not_preferred(self) -> int:
        return sum(not one.preferred_leads for one in self.values() if one.leader != NO_LEADER)

    def under_min_isr(self, floor: Mapping[str, int]) -> int:
        return sum(under_min_isr(one, floor) for _, parts in self.ailing(floor).values() for one in parts)

    def ailing(self, floor: Mapping[str, int]) -> Mapping[str, tuple[int, list[Partition]]]:
        """By topic how many partitions it has, and those that are not whole."""
        if self._ailing is None or self._ailing[0] is not floor:
            found: dict[str, list[Partition]] = {}
            for one in self.values():
                if one.leader == NO_LEADER or one.under_replicated or under_min_isr(one, floor):
                    found.setdefault(one.topic, []).append(one)
            counted = Counter(one.topic for one in self.values()) if found else {}
            self._ailing = floor, {topic: (counted[topic], parts) for topic, parts in found.items()}
        return self._ailing[1]

    _ailing: tuple[Mapping[str, int], Mapping[str, tuple[int, list[Partition]]]] | None = None


@dataclass(frozen=True)
class View:
    """The cluster at ``at`` (wall milliseconds). ``resolution_ms``: how old a change may be, 0 where it was pushed."""

    at: int
    cluster_id: str | None
    controller: int
    brokers: tuple[Broker, ...]
    topics: tuple[Topic, ...]
    partitions: Partitions
    resolution_ms: int
    pushed: bool = False
    processes: Mapping[int, Process] = field(default_factory=dict)
    asked: int = -1
    """The broker that answered."""

    @cached_property
    def alive(self) -> frozenset[int]:
        return frozenset(broker.id for broker in self.brokers)

    @cached_property
    def present(self) -> frozenset[int]:
        """Registered, and not known to have ended: a killed broker stays registered until its session is over."""
        return self.alive - {broker for broker, process in self.processes.items() if process.state == STOPPED}

    @cached_property
    def everyone(self) -> tuple[int, ...]:
        """Registered brokers, those that replicas name, and those kops started here, in order."""
        return tuple(sorted({*self.partitions.shares, *self.alive, *self.processes}))


@dataclass(frozen=True, slots=True)
class Gauges:
    """What takes more than one look: None where it was not asked for yet.

    ``ends``: log end by partition and broker. ``min_isr`` by topic. ``silent``: brokers that did not tell their ends.
    ``sizes``: bytes by broker and partition; None as a broker's value when it did not answer.
    """

    ends: Mapping[str, Mapping[int, int]] | None = None
    ends_at: int = 0
    silent: tuple[int, ...] = ()
    min_isr: Mapping[str, int] | None = None
    sizes: Mapping[int, Mapping[str, int] | None] | None = None
    held: Mapping[str, int] | None = None
    """Bytes by partition on all brokers together; None while one did not tell."""


def held(sizes: Mapping[int, Mapping[str, int] | None]) -> dict[str, int] | None:
    found: Counter[str] = Counter()
    for one in sizes.values():
        if one is None:
            return None
        found.update(one)
    return found


@dataclass(frozen=True, slots=True)
class Health:
    """The counters of the header."""

    brokers: int
    expected: int
    under_replicated: int
    under_min_isr: int | None
    offline: int
    not_preferred: int


def health(view: View, gauges: Gauges) -> Health:
    partitions, floor = view.partitions, gauges.min_isr
    return Health(
        brokers=len(view.present),
        expected=len(view.everyone),
        under_replicated=partitions.under_replicated,
        under_min_isr=None if floor is None else partitions.under_min_isr(floor),
        offline=partitions.offline,
        not_preferred=partitions.not_preferred,
    )


def under_min_isr(partition: Partition, floor: Mapping[str, int]) -> bool:
    return partition.topic in floor and len(partition.isr) < floor[partition.topic]


def age(milliseconds: float) -> str:
    """``0.4s``, ``12s``, ``3m05s``, ``2h10m``."""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"
    return f"{int(seconds) // 3600}h{int(seconds) % 3600 // 60:02d}m"


def count(number: float) -> str:
    """``950``, ``12.3k``, ``4.5M``: at most five characters."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            scaled = number / (1e3 if unit == "k" else limit)
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"


def size(number: int) -> str:
    """Bytes in binary units."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
