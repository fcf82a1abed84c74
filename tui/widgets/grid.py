"""A table of any length, drawn line by line; rows have keys, so a refresh keeps cursor, scroll, marks and filter.

Textual's DataTable lays out anew for every row that is added or removed; here rows are plain data and only the lines on
the screen are ever rendered.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.lines import alike

SORT_SHARE = 50
"""So many times as long as sorting took, the same rows are not sorted again."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: ``width`` 0 takes what is left, between ``least`` and ``most``; the highest ``drop`` goes first."""

    title: str
    width: int = 0
    right: bool = False
    drop: int = 0
    least: int = 12
    most: int = 200


Cells = tuple[str | Text, ...]
Line = tuple[str, Cells]
"""What stands before a row, and the row; nothing before it where there is none."""


class Row:
    """``key`` stays the same over refreshes. ``sorts``: what each column is sorted by, for want of it its text.

    ``cells`` may be a function: it is called when the row is drawn, which most rows of a long table never are;
    ``text`` is then what the filter looks at. So may ``sorts``, called with the index of a column.
    """

    __slots__ = ("_cells", "_sorts", "_text", "key")

    def __init__(
        self,
        key: str,
        cells: Cells | Callable[[], Cells],
        sorts: Sequence[object] | Callable[[int], object] = (),
        text: str | None = None,
    ) -> None:
        self.key = key
        self._sorts = sorts
        self._cells = cells
        self._text = text

    @property
    def cells(self) -> Cells:
        return self._cells() if callable(self._cells) else self._cells

    def sort_value(self, column: int) -> object:
        if callable(self._sorts):
            return self._sorts(column)
        return self._sorts[column] if column < len(self._sorts) else self.cells[column]

    @property
    def text(self) -> str:
        if self._text is not None:
            return self._text
        return " ".join(cell if isinstance(cell, str) else cell.plain for cell in self.cells)


