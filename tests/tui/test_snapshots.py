"""How screens look, as SVG: whole, and during a failover, in small and in large terminals.

After a change that is meant: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look at what changed.
"""

import pytest
from textual.pilot import Pilot

from kops.cluster.drills import Report
from kops.cluster.probe import Comparison
from tests.tui.canned import WITHOUT_TWO as AFTER
from tests.tui.canned import CannedFeed, partition, view
from tui.app import KopsApp
from tui.history import Event

REPORT = Report(
    action="kill",
    broker=2,
    topic="kops-drill",
    partition=0,
    acks="all",
    timeline=(),
    sent=1100,
    acknowledged=1100,
    errors={"KafkaConnection": 3},
    write_gap_ms=131.4,
    slowest_usual_ms=38.0,
    leader_ms=118.0,
    isr_ms=118.0,
    whole_ms=2900.0,
    comparison=Comparison(1100, (), (), (), 0),
)


def dashboard(first: str) -> tuple[KopsApp, CannedFeed]:
    feed = CannedFeed()
    return KopsApp(feed.context, first=first, feed=feed), feed


async def painted(pilot: "Pilot[object]") -> None:
    app = pilot.app
    assert isinstance(app, KopsApp)
    for _ in range(200):
        await pilot.pause(0.02)
        if not app.painting:
            break
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
def test_a_failover_on_the_isr_screen(size: tuple[int, int], snap_compare: object) -> None:
    app, feed = dashboard("isr")

    async def fail_over(pilot: "Pilot[object]") -> None:
        feed.show(view())
        feed.later(2)
        feed.history.note(Event(feed.wall(), "trigger", "broker 2", "kill broker 2 (by you)"))
        feed.show(view(stopped=(2,)))
        feed.later(0.118)
        feed.show(view(AFTER, stopped=(2,), controller=3))
        feed.later(3.2)
        feed.show(view(AFTER, (1, 3), stopped=(2,), controller=3))
        feed.report = REPORT
        await painted(pilot)

    assert snap_compare(app, terminal_size=size, run_before=fail_over)  # type: ignore[operator]


@pytest.mark.parametrize("first", ["overview", "brokers", "topics"])
def test_a_cluster_with_a_dead_broker_and_a_partition_without_leader(first: str, snap_compare: object) -> None:
    app, feed = dashboard(first)

    async def harmed(pilot: "Pilot[object]") -> None:
        feed.show(view((*AFTER, partition("lost-0", -1, 4, (2,), (2,))), (1, 3), stopped=(2,)))
        await painted(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=harmed)  # type: ignore[operator]


def test_a_plan_waits_for_its_confirmation(snap_compare: object) -> None:
    app, feed = dashboard("isr")

    async def asked(pilot: "Pilot[object]") -> None:
        feed.show(view())
        await painted(pilot)
        await pilot.press("b")
        await pilot.pause()
        await pilot.press("enter")
        await painted(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=asked)  # type: ignore[operator]
