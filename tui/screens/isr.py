"""The ISR screen: every partition against every broker, what changed just now, and the timeline since the trigger."""

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widgets import Static

from kops.local.processes import PAUSED, STOPPED
from tui import deeds
from tui.history import Event
from tui.matrix import Folding, Matrix, headings
from tui.screens.brokers_menu import BrokersMenu
from tui.screens.deeds_menu import Deeds
from tui.screens.drill_menu import DrillMenu
from tui.screens.topics import TopicScreen
from tui.snapshots import LOADING, UNAVAILABLE, View, age, health
from tui.widgets.grid import Grid
from tui.widgets.lines import Lines

MANY = 500
"""From so many partitions on only those that are affected are shown at first."""
LEGEND = "L leads  F in sync  o out  x away  * preferred"


class IsrScreen(BrokersMenu, DrillMenu, Deeds):
    heading: ClassVar[str] = "isr"
    BINDINGS = [
        Binding("b", "brokers_menu", "kill, pause…"),
        Binding("d", "drill", "drill"),
        Binding("a", "affected", "affected"),
        Binding("t", "fold", "by topic"),
        Binding("e", "elect", "let preferred leaders lead", show=False),
        Binding("c", "clear", "clear the timeline", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.affected: bool | None = None
        self.folding = Folding()
        self.matrix = Matrix()

    def body(self) -> ComposeResult:
        yield Lines(id="brokers")
        yield Lines(id="counters")
        yield Grid(id="matrix", marks=True)
        yield Lines(id="timeline")
        yield Static(id="probe")

    def paint(self) -> None:
        view, feed = self.feed.view, self.feed
        grid = self.query_one("#matrix", Grid)
        if view is None:
            grid.empty = lambda: f"asking for the partitions {LOADING}"
            return
        now = feed.wall()
        affected = self.affected if self.affected is not None else len(view.partitions) > MANY
        grid.empty = lambda: "every partition is whole" if view.partitions else "there are no topics yet"
        grid.show(
            headings(view),
            self.matrix.rows(view, feed.gauges, feed.history, now, affected=affected, folding=self.folding),
        )
        self.query_one("#brokers", Lines).put(self._brokers(view, now))
        self.query_one("#counters", Lines).put(self._counters(view, affected))
        self.query_one("#timeline", Lines).put(self._timeline())
        self.paint_probe(self.query_one("#probe", Static))

    def _brokers(self, view: View, now: int) -> Text:
        line = Text()
        for broker in view.everyone:
            process = view.processes.get(broker)
            if broker not in view.alive:
                since = self.feed.history.gone_since.get(broker)
                line.append(f"○ {broker} DOWN{f' {age(now - since)}' if since else ''}   ", "bold red")
            elif process is not None and process.state == PAUSED:
                line.append(f"◐ {broker} paused   ", "bold yellow")
            elif process is not None and process.state == STOPPED:
                line.append(f"◌ {broker} process ended, still registered   ", "bold yellow")
            else:
                up = f" up {age(now - process.started * 1000)}" if process is not None else " up"
                line.append(f"● {broker}{up}{' controller' if broker == view.controller else ''}   ")
        line.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        return line

    def _counters(self, view: View, affected: bool) -> Text:
        """What the header does not say."""
        history, found = self.feed.history, health(view, self.feed.gauges)
        line = Text(f"not preferred {found.not_preferred}")
        line.append(f"   seen: leader changes {history.leader_changes}   ISR changes {history.isr_changes}")
        if affected:
            line.append(f"   only affected of {len(view.partitions)} (a: all)", "bold")
        line.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        return line

    def _timeline(self) -> Text:
        room = max(2, self.query_one("#timeline").size.height)
        feed = self.feed
        trigger = feed.history.trigger
        title = Text.assemble(("timeline", "bold"), f" {feed.source}   ", (LEGEND, "dim"))
        title.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        events = feed.history.timeline(room - 1)
        if not events:
            return Text("\n").join(
                [title, Text(f"{UNAVAILABLE} nothing has changed since the dashboard was opened", "dim")]
            )
        return Text("\n").join([title, *(self._line(event, trigger) for event in events)])

    def _line(self, event: Event, trigger: Event | None) -> Text:
        since = event.at - trigger.at if trigger is not None else 0
        how = f" ±{event.resolution_ms}" if event.resolution_ms else ""
        line = Text(f"{f'+{since} ms{how}':>16}  ", "bold" if event is trigger else "")
        line.append(f"{event.subject} ", "bold")
        line.append(event.text)
        line.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        return line

    def action_affected(self) -> None:
        view = self.feed.view
        shown = self.affected if self.affected is not None else bool(view and len(view.partitions) > MANY)
        self.affected = not shown
        self.repaint()

    def action_fold(self) -> None:
        """Every topic in one row, and back."""
        self.folding = Folding(by_topic=not self.folding.by_topic)
        self.repaint()

    @on(Grid.Chosen)
    def _chosen(self, event: Grid.Chosen) -> None:
        """A topic's row opens into its partitions; a partition leads to its topic."""
        topic, folded, _ = event.key.partition(" ▸")
        if folded:
            self.folding = replace(self.folding, opened=self.folding.opened ^ {topic})
            self.repaint()
        elif self.feed.view and (one := self.feed.view.partitions.get(event.key)):
            self.kops.open(TopicScreen(one.topic))

    def action_elect(self) -> None:
        """The preferred leaders of the marked partitions, or of the one under the cursor."""
        view = self.feed.view
        keys = {key.removesuffix(" ▸") for key in self.chosen()}
        names = [name for name, one in (view.partitions if view else {}).items() if {name, one.topic} & keys]
        if names:
            self.carry_through("elect", deeds.elect, names)

    def action_clear(self) -> None:
        self.feed.history.trigger = None
        self.feed.history.events.clear()
        self.repaint()

    def drill_target(self) -> str:
        """The leader of the selected partition."""
        return next((str(broker) for broker in self.preferred_brokers()), "leader")

    def preferred_brokers(self) -> list[int]:
        """The leader of the selected partition first: it is what one wants to harm."""
        view, row = self.feed.view, self.query_one("#matrix", Grid).current
        partition = view.partitions.get(row.key) if view and row else None
        return [partition.leader] if partition and partition.leader >= 0 else []
