"""What every screen has: the header, one line for words and filters, the keys; and how it moves, filters and leaves."""

from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from tui.feed import Feed
from tui.snapshots import Condition
from tui.widgets.footer import KeyLine
from tui.widgets.grid import Grid
from tui.widgets.header import Header
from tui.widgets.lines import Lines

if TYPE_CHECKING:
    from tui.app import KopsApp

MOST_LINES = 4
ROOM = 8
"""Cells of a line that are left empty where words are not divided."""


class KopsScreen(Screen[None]):
    """A screen under the header. ``needs``: what the feed is to measure while it is shown."""

    heading: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    BINDINGS = [
        Binding("tab", "other_table", "the other table", show=False),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("ctrl+e", "export", "export", show=False),
        Binding("escape", "leave", "back", show=False),
        Binding("h,left", "leave", "back", show=False),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tab is offered where there is something to go to."""
        return action != "other_table" or len(self.focus_chain) > 1

    def offers(self, action: str) -> bool:
        """Whether there is what it needs. Its key works all the same, and says what is missing."""
        context = self.feed.context
        if action in ("brokers_menu", "drill"):
            return context.cluster is not None
        return action != "show('zookeeper')" or context.zookeeper is not None

    def action_other_table(self) -> None:
        self.focus_next()

    @property
    def kops(self) -> "KopsApp":
        return cast("KopsApp", self.app)

    @property
    def feed(self) -> Feed:
        return self.kops.feed

    def body(self) -> ComposeResult:
        """What stands between header and keys."""
        yield from ()

    def compose(self) -> ComposeResult:
        yield Header()
        yield from self.body()
        yield Lines(id="line")
        yield Input(id="filter", compact=True, placeholder="only rows that contain this; ! in front: that do not")
        yield KeyLine(self.offers)

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.repaint()

    def on_screen_resume(self) -> None:
        self.feed.needs = self.needs
        self.repaint()

    def on_resize(self) -> None:
        """Lines were cut to the width before, which is nothing at all when a screen is first shown."""
        self.call_after_refresh(self.repaint)

    def repaint(self) -> None:
        """Show what the feed has now."""
        if self._composed:
            self.paint_header()
            self.paint()
            self.paint_line()

    def repaint_header(self) -> None:
        """Only what grows older by itself."""
        if self._composed:
            self.paint_header()

    @property
    def _composed(self) -> bool:
        """Not before it is put together, nor while it is taken away."""
        return bool(self.is_mounted and self.is_attached and self.query("Header") and self.query(KeyLine))

    def paint_header(self) -> None:
        header = self.query_one(Header)
        header.show(self.feed, self.title_now())
        # What is shown may not be true any more: it stays, and is dimmed.
        self.set_class(self.feed.condition is Condition.STALE and self.feed.view is not None, "stale")

    def title_now(self) -> str:
        return self.heading

    def paint(self) -> None:
        """The screen's own part."""

    def paint_line(self) -> None:
        """Words of the last action to the left, ``n of m`` of a filter to the right."""
        line = self.query_one("#line", Lines)
        text, bad = self.kops.said
        left = Text(text, "bold red" if bad else "") if text else self._screens()
        rows = min(MOST_LINES, -(-left.cell_len // max(20, line.size.width - ROOM))) if text else 1
        if line.styles.height is None or line.styles.height.value != rows:
            line.styles.height = rows
        grid = self.grid
        if grid is not None and (grid.needle or grid.marked):
            marked = f"   {len(grid.marked)} marked" if grid.marked else ""
            right = f"/{grid.needle}   {len(grid.rows)} of {grid.total}{marked}" if grid.needle else marked.strip()
            left.truncate(max(0, rows * line.size.width - len(right) - 1), overflow="ellipsis", pad=rows == 1)
            left.append(" " + right, "bold")
        line.put(left)

    def _screens(self) -> Text:
        """Where else one can go, while there is nothing to say."""
        line = Text(style="dim")
        for number, name in self._offered():
            line.append(f"{number} {name} ", "bold not dim" if name == self.heading else "")
        return line

    def _offered(self) -> list[tuple[int, str]]:
        """Screens by their keys."""
        screens = enumerate(self.kops.SCREENS, start=1)
        return [(number, name) for number, name in screens if self.offers(f"show('{name}')")]

    @on(events.Click, "#line")
    def _screen_clicked(self, event: events.Click) -> None:
        end = 1
        for number, name in self._offered():
            end += len(f"{number} {name} ")
            if event.x < end and not self.kops.said[0]:
                self.kops.go(name)
                return

    @property
    def grid(self) -> Grid | None:
        return next(iter(self.query(Grid)), None)

    def action_export(self) -> None:
        """The rows that are shown, as NDJSON into the working directory."""
        grid = next((one for one in self.query(Grid) if one.has_focus), self.grid)
        if grid is None:
            self.kops.say("there is no table here")
            return
        names = [heading.title.lower() for heading in grid.headings]
        cells = ([cell if isinstance(cell, str) else cell.plain for cell in row.cells] for row in grid.rows)
        self.kops.export(self.heading, [dict(zip(names, one, strict=False)) for one in cells])

    # the filter

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        if self.grid is not None:
            field.display = True
            field.value = self.grid.needle
            self.set_focus(field)

    @on(Input.Changed, "#filter")
    def _filtering(self, event: Input.Changed) -> None:
        if self.grid is not None and self.query_one("#filter").display:
            self.grid.filter(event.value)
            self.paint_line()

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        if self.grid is not None:
            self.set_focus(self.grid)

    def action_leave(self) -> None:
        """Closes the filter, clears it, goes back; never quits."""
        grid, field = self.grid, self.query_one("#filter", Input)
        if field.display:
            if grid is not None:
                grid.filter("")
            self._close_filter()
        elif grid is not None and (grid.needle or grid.marked):
            grid.marked.clear()
            grid.filter("")
        else:
            self.kops.back()
        self.paint_line()

    @on(Grid.Moved)
    def _moved(self) -> None:
        self.paint_line()
