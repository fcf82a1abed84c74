"""Where replicas should be: even, little moved, racks apart, leaders spread."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kops.operations.spread import Key, spread

FLAT: dict[int, str | None] = dict.fromkeys((1, 2, 3), None)


def moved(now: dict[Key, tuple[int, ...]], then: dict[Key, tuple[int, ...]]) -> int:
    return sum(len(set(then[key]) - set(now[key])) for key in now)


def test_what_is_even_stays() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", 0): (1, 2), ("t", 1): (2, 3), ("t", 2): (3, 1)}
    assert spread(now, FLAT, {}) == now


def test_a_new_broker_gets_its_share_and_no_more_is_moved() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", p): (1 + p % 2,) for p in range(6)}
    then = spread(now, FLAT, {})
    assert Counter(replicas[0] for replicas in then.values()) == {1: 2, 2: 2, 3: 2}
    assert moved(now, then) == 2


def test_small_partitions_move_first() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", p): (1,) for p in range(3)}
    then = spread(now, FLAT, {("t", 0): 10, ("t", 1): 1_000_000, ("t", 2): 20})
    assert then["t", 1] == (1,)


def test_a_drained_broker_keeps_nothing() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", p): ((p % 3) + 1, ((p + 1) % 3) + 1) for p in range(6)}
    then = spread(now, {1: None, 2: None}, {})
    assert {broker for replicas in then.values() for broker in replicas} == {1, 2}
    assert moved(now, then) == 4


def test_more_and_fewer_copies() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", 0): (1,), ("t", 1): (2, 3, 1)}
    then = spread(now, FLAT, {}, 2)
    assert {len(replicas) for replicas in then.values()} == {2}
    with pytest.raises(ValueError, match="4 replicas need 4 brokers, there are 3"):
        spread(now, FLAT, {}, 4)


def test_racks_are_kept_apart() -> None:
    racks = {1: "a", 2: "a", 3: "b", 4: "b"}
    now: dict[Key, tuple[int, ...]] = {("t", p): (1, 3) for p in range(4)}
    then = spread(now, racks, {})
    assert all({racks[broker] for broker in replicas} == {"a", "b"} for replicas in then.values())
    assert Counter(broker for replicas in then.values() for broker in replicas) == {1: 2, 2: 2, 3: 2, 4: 2}


def test_leaders_are_spread_by_order_alone() -> None:
    now: dict[Key, tuple[int, ...]] = {("t", p): (1, 2, 3) for p in range(6)}
    then = spread(now, FLAT, {})
    assert moved(now, then) == 0
    assert Counter(replicas[0] for replicas in then.values()) == {1: 2, 2: 2, 3: 2}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True), min_size=1, max_size=20),
    st.sets(st.integers(1, 6), min_size=3, max_size=6),
)
def test_any_layout_becomes_even_and_whole(layout: list[list[int]], brokers: set[int]) -> None:
    now: dict[Key, tuple[int, ...]] = {("t", p): tuple(replicas) for p, replicas in enumerate(layout)}
    then = spread(now, dict.fromkeys(brokers, None), {})
    for key, replicas in then.items():
        assert len(set(replicas)) == len(replicas) == len(now[key])
        assert set(replicas) <= brokers
    counts = {broker: sum(broker in replicas for replicas in then.values()) for broker in brokers}
    assert max(counts.values()) - min(counts.values()) <= 1
