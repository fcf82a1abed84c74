"""What the feed tells the application, and failures as screens tell them."""

from textual.message import Message

from kops.errors import KopsError


class Fresh(Message):
    """The feed has something newer: a view, gauges, a group list, a condition."""


def whole(error: KopsError) -> str:
    """What failed, and what to do about it."""
    return f"{error.what}. {error.do}" if error.do else error.what
