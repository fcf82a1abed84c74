"""What happened, from one view to the next: events with their times, who led before, which cells changed just now.

Pure: views go in, events come out. Times are wall milliseconds; ``resolution_ms`` says how late a polled one may be.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from kops.cluster.metadata import Partition
from tui.snapshots import Process, View

HIGHLIGHT_MS = 4000
QUIET_MS = 30_000
PROCESSES_MS = 250
"""How often the processes of this machine are looked at."""
KEPT = 5000
TOGETHER_MS = 250


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. ``kind``: broker, controller, leader, epoch, isr, topic, process, trigger, drill."""

    at: int
    kind: str
    subject: str
    text: str
    resolution_ms: int = 0

    def as_dict(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Changed:
    """A cell that showed ``old`` until ``at``."""

    at: int
    old: str


class History:
    """The memory of the dashboard: the last ``KEPT`` events, and the counters since it started."""

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.seen = 0
        """Events since the start, those that are not kept any more among them."""
        self.led_before: dict[str, int] = {}
        self.changed: dict[tuple[str, str], Changed] = {}
        self.isr_changes = 0
        self.leader_changes = 0
        self.trigger: Event | None = None
        self.gone_since: dict[int, int] = {}
        self._last: View | None = None

    def note(self, event: Event) -> None:
        """Something that was done here. A trigger starts the clock of the timeline."""
        if event.kind == "trigger":
            self.trigger = event
        self._remember([event])

    def observe(self, view: View, times: Mapping[str, int] | None = None) -> list[Event]:
        """What is different from the view before; the first view tells nothing. ``times``: of partitions, if known."""
        before, self._last = self._last, view
        if before is None:
            self.gone_since = dict.fromkeys(set(view.everyone) - view.alive, view.at)
            return []
        if len(self.changed) > 1000:
            self.changed = {key: one for key, one in self.changed.items() if view.at - one.at < HIGHLIGHT_MS}
        found = [*self._brokers(before, view), *self._processes(before.processes, view)]
        if before.controller != view.controller:
            text = f"{_broker(before.controller)} → {_broker(view.controller)}"
            found.append(self._event(view, "controller", "controller", text))
        found += self._partitions(before.partitions, view, times or {})
        found.sort(key=lambda event: event.at)
        self._start_clock(found)
        self._remember(found)
        return found

    def _remember(self, events: list[Event]) -> None:
        self.events.extend(events)
        self.seen += len(events)

    def _start_clock(self, found: list[Event]) -> None:
        """Nobody here did it: the clock starts with the first loss that was seen after a time of quiet."""
        losses = [event for event in found if event.kind in ("broker", "process", "controller")]
        if losses and (self.trigger is None or losses[0].at - self.trigger.at > QUIET_MS):
            self.trigger = losses[0]

    def timeline(self, limit: int) -> list[Event]:
        """The last events since the trigger, the trigger itself first; without one, the last events."""
        if self.trigger is None:
            return condensed(self.events)[-limit:]
        since = [event for event in self.events if event.at >= self.trigger.at and event is not self.trigger]
        return [self.trigger, *condensed(since)[-(limit - 1) :]] if limit > 1 else [self.trigger]

    def is_fresh(self, now: int) -> bool:
        """Whether a cell is highlighted, or was until just now."""
        last = self.events[-1].at if self.events else 0
        return now - last < HIGHLIGHT_MS + 1000

    def was(self, name: str, column: str, now: int) -> str | None:
        """What a cell showed before, while its change is fresh."""
        changed = self.changed.get((name, column))
        return changed.old if changed and now - changed.at < HIGHLIGHT_MS else None

    def _mark(self, name: str, column: str, at: int, old: str) -> None:
        """A cell that changes again while it is fresh goes on showing what it was at first."""
        self.changed[name, column] = Changed(at, self.was(name, column, at) or old)

    def _event(self, view: View, kind: str, subject: str, text: str) -> Event:
        return Event(view.at, kind, subject, text, view.resolution_ms)

    def _brokers(self, before: View, view: View) -> Iterable[Event]:
        for broker in sorted(before.present ^ view.present):
            self._mark_broker(view, broker, before)
        for broker in sorted(before.alive - view.alive):
            self.gone_since.setdefault(broker, view.at)
            yield self._event(view, "broker", f"broker {broker}", "left the cluster (not registered any more)")
        for broker in sorted(view.alive - before.alive):
            was = self.gone_since.pop(broker, None)
            away = f" after {(view.at - was) / 1000:.1f} s" if was is not None else ""
            yield self._event(view, "broker", f"broker {broker}", f"registered{away}")

    def _mark_broker(self, view: View, broker: int, before: View) -> None:
        for name, partition in view.partitions.items():
            old = before.partitions.get(name)
            if old is not None and broker in partition.replicas:
                self._mark(name, f"b{broker}", view.at, letter(old, broker, before.present))

    def _processes(self, before: Mapping[int, Process], view: View) -> Iterable[Event]:
        for broker, process in sorted(view.processes.items()):
            old = before.get(broker)
            if old is not None and old.state != process.state:
                text = f"process {old.state} → {process.state}"
                yield Event(view.at, "process", f"broker {broker}", text, PROCESSES_MS)

    def _partitions(self, before: Mapping[str, Partition], view: View, times: Mapping[str, int]) -> list[Event]:
        found: list[Event] = []
        if before is view.partitions:
            return found
        for name, new in view.partitions.items():
            old = before.get(name)
            if old is None:
                found.append(
                    self._event(view, "topic", name, f"created: leader {_broker(new.leader)}, ISR {ids(new.isr)}")
                )
            elif old is not new and old != new:
                found += self._partition(old, new, replace(view, at=times[name]) if name in times else view)
        for name in before.keys() - view.partitions.keys():
            found.append(self._event(view, "topic", name, "deleted"))
        return found

    def _partition(self, old: Partition, new: Partition, view: View) -> Iterable[Event]:
        name = new.name
        for broker in new.replicas:
            was = letter(old, broker, view.present)
            if was != letter(new, broker, view.present):
                self._mark(name, f"b{broker}", view.at, was)
        if old.leader != new.leader:
            self.leader_changes += 1
            self.led_before[name] = old.leader if old.leader >= 0 else self.led_before.get(name, -1)
            self._mark(name, "leader", view.at, str(old.leader))
            text = (
                f"leader {_broker(old.leader)} → {_broker(new.leader)} (epoch {old.leader_epoch} → {new.leader_epoch})"
            )
            yield self._event(view, "leader", name, text)
        elif old.leader_epoch != new.leader_epoch:
            yield self._event(view, "epoch", name, f"leader epoch {old.leader_epoch} → {new.leader_epoch}")
        if old.leader_epoch != new.leader_epoch:
            self._mark(name, "epoch", view.at, str(old.leader_epoch))
        if set(old.isr) != set(new.isr):
            self.isr_changes += 1
            self._mark(name, "isr", view.at, ids(old.isr))
            yield self._event(view, "isr", name, f"ISR {ids(old.isr)} → {ids(new.isr)}")


def condensed(events: Iterable[Event]) -> list[Event]:
    """In the order of their times; what happened to several partitions at once in one line."""
    found: list[tuple[Event, set[str]]] = []
    for event in sorted(events, key=lambda one: one.at):
        joined = next((one for one in found[-4:] if _belongs(event, *one)), None)
        if joined is None:
            found.append((event, {event.subject}))
        else:
            joined[1].add(event.subject)
    return [
        event if len(subjects) == 1 else replace(event, subject=f"{event.subject} and {len(subjects) - 1} more")
        for event, subjects in found
    ]


def _belongs(event: Event, first: Event, subjects: set[str]) -> bool:
    """Whether it is the same kind of thing, at the same time, in another partition."""
    alike = event.kind == first.kind and event.kind in ("leader", "epoch", "isr", "topic")
    return alike and event.at - first.at <= TOGETHER_MS and event.subject not in subjects


def letter(partition: Partition, broker: int, present: frozenset[int]) -> str:
    """One replica in a letter: L leads, F follows in sync, o out of sync, x away; * behind it: the preferred leader."""
    if broker not in partition.replicas:
        return "·"
    if broker not in present or broker in partition.offline:
        state = "x"
    elif partition.leader == broker:
        state = "L"
    else:
        state = "F" if broker in partition.isr else "o"
    return state + ("*" if partition.replicas[0] == broker else "")


def clock(milliseconds: int) -> str:
    """Local time of day with milliseconds."""
    moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    return moment.strftime("%H:%M:%S.") + f"{milliseconds % 1000:03d}"


def ids(values: Iterable[int]) -> str:
    return ",".join(str(value) for value in sorted(values)) or "none"


def _broker(broker: int) -> str:
    return str(broker) if broker >= 0 else "none"
