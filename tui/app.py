"""The application: which screen is shown, the command bar, the keys that hold everywhere, and the one feed."""

import asyncio
import gc
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding
from textual.screen import Screen

from kops import contexts
from kops.contexts import Context, Overrides
from kops.errors import BadUsage, KopsError, nearest
from tui import caches
from tui.commands import COMMANDS, Completion, parse
from tui.feed import Feed
from tui.history import clock
from tui.keys import OrderlyKeys
from tui.messages import Fresh, whole
from tui.replay import ReplayFeed
from tui.screens.base import KopsScreen
from tui.screens.brokers import BrokersScreen
from tui.screens.events import EventsScreen
from tui.screens.groups import GroupScreen, GroupsScreen
from tui.screens.help import Help
from tui.screens.isr import IsrScreen
from tui.screens.overview import OverviewScreen
from tui.screens.records import RecordsScreen
from tui.screens.topics import TopicScreen, TopicsScreen
from tui.screens.zookeeper import ZooKeeperScreen
from tui.terminal import Terminal
from tui.widgets.command_bar import CommandBar

SKIP_MS = 5000
COLLECT_SECONDS = 30.0
"""Dialogs and screens that were closed are cycles, and Python looks for those seldom here: see kops.commands.tui."""
PAUSE_SECONDS = 2.0
PATIENCE = 500
"""So many times as long as it took the last time it is put off while somebody types."""
PAINT_SHARE = 5
"""So many times as long as painting took, nothing is painted again."""
SCREENS: dict[str, type[KopsScreen]] = {
    "overview": OverviewScreen,
    "brokers": BrokersScreen,
    "topics": TopicsScreen,
    "isr": IsrScreen,
    "groups": GroupsScreen,
    "records": RecordsScreen,
    "zookeeper": ZooKeeperScreen,
    "events": EventsScreen,
}


