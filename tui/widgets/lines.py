"""Lines of text in a place of fixed size: nothing is laid out for another text, and nothing drawn for the same one."""

from rich.text import Text
from textual.widgets import Static


class Lines(Static):
    def put(self, text: Text) -> None:
        if text != self._text or text.style != self._text.style:
            self._text = text
            self.update(text, layout=False)

    _text = Text()
