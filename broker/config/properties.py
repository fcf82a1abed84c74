"""Reading .properties files, with the line of each setting, so that a mistake can be shown where it is."""

from __future__ import annotations

import io
from typing import NamedTuple

import javaproperties

from broker.host import Files


class Entry(NamedTuple):
    """A setting as it was written; ``line`` None when it came from the command line or from code."""

    name: str
    text: str
    line: int | None


class Problem(NamedTuple):
    """A setting that cannot be used, and what could."""

    line: int | None
    name: str
    text: str
    allowed: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        what = f"{self.name}={self.text}" if self.text else f"{self.name} is missing or empty"
        return f"{where}{what}: allowed: {self.allowed}"


class ConfigError(Exception):
    """Settings with which no broker can start; every problem, in the order of the file."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.source = source
        self.problems = problems


def read_properties(files: Files, path: str) -> list[Entry]:
    """The settings of a file in ISO-8859-1 with Java's escapes; of a name given twice, the last (as Java).

    Raises OSError when it cannot be read.
    """
    entries: dict[str, Entry] = {}
    line = 1
    for element in javaproperties.parse(io.StringIO(files.read(path).decode("latin-1"))):
        if isinstance(element, javaproperties.KeyValue):
            entries[element.key] = Entry(element.key, element.value.strip(), line)
        line += element.source.count("\n") or 1
    return list(entries.values())
