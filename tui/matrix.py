"""The rows of the ISR screen: one partition each, one letter per broker, worst first. Asks nobody."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache, partial

from rich.text import Text

from kops.cluster.metadata import NO_LEADER, Partition
from kops.cluster.replicas import lags
from tui.history import History, ids, letter
from tui.rates import Trends, spark
from tui.snapshots import LOADING, UNAVAILABLE, Gauges, View, count, under_min_isr
from tui.widgets.grid import Cells, Heading, Row

_LETTERS = {"L": "bold green", "F": "green", "o": "bold yellow", "x": "bold red", "·": "dim"}
_STATES = {
    "offline": "bold white on red",
    "under min": "bold red",
    "URP": "yellow",
    "not preferred": "cyan",
    "ok": "dim",
}
SEVERITY = {state: index for index, state in enumerate(_STATES)}
CHANGED = "reverse"
FOLDED = 200
"""A topic with more partitions to show than this takes one row until it is opened."""


def headings(view: View) -> list[Heading]:
    brokers = [Heading(f"b{broker}", 5) for broker in view.everyone]
    return [
        Heading("PARTITION"),
        *brokers,
        Heading("LEADER", 7),
        Heading("EPOCH", 6),
        Heading("ISR", 11, drop=3),
        Heading("MIN", 3, drop=4),
        Heading("LAG", 13, drop=2),
        Heading("STATE", least=13, most=16),
    ]


def state_of(partition: Partition, gauges: Gauges) -> str:
    """One word, the worst that is true."""
    if partition.leader == NO_LEADER:
        return "offline"
    if gauges.min_isr is not None and under_min_isr(partition, gauges.min_isr):
        return "under min"
    if partition.under_replicated:
        return "URP"
    return "ok" if partition.preferred_leads else "not preferred"


@dataclass(frozen=True)
class Folding:
    """Which topics take one row: those with many partitions to show, and Kafka's own, since one means the others.

    ``by_topic``: every topic does. ``opened``: these are the other way round, by hand.
    """

    by_topic: bool = False
    opened: frozenset[str] = frozenset()

    def folds(self, topic: str, shown: int, *, internal: bool) -> bool:
        return shown > 1 and (self.by_topic or shown > FOLDED or internal) != (topic in self.opened)


class Matrix:
    """The rows over time. Made anew only where their order may be another; drawn, they say what is so by then."""

    def __init__(self) -> None:
        self.trends = Trends()
        self.view: View
        self.gauges: Gauges
        self.history: History
        self.now = 0
        self._order: object = None
        self._rows: list[Row] = []

    def rows(
        self,
        view: View,
        gauges: Gauges,
        history: History,
        now: int,
        *,
        affected: bool = False,
        folding: Folding = Folding(),
    ) -> list[Row]:
        """Every partition, or those that are not whole or changed just now; worst first, then by name."""
        self.view, self.gauges, self.history, self.now = view, gauges, history, now
        if gauges.ends_at != self.trends.at:
            self.trends.add(gauges.ends_at, lag_values(view, gauges))
        touched = _touched(history, now) if affected else None
        order = (view.partitions, gauges.min_isr, affected, folding, touched)
        if order != self._order:
            self._order, self._rows = order, self._arranged(touched, folding)
        return self._rows

    def _arranged(self, touched: set[str] | None, folding: Folding) -> list[Row]:
        internal = {topic.name for topic in self.view.topics if topic.internal}
        shown: dict[str, list[tuple[str, Partition]]] = {}
        for name, partition in self.view.partitions.items():
            state = state_of(partition, self.gauges)
            if touched is None or state != "ok" or name in touched:
                shown.setdefault(partition.topic, []).append((state, partition))
        # Ten thousand rows are not sorted: topics are, and what is worse goes into an earlier pile.
        piles: dict[tuple[int, bool], list[Row]] = {}
        for topic in sorted(shown, key=natural):
            parts, later = sorted(shown[topic], key=_index), topic in internal
            if folding.folds(topic, len(parts), internal=later):
                worst = min((state for state, _ in parts), key=SEVERITY.__getitem__)
                piles.setdefault((SEVERITY[worst], later), []).append(self._summary(topic, parts, worst))
                continue
            for state, one in parts:
                row = Row(
                    one.name,
                    partial(self._cells, one, state),
                    partial(self._sort_value, one, state),
                    text=f"{one.name} {state}",
                )
                piles.setdefault((SEVERITY[state], later), []).append(row)
        return [row for rank in sorted(piles) for row in piles[rank]]

    # a topic

    def _summary(self, topic: str, parts: list[tuple[str, Partition]], worst: str) -> Row:
        return Row(
            f"{topic} ▸",
            partial(self._summed, topic, parts, worst),
            lambda column: natural(topic) if column == 0 else SEVERITY[worst],
            text=f"{topic} {worst}",
        )

    def _summed(self, topic: str, parts: list[tuple[str, Partition]], worst: str) -> Cells:
        """Of each broker the worst letter and how often, else how many partitions it leads."""
        view, partitions = self.view, [one for _, one in parts]
        count_of_worst = sum(state == worst for state, _ in parts)
        held = sum(len(one.isr) for one in partitions)
        replicas = sum(len(one.replicas) for one in partitions)
        behind = max((values[-1] for one in partitions if (values := self.trends.of(one.name))), default=None)
        floor = (self.gauges.min_isr or {}).get(topic)
        return (
            Text.assemble((f"{topic} ", "bold"), (f"▸{len(parts)}", "dim")),
            *(_letters(partitions, broker, view.present) for broker in view.everyone),
            Text(f"by {len({one.leader for one in partitions if one.leader >= 0})}", "dim"),
            Text(f"≤{max(one.leader_epoch for one in partitions)}", "dim"),
            f"{held}/{replicas}",
            UNAVAILABLE if floor is None else str(floor),
            UNAVAILABLE if behind is None else f"≤{count(behind)}",
            Text(worst if worst == "ok" else f"{worst} {count_of_worst}", _STATES[worst]),
        )

    # a partition

    def _sort_value(self, partition: Partition, state: str, column: int) -> object:
        """What each column is sorted by."""
        brokers = self.view.everyone
        if column == 0:
            return f"{natural(partition.topic)}-{partition.index:012}"
        if column <= len(brokers):
            return letter(partition, brokers[column - 1], self.view.present)
        match column - len(brokers):
            case 1:
                return partition.leader
            case 2:
                return partition.leader_epoch
            case 3:
                return len(partition.isr)
            case 4:
                return (self.gauges.min_isr or {}).get(partition.topic, -1)
            case 5:
                return next(reversed(self.trends.of(partition.name)), -1)
        return SEVERITY[state]

    def _cells(self, partition: Partition, state: str) -> Cells:
        name, gauges, history, now = partition.name, self.gauges, self.history, self.now
        floor = LOADING if gauges.min_isr is None else gauges.min_isr.get(partition.topic)
        return (
            name,
            *(_letter(self.view, history, now, partition, broker) for broker in self.view.everyone),
            _leader(history, now, partition),
            _fresh(str(partition.leader_epoch), history.was(name, "epoch", now)),
            _fresh(ids(partition.isr), history.was(name, "isr", now), show_old=False),
            UNAVAILABLE if floor is None else str(floor),
            _lag(gauges, self.trends, partition),
            Text(state, _STATES[state]),
        )


def _index(one: tuple[str, Partition]) -> int:
    return one[1].index


def _touched(history: History, now: int) -> set[str]:
    """Partitions of which something changed just now."""
    return {name for name, column in history.changed if column in ("isr", "leader") and history.was(name, column, now)}


def _letters(partitions: list[Partition], broker: int, present: frozenset[int]) -> Text:
    counted = Counter(letter(one, broker, present)[0] for one in partitions)
    first = next((one for one in ("x", "o", "L", "F") if counted[one]), "·")
    return Text(f"{first}{counted[first] if first != '·' else ''}", _LETTERS[first])


def lag_values(view: View, gauges: Gauges) -> dict[str, float]:
    """The lag of the slowest follower that told its end, by partition."""
    found: dict[str, float] = {}
    for name, ends in (gauges.ends or {}).items():
        partition = view.partitions.get(name)
        behind = lags(partition, ends) if partition else None
        if behind:
            found[name] = max(behind.values())
    return found


@lru_cache(maxsize=65536)
def natural(name: str) -> str:
    """So that orders-2 comes before orders-10."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), name)


