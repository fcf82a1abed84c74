"""Help: the keys that work on the screen below, read from its live bindings, and the commands of the command bar."""

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.commands import COMMANDS
from tui.screens.base import KopsScreen
from tui.widgets.grid import Grid

_NAMES = {
    "slash": "/",
    "colon": ":",
    "question_mark": "?",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "asterisk": "*",
    "comma": ",",
    "full_stop": ".",
}


def keys_of(screen: KopsScreen) -> list[tuple[str, str]]:
    """Keys and what they do: the screen's own, the table's, then those that hold everywhere."""
    nodes: list[DOMNode] = [screen, *list(screen.query(Grid))[:1], screen.app]
    found: dict[str, list[str]] = {}
    for node in nodes:
        for key, all_of_key in node._bindings.key_to_bindings.items():
            for binding in all_of_key:
                if not (node.check_action(binding.action, ()) and screen.offers(binding.action)):
                    continue
                keys = found.setdefault(binding.description or binding.action, [])
                name = _NAMES.get(key, key)
                # Textual's own begin with a capital: they scroll and copy, which needs no telling.
                if name not in keys and not binding.system and (binding.description or "a")[0].islower():
                    keys.append(name)
    return [(" ".join(keys), words) for words, keys in found.items() if keys]


class Page(VerticalScroll):
    """Text that moves with the keys of tables, too."""

    BINDINGS = [
        Binding("j", "scroll_down"),
        Binding("k", "scroll_up"),
        Binding("g", "scroll_home"),
        Binding("G", "scroll_end"),
        Binding("space", "page_down"),
    ]


class Help(ModalScreen[None]):
    BINDINGS = [Binding("escape,q,question_mark", "dismiss", "back")]

    def __init__(self, below: KopsScreen) -> None:
        super().__init__()
        self.keys = keys_of(below)
        self.commands = {name: words for name, words in COMMANDS.items() if below.offers(f"show('{name}')")}

    def compose(self) -> ComposeResult:
        text = Text("keys of this screen\n\n", "bold")
        for keys, words in self.keys:
            text.append(f"{keys:>22}  ", "bold")
            text.append(words + "\n")
        text.append("\ncommands\n\n", "bold")
        for name, words in self.commands.items():
            text.append(f"{':' + name:>22}  ", "bold")
            text.append(words + "\n")
        text.append("\n… is being asked   — cannot be had   0 is zero\n", "dim")
        with Page(classes="dialog help"):
            yield Static(text)
