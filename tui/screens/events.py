"""The log of events: everything that changed since the dashboard was opened, the newest first."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding

from tui.history import clock
from tui.screens.base import KopsScreen
from tui.snapshots import UNAVAILABLE
from tui.widgets.grid import Grid, Heading, Row

HEADINGS = (
    Heading("TIME", 12),
    Heading("WHAT", 10, drop=1),
    Heading("SUBJECT", least=14, most=48),
    Heading("HAPPENED", least=34),
    Heading("EXACT TO", 8, right=True),
)


class EventsScreen(KopsScreen):
    heading: ClassVar[str] = "events"
    BINDINGS = [Binding("ctrl+e", "export", "export")]

    def body(self) -> ComposeResult:
        yield Grid()

    def paint(self) -> None:
        grid = self.query_one(Grid)
        grid.empty = lambda: f"{UNAVAILABLE} nothing has changed since the dashboard was opened"
        history = self.feed.history
        # Counted from the first one, so that a key stays with its event.
        rows = [
            Row(
                str(number),
                (
                    clock(event.at),
                    event.kind,
                    event.subject,
                    event.text,
                    f"±{event.resolution_ms} ms"
                    if event.resolution_ms
                    else "pushed"
                    if event.kind in PUSHED
                    else "here",
                ),
            )
            for number, event in enumerate(history.events, start=history.seen - len(history.events))
        ]
        grid.show(HEADINGS, rows[::-1])

    def action_export(self) -> None:
        """All events as NDJSON into the working directory."""
        self.kops.export("events", (event.as_dict() for event in self.feed.history.events))


PUSHED = ("broker", "controller", "leader", "epoch", "isr", "topic")
