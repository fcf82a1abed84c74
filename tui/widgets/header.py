"""The two lines above every screen: which cluster, how it is, how old the data is."""

from rich.text import Text

from tui.feed import Feed
from tui.snapshots import LOADING, UNAVAILABLE, Condition, View, age, health
from tui.widgets.lines import Lines

_COLOURS = {
    Condition.LIVE: "bold green",
    Condition.PAUSED: "bold yellow",
    Condition.STALE: "bold white on red",
    Condition.LOADING: "bold blue",
    Condition.REPLAY: "bold black on cyan",
    Condition.ENDED: "bold black on cyan",
}


LONG, SHORT = ("under-replicated", "under-min-ISR", "offline"), ("URP", "<min-ISR", "offline")


class Header(Lines):
    """Context, cluster, controller; counters; LIVE, PAUSED or STALE with the age of the data and the reason."""

    DEFAULT_CSS = "Header { height: 2; padding: 0 1; background: $panel; }"

    shown: tuple[Feed, str] | None = None

    def on_resize(self) -> None:
        """Its lines were cut to the width before, which is nothing when a screen is first put together."""
        if self.shown is not None:
            self.show(*self.shown)

    def show(self, feed: Feed, title: str) -> None:
        self.shown = (feed, title)
        self.put(Text("\n").join([self._first(feed, title), self._second(feed)]))

    def _first(self, feed: Feed, title: str) -> Text:
        context, view = feed.context, feed.view
        line = Text.assemble(("kops", "bold"), " · ", (title, "bold"), "   ", context.name)
        if context.read_only:
            line.append(" read-only", "yellow")
        if context.protected:
            line.append(" protected", "yellow")
        cluster = (view.cluster_id or UNAVAILABLE) if view else LOADING
        right = Text.assemble(f"{feed.pace}  ", *self._condition(feed))
        room = self.size.width - 2 - right.cell_len - 2
        line.append(f"   id {cluster}")
        line.truncate(max(10, room), overflow="ellipsis", pad=True)
        return line + Text("  ") + right

    def _condition(self, feed: Feed) -> list[tuple[str, str]]:
        condition = feed.condition
        old = f"{age(feed.age_ms)} ago " if feed.view and feed.lives else ""
        return [(old, "dim" if condition is Condition.LIVE else ""), (f" {condition.value} ", _COLOURS[condition])]

    def _second(self, feed: Feed) -> Text:
        view = feed.view
        if view is None:
            return Text(
                feed.reason or f"asking {feed.context.bootstrap_servers} {LOADING}", "red" if feed.reason else ""
            )
        line = self._counters(feed, view, LONG)
        told = feed.reason if feed.condition is not Condition.LIVE else ""
        if told or line.cell_len > max(10, self.size.width - 2):
            line = self._counters(feed, view, SHORT)
        if told:
            line.append(f"  {told}", "bold red")
        line.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        return line

    def _counters(self, feed: Feed, view: View, labels: tuple[str, ...]) -> Text:
        found = health(view, feed.gauges)
        nobody = view.controller < 0
        line = Text.assemble((f"controller {UNAVAILABLE if nobody else view.controller}", "bold red" if nobody else ""))
        line.append(
            f"  brokers {found.brokers}/{found.expected}", "" if found.brokers == found.expected else "bold red"
        )
        values = (found.under_replicated, found.under_min_isr, found.offline)
        for label, value in zip(labels, values, strict=True):
            line.append(f"  {label} {LOADING if value is None else value}", "bold red" if value else "")
        return line
