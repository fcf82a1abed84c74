"""Lines of text in a place of fixed size: nothing is laid out for another text, and nothing drawn for the same one."""

from rich.text import Text
from textual.widgets import Static


def alike(one: str | Text, other: str | Text) -> bool:
    """Rich compares texts without the style that holds for the whole."""
    return one == other and (isinstance(one, str) or isinstance(other, str) or one.style == other.style)


class Lines(Static):
    def put(self, text: Text) -> None:
        if not alike(text, self._text):
            self._text = text
            self.update(text, layout=False)

    _text = Text()
