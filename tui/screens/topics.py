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
from tui.snapshots import LOADING, UNAVAILABLE, View, count, size
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
            grid.show(HEADINGS, [Row.late(one.name, partial(self._work_out, view, one)) for one in topics])

    def _work_out(self, view: View, topic: Topic) -> tuple[Cells, tuple[object, ...]]:
        """Cells, and what they are sorted by."""
        gauges, names = self.feed.gauges, [one.name for one in topic.partitions]
        behind = sum(view.partitions[name].under_replicated for name in names if name in view.partitions)
        heads = [_head(view.partitions.get(name), gauges.ends) for name in names]
        known = [head for head in heads if head is not None]
        complete = len(known) == len(heads)
        end = LOADING if gauges.ends is None else count(sum(known)) if complete else UNAVAILABLE
        rate = self.feed.rates.rate(names)
        held = None if gauges.sizes is None else _held(gauges.sizes, names)
        cells = (
            topic.name,
            str(len(topic.partitions)),
            str(topic.replication_factor),
            Text(str(behind), "bold yellow" if behind else ""),
            end,
            LOADING if gauges.ends is None else UNAVAILABLE if rate is None else count(rate),
            LOADING if gauges.sizes is None else UNAVAILABLE if held is None else size(held),
            "yes" if topic.internal else "",
        )
        numbers = (sum(known) if complete else -1, -1.0 if rate is None else rate, -1 if held is None else held)
        return cells, (natural(topic.name), len(names), topic.replication_factor, behind, *numbers, topic.internal)

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


def _head(partition: Partition | None, ends: Mapping[str, Mapping[int, int]] | None) -> int | None:
    """The leader's log end."""
    return None if partition is None or ends is None else ends.get(partition.name, {}).get(partition.leader)


def _held(sizes: Mapping[int, Mapping[str, int] | None], names: list[str]) -> int | None:
    """Bytes over all replicas; None while a broker that may hold some did not tell."""
    if any(one is None for one in sizes.values()):
        return None
    return sum(one.get(name, 0) for one in sizes.values() if one is not None for name in names)
