"""Java's .properties format (java.util.Properties), which Kafka's and ZooKeeper's settings are written in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BLANKS: Final = " \t\f"
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.?))")
_LETTERS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_TO_ESCAPE: Final = re.compile(r"[\\#!=: ]|[^\x20-\x7e]")


class Entry(NamedTuple):
    """``line``: where it begins, from 1 on; None where it comes from no file."""

    name: str
    text: str
    line: int | None


class BadEscape(ValueError):
    r"""A ``\u`` without its four digits, in the entry ``text`` that begins at ``line``."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text}: allowed: {self.WANTED}")
        self.line = line
        self.text = text

    WANTED: Final = r"\u with four hexadecimal digits, or \\ for a backslash"


def parse(text: str) -> list[Entry]:
    """Every entry in order, also of a name given twice. Raises BadEscape."""
    entries: list[Entry] = []
    logical, begun = "", 0
    for number, raw in enumerate(_LINE_END.split(text), 1):
        line = raw.lstrip(_BLANKS)
        if not logical:
            if not line or line[0] in "#!":
                continue
            begun = number
        logical += line
        if (len(logical) - len(logical.rstrip("\\"))) % 2:
            logical = logical[:-1]  # it goes on in the next line
            continue
        entries.append(_entry(logical, begun))
        logical = ""
    return [*entries, _entry(logical, begun)] if logical else entries


def parse_trimmed(text: str) -> list[Entry]:
    """As Kafka and ZooKeeper take them: without blanks at the end of a value. Raises BadEscape."""
    return [entry._replace(text=entry.text.strip()) for entry in parse(text)]


def _entry(line: str, number: int) -> Entry:
    at, size = 0, len(line)
    while at < size and line[at] not in "=:" + _BLANKS:
        at += 2 if line[at] == "\\" else 1
    rest = line[at:].lstrip(_BLANKS)
    value = rest[1:].lstrip(_BLANKS) if rest[:1] in ("=", ":") else rest
    try:
        return Entry(_unescaped(line[:at]), _unescaped(value), number)
    except ValueError:
        raise BadEscape(number, line) from None


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_meant, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two escapes may be one character


def _meant(escape: re.Match[str]) -> str:
    code, letter = escape.groups()
    if code:
        return chr(int(code, 16))
    if letter == "u":
        raise ValueError(escape.string)
    return _LETTERS.get(letter, letter)


def written(entries: Mapping[str, str]) -> str:
    """The text of a file of these entries, by name; ASCII."""
    return "".join(f"{_escaped(name)}={_escaped(text)}\n" for name, text in sorted(entries.items()))


def _escaped(text: str) -> str:
    return _TO_ESCAPE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if " " <= character <= "~":
        return "\\" + character
    code = character.encode("utf-16-be").hex()
    return "".join(f"\\u{code[at : at + 4]}" for at in range(0, len(code), 4))
