"""Rates, trends, lags, reasons and the rows of the matrix: figures that are computed from what was measured."""

from dataclasses import replace

from kops.cluster.groups import Group, Member
from kops.cluster.lag import GroupLag, Lag
from kops.cluster.metadata import NO_LEADER, Broker
from kops.cluster.offsets import Position
from kops.cluster.replicas import lags
from tests.tui.canned import ENDS, NOON, WHOLE, WITHOUT_TWO, partition, view
from tui import matrix
from tui.history import History
from tui.lagging import Lagging
from tui.rates import Rates, spark
from tui.snapshots import LOADING, UNAVAILABLE, Gauges, age, count, health, size

GAUGES = Gauges(ends=ENDS, ends_at=NOON, min_isr={"orders": 2, "audit": 1})


def cells(rows: list[matrix.Row], name: str) -> list[str]:
    row = next(one for one in rows if one.key == name)
    return [cell if isinstance(cell, str) else cell.plain for cell in row.cells]


def rows(history: History, seen: matrix.View, gauges: Gauges = GAUGES, *, affected: bool = False) -> list[matrix.Row]:
    return matrix.Matrix().rows(seen, gauges, history, NOON + 6000, affected=affected)


def test_the_matrix_has_a_letter_for_every_replica() -> None:
    found = rows(History(), view())
    assert cells(found, "orders-1") == ["orders-1", "F", "L*", "F", "2", "3", "1,2,3", "2", "12 █", "ok"]
    assert cells(found, "audit-0")[1:4] == ["L*", "·", "F"]


def test_the_worst_partitions_come_first() -> None:
    dead = partition("orders-2", NO_LEADER, 2, (3, 1, 2), ())
    alone = partition("orders-0", 1, 1, (1, 2, 3), (1,))
    found = rows(History(), view((*WITHOUT_TWO[:1], alone, WITHOUT_TWO[2], dead), (1, 3)))
    assert [(row.key, cells(found, row.key)[-1]) for row in found] == [
        ("orders-2", "offline"),
        ("orders-0", "under min"),
        ("orders-1", "URP"),
        ("audit-0", "ok"),
    ]


def test_changed_cells_show_old_and_new() -> None:
    history = History()
    history.observe(view())
    after = view(WITHOUT_TWO, (1, 3), at=NOON + 5800)
    history.observe(after)
    found = cells(rows(history, after), "orders-1")
    assert found[1:6] == ["F", "L→x*", "F→L", "3 ←2", "3→4"]


def test_only_affected_leaves_out_what_is_whole() -> None:
    after = view(WITHOUT_TWO, (1, 3))
    assert [row.key for row in rows(History(), after, affected=True)] == ["orders-0", "orders-1", "orders-2"]


def test_loading_unavailable_and_zero_are_three_things() -> None:
    def lag(gauges: Gauges) -> str:
        return cells(rows(History(), view(), gauges), "orders-0")[-2]

    assert lag(Gauges()) == LOADING
    assert lag(Gauges(ends={}, min_isr={})) == UNAVAILABLE
    assert lag(GAUGES) == "0"
    assert lag(Gauges(ends={"orders-0": {1: 100, 3: 100}})) == f"0 2:{UNAVAILABLE}"
    assert health(view(), Gauges()).under_min_isr is None


def test_lag_is_how_far_followers_are_behind_their_leader() -> None:
    assert lags(WHOLE[2], ENDS["orders-1"]) == {1: 0, 3: 12}
    assert lags(WHOLE[2], {1: 5}) is None
    assert lags(WHOLE[2], {2: 5, 1: 9}) == {1: 0}


