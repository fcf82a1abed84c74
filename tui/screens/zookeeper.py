"""ZooKeeper's tree: the children of a path to the left, data and stat of the one under the cursor to the right."""

import json
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static

from kops.cluster.zookeeper import Znode
from kops.errors import KopsError
from tui import questions
from tui.feed import KRAFT
from tui.history import clock
from tui.questions import ZnodePage
from tui.screens.base import KopsScreen
from tui.snapshots import LOADING, UNAVAILABLE
from tui.widgets.grid import Grid, Heading, Row
from tui.widgets.lines import alike


class ZooKeeperScreen(KopsScreen):
    heading: ClassVar[str] = "zookeeper"

    def __init__(self) -> None:
        super().__init__()
        self.path = "/"
        self.page: ZnodePage | None = None
        self.reason = ""
        self.shown: Znode | None = None
        self.shown_reason = ""
        self._text = Text()

    def body(self) -> ComposeResult:
        with Horizontal():
            yield Grid(id="children")
            with VerticalScroll(id="znode", can_focus=True):
                yield Static(id="znode-text")

    def on_mount(self) -> None:
        super().on_mount()
        self._ask()
        self.set_interval(1.0, self._again)

    def title_now(self) -> str:
        return f"zookeeper {self.path}"

    def open(self, path: str) -> None:
        """Show this path and its children."""
        before, self.path = self.path, path
        if before != path:
            self.page, self.shown = None, None
        self._ask()

    def _again(self) -> None:
        if self.is_current and not self.feed.paused:
            self._ask()

    @work(exclusive=True, group="children")
    async def _ask(self) -> None:
        if self.feed.watching == KRAFT:
            self.reason = KRAFT
        elif self.feed.context.zookeeper is None:
            self.reason = "no ZooKeeper is known: --zookeeper HOST:PORT, or a context that has one"
        else:
            path = self.path
            try:
                page = await self.feed.ask(questions.znode, path)
                if path == self.path:
                    self.page, self.reason = page, ""
            except KopsError as error:
                self.reason = error.what
        self.repaint()
        self._look()

    def paint(self) -> None:
        grid = self.query_one("#children", Grid)
        grid.empty = lambda: self.reason or (f"asking {LOADING}" if self.page is None else f"{UNAVAILABLE} no children")
        names = [*([".."] if self.path != "/" else []), *(self.page.children if self.page else ())]
        grid.show((Heading("CHILDREN"),), [Row(self._child(name), (name,)) for name in names])
        self._paint_one()

    def _paint_one(self) -> None:
        text = Text.assemble((self.reason or self.shown_reason, "bold red"))
        if self.shown is not None:
            text.append_text(described(self.shown))
        if not alike(text, self._text):
            self._text = text
            self.query_one("#znode-text", Static).update(text)

    def _child(self, name: str) -> str:
        if name == "..":
            return self.path.rpartition("/")[0] or "/"
        return f"{self.path.rstrip('/')}/{name}"

    @on(Grid.Moved)
    def _look(self) -> None:
        row = self.query_one("#children", Grid).current
        if self.feed.context.zookeeper is not None:
            self._ask_one(row.key if row is not None and row.cells[0] != ".." else self.path)

    @work(exclusive=True, group="one")
    async def _ask_one(self, path: str) -> None:
        try:
            self.shown, self.shown_reason = (await self.feed.ask(questions.znode, path)).znode, ""
        except KopsError as error:
            self.shown, self.shown_reason = None, error.what
        if self.is_attached:
            self._paint_one()

    @on(Grid.Chosen)
    def _chosen(self, event: Grid.Chosen) -> None:
        came_from = self.path
        self.open(event.key)
        event.grid.cursor = came_from

    def action_leave(self) -> None:
        """Up in the tree first, out of it from the top."""
        grid = self.grid
        if self.path == "/" or (grid is not None and grid.needle) or self.query_one("#filter").display:
            super().action_leave()
        else:
            came_from = self.path
            self.open(self.path.rpartition("/")[0] or "/")
            if grid is not None:
                grid.cursor = came_from


def described(znode: Znode) -> Text:
    """Path, data (JSON indented) and stat."""
    text = Text()
    text.append(f"{znode.path}\n\n", "bold")
    if znode.data is None or not znode.data:
        text.append("no data\n" if znode.data is None else "empty\n", "dim")
    else:
        text.append(_pretty(znode.text) + "\n")
    owner = f"0x{znode.ephemeral_owner:x} (ephemeral)" if znode.ephemeral_owner else "persistent"
    for label, value in (
        ("version", f"{znode.version}   children's {znode.cversion}   acl's {znode.aversion}"),
        ("changed", f"{clock(znode.mtime)}   zxid 0x{znode.mzxid:x}"),
        ("created", f"{clock(znode.ctime)}   zxid 0x{znode.czxid:x}"),
        ("owner", owner),
        ("bytes", f"{znode.data_length}   children {znode.children}"),
    ):
        text.append(f"\n{label:>8}  ", "dim")
        text.append(value)
    return text


def _pretty(data: str) -> str:
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except ValueError:
        return data
