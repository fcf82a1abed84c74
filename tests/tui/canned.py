"""A feed that asks nobody: views and answers are given, and time stands where a test puts it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from kops.cluster.drills import Report
from kops.cluster.metadata import Broker, Partition, Topic
from kops.cluster.probe import Comparison
from kops.cluster.recording import Recording
from kops.cluster.records import Record
from kops.contexts import Context
from kops.errors import KopsError, Refused
from kops.local.processes import RUNNING
from kops.local.state import Server
from tui.feed import Feed
from tui.history import Event
from tui.recorder import Recorder
from tui.snapshots import Gauges, Partitions, Process, View

NOON = 1_750_000_000_000
"""Wall milliseconds at which every test begins."""

ENDS = {
    "orders-0": {1: 100, 2: 100, 3: 100},
    "orders-1": {1: 250, 2: 250, 3: 238},
    "orders-2": {1: 70, 2: 70, 3: 70},
    "audit-0": {1: 7, 3: 7},
}


def partition(name: str, leader: int, epoch: int, replicas: tuple[int, ...], isr: tuple[int, ...]) -> Partition:
    topic, _, index = name.rpartition("-")
    return Partition(topic, int(index), leader, epoch, replicas, isr)


WHOLE = (
    partition("audit-0", 1, 0, (1, 3), (1, 3)),
    partition("orders-0", 1, 0, (1, 2, 3), (1, 2, 3)),
    partition("orders-1", 2, 3, (2, 3, 1), (1, 2, 3)),
    partition("orders-2", 3, 1, (3, 1, 2), (1, 2, 3)),
)
WITHOUT_TWO = (
    partition("audit-0", 1, 0, (1, 3), (1, 3)),
    partition("orders-0", 1, 1, (1, 2, 3), (1, 3)),
    partition("orders-1", 3, 4, (2, 3, 1), (1, 3)),
    partition("orders-2", 3, 2, (3, 1, 2), (1, 3)),
)


def view(
    partitions: tuple[Partition, ...] = WHOLE,
    brokers: tuple[int, ...] = (1, 2, 3),
    *,
    at: int = NOON,
    controller: int = 1,
    pushed: bool = True,
    stopped: tuple[int, ...] = (),
    local: bool = True,
) -> View:
    topics: dict[str, list[Partition]] = {}
    for one in partitions:
        topics.setdefault(one.topic, []).append(one)
    processes = {
        broker: Process("stopped" if broker in stopped else RUNNING, 4000 + broker, NOON / 1000 - 600, 40 << 20)
        for broker in (1, 2, 3)
    }
    return View(
        at=at,
        cluster_id="7f3aClusterId",
        controller=controller,
        brokers=tuple(Broker(broker, "127.0.0.1", 9091 + broker) for broker in brokers),
        topics=tuple(Topic(name, None, False, tuple(parts)) for name, parts in sorted(topics.items())),
        partitions=Partitions.of(partitions),
        resolution_ms=0 if pushed else 1000,
        pushed=pushed,
        processes=processes if local else {},
    )


class CannedFeed(Feed):
    """``show`` puts a view before the dashboard; ``answers`` by the name of the question, ``done`` what was acted."""

    def __init__(self, context: Context | None = None) -> None:
        super().__init__(context or Context("dev", "127.0.0.1:9092", "127.0.0.1:2181", cluster="dev"))
        self.clock = 1000.0
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, tuple[object, ...]]] = []
        self.done: list[tuple[str, int]] = []
        self.watching = "pushed"
        self.records: list[list[Record]] = []

    def start(self) -> None:
        """Nothing is asked."""

    def now(self) -> float:
        return self.clock

    def wall(self) -> int:
        return NOON + int((self.clock - 1000) * 1000)

    def later(self, seconds: float) -> None:
        self.clock += seconds

    def show(self, seen: View) -> None:
        self.reason = ""
        self.gauges = replace(self.gauges, min_isr={"orders": 2, "audit": 1}, ends=ENDS, ends_at=self.wall())
        self._publish(replace(seen, at=self.wall()))

    def measured(self, gauges: Gauges) -> None:
        self.gauges = gauges
        self.changed()

    def fail(self, reason: str) -> None:
        self._look_failed(KopsError(reason))

    def servers(self) -> list[Server]:
        return [
            Server("broker", f"/c/server-{i}.properties", f"127.0.0.1:{9091 + i}", "", i, 4000 + i) for i in (1, 2, 3)
        ]

    async def ask(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self.asked.append((question.__name__, given))
        if question.__name__ == "<lambda>":
            return question(None, *given, **named)
        answer = self.answers[question.__name__]
        if isinstance(answer, KopsError):
            raise answer
        return answer

    async def act(self, verb: str, server: Server) -> str:
        if self.context.read_only:
            raise Refused("read-only")
        self.done.append((verb, server.id))
        return f"{verb} {server.name}: done"

    async def tail(self, topic: str, *, from_start: bool = False) -> AsyncIterator[list[Record]]:
        for batch in self.records:
            yield batch


REPORT = Report(
    action="kill",
    broker=2,
    topic="kops-drill",
    partition=0,
    acks="all",
    timeline=(),
    sent=1100,
    acknowledged=1100,
    errors={"KafkaConnection": 3},
    write_gap_ms=131.4,
    slowest_usual_ms=38.0,
    leader_ms=118.0,
    isr_ms=118.0,
    whole_ms=2900.0,
    comparison=Comparison(1100, (), (), (), 0),
    read_gap_ms=139.7,
)


def failover(path: Path) -> CannedFeed:
    """Two seconds of peace, a kill, 118 ms until somebody else leads, 3.2 s until the session is over."""
    feed = CannedFeed()
    with Recording(str(path), NOON, "dev") as written:
        feed.recorder = Recorder(written)
        feed.show(view())
        feed._measured(feed.gauges)
        feed.later(2)
        feed._note(Event(feed.wall(), "trigger", "broker 2", "kill (by you)"))
        feed.show(view(stopped=(2,)))
        feed.later(0.118)
        feed.show(view(WITHOUT_TWO, stopped=(2,), controller=3))
        feed.later(3.2)
        feed.show(view(WITHOUT_TWO, (1, 3), stopped=(2,), controller=3))
        feed.recorder.report(feed.wall(), REPORT)
    return feed
