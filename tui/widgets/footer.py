"""The line of keys at the bottom, which forgets the keys that it showed before."""

from textual.app import ComposeResult
from textual.widgets import Footer


class KeyLine(Footer):
    """Textual's footer. It makes its keys anew whenever bindings change, and binds each to a setting of its own.

    Textual (8.2) lets go of such bindings only when the setting changes, which it never does: every key that was ever
    shown stayed in memory: 34 MiB after 900 keys that went from screen to screen.
    """

    def compose(self) -> ComposeResult:
        for watchers in getattr(self, "__watchers", {}).values():
            watchers[:] = [pair for pair in watchers if not pair[0]._closing]
        yield from super().compose()
