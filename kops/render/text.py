"""Tables: aligned on a terminal, tab-separated and bare in a pipe; never cut in a pipe."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from unicodedata import combining, east_asian_width

BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def cell(value: Any) -> str:
    """One line, whatever the value holds; what would steer a terminal is written out."""
    text = str(value).replace("\t", " ")
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for one that is put upon another."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def tabbed(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, headers: bool) -> Iterator[str]:
    """Tab-separated lines, for programs."""
    if headers:
        yield "\t".join(titles)
    for row in rows:
        yield "\t".join(cell(value) for value in row)


def csv_lines(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, headers: bool) -> Iterator[str]:
    """Lines of CSV as RFC 4180 quotes it, titles in small letters; None is empty."""
    for row in [*([[title.lower() for title in titles]] if headers else []), *rows]:
        sink = io.StringIO()
        csv.writer(sink, lineterminator="").writerow(row)
        yield sink.getvalue()


def aligned(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, headers: bool, color: bool) -> Iterator[str]:
    """Columns as wide as their widest cell, numbers to the right, for people."""
    cells = [[cell(value) for value in row] for row in rows]
    widths = [
        max([len(title) if headers else 0, *(width(row[at]) for row in cells)]) for at, title in enumerate(titles)
    ]
    right = [bool(cells) and all(_numeric(row[at]) for row in cells) for at in range(len(titles))]
    if headers:
        line = _line(titles, widths, right)
        yield f"{BOLD}{line}{PLAIN}" if color else line
    for row in cells:
        yield _line(row, widths, right)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        " " * (wide - width(value)) + value if to_right else value + " " * (wide - width(value))
        for value, wide, to_right in zip(row, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _numeric(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit() or text == "-"
