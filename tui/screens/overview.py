"""The overview: the cluster in figures, what needs attention, and what happened last."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult

from kops.cluster.metadata import NO_LEADER
from kops.local.processes import PAUSED
from tui.history import clock, condensed
from tui.rates import spark
from tui.screens.base import KopsScreen
from tui.snapshots import LOADING, UNAVAILABLE, View, count, under_min_isr
from tui.widgets.grid import Grid, Heading, Row
from tui.widgets.lines import Lines

LATELY = 500
"""Events that are looked through for the last ones; the death of a broker is as many as it had partitions."""


class OverviewScreen(KopsScreen):
    heading: ClassVar[str] = "overview"

    def body(self) -> ComposeResult:
        yield Lines(id="figures")
        yield Grid(id="attention")
        yield Lines(id="timeline")

    def paint(self) -> None:
        view, grid = self.feed.view, self.query_one("#attention", Grid)
        if view is None:
            grid.empty = lambda: f"asking {LOADING}"
            return
        self.query_one("#figures", Lines).put(self._figures(view))
        grid.empty = lambda: "nothing needs attention"
        grid.show([Heading("NEEDS ATTENTION", 24), Heading("WHY", most=70), Heading("SEE", 10)], self._attention(view))
        self.query_one("#timeline", Lines).put(self._last())

    def _figures(self, view: View) -> Text:
        rates = self.feed.rates
        rate = rates.rate(list(view.partitions))
        early = self.feed.gauges.ends is None or not rates.totals
        written = LOADING if early else UNAVAILABLE if rate is None else f"{count(rate)}/s"
        partial = "" if len(view.partitions) <= len(self.feed.gauges.ends or view.partitions) else " (a part)"
        replicas = sum(share.replicas for share in view.partitions.shares.values())
        lines = [
            f"topics {len(view.topics)}   partitions {len(view.partitions)}   replicas {replicas}",
            f"records written {written}{partial}  {spark(list(rates.totals), 40)}",
            f"changes: {self.feed.source}",
        ]
        return Text("\n".join(lines))

    def _attention(self, view: View) -> list[Row]:
        found: list[Row] = []
        found += [
            _row(f"broker {broker}", "not registered, or its process ended", "brokers", "bold red")
            for broker in sorted(set(view.everyone) - view.present)
        ]
        for broker, process in sorted(view.processes.items()):
            if process.state == PAUSED:
                found.append(_row(f"broker {broker}", "its process is paused", "brokers", "yellow"))
        if view.controller < 0:
            found.append(_row("controller", "nobody is elected", "brokers", "bold red"))
        floor = self.feed.gauges.min_isr or {}
        for name, (whole, parts) in sorted(view.partitions.ailing(floor).items()):
            for words, bad, style in (
                ("without a leader", [one for one in parts if one.leader == NO_LEADER], "bold red"),
                ("under min.insync.replicas", [one for one in parts if under_min_isr(one, floor)], "bold red"),
                ("under-replicated", [one for one in parts if one.under_replicated], "yellow"),
            ):
                if bad:
                    found.append(_row(name, f"{len(bad)} of {whole} partitions {words}", "isr", style))
        return found

    def _last(self) -> Text:
        room = max(1, self.query_one("#timeline").size.height - 1)
        events = condensed(list(self.feed.history.events)[-LATELY:])[-room:]
        lines = [Text("last events", "bold")]
        lines += [Text(f"{clock(event.at)}  {event.subject}  {event.text}") for event in events]
        if not events:
            lines.append(Text(f"{UNAVAILABLE} nothing has changed since the dashboard was opened", "dim"))
        for line in lines:
            line.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        return Text("\n").join(lines)

    @on(Grid.Chosen)
    def _chosen(self, event: Grid.Chosen) -> None:
        row = event.grid.current
        if row is not None:
            self.kops.go(str(row.cells[2]), deeper=True)


def _row(what: str, why: str, see: str, style: str) -> Row:
    return Row(f"{what} {why.lstrip('0123456789 of')}", (Text(what, style), why, see))
