"""The brokers: their share of the cluster, sizes, rates and processes; behind each its settings."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding

from kops.errors import KopsError
from kops.local.processes import RUNNING
from tui import questions
from tui.screens.base import KopsScreen
from tui.screens.brokers_menu import BrokersMenu
from tui.snapshots import LOADING, UNAVAILABLE, Share, View, age, count, size
from tui.widgets.grid import Grid, Heading, Row

HEADINGS = (
    Heading("BROKER", 6, right=True),
    Heading("ADDRESS", least=16, most=28),
    Heading("STATE", 10),
    Heading("CONTROLLER", 10, drop=1),
    Heading("LEADERS", 8, right=True),
    Heading("REPLICAS", 9, right=True),
    Heading("IN-SYNC", 8, right=True),
    Heading("LOG-SIZE", 10, right=True),
    Heading("WRITTEN/S", 10, right=True, drop=2),
    Heading("UP", 7, right=True, drop=3),
    Heading("MEMORY", 10, right=True, drop=4),
    Heading("PID", 8, right=True, drop=5),
)


class BrokersScreen(BrokersMenu, KopsScreen):
    heading: ClassVar[str] = "brokers"
    needs: ClassVar[tuple[str, ...]] = ("sizes",)
    BINDINGS = [
        Binding("b", "brokers_menu", "kill, pause…"),
        Binding("d", "describe", "settings"),
        Binding("i", "isr", "isr"),
    ]

    def body(self) -> ComposeResult:
        yield Grid()

    def paint(self) -> None:
        view, grid = self.feed.view, self.query_one(Grid)
        if view is None:
            grid.empty = lambda: f"asking for the brokers {LOADING}"
            return
        grid.show(HEADINGS, [self._row(view, broker) for broker in view.everyone])

    def _row(self, view: View, broker: int) -> Row:
        share = view.partitions.shares.get(broker) or Share()
        address = next((one.address for one in view.brokers if one.id == broker), UNAVAILABLE)
        process = view.processes.get(broker)
        state, style = ("up", "green") if broker in view.present else ("down", "bold red")
        if process is not None and process.state != RUNNING:
            state, style = process.state, "bold yellow" if broker in view.alive else "bold red"
        sizes = self.feed.gauges.sizes
        held = sizes.get(broker) if sizes is not None else None
        total = LOADING if sizes is None else UNAVAILABLE if held is None else size(sum(held.values()))
        rate = self.feed.rates.rate(share.led) if share.led else 0.0
        written = LOADING if self.feed.gauges.ends is None else UNAVAILABLE if rate is None else count(rate)
        runs = process if process is not None and process.state == RUNNING else None
        up = self.feed.wall() - runs.started * 1000 if runs else -1.0
        cells: tuple[str | Text, ...] = (
            str(broker),
            address,
            Text(state, style),
            "yes" if broker == view.controller else "",
            str(len(share.led)),
            str(share.replicas),
            str(share.in_sync),
            total,
            written,
            age(up) if runs else UNAVAILABLE,
            size(runs.memory) if runs else UNAVAILABLE,
            str(runs.pid) if runs else UNAVAILABLE,
        )
        bytes_held = sum(held.values()) if held is not None else -1
        numbers = (len(share.led), share.replicas, share.in_sync, bytes_held, -1.0 if rate is None else rate, up)
        return Row(str(broker), cells, (broker, address, state, str(cells[3]), *numbers, runs.memory if runs else -1))

    def preferred_brokers(self) -> list[int]:
        row = self.query_one(Grid).current
        return [int(row.key)] if row is not None else []

    @on(Grid.Chosen)
    def action_describe(self) -> None:
        for broker in self.preferred_brokers():
            self.kops.open(BrokerScreen(broker))

    def action_isr(self) -> None:
        self.kops.go("isr", deeper=True)


class BrokerScreen(KopsScreen):
    """One broker's settings that are not defaults."""

    heading: ClassVar[str] = "broker"

    def __init__(self, broker: int) -> None:
        super().__init__()
        self.broker = broker
        self.settings: list[questions.Setting] | None = None
        self.reason = ""

    def body(self) -> ComposeResult:
        yield Grid()

    def on_mount(self) -> None:
        super().on_mount()
        self._ask()

    def title_now(self) -> str:
        return f"broker {self.broker}"

    @work(exclusive=True)
    async def _ask(self) -> None:
        try:
            self.settings, self.reason = await self.feed.ask(questions.broker_settings, self.broker), ""
        except KopsError as error:
            self.reason = error.what
        self.repaint()

    def paint(self) -> None:
        grid = self.query_one(Grid)
        grid.empty = lambda: self.reason or (f"asking {LOADING}" if self.settings is None else "all are defaults")
        rows = [Row(name, (name, value)) for name, value, _ in self.settings or ()]
        grid.show((Heading("SETTING", 44), Heading("VALUE")), rows)
