"""What the feed tells the application, and what widgets tell their screens."""

from textual.message import Message


class Fresh(Message):
    """The feed has something newer: a view, gauges, a group list, a condition."""


class Said(Message):
    """A line for the person at the screen; ``bad`` when something failed."""

    def __init__(self, text: str, bad: bool = False) -> None:
        super().__init__()
        self.text = text
        self.bad = bad
