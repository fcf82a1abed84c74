"""What a row of the table is: a function that takes a running cluster and returns named figures."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bench.client import create_topic, leader_port
from bench.engines import Cluster

Figures = dict[str, float]
Measure = Callable[[Cluster, float], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class Times:
    """Asked: so many times better than Apache in the same run."""

    factor: float

    def __str__(self) -> str:
        return f"{self.factor:g} x better"

    def is_met(self, ours: float, better: float | None) -> bool | None:
        return None if better is None else better >= self.factor


@dataclass(frozen=True, slots=True)
class AtMost:
    """Asked: no more than this, whatever Apache does."""

    limit: float

    def __str__(self) -> str:
        return f"at most {self.limit:g}"

    def is_met(self, ours: float, better: float | None) -> bool | None:
        return ours <= self.limit


Asked = Mapping[str, Times | AtMost]


@dataclass(frozen=True, slots=True)
class Row:
    """``brokers``: how many the row needs. ``cluster``: rows of one name share a cluster, after those of other names.

    ``asked``: what issue 7 asks, by figure.
    """

    name: str
    brokers: int
    measure: Measure
    cluster: str = "loads"
    asked: Asked = field(default_factory=dict)


ROWS: list[Row] = []


def row(name: str, brokers: int, *, cluster: str = "loads", **asked: Times | AtMost) -> Callable[[Measure], Measure]:
    """Registers a row. Keywords are figures, with ``_`` for a space and ``_per_s`` for ``/s``."""

    def register(measure: Measure) -> Measure:
        figures = {figure.replace("_per_s", "/s").replace("_", " "): what for figure, what in asked.items()}
        ROWS.append(Row(name, brokers, measure, cluster, figures))
        return measure

    return register


def is_rate(figure: str) -> bool:
    """Whether more of it is better: of all that is measured, rates only."""
    return figure.endswith("/s")


def fresh(prefix: str) -> str:
    """A name that was not used before: it carries the clock."""
    return f"{prefix}-{time.perf_counter_ns()}"


async def topic_of(cluster: Cluster, name: str, partitions: int = 1, replicas: int = 1, **configs: str) -> int:
    """A new topic, and the port of the leader of its partition 0. It is deleted after the row."""
    await create_topic(cluster.port, name, partitions, replicas, **configs)
    cluster.topics.append(name)
    return await leader_port(cluster.port, name)