def test_rows_are_made_anew_only_when_their_order_may_be_another() -> None:
    made, history = matrix.Matrix(), History()
    before, after = view(), replace(view(), controller=3)
    first = made.rows(before, GAUGES, history, NOON)
    moved = replace(GAUGES, ends={"orders-1": {1: 260, 2: 260, 3: 238}}, ends_at=NOON + 1000)
    assert made.rows(after, moved, history, NOON + 1000) is first
    assert cells(first, "orders-1")[-2] == "22 ▅█"
    folded = made.rows(after, moved, history, NOON, folding=matrix.Folding(by_topic=True))
    assert [row.key for row in folded] == ["audit-0", "orders ▸"]
    assert made.rows(view(WITHOUT_TWO, (1, 3)), moved, history, NOON)[0].key == "orders-0"


def test_every_column_of_the_matrix_is_sorted_by_what_it_means() -> None:
    row = next(one for one in matrix.Matrix().rows(view(), GAUGES, History(), NOON) if one.key == "orders-1")
    assert [row.sort_value(column) for column in range(10)] == [
        "orders-000000000001",
        "F",
        "L*",
        "F",
        2,
        3,
        3,
        2,
        12,
        matrix.SEVERITY["ok"],
    ]


def test_names_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["t-10", "t-9", "a-1"], key=matrix.natural) == ["a-1", "t-9", "t-10"]


def test_rates_need_two_readings_and_begin_again_when_a_counter_goes_back() -> None:
    rates = Rates()
    rates.add(1000, {"a": 10, "b": 0})
    assert rates.rate(["a"]) is None
    rates.add(3000, {"a": 30, "b": 10})
    assert (rates.rate(["a"]), rates.rate(["a", "b"]), rates.rate(["c"])) == (10.0, 15.0, None)
    rates.add(4000, {"a": 5})
    assert rates.rate(["a"]) == 0.0
    assert list(rates.totals) == [15.0, 0.0]


def test_bars_begin_at_zero() -> None:
    assert spark([0, 5, 10], 5) == "▁▅█"
    assert spark([0, 0], 5) == "▁▁"
    assert spark([1, 2, 3, 4], 2) == "▆█"
    assert spark([], 5) == ""


def test_figures_are_short() -> None:
    assert [age(ms) for ms in (0, 420, 12_300, 185_000, 7_800_000)] == ["0.0s", "0.4s", "12s", "3m05s", "2h10m"]
    assert [count(n) for n in (0, 9999, 12_345, 4_500_000, 2.5e9)] == ["0", "9999", "12.3k", "4.5M", "2.5G"]
    assert [size(n) for n in (0, 2048, 5 << 20)] == ["0 B", "2.0 KiB", "5.0 MiB"]


def group(committed: int, end: int, *, members: bool = True, earliest: int = 0) -> GroupLag:
    position = Position("orders", 0)
    member = Member("m-1", None, "app", "/127.0.0.1", ("orders",), (position,))
    described = Group("g", "Stable", "consumer", "range", Broker(1, "h", 1), (member,) if members else ())
    return GroupLag(described, (Lag("g", position, committed, earliest, end, member if members else None),))


def reason(*looks: GroupLag, step: int = 2000) -> str:
    lagging = Lagging()
    for number, look in enumerate(looks):
        lagging.add(NOON + number * step, [look])
    return lagging.of(looks[-1]).reason


def test_a_group_says_in_words_why_it_deserves_a_look() -> None:
    assert reason(group(10, 10)) == ""
    assert reason(group(10, 12), group(14, 16)) == ""
    assert reason(*[group(10, 20)] * 4) == "stuck: nothing committed for 6 s"
    assert reason(*(group(10 + i, 20 + 10 * i) for i in range(5))) == "falling behind"
    assert reason(group(10, 20, members=False)) == "nobody is in it"
    assert reason(group(30, 20)) == "orders-0: committed past the end"
    assert reason(group(3, 20, earliest=5)) == "orders-0: committed below the start: 2 records are gone"


def test_time_to_catch_up_follows_from_the_pace() -> None:
    lagging = Lagging()
    lagging.add(NOON, [group(0, 100)])
    lagging.add(NOON + 1000, [group(30, 110)])
    doing = lagging.of(group(30, 110))
    assert (doing.produced, doing.consumed, doing.seconds_left(80)) == (10.0, 30.0, 4.0)