def _letter(view: View, history: History, now: int, partition: Partition, broker: int) -> Text:
    is_now = letter(partition, broker, view.present)
    text = Text(is_now, _LETTERS[is_now[0]])
    was = history.was(partition.name, f"b{broker}", now)
    if was is None or was == is_now:
        return text
    return Text.assemble((f"{was.rstrip('*')}→", CHANGED), (is_now, f"{_LETTERS[is_now[0]]} {CHANGED}"))


def _leader(history: History, now: int, partition: Partition) -> Text:
    """``1 ←2``: broker 1 leads, before it broker 2 did."""
    text = Text("none", "bold red") if partition.leader == NO_LEADER else Text(str(partition.leader))
    before = history.led_before.get(partition.name)
    if before is not None and before >= 0:
        text.append(f" ←{before}", "dim")
    if history.was(partition.name, "leader", now) is not None:
        text.stylize(CHANGED)
    return text


def _fresh(value: str, was: str | None, *, show_old: bool = True) -> Text:
    if was is None or was == value:
        return Text(value)
    return Text(f"{was}→{value}" if show_old else value, CHANGED)


def _lag(gauges: Gauges, trends: Trends, partition: Partition) -> Text:
    """Records that the slowest follower is behind; ``2:—`` names a follower that did not tell."""
    if gauges.ends is None:
        return Text(LOADING, "dim")
    ends = gauges.ends.get(partition.name, {})
    behind = lags(partition, ends)
    if behind is None:
        return Text(UNAVAILABLE, "dim")
    missing = [broker for broker in partition.replicas if broker not in ends]
    if not behind:
        text = Text(UNAVAILABLE if missing else "0", "dim")
    else:
        worst = max(behind.values())
        text = Text(count(worst), "yellow" if worst else "dim")
        if worst or any(trends.of(partition.name)):
            text.append(f" {spark(trends.of(partition.name), 5)}")
    if missing:
        text.append(" " + ",".join(f"{broker}:{UNAVAILABLE}" for broker in missing), "dim")
    return text
