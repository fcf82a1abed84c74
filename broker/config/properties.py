"""Reading .properties files, with the line of each setting, so that a mistake can be shown where it is."""

from __future__ import annotations

from typing import NamedTuple

from broker.host import Files
from broker.java_properties import BadEscape, Entry, parse_trimmed

__all__ = ["ConfigError", "Entry", "Problem", "read_properties"]


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

    Raises OSError when it cannot be read, ConfigError.
    """
    try:
        entries = parse_trimmed(files.read(path).decode("latin-1"))
    except BadEscape as error:
        name, _, value = error.text.partition("=")
        raise ConfigError(path, [Problem(error.line, name, value, BadEscape.WANTED)]) from error
    return list({entry.name: entry for entry in entries}.values())
