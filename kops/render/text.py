"""Tables: aligned on a terminal, tab-separated and bare in a pipe; never cut in a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


def cell(value: Any) -> str:
    """One line, whatever the value holds."""
    return str(value).replace("\t", " ").replace("\n", "\\n").replace("\r", "\\r")


def tabbed(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, headers: bool) -> Iterator[str]:
    """Tab-separated lines, for programs."""
    if headers:
        yield "\t".join(titles)
    for row in rows:
        yield "\t".join(cell(value) for value in row)


def aligned(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, headers: bool, color: bool) -> Iterator[str]:
    """Columns as wide as their widest cell, numbers to the right, for people."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [max([len(title) if headers else 0, *(len(row[at]) for row in cells)]) for at, title in enumerate(titles)]
    right = [bool(cells) and all(_numeric(row[at]) for row in cells) for at in range(len(titles))]
    if headers:
        line = _line(titles, widths, right)
        yield f"{BOLD}{line}{PLAIN}" if color else line
    for row in cells:
        yield _line(row, widths, right)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        value.rjust(width) if to_right else value.ljust(width)
        for value, width, to_right in zip(row, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _numeric(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit() or text == "-"
