"""What a model shows, in tables of the command line and of the dashboard alike: a title and a value per column.

A ``View`` also says how an item looks in JSON and what its bare name is. Values are raw: bytes, milliseconds, ids.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """``wide`` columns appear with ``-o wide``, csv and in the dashboard only."""

    title: str
    value: Callable[[T], Any]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """How one kind of thing is shown. ``kind`` names it in JSON documents."""

    kind: str
    columns: tuple[Column[T], ...]
    document: Callable[[T], Mapping[str, Any]]
    name: Callable[[T], str]


def ids(values: Sequence[int]) -> str:
    """Broker ids as Kafka prints them: ``1,2,3``; ``-`` for none."""
    return ",".join(str(value) for value in values) or "-"


def yes(value: bool) -> str:
    return "yes" if value else "-"


def configs(values: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in values.items()) or "-"