class KopsApp(OrderlyKeys, inherit_bindings=False):
    """The dashboard over one feed. Its result is the context to go on with; None to end."""

    TITLE = "kops"
    CSS_PATH = "kops.tcss"
    ENABLE_COMMAND_PALETTE = False
    SCREENS: ClassVar[dict[str, Any]] = SCREENS
    BINDINGS = [
        Binding("colon", "command", "command", key_display=":"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "leave_or_quit", "quit"),
        Binding("ctrl+c", "leave_or_quit", "quit", show=False),
        Binding("r", "refresh_now", "refresh (replay: from the beginning)", show=False),
        Binding("p", "pause", "pause", show=False),
        Binding("plus,equals_sign", "interval(1)", "look less often (replay: faster)", show=False, key_display="+"),
        Binding("minus", "interval(-1)", "look more often (replay: slower)", show=False, key_display="-"),
        Binding("comma", "skip(-1)", "replay: 5 s back", show=False, key_display=","),
        Binding("full_stop", "skip(1)", "replay: 5 s on", show=False, key_display="."),
        *(Binding(str(number), f"show('{name}')", name, show=False) for number, name in enumerate(SCREENS, start=1)),
    ]

    def __init__(
        self, context: Context, *, first: str = "overview", feed: Feed | None = None, theme: str | None = None
    ) -> None:
        """Raises BadUsage for a theme that is not there."""
        super().__init__(driver_class=Terminal)
        caches.without_owners()
        self.feed = feed or Feed(context)
        self.first = first
        if theme is not None and theme not in self.available_themes:
            raise BadUsage(f"there is no theme '{theme}'", f"One of: {', '.join(sorted(self.available_themes))}.")
        if theme is not None:
            self.theme = theme
        self.said: tuple[str, bool] = ("", False)
        self.painting = False
        self.collect_by = 0.0
        """On the clock of the event loop."""
        self.took = 0.0
        """Seconds, of the last time."""

    def on_mount(self) -> None:
        self.feed.changed = self.changed
        self.feed.start()
        self.push_screen(self.first)
        self.set_interval(0.5, self._tick)
        self.set_timer(COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        """It takes up to some 100 ms: not while somebody types, unless that goes on and on."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if began - self.typed_at > PAUSE_SECONDS or began > self.collect_by:
            gc.collect()
            self.collect_by = clock() + PATIENCE * (clock() - began)
            self.set_timer(COLLECT_SECONDS, self._collect)
        else:
            self.set_timer(PAUSE_SECONDS, self._collect)

    async def on_unmount(self) -> None:
        await self.feed.stop()

    # painting

    def changed(self) -> None:
        """Much may happen at once: it is painted once."""
        if not self.painting:
            self.painting = True
            self.post_message(Fresh())

    @on(Fresh)
    def _fresh(self) -> None:
        # A long table is painted less often: keys come first.
        self.set_timer(max(0.04, PAINT_SHARE * self.took), self._paint)

    def _paint(self) -> None:
        self.painting = False
        if self._shown is not None:
            began = time.perf_counter()
            self._shown.repaint()
            self.took = time.perf_counter() - began

    def _tick(self) -> None:
        """Without anything new ages grow, highlights end, and a probe goes on."""
        if self.feed.drilling or self.feed.history.is_fresh(self.feed.wall()):
            self._paint()
        else:
            self._header()

    def _header(self) -> None:
        """At once: what a key did is not painted some time later."""
        if self._shown is not None:
            self._shown.repaint_header()

    @property
    def _shown(self) -> KopsScreen | None:
        """The screen that is seen, dialogs over it aside."""
        return next((one for one in reversed(self.screen_stack) if isinstance(one, KopsScreen)), None)

    def say(self, text: str, bad: bool = False) -> None:
        self.said = (text, bad)
        self._paint()

    # moving between screens

    def go(self, name: str, about: str = "", *, deeper: bool = False) -> None:
        """Show a screen, opened on a topic, group or path where it has one. ``deeper``: from it back leads here."""
        shown = self.get_screen(name)
        if deeper and shown not in self.screen_stack:
            self.open(shown)
        else:
            while self.is_deep:
                self.pop_screen()
            if self.screen is not shown:
                self.switch_screen(name)
            self.said = ("", False)
        if isinstance(shown, GroupsScreen):
            shown.topic = ""
        if not about:
            return
        if isinstance(shown, RecordsScreen | ZooKeeperScreen):
            self.call_later(shown.open, about)
        elif name == "topics":
            self.open(TopicScreen(about))
        elif name == "groups":
            self.open(GroupScreen(about))
        elif isinstance(shown, KopsScreen):
            self.call_later(self._filter, shown, about)

    def _filter(self, shown: KopsScreen, needle: str) -> None:
        if shown.grid is not None:
            shown.grid.filter(needle)

    def open(self, screen: Screen[Any]) -> None:
        """Show it on top; what was said belongs to the one below."""
        self.said = ("", False)
        self.push_screen(screen)

    @property
    def is_deep(self) -> bool:
        return len(self.screen_stack) > 2

    def back(self) -> None:
        """To the screen before; on the first one nothing happens."""
        if self.is_deep:
            self.said = ("", False)
            self.pop_screen()

    def action_show(self, name: str) -> None:
        self.go(name)

    def action_leave_or_quit(self) -> None:
        if self.is_deep:
            self.back()
        elif self.feed.drilling:
            self.say("a drill is under way: it ends by itself, and brings the broker back", bad=True)
        else:
            self.exit()

    def action_help(self) -> None:
        if self._shown is not None:
            self.push_screen(Help(self._shown))

    @work(group="dialogs")
    async def action_command(self) -> None:
        topics = [topic.name for topic in self.feed.view.topics] if self.feed.view else []
        groups = self.get_screen("groups")
        seen = [one.group.id for one in groups.seen or ()] if isinstance(groups, GroupsScreen) else []
        completion = Completion(topics, seen, contexts.load().contexts, sorted(self.available_themes))
        line = await self.ask(CommandBar(completion))
        if line is None or not line.strip():
            return
        name, about = parse(line)
        if name is None:
            near = nearest(line.split()[0], COMMANDS)
            self.say(f"there is no command '{line}'" + (f": did you mean {near}?" if near else ""), bad=True)
        elif name == "quit":
            self.action_leave_or_quit()
        elif name == "help":
            self.action_help()
        elif name == "ctx":
            self._use(about)
        elif name == "theme":
            self._paint_in(about)
        else:
            self.go(name, about)

    def _use(self, name: str) -> None:
        """Another cluster: the dashboard begins anew, since nothing that it knows is true there."""
        try:
            self.exit(contexts.resolve(Overrides(context=name or None)))
        except KopsError as error:
            self.say(whole(error), bad=True)

    def _paint_in(self, name: str) -> None:
        """Other colours, for this run; `kops tui --theme` and KOPS_THEME choose them from the start."""
        if name in self.available_themes:
            self.theme = name
            self.say(f"theme {name}")
        else:
            self.say(f"the themes are: {', '.join(sorted(self.available_themes))}", bad=bool(name))

    # keys that hold everywhere

    def action_refresh_now(self) -> None:
        self.feed.refresh()

    def action_pause(self) -> None:
        self.feed.pause(not self.feed.paused)
        self._header()

    def action_interval(self, by: int) -> None:
        self.feed.hasten(by)
        self._header()

    def action_skip(self, by: int) -> None:
        """In a replay: some seconds back or on."""
        if isinstance(self.feed, ReplayFeed):
            self.feed.seek(self.feed.position + by * SKIP_MS)
        else:
            self.say("only a replay can be moved in time")

    def export(self, what: str, items: Iterable[dict[str, object]]) -> None:
        """NDJSON into the working directory."""
        path = Path(f"kops-{what}-{clock(self.feed.wall()).replace(':', '').replace('.', '-')}.ndjson")
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
        self.say(f"written to {path.absolute()}")
