"""A recorded session in place of a cluster: the same screens, on the recording's own clock.

It can be paused, hastened, and moved to any moment; nothing is asked of anybody, and nothing can be changed.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from kops.cluster.drills import Moment, Report
from kops.cluster.metadata import Broker
from kops.cluster.probe import Comparison
from kops.cluster.recording import Line, brokers_of, snapshot_of, unpacked
from kops.cluster.records import Record
from kops.contexts import Context
from kops.errors import Refused
from kops.session import Session
from tui.feed import Feed
from tui.history import Event, History
from tui.rates import Rates
from tui.snapshots import Condition, Gauges, Partitions, Process, View

T = TypeVar("T")
P = ParamSpec("P")
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)
STEP_SECONDS = 0.05


class ReplayFeed(Feed):
    """Plays ``lines``. ``position`` is in milliseconds since the first of them."""

    def __init__(self, lines: Sequence[Line], path: str) -> None:
        name = str(lines[0].fields.get("name", ""))
        super().__init__(Context(f"{name}, replay of {os.path.basename(path)}", read_only=True))
        self.lines = lines
        self.speed = 1.0
        self.watching = "from the recording"
        self.position = 0.0
        self._next = 0

    lives = False

    @property
    def length(self) -> int:
        return self.lines[-1].at - self.lines[0].at

    @property
    def condition(self) -> Condition:
        if self.paused:
            return Condition.PAUSED
        return Condition.ENDED if self.position >= self.length else Condition.REPLAY

    @property
    def age_ms(self) -> float:
        return 0.0

    @property
    def source(self) -> str:
        return self.watching

    @property
    def pace(self) -> str:
        return f"{self.position / 1000:.1f} of {self.length / 1000:.1f}s  x{self.speed:g}"

    def wall(self) -> int:
        return self.lines[0].at + int(self.position)

    def hasten(self, by: int) -> None:
        at = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, at))]
        self.changed()

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(self._play())]

    def refresh(self) -> None:
        """From the beginning."""
        self.seek(0)

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.changed()

    def seek(self, position: float) -> None:
        """To another moment: what happened before it is told anew."""
        self.history, self.gauges, self.rates = History(), Gauges(), Rates()
        self.view, self.report, self._next = None, None, 0
        self.position = max(0.0, min(position, float(self.length)))
        self._catch_up()
        self.changed()

    async def _play(self) -> None:
        last = time.monotonic()
        while True:
            self._catch_up()
            self.changed()
            await asyncio.sleep(STEP_SECONDS)
            now = time.monotonic()
            if not self.paused:
                self.position = min(self.position + (now - last) * 1000 * self.speed, float(self.length))
            last = now

    def _catch_up(self) -> None:
        while self._next < len(self.lines) and self.lines[self._next].at <= self.wall():
            self._apply_line(self.lines[self._next])
            self._next += 1

    def _apply_line(self, line: Line) -> None:
        fields = line.fields
        match line.kind:
            case "ends":
                # JSON has words for keys.
                moved = {
                    name: {int(broker): end for broker, end in ends.items()} for name, ends in fields["ends"].items()
                }
                ends = {**(self.gauges.ends or {}), **moved}
                self.gauges = replace(self.gauges, ends=ends, ends_at=line.at, silent=tuple(fields["silent"]))
                if self.view is not None:
                    parts = self.view.partitions
                    heads = {
                        name: of[parts[name].leader]
                        for name, of in ends.items()
                        if name in parts and parts[name].leader in of
                    }
                    self.rates.add(line.at, heads)
            case "floors":
                self.gauges = replace(self.gauges, min_isr=fields["floors"])
            case "event":
                self.history.note(Event(line.at, *fields["event"]))
            case "report":
                self.report = report_of(fields["report"])
            case _:
                view = self._view_of(line)
                if view is not None:
                    self.view = view
                    self.history.observe(view)

    def _view_of(self, line: Line) -> View | None:
        """The picture after this line; None for one that changes nothing of it."""
        fields, before = line.fields, self.view
        resolution = int(fields.get("resolutionMs", 0))
        if line.kind == "cluster":
            seen = snapshot_of(fields)
            return View(
                at=line.at,
                cluster_id=seen.cluster_id,
                controller=seen.controller,
                brokers=seen.brokers,
                topics=seen.topics,
                partitions=Partitions.of(seen.partitions),
                resolution_ms=resolution,
                pushed=not resolution,
                processes=before.processes if before else {},
            )
        if before is None:
            return None
        now = replace(before, at=line.at, resolution_ms=resolution)
        match line.kind:
            case "partition":
                one = unpacked(fields["partition"], before.partitions)
                return replace(now, partitions=before.partitions.but([one]))
            case "brokers":
                return replace(now, brokers=self._registered_of(fields, before))
            case "controller":
                return replace(now, controller=fields["id"])
            case "processes":
                found = {int(broker): Process(**one) for broker, one in fields["processes"].items()}
                return replace(now, processes=found)
        return None

    def _registered_of(self, fields: Mapping[str, Any], before: View) -> tuple[Broker, ...]:
        """Rows from the dashboard, numbers from watches."""
        if "brokers" in fields:
            found = brokers_of(fields["brokers"])
        else:
            found = tuple(self._hosts.get(broker, Broker(broker, "?", -1)) for broker in fields["ids"])
        self._hosts |= {one.id: one for one in (*before.brokers, *found) if one.port >= 0}
        return tuple(self._hosts.get(one.id, one) for one in found)

    async def ask(self, question: Callable[Concatenate[Session, P], T], *given: P.args, **named: P.kwargs) -> T:
        raise Refused("a replay asks nobody: this was not recorded")

    async def tail(self, topic: str, *, from_start: bool = False) -> AsyncIterator[list[Record]]:
        raise Refused("a replay asks nobody: records are not recorded")
        yield []


def report_of(fields: Mapping[str, Any]) -> Report:
    """JSON has lists for tuples."""
    compared: dict[str, Any] = {name: _tupled(one) for name, one in fields["comparison"].items()}
    kept: dict[str, Any] = {name: _tupled(one) for name, one in fields.items()}
    kept["comparison"] = Comparison(**compared)
    kept["timeline"] = tuple(Moment(**one) for one in fields["timeline"])
    return Report(**kept)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
