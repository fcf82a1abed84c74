"""What a coordinator appends to a topic with one replica is acknowledged at once, not when its time is up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from broker.coordinator.internal_topic import InternalTopicShards
from broker.replication.purgatory import AckQueue
from broker.wire.errors import ErrorCode
from broker.wire.records import Record


class Clock:
    def __init__(self) -> None:
        self.timers: list[float] = []

    def call_later(self, seconds: float, action: Any) -> Any:
        self.timers.append(seconds)
        return SimpleNamespace(cancel=lambda: None)


def shards(queue: AckQueue, clock: Clock) -> InternalTopicShards:
    appended = (SimpleNamespace(acks=queue), SimpleNamespace(first_offset=7, last_offset=7))
    replicas: Any = SimpleNamespace(append=lambda *_args, **_named: appended)
    metadata: Any = SimpleNamespace(partitions=lambda _topic: {})
    return InternalTopicShards("__consumer_offsets", replicas, metadata, clock, -1, 5000, 50, lambda _: None)  # type: ignore[arg-type]


def append(reached: ErrorCode | None, clock: Clock) -> list[tuple[int, int]]:
    done: list[tuple[int, int]] = []
    queue = AckQueue(lambda _required: reached)
    shards(queue, clock).append(0, 0, [Record(0, 0, b"k", b"v")], lambda error, offset: done.append((error, offset)))
    return done


def test_a_lone_replica_answers_at_once() -> None:
    clock = Clock()
    assert append(ErrorCode.NONE, clock) == [(0, 7)]
    assert clock.timers == []


def test_with_followers_it_waits_for_them_as_long_as_the_offsets_commit_timeout() -> None:
    clock = Clock()
    assert append(None, clock) == []
    assert clock.timers == [5.0]
