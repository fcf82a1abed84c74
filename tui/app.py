"""The application: which screen is shown, the command bar, the keys that hold everywhere, and the one feed."""

from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding

from kops.contexts import Context
from tui.feed import Feed
from tui.messages import Fresh
from tui.screens.base import KopsScreen
from tui.screens.isr import IsrScreen

INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class KopsApp(App[None]):
    """The dashboard over one feed."""

    TITLE = "kops"
    CSS_PATH = "kops.tcss"
    ENABLE_COMMAND_PALETTE = False
    SCREENS: ClassVar[dict[str, Any]] = {"isr": IsrScreen}
    BINDINGS = [
        Binding("q", "quit", "quit"),
        Binding("r", "refresh_now", "refresh"),
        Binding("p", "pause", "pause"),
        Binding("plus,equals_sign", "interval(1)", "slower", show=False, key_display="+"),
        Binding("minus", "interval(-1)", "faster", show=False, key_display="-"),
    ]

    def __init__(
        self, context: Context, *, first: str = "isr", interval: float = 1.0, feed: Feed | None = None
    ) -> None:
        super().__init__()
        self.feed = feed or Feed(context, interval)
        self.first = first
        self.said: tuple[str, bool] = ("", False)
        self._painting = False

    def on_mount(self) -> None:
        self.feed.changed = self._changed
        self.feed.start()
        self.push_screen(self.first)
        self.set_interval(0.5, self._tick)

    async def on_unmount(self) -> None:
        await self.feed.stop()

    def _changed(self) -> None:
        """Much may happen at once: it is painted once."""
        if not self._painting:
            self._painting = True
            self.post_message(Fresh())

    @on(Fresh)
    def _fresh(self) -> None:
        self.set_timer(0.04, self._paint)

    def _paint(self) -> None:
        self._painting = False
        for screen in self.screen_stack:
            if isinstance(screen, KopsScreen) and screen.is_current:
                screen.repaint()

    def _tick(self) -> None:
        """Ages grow, and highlights end, though nothing new arrives."""
        self._paint()

    def say(self, text: str, bad: bool = False) -> None:
        self.said = (text, bad)
        self._paint()

    def back(self) -> None:
        """To the screen before; on the first one nothing happens."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def action_refresh_now(self) -> None:
        self.feed.refresh()

    def action_pause(self) -> None:
        self.feed.pause(not self.feed.paused)

    def action_interval(self, by: int) -> None:
        near = min(range(len(INTERVALS)), key=lambda index: abs(INTERVALS[index] - self.feed.interval))
        self.feed.interval = INTERVALS[max(0, min(len(INTERVALS) - 1, near + by))]
        self._paint()
