"""What a seed plays: the cluster's settings, the kinds of faults, and what clients do besides producing and reading.

Seeds below ``CLASSIC`` play the first edition: every kind of its faults, and the same clients. From there on each seed
draws a few of all kinds, since many at once hide one another, and some of the other actors. From ``THEMED`` on each has
a theme besides: a kind of schedule that chance alone hardly ever makes, with all that it needs to be possible.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from tests.sim.nemesis import ANYWHERE, WITH_FLUSH, Fault, bursts, careful_losses

CLASSIC = 10_000
THEMED = 1_000_000
Kinds = tuple[tuple[str, int], ...]

HOSTILE: Kinds = (
    ("cut from some", 4),
    ("late", 4),
    ("elect preferred", 4),
    ("reassign", 3),
    ("stop", 3),
    ("roll", 1),
    ("clock jump", 2),
    ("disk full", 2),
    ("disk fails", 2),
    ("fade", 2),
    ("zombie controller", 3),
    ("zombie leader", 3),
)
THEMES = ("late deletion", "late follower", "directory fails")
DIRECTORIES = ("/disk-1", "/disk-2")
ACTORS = ("topics", "members", "compacted")
CRAWL = {"replica_fetch_max_bytes": 200, "replica_fetch_response_max_bytes": 200}
"""A replica that has been away needs a round trip for each batch that it missed."""


@dataclass(frozen=True)
class Scenario:
    """``careful``: without ``flush``, machines may lose their power, one at a time and for longer than a session."""

    seed: int
    flush: bool
    kinds: Kinds
    careful: bool = False
    ibp: str = "3.9"
    fast_failover: bool = True
    crawl: bool = False
    rebalance_seconds: int = 300
    actors: tuple[str, ...] = ()
    seconds: float = 40.0
    pace: float = 0.15
    skewed_ms: tuple[int, ...] = field(default=())
    churn_replicas: int = 3
    directories: tuple[str, ...] = ()

    @classmethod
    def of(cls, seed: int, *, short: bool = False) -> Scenario:
        """The scenario of a seed; ``short``: fewer faults, in a few seconds."""
        if seed < CLASSIC:
            flush = seed % 2 == 1
            kinds = WITH_FLUSH if flush else ANYWHERE
            return cls(seed, flush, kinds, careful=not flush and seed % 3 == 0, fast_failover=seed % 4 < 3)
        dice = random.Random(f"scenario {seed}")
        flush = dice.random() < 0.5
        kinds = (*(WITH_FLUSH if flush else ANYWHERE), *HOSTILE)
        scenario = cls(
            seed,
            flush,
            tuple(each for each in kinds if dice.random() < 0.35) or kinds,
            careful=not flush and dice.random() < 0.15,
            ibp="2.6" if dice.random() < 0.25 else "3.9",
            fast_failover=dice.random() < 0.7,
            crawl=dice.random() < 0.3,
            rebalance_seconds=4 if dice.random() < 0.3 else 300,
            actors=tuple(each for each in ACTORS if dice.random() < 0.3),
            seconds=5.0 if short else dice.choice((12.0, 25.0, 40.0)),
            pace=0.4 if short else dice.choice((0.05, 0.15, 0.5)),
            skewed_ms=tuple(dice.randint(-3_600_000, 3_600_000) for _ in range(3)) if dice.random() < 0.2 else (),
        )
        return scenario if seed < THEMED else scenario._themed(dice)

    def _themed(self, dice: random.Random) -> Scenario:
        """Two faults of three are the theme, one is of another kind: more of those would spoil it."""
        theme, others = dice.choice(THEMES), tuple(dice.sample(self.kinds, 1))
        kinds = (*others, (theme, 2 * sum(weight for _, weight in others)))
        themed = replace(self, kinds=kinds, careful=False, seconds=dice.choice((20.0, 30.0)), pace=0.3)
        if theme == "late follower":
            return replace(themed, ibp="2.6")
        if theme == "directory fails":
            return replace(themed, directories=DIRECTORIES)
        return replace(themed, ibp="3.9", actors=tuple(dict.fromkeys((*self.actors, "topics"))), churn_replicas=2)

    def settings(self) -> dict[str, Any]:
        """The brokers' settings."""
        found: dict[str, Any] = {
            "min_insync_replicas": 2,
            "replica_lag_time_max_ms": 4000,
            "offsets_topic_num_partitions": 1,
            "offsets_topic_replication_factor": 3,
            "auto_create_topics_enable": False,
            "kops_controller_fast_failover_enable": self.fast_failover,
        }
        if self.flush:
            found["log_flush_interval_messages"] = 1
        if self.ibp != "3.9":
            found["inter_broker_protocol_version"] = self.ibp
        if self.directories:
            found["log_dirs"] = self.directories
        if self.crawl:
            found |= CRAWL
        if self.rebalance_seconds != 300:
            found["leader_imbalance_check_interval_seconds"] = self.rebalance_seconds
        if "members" in self.actors:
            found["group_initial_rebalance_delay_ms"] = 200
        if "compacted" in self.actors:
            found |= {"log_cleaner_backoff_ms": 300, "offsets_topic_segment_bytes": 4000}
            found |= {"log_cleaner_min_cleanable_ratio": 0.01}
        return found

    def plan(self, begin: float) -> list[Fault]:
        """Bursts of faults from ``begin`` on, or a few careful losses of power."""
        dice = random.Random(f"plan {self.seed}")
        end = begin + self.seconds
        return careful_losses(dice, begin, end) if self.careful else bursts(dice, begin, end, self.kinds)

    def __str__(self) -> str:
        shown = [f"IBP {self.ibp}", "flush" if self.flush else "no flush", *self.actors]
        shown += ["careful"] if self.careful else [kind for kind, _ in self.kinds]
        shown += [] if self.fast_failover else ["no fast failover"]
        shown += ["crawl"] if self.crawl else []
        shown += [f"rebalance each {self.rebalance_seconds} s"] if self.rebalance_seconds < 300 else []
        shown += ["skewed clocks"] if self.skewed_ms else []
        shown += [f"{len(self.directories)} directories"] if self.directories else []
        return ", ".join(shown)
