"""The tail of a topic: records as they arrive, and the one under the cursor decoded."""

import json
from collections import deque
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from kops.cluster.records import Record
from kops.errors import KopsError
from tui.history import clock
from tui.messages import whole
from tui.screens.base import KopsScreen
from tui.snapshots import LOADING, UNAVAILABLE
from tui.widgets.grid import Grid, Heading, Row

KEPT = 1000
HEADINGS = (
    Heading("TIME", 12, drop=2),
    Heading("PART", 4, right=True),
    Heading("OFFSET", 9, right=True),
    Heading("KEY", 16, drop=1),
    Heading("VALUE"),
)


class RecordsScreen(KopsScreen):
    heading: ClassVar[str] = "records"
    BINDINGS = [
        Binding("f", "from_start", "from the beginning"),
        Binding("t", "from_end", "tail"),
        Binding("x", "form", "as text, hex"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.topic: str | None = None
        self.records: deque[Record] = deque(maxlen=KEPT)
        self.count = 0
        self.from_start = False
        self.hexadecimal = False
        self.reason = ""

    def body(self) -> ComposeResult:
        yield Grid()
        with VerticalScroll(id="record", can_focus=True):
            yield Static(id="record-text")

    def title_now(self) -> str:
        if self.topic is None:
            return "records"
        how = "from the beginning" if self.from_start else "tail"
        return f"records of {self.topic} ({how}, {self.count} read)"

    def open(self, topic: str) -> None:
        """Follow this topic from now on."""
        self.topic, self.from_start = topic, False
        self._restart()

    def _restart(self) -> None:
        self.records.clear()
        self.count, self.reason = 0, ""
        if self.topic is not None:
            self._follow(self.topic)
        self.repaint()

    @work(exclusive=True)
    async def _follow(self, topic: str) -> None:
        """Ends with another topic, and when the screen is gone."""
        try:
            async for batch in self.feed.tail(topic, from_start=self.from_start):
                self.records.extend(batch)
                self.count += len(batch)
                if self.is_current:
                    self.kops.changed()
        except KopsError as error:
            self.reason = whole(error)
        self.repaint()

    def paint(self) -> None:
        grid = self.query_one(Grid)
        grid.empty = self._nothing
        # The newest first; what is under the cursor stays there while others arrive.
        rows = [
            Row(
                f"{one.partition}-{one.offset}",
                (
                    clock(one.timestamp) if one.timestamp is not None else UNAVAILABLE,
                    str(one.partition),
                    str(one.offset),
                    _short(one.key, self.hexadecimal),
                    _short(one.value, self.hexadecimal),
                ),
            )
            for one in reversed(self.records)
        ]
        if not self.feed.paused:
            grid.show(HEADINGS, rows)
        self._show_one()

    def _nothing(self) -> str:
        if self.topic is None:
            return "of which topic? :records TOPIC, or t on the topics screen"
        return self.reason or f"waiting for records {LOADING}"

    @on(Grid.Moved)
    def _show_one(self) -> None:
        row = self.query_one(Grid).current
        one = next((each for each in self.records if row and f"{each.partition}-{each.offset}" == row.key), None)
        self.query_one("#record-text", Static).update(described(one, self.hexadecimal) if one is not None else "")

    def action_from_start(self) -> None:
        self.from_start = True
        self._restart()

    def action_from_end(self) -> None:
        self.from_start = False
        self._restart()

    def action_form(self) -> None:
        self.hexadecimal = not self.hexadecimal
        self.repaint()


def described(one: Record, hexadecimal: bool) -> Text:
    """Everything that a record has; the value as JSON, MessagePack, text or hex, whichever it is."""
    kind = "log append time" if one.timestamp_type == 1 else "create time"
    text = Text(f"{one.topic}-{one.partition} offset {one.offset}", "bold")
    text.append(f"   {kind} {clock(one.timestamp) if one.timestamp is not None else UNAVAILABLE}\n")
    for name, value in one.headers:
        text.append(f"header {name}: {_short(value, hexadecimal)}\n")
    form, shown = decoded(one.key, hexadecimal)
    text.append(f"key ({form}) ", "dim")
    text.append(shown + "\n")
    form, shown = decoded(one.value, hexadecimal)
    text.append(f"value ({form})\n", "dim")
    text.append(shown)
    return text


def decoded(data: bytes | None, hexadecimal: bool = False) -> tuple[str, str]:
    """The form of some bytes and how they read in it."""
    if data is None:
        return "null", "null"
    if not data:
        return "empty", ""
    if hexadecimal:
        return "hex", _hex(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _binary(data)
    if text.lstrip().startswith(("{", "[")):
        try:
            return "JSON", json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except ValueError:
            return "text", text
    return ("text", text) if text.isprintable() or "\n" in text or "\t" in text else ("hex", _hex(data))


def _binary(data: bytes) -> tuple[str, str]:
    import msgpack

    try:
        value = msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException):
        return "hex", _hex(data)
    # A lone byte is a number in MessagePack: only what has a structure is taken for it.
    if isinstance(value, dict | list):
        return "MessagePack", json.dumps(value, indent=2, ensure_ascii=False, default=repr)
    return "hex", _hex(data)


def _hex(data: bytes) -> str:
    lines = []
    for at in range(0, min(len(data), 4096), 16):
        part = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:06x}  {part.hex(' '):<47}  {shown}")
    return "\n".join(lines)


def _short(data: bytes | None, hexadecimal: bool) -> str:
    """On one line."""
    if data is None:
        return "null"
    if hexadecimal:
        return data[:100].hex(" ")
    text = data[:400].decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else "·" for char in text)
