"""The keys of the screen on the last line. A click on one is the key.

Textual's footer has two widgets for each key and makes them anew when the screen or the focus changes: that took longer
than all the rest of going to another screen.
"""

from collections.abc import Callable

from rich.text import Text
from textual import events
from textual.screen import Screen
from textual.theme import Theme

from tui.widgets.lines import Lines


class KeyLine(Lines):
    DEFAULT_CSS = """
    KeyLine { dock: bottom; height: 1; color: $footer-foreground; background: $footer-background; }
    KeyLine > .key-line--key { color: $footer-key-foreground; background: $footer-key-background; text-style: bold; }
    """
    COMPONENT_CLASSES = {"key-line--key"}

    def __init__(self, offers: Callable[[str], bool]) -> None:
        """``offers``: whether an action is worth a place on the line."""
        super().__init__()
        self._offers = offers
        self._ends: list[tuple[int, str]] = []
        """Where the words of each key end."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._tell)
        self.app.theme_changed_signal.subscribe(self, self._repaint)

    def _repaint(self, _: Theme) -> None:
        self._tell(self.screen)

    def _tell(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        style, line = self.get_component_rich_style("key-line--key"), Text(no_wrap=True)
        self._ends = []
        for _, binding, _, _ in screen.active_bindings.values():
            if binding.show and self._offers(binding.action):
                line.append(self.app.get_key_display(binding), style)
                line.append(f" {binding.description} ")
                self._ends.append((line.cell_len, binding.key))
        self.put(line)

    def on_click(self, event: events.Click) -> None:
        if (key := next((key for end, key in self._ends if event.x < end), None)) is not None:
            self.app.simulate_key(key)
