"""The feed: it drops ticks, backs off, keeps the last good view; what ZooKeeper pushed wins over older answers."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from kops.cluster.metadata import Snapshot
from kops.cluster.watching import Connected, Controlled, Registered, StateOf, Watching
from kops.contexts import Context
from kops.errors import Unreachable
from tests.cluster.processes import eventually
from tests.tui.canned import NOON, WHOLE, CannedFeed, view
from tui.feed import Feed
from tui.snapshots import Condition, Gauges


class Scripted(Feed):
    """Looks are answered by the test, one by one; nothing is measured."""

    def __init__(self, interval: float) -> None:
        super().__init__(Context("dev", "127.0.0.1:1"), interval)
        self.looks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.failing = False

    def _look(self) -> Snapshot:
        self.looks += 1
        assert self.gate.wait(10)
        if self.failing:
            raise Unreachable("no broker answers")
        seen = view()
        return Snapshot(seen.cluster_id, seen.controller, seen.brokers, seen.topics)

    async def _measure_forever(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def feed() -> AsyncIterator[Scripted]:
    made = Scripted(0.02)
    yield made
    made.gate.set()
    await made.stop()


async def test_a_tick_is_dropped_while_a_look_is_under_way(feed: Scripted) -> None:
    feed.gate.clear()
    feed.start()
    await asyncio.sleep(0.2)
    assert feed.looks == 1
    assert feed.condition is Condition.LOADING
    feed.gate.set()

    async def looked() -> bool:
        return feed.looks > 2

    await eventually("it looks again", looked)
    assert feed.condition is Condition.LIVE


async def test_a_failure_keeps_the_last_view_and_says_why(feed: Scripted) -> None:
    feed.start()

    async def condition(wanted: Condition) -> bool:
        return feed.condition is wanted

    await eventually("it is live", lambda: condition(Condition.LIVE))
    feed.failing = True
    await eventually("it is stale", lambda: condition(Condition.STALE))
    assert feed.view is not None and feed.view.partitions.keys() == {one.name for one in WHOLE}
    assert feed.reason == "no broker answers"
    feed.failing = False
    feed.refresh()
    await eventually("it is live again", lambda: condition(Condition.LIVE))
    assert feed.reason == ""


async def test_failing_looks_are_made_less_and_less_often(feed: Scripted) -> None:
    feed.failing = True
    feed.start()
    await asyncio.sleep(0.4)
    # 20 would be due at the interval; waits double from 40 ms on.
    assert 2 <= feed.looks <= 6


async def test_nothing_is_asked_while_paused(feed: Scripted) -> None:
    feed.start()

    async def looked() -> bool:
        return feed.view is not None

    await eventually("it looked", looked)
    feed.pause(True)
    await asyncio.sleep(0.05)
    before = feed.looks
    await asyncio.sleep(0.15)
    assert feed.looks == before
    assert feed.condition is Condition.PAUSED


def looked(feed: Feed, **changes: Any) -> None:
    seen = view(**changes)
    feed._looked(Snapshot(seen.cluster_id, seen.controller, seen.brokers, seen.topics))


async def told(feed: Feed, *facts: Any) -> None:
    for fact in facts:
        feed._told(fact)
    await asyncio.sleep(0.03)


async def test_what_is_pushed_is_shown_at_once_with_its_own_time() -> None:
    feed = CannedFeed()
    looked(feed)
    await told(feed, StateOf(NOON + 77, "orders", 1, 3, 4, (3, 1)))
    assert feed.view is not None
    assert (feed.view.partitions["orders-1"].leader, feed.view.partitions["orders-1"].isr) == (3, (3, 1))
    assert [(event.at, event.resolution_ms, event.text) for event in feed.history.events] == [
        (NOON + 77, 0, "leader 2 → 3 (epoch 3 → 4)"),
        (NOON + 77, 0, "ISR 1,2,3 → 1,3"),
    ]


async def test_states_that_come_together_are_one_view_and_keep_their_own_times() -> None:
    feed = CannedFeed()
    looked(feed)
    views = []
    feed.changed = lambda: views.append(feed.view)
    await told(
        feed,
        StateOf(NOON + 70, "orders", 0, 1, 1, (1, 3)),
        StateOf(NOON + 73, "orders", 1, 3, 4, (3, 1)),
        StateOf(NOON + 77, "orders", 1, 3, 4, (3,)),
    )
    assert [(event.at, event.subject, event.text) for event in feed.history.events if event.kind == "isr"] == [
        (NOON + 70, "orders-0", "ISR 1,2,3 → 1,3"),
        (NOON + 73, "orders-1", "ISR 1,2,3 → 1,3"),
        (NOON + 77, "orders-1", "ISR 1,3 → 3"),
    ]
    assert len({id(one) for one in views}) == 2


async def test_an_older_answer_of_a_broker_does_not_undo_what_was_pushed() -> None:
    feed = CannedFeed()
    looked(feed)
    await told(feed, Registered(NOON, (1, 3)), Controlled(NOON, 3), StateOf(NOON, "orders", 1, 3, 4, (3, 1)))
    looked(feed)
    assert feed.view is not None
    assert feed.view.partitions["orders-1"].leader == 3
    assert feed.view.alive == {1, 3}
    assert feed.view.controller == 3


async def test_a_newer_answer_of_a_broker_wins_over_what_was_pushed_before() -> None:
    feed = CannedFeed()
    looked(feed)
    await told(feed, StateOf(NOON, "orders", 1, 2, 3, (1, 2, 3)))
    newer = tuple(replace(one, leader=1, leader_epoch=9) if one.name == "orders-1" else one for one in WHOLE)
    looked(feed, partitions=newer)
    assert feed.view is not None and feed.view.partitions["orders-1"].leader == 1


async def test_without_zookeeper_polling_is_all_there_is() -> None:
    feed = CannedFeed()
    looked(feed)
    await told(feed, Registered(NOON, (1, 2, 3)))
    assert feed.view is not None and feed.view.pushed
    await told(feed, Connected(NOON, False))
    looked(feed, brokers=(1, 2))
    assert feed.view is not None and not feed.view.pushed
    assert feed.view.alive == {1, 2}
    assert feed.watching == "ZooKeeper does not answer"


async def test_a_cluster_without_zookeeper_is_named_as_such() -> None:
    feed, seen = CannedFeed(Context("far", "h:9092")), view()
    feed._looked(Snapshot(seen.cluster_id, 9, seen.brokers, seen.topics, kraft=True))
    assert feed.view is not None and feed.view.controller == 9
    assert "the cluster has no ZooKeeper" in feed.source


async def test_partitions_that_did_not_change_stay_the_same_objects() -> None:
    feed = CannedFeed()
    looked(feed)
    before = feed.view
    looked(feed)
    assert before is not None and feed.view is not None
    assert all(feed.view.partitions[name] is one for name, one in before.partitions.items())


def test_data_that_is_too_old_is_stale_whatever_the_reason() -> None:
    feed = CannedFeed()
    feed.show(view())
    assert feed.condition is Condition.LIVE
    feed.later(60)
    assert feed.condition is Condition.STALE
    assert feed.age_ms == 60_000


def test_gauges_that_were_never_read_are_none() -> None:
    assert (Gauges().ends, Gauges().min_isr, Gauges().sizes) == (None, None, None)


def test_it_is_said_when_only_a_part_of_the_partitions_is_watched() -> None:
    feed = CannedFeed()
    feed.show(view())
    assert feed.source == "pushed by ZooKeeper"
    feed._watch = watching = Watching(None, lambda fact: None)  # type: ignore[arg-type]
    watching.watched["/brokers/topics/audit/partitions/0/state"] = ("audit", 0)
    assert feed.source == "pushed by ZooKeeper (1 of 4 partitions, ±1000 ms)"
    feed.watching = "ZooKeeper does not answer"
    assert feed.source == "polled, ±1000 ms (ZooKeeper does not answer)"
