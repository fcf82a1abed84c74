"""Replica placement as Kafka does it (AdminUtils; the tables of its own AdminTest and RackAwareTest)."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.admin.placement import PlacementError, alternate_racks, assign, extend


def without_racks(*brokers: int) -> dict[int, str | None]:
    return dict.fromkeys(brokers)


def test_ten_partitions_on_five_brokers_are_kafkas_own_example() -> None:
    """AdminUtils' comment: p0 (0,1,2), p1 (1,2,3) ... p5 (0,2,3) with start 0."""
    assert assign(without_racks(0, 1, 2, 3, 4), 10, 3) == {
        0: (0, 1, 2),
        1: (1, 2, 3),
        2: (2, 3, 4),
        3: (3, 4, 0),
        4: (4, 0, 1),
        5: (0, 2, 3),
        6: (1, 3, 4),
        7: (2, 4, 0),
        8: (3, 0, 1),
        9: (4, 1, 2),
    }


def test_racks_alternate_as_in_kafkas_comment() -> None:
    racks = {0: "rack1", 1: "rack3", 2: "rack3", 3: "rack2", 4: "rack2", 5: "rack1"}
    assert alternate_racks(racks) == [0, 3, 1, 5, 4, 2]
    assert assign(racks, 7, 3) == {
        0: (0, 3, 1),
        1: (3, 1, 5),
        2: (1, 5, 4),
        3: (5, 4, 2),
        4: (4, 2, 0),
        5: (2, 0, 3),
        6: (0, 4, 2),
    }


def test_one_broker_holds_everything() -> None:
    assert assign(without_racks(7), 3, 1) == {0: (7,), 1: (7,), 2: (7,)}


def test_some_racks_and_not_others_is_refused() -> None:
    with pytest.raises(PlacementError, match="Not all brokers have rack information"):
        assign({1: "a", 2: None}, 1, 1)


def test_new_partitions_go_on_where_the_topic_began() -> None:
    racks = without_racks(1, 2, 3)
    first = assign(racks, 3, 2, start=1)
    assert extend(racks, first, 6) == {
        index: replicas for index, replicas in assign(racks, 6, 2, start=1).items() if index >= 3
    }
    assert extend(racks, {0: (9,)}, 2) == {1: (2,)}, "a first leader above every live broker: start at 0"


@given(brokers=st.integers(1, 12), partitions=st.integers(1, 40), factor=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_replicas_are_distinct_and_leaders_are_spread_evenly(
    brokers: int, partitions: int, factor: int, seed: int
) -> None:
    factor = min(factor, brokers)
    placed = assign(without_racks(*range(brokers)), partitions, factor, random=random.Random(seed))
    assert sorted(placed) == list(range(partitions))
    assert all(len(set(replicas)) == factor for replicas in placed.values())
    leaders = Counter(replicas[0] for replicas in placed.values())
    assert max(leaders.values()) - min(leaders.get(broker, 0) for broker in range(brokers)) <= 1


@given(per_rack=st.lists(st.integers(1, 4), min_size=1, max_size=4), factor=st.integers(1, 8), seed=st.integers(0, 99))
def test_replicas_use_every_rack_before_one_twice(per_rack: list[int], factor: int, seed: int) -> None:
    racks: dict[int, str | None] = {}
    for rack, count in enumerate(per_rack):
        racks.update(dict.fromkeys(range(len(racks), len(racks) + count), f"r{rack}"))
    factor = min(factor, len(racks))
    for replicas in assign(racks, 10, factor, random=random.Random(seed)).values():
        assert len(set(replicas)) == factor
        assert len({racks[broker] for broker in replicas}) == min(factor, len(per_rack))