class Grid(ScrollView, can_focus=True):
    """Rows under headings, with a cursor that belongs to a key."""

    DEFAULT_CSS = """
    Grid { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """
    BINDINGS = [
        Binding("down,j", "move(1)", "down", show=False),
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("g,home", "edge(0)", "first", show=False),
        Binding("G,end", "edge(1)", "last", show=False),
        Binding("enter,l", "choose", "open", show=False),
        Binding("space", "mark", "mark", show=False),
        Binding("asterisk", "mark_all", "mark all", show=False, key_display="*"),
        Binding("s", "sort", "sort", show=False),
        Binding("S", "reverse", "turn the order", show=False),
    ]

    class Chosen(Message):
        """Enter, or a click on the row of the cursor."""

        def __init__(self, grid: "Grid", key: str) -> None:
            super().__init__()
            self.grid = grid
            self.key = key

    class Moved(Message):
        """The cursor is on another row, or the order or filter changed."""

        def __init__(self, grid: "Grid") -> None:
            super().__init__()
            self.grid = grid

    def __init__(self, *, id: str | None = None, sort: int | None = None, marks: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self.headings: tuple[Heading, ...] = ()
        self.rows: list[Row] = []
        """What is shown, filtered and sorted."""
        self.cursor: str | None = None
        self.needle = ""
        self.sorted_by = sort
        """The column's index; None for the order in which the rows were given."""
        self.descending = False
        self.marked: set[str] = set()
        self.marks = marks
        self.empty: Callable[[], str] = lambda: ""
        self._all: Sequence[Row] = ()
        self._at = 0
        """Where the cursor was found last."""
        self._sort_again = 0.0
        self._first_width = 12
        self._frame: object = None
        self._on_screen: dict[int, Line] = {}
        """What the lines on the screen show, as they were drawn last."""

    # data

    def show(self, headings: Sequence[Heading], rows: Sequence[Row]) -> None:
        """Replace what is shown; cursor and scroll stay with their keys. The very same rows are only drawn anew."""
        self.headings = tuple(headings)
        if rows is self._all and (self.sorted_by is None or time.monotonic() < self._sort_again):
            self._redraw()
            return
        self._all = rows
        self._first_width = max(12, max((len(row.key) for row in rows), default=0) + 2)
        if self.marked:
            self.marked &= {row.key for row in rows}
        self._arrange()

    @property
    def total(self) -> int:
        return len(self._all)

    @property
    def current(self) -> Row | None:
        index = self._index()
        return self.rows[index] if index is not None else None

    def filter(self, needle: str) -> None:
        """Only rows that contain this; ``!`` in front: only those that do not."""
        self.needle = needle
        self._arrange()
        self.post_message(self.Moved(self))

    def _arrange(self) -> None:
        at = self._index() or 0
        needle = self.needle.lower()
        rows = [row for row in self._all if _matches(row, needle)] if needle else list(self._all)
        if self.sorted_by is not None:
            column, began = self.sorted_by, time.monotonic()
            rows.sort(key=lambda row: _sort_key(row.sort_value(column)), reverse=self.descending)
            self._sort_again = time.monotonic() + SORT_SHARE * (time.monotonic() - began)
        elif self.descending:
            rows.reverse()
        self.rows = rows
        if self._index() is None:
            self.cursor = rows[min(at, len(rows) - 1)].key if rows else None
        self._resized()
        self._redraw()

    def _index(self) -> int | None:
        if self._at < len(self.rows) and self.rows[self._at].key == self.cursor:
            return self._at
        found = next((index for index, row in enumerate(self.rows) if row.key == self.cursor), None)
        self._at = found or 0
        return found

    # drawing

    def _resized(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)

    def on_resize(self, event: events.Resize) -> None:
        self._resized()
        self._reveal()

    def columns(self) -> list[tuple[int, Heading, int]]:
        """Index, heading and width of every column that fits."""
        width = self.scrollable_content_region.width - (2 if self.marks else 1)
        kept = list(enumerate(self.headings))
        while kept and sum((one.width or one.least) + 1 for _, one in kept) > width:
            droppable = [pair for pair in kept if pair[1].drop]
            if not droppable:
                break
            kept.remove(max(droppable, key=lambda pair: pair[1].drop))
        spare = width - sum(one.width + 1 for _, one in kept)
        shares: dict[int, int] = {}
        flexible = [(index, one) for index, one in kept if not one.width]
        # Those that need little first: the others share what these leave.
        for left, (index, one) in enumerate(sorted(flexible, key=lambda pair: self._most(*pair)), start=-len(flexible)):
            shares[index] = max(8, min(spare // -left, self._most(index, one)))
            spare -= shares[index]
        return [(index, one, one.width or shares[index]) for index, one in kept]

    def _most(self, index: int, heading: Heading) -> int:
        """Names as long as they are: what belongs to them stands beside them, also on a wide screen."""
        return min(heading.most, self._first_width) if index == 0 else heading.most

    def _redraw(self) -> None:
        """The lines that are to show something else than they do."""
        frame = self.size, self.columns(), self.sorted_by, self.descending
        if frame != self._frame:
            self._frame = frame
            self.refresh()
        elif changed := [y for y in range(1, self.size.height) if not _same(self._line(y), self._on_screen.get(y))]:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _line(self, y: int) -> Line:
        index = y - 1 + self.scroll_offset.y
        if index >= len(self.rows):
            return "", (self.empty() if y == 2 and not self.rows else "",)
        row = self.rows[index]
        lead = "▶" if row.key == self.cursor else " "
        if self.marks:
            lead += "●" if row.key in self.marked else " "
        return lead, row.cells

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._heading(base)
        lead, cells = self._on_screen[y] = self._line(y)
        if not lead:
            return Strip([Segment(f" {cells[0]}"[:width].ljust(width), base)])
        if lead.startswith("▶"):
            # Changed and failed cells keep their own colours under the cursor.
            ground = "grey27" if self.app.current_theme.dark else "grey82"
            base += Style(bgcolor=ground, bold=True) if self.has_focus else Style(bold=True)
        return self._drawn(lead, cells, base)

    def _heading(self, base: Style) -> Strip:
        titles = [heading.title for heading in self.headings]
        for index, _, cell_width in self.columns():
            if index == self.sorted_by:
                titles[index] = titles[index][: cell_width - 1] + ("▼" if self.descending else "▲")
        return self._drawn("  " if self.marks else " ", titles, base + Style(bold=True, underline=True))

    def _drawn(self, lead: str, cells: Sequence[str | Text], base: Style) -> Strip:
        """Made of as few pieces as there are styles: Textual looks at each of them several times."""
        pieces: list[Segment] = []
        plain, console = lead, self.app.console
        for column, heading, width in self.columns():
            cell = cells[column] if column < len(cells) else ""
            fitted = _fitted(_with_its_end(cell, width) if column == 0 else cell, width, heading.right)
            if isinstance(fitted, str):
                plain += f"{fitted} "
                continue
            pieces.append(Segment(plain, base))
            base_of_cell = base + console.get_style(fitted.style)
            pieces += (Segment(piece.text, base_of_cell + piece.style) for piece in fitted.render(console))
            plain = " "
        return Strip([*pieces, Segment(plain, base)]).adjust_cell_length(self.size.width, base)

    # moving

    def action_move(self, by: int) -> None:
        self._go((self._index() or 0) + by)

    def action_page(self, by: int) -> None:
        self._go((self._index() or 0) + by * max(1, self.size.height - 2))

    def action_edge(self, last: int) -> None:
        self._go(len(self.rows) - 1 if last else 0)

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self, self.current.key))

    def action_mark(self) -> None:
        if self.marks and self.current is not None:
            self.marked ^= {self.current.key}
            self.action_move(1)
            self.refresh()

    def action_mark_all(self) -> None:
        """Every row that the filter lets through; none, when all of them are marked."""
        if self.marks:
            keys = {row.key for row in self.rows}
            self.marked = self.marked - keys if keys <= self.marked else self.marked | keys
            self.refresh()
            self.post_message(self.Moved(self))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Tables without marks do not offer them."""
        return self.marks or action not in ("mark", "mark_all")

    def action_sort(self) -> None:
        """The next column that is shown; after the last one the order in which rows are given."""
        shown = (index for index, _, _ in self.columns())
        self.sorted_by = next((index for index in shown if self.sorted_by is None or index > self.sorted_by), None)
        self._arrange()
        self._reveal()
        self.post_message(self.Moved(self))

    def _sort_by_click(self, x: int) -> None:
        """The column under the mouse; another click turns the order."""
        end = 2 if self.marks else 1
        for index, _, width in self.columns():
            end += width + 1
            if x < end:
                self.descending = self.sorted_by == index and not self.descending
                self.sorted_by = index
                self._arrange()
                self._reveal()
                self.post_message(self.Moved(self))
                return

    def action_reverse(self) -> None:
        self.descending = not self.descending
        self._arrange()
        self._reveal()

    def _go(self, index: int) -> None:
        if not self.rows:
            return
        before, now = self._index(), max(0, min(index, len(self.rows) - 1))
        self.cursor = self.rows[now].key
        self._reveal()
        for one in {before, now} - {None}:
            self.refresh(Region(0, (one or 0) + 1 - self.scroll_offset.y, self.size.width, 1))
        self.post_message(self.Moved(self))

    def _reveal(self) -> None:
        """Scroll so that the row of the cursor is on the screen; the heading covers the first line."""
        index, height = self._index(), self.size.height - 1
        if index is None or height < 1:
            return
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False)
        elif index >= top + height:
            self.scroll_to(y=index - height + 1, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh(Region(0, 0, self.size.width, self.size.height))

    def on_click(self, event: events.Click) -> None:
        index = event.y - 1 + self.scroll_offset.y
        if event.y == 0:
            self._sort_by_click(event.x)
        elif 0 <= index < len(self.rows):
            again = self.rows[index].key == self.cursor
            self._go(index)
            if again:
                self.action_choose()


def _with_its_end(cell: str | Text, width: int) -> str | Text:
    """A name that is too long loses its middle: it is often the end, a partition's number, that tells it apart."""
    if cell_len(cell if isinstance(cell, str) else cell.plain) <= width or width < 8:
        return cell
    kept = 5
    if isinstance(cell, str):
        return f"{cell[: width - kept - 1]}…{cell[-kept:]}"
    return cell[: width - kept - 1] + Text("…") + cell[-kept:]


def _same(line: Line, drawn: Line | None) -> bool:
    return (
        drawn is not None
        and line[0] == drawn[0]
        and len(line[1]) == len(drawn[1])
        and all(map(alike, line[1], drawn[1]))
    )


def _fitted(cell: str | Text, width: int, right: bool) -> str | Text:
    if isinstance(cell, str) and cell.isascii() and cell.isprintable() and len(cell) <= width:
        return cell.rjust(width) if right else cell.ljust(width)
    text = Text(cell) if isinstance(cell, str) else cell.copy()
    if text.cell_len > width:
        text.truncate(width, overflow="ellipsis")
    if right:
        text.pad_left(width - text.cell_len)
    else:
        text.pad_right(width - text.cell_len)
    return text


def _matches(row: Row, needle: str) -> bool:
    if needle.startswith("!"):
        return needle[1:] not in row.text.lower() or needle == "!"
    return needle in row.text.lower()


def _sort_key(value: object) -> tuple[int, float, str]:
    """Numbers before words, both in their own order."""
    if isinstance(value, (int, float)):
        return 0, value, ""
    text = value.plain if isinstance(value, Text) else str(value)
    return (0, float(text), "") if text.replace(".", "", 1).isdigit() else (1, 0.0, text)
