"""The topics, and behind each its partitions and settings."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.timer import Timer

from kops.cluster.metadata import Partition, Topic
from kops.cluster.partitions import Offsets
from kops.errors import KopsError
from tui import deeds, questions
from tui.history import ids
from tui.matrix import SEVERITY, natural, state_of
from tui.screens.deeds_menu import Deeds
from tui.screens.groups import GroupsScreen
from tui.snapshots import LOADING, UNAVAILABLE, Gauges, View, count, size
from tui.widgets.grid import Cells, Grid, Heading, Row

HEADINGS = (
    Heading("TOPIC"),
    Heading("PARTITIONS", 11, right=True),
    Heading("REPLICAS", 8, right=True),
    Heading("URP", 5, right=True),
    Heading("WRITTEN", 9, right=True),
    Heading("WRITTEN/S", 10, right=True),
    Heading("LOG-SIZE", 10, right=True, drop=2),
    Heading("INTERNAL", 8, drop=3),
)
PARTITION_HEADINGS = (
    Heading("PARTITION", 10, right=True),
    Heading("LEADER", 7, right=True),
    Heading("EPOCH", 6, right=True),
    Heading("REPLICAS", 12),
    Heading("ISR", 12),
    Heading("FIRST", 10, right=True, drop=2),
    Heading("NEXT", 10, right=True),
    Heading("WRITTEN/S", 10, right=True, drop=3),
    Heading("STATE"),
)


class TopicsScreen(Deeds):
    heading: ClassVar[str] = "topics"
    needs: ClassVar[tuple[str, ...]] = ("sizes",)
    BINDINGS = [
        Binding("t", "tail", "records"),
        Binding("i", "isr", "isr"),
        Binding("ctrl+d", "delete", "delete"),
    ]

    def body(self) -> ComposeResult:
        yield Grid(marks=True)

    def paint(self) -> None:
        view, grid = self.feed.view, self.query_one(Grid)
        grid.empty = lambda: f"asking for the topics {LOADING}" if view is None else "there are no topics yet"
        if view is not None:
            topics = sorted(view.topics, key=lambda one: one.internal)
            grid.show(
                HEADINGS,
                [
                    Row(
                        one.name,
                        partial(self._cells, view, one),
                        partial(self._sort_value, view, one),
                        text=f"{one.name} {'yes' if one.internal else ''}",
                    )
                    for one in topics
                ],
            )

    def _cells(self, view: View, topic: Topic) -> Cells:
        gauges, behind = self.feed.gauges, _behind(view, topic)
        written, rate, held = _written(view, topic, gauges), self._rate(topic), _held(topic, gauges)
        return (
            topic.name,
            str(len(topic.partitions)),
            str(topic.replication_factor),
            Text(str(behind), "bold yellow" if behind else ""),
            LOADING if gauges.ends is None else UNAVAILABLE if written is None else count(written),
            LOADING if gauges.ends is None else UNAVAILABLE if rate is None else count(rate),
            LOADING if gauges.sizes is None else UNAVAILABLE if held is None else size(held),
            "yes" if topic.internal else "",
        )

    def _sort_value(self, view: View, topic: Topic, column: int) -> object:
        """Only what is sorted by: to work out all columns of a thousand topics takes longer than a key may."""
        number: float | None
        match column:
            case 0:
                return natural(topic.name)
            case 1:
                return len(topic.partitions)
            case 2:
                return topic.replication_factor
            case 3:
                return _behind(view, topic)
            case 4:
                number = _written(view, topic, self.feed.gauges)
            case 5:
                number = self._rate(topic)
            case 6:
                number = _held(topic, self.feed.gauges)
            case _:
                return topic.internal
        return -1 if number is None else number

    def _rate(self, topic: Topic) -> float | None:
        return self.feed.rates.rate([one.name for one in topic.partitions])

    @on(Grid.Chosen)
    def _chosen(self, event: Grid.Chosen) -> None:
        self.kops.open(TopicScreen(event.key))

    def action_tail(self) -> None:
        row = self.query_one(Grid).current
        if row is not None:
            self.kops.go("records", row.key, deeper=True)

    def action_isr(self) -> None:
        row = self.query_one(Grid).current
        if row is not None:
            self.kops.go("isr", row.key, deeper=True)

    def action_delete(self) -> None:
        """The marked topics, or the one under the cursor: the plan, and its name typed."""
        if names := self.chosen():
            self.carry_through("delete", deeds.delete_topics, names)


class TopicScreen(Deeds):
    """One topic: its partitions above, its settings below; tab goes from one to the other."""

    heading: ClassVar[str] = "topic"
    BINDINGS = [
        Binding("t", "tail", "records"),
        Binding("i", "isr", "isr"),
        Binding("o", "groups", "groups"),
        Binding("ctrl+d", "delete", "delete"),
    ]

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self.settings: list[questions.Setting] | None = None
        self.offsets: Mapping[str, Offsets] | None = None
        self.reason = ""
        self._timer: Timer | None = None

    def body(self) -> ComposeResult:
        yield Grid(id="partitions")
        yield Grid(id="settings")

    def on_mount(self) -> None:
        super().on_mount()
        self._ask_settings()
        self._ask_offsets()
        self._timer = self.set_interval(2.0, self._ask_offsets)

    def title_now(self) -> str:
        return f"topic {self.topic}"

    @property
    def partitions(self) -> list[Partition]:
        view = self.feed.view
        return [one for one in view.partitions.values() if one.topic == self.topic] if view else []

    @work(exclusive=True, group="settings")
    async def _ask_settings(self) -> None:
        try:
            self.settings = await self.feed.ask(questions.topic_settings, self.topic)
        except KopsError as error:
            self.reason = error.what
        self.repaint()

    @work(exclusive=True, group="offsets")
    async def _ask_offsets(self) -> None:
        if self.feed.paused or not self.is_current:
            return
        try:
            self.offsets = await self.feed.ask(questions.offsets, self.partitions)
        except KopsError as error:
            self.kops.say(f"offsets: {error.what}", bad=True)
        self.repaint()

    def paint(self) -> None:
        view = self.feed.view
        found = sorted(self.partitions, key=lambda one: one.index)
        upper, lower = self.query_one("#partitions", Grid), self.query_one("#settings", Grid)
        upper.empty = lambda: f"asking {LOADING}" if view is None else f"topic {self.topic} is not there any more"
        upper.show(PARTITION_HEADINGS, [self._row(one) for one in found])
        lower.empty = lambda: self.reason or f"asking {LOADING}"
        rows = [
            Row(name, (name, Text(value, "bold" if source == "topic" else ""), source))
            for name, value, source in self.settings or ()
        ]
        lower.show((Heading("SETTING", 40), Heading("VALUE", most=40), Heading("FROM", 16)), rows)

    def _row(self, one: Partition) -> Row:
        state = state_of(one, self.feed.gauges)
        offsets = self.offsets.get(one.name) if self.offsets is not None else None
        first, following = (
            (LOADING, LOADING)
            if self.offsets is None
            else (UNAVAILABLE, UNAVAILABLE)
            if offsets is None
            else (_number(offsets.earliest), _number(offsets.latest))
        )
        rate = self.feed.rates.rate([one.name])
        cells = (
            str(one.index),
            str(one.leader) if one.leader >= 0 else Text("none", "bold red"),
            str(one.leader_epoch),
            ",".join(str(replica) for replica in one.replicas),
            ids(one.isr),
            first,
            following,
            UNAVAILABLE if rate is None else count(rate),
            Text(state, "dim" if state == "ok" else "bold yellow"),
        )
        sorts = (one.index, one.leader, one.leader_epoch, *cells[3:7], rate or 0.0, SEVERITY[state])
        return Row(one.name, cells, sorts)

    def action_tail(self) -> None:
        self.kops.go("records", self.topic, deeper=True)

    def action_isr(self) -> None:
        self.kops.go("isr", self.topic, deeper=True)

    def action_groups(self) -> None:
        """The groups that have committed something for this topic."""
        self.kops.go("groups", deeper=True)
        shown = self.app.screen
        if isinstance(shown, GroupsScreen):
            shown.only_of(self.topic)

    def action_delete(self) -> None:
        self.carry_through("delete", deeds.delete_topics, [self.topic])


def _number(value: int | None) -> str:
    return UNAVAILABLE if value is None else str(value)


def _behind(view: View, topic: Topic) -> int:
    now = (view.partitions.get(one.name) for one in topic.partitions)
    return sum(one.under_replicated for one in now if one is not None)


def _written(view: View, topic: Topic, gauges: Gauges) -> int | None:
    """The ends of its leaders' logs; None where one is not known."""
    written = 0
    for one in topic.partitions:
        name = one.name
        now, ends = view.partitions.get(name), (gauges.ends or {}).get(name, {})
        if now is None or now.leader not in ends:
            return None
        written += ends[now.leader]
    return written


def _held(topic: Topic, gauges: Gauges) -> int | None:
    """Bytes over all replicas; None while a broker that may hold some did not tell."""
    if gauges.held is None:
        return None
    return sum(gauges.held.get(one.name, 0) for one in topic.partitions)
