"""How screens look, as SVG: whole, and during a failover, in small and in large terminals.

After a change that is meant: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look at what changed.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from kops.cluster import recording
from kops.cluster.groups import Group, Member
from kops.cluster.lag import GroupLag, Lag
from kops.cluster.metadata import Broker
from kops.cluster.offsets import Position
from kops.cluster.partitions import Offsets
from kops.cluster.records import Record
from kops.cluster.zookeeper import Znode
from tests.tui.canned import NOON, REPORT, CannedFeed, failover, partition, view
from tests.tui.canned import WITHOUT_TWO as AFTER
from tui import deeds
from tui.app import SCREENS, KopsApp
from tui.deeds import Prepared
from tui.history import Event
from tui.questions import ZnodePage
from tui.replay import ReplayFeed
from tui.widgets.dialogs import Confirm, Plan


@pytest.fixture(autouse=True)
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are the same everywhere."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


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
        feed.history.note(Event(feed.wall(), "trigger", "broker 2", "kill (by you)"))
        feed.show(view(stopped=(2,)))
        feed.later(0.118)
        feed.show(view(AFTER, stopped=(2,), controller=3))
        feed.later(3.2)
        feed.show(view(AFTER, (1, 3), stopped=(2,), controller=3))
        feed.report = REPORT
        await painted(pilot)

    assert snap_compare(app, terminal_size=size, run_before=fail_over)  # type: ignore[operator]


GONE = partition("lost-0", -1, 4, (2,), (2,))


def group(name: str, state: str, committed: int, end: int) -> GroupLag:
    positions = tuple(Position("orders", index) for index in range(2))
    member = Member(f"{name}-1-3f2a", None, name, "/127.0.0.1", ("orders",), positions)
    members = (member,) if state == "Stable" else ()
    described = Group(name, state, "consumer", "range", Broker(1, "h", 1), members)
    owner = member if members else None
    parts = tuple(Lag(name, position, committed, 0, end, owner, age_ms=90_000) for position in positions)
    return GroupLag(described, parts)


RECORDS = [
    Record(b"customer-7", b'{"item": "shoes", "count": 2}', (("trace", b"a1"),), NOON, 0, "orders", 0),
    Record(None, b"\x82\xa1a\x01\xa1b\xc0", (), NOON + 4, 1, "orders", 0),
    Record(b"customer-9", b"\x00\x01\xfe\xff binary", (), NOON + 9, 0, "orders", 1),
]
ANSWERS = {
    "groups": [group("billing", "Stable", 120, 120), group("mail", "Empty", 3, 9000), group("audit", "Stable", 70, 60)],
    "topic_settings": [("min.insync.replicas", "2", "topic"), ("retention.ms", "604800000", "default")],
    "offsets": {f"orders-{index}": Offsets(0, 100 + index) for index in range(3)},
    "broker_settings": [("log.dirs", "/data/broker-1", ""), ("num.network.threads", "3", "")],
    "znode": ZnodePage(
        Znode("/brokers", b'{"version":1,"brokerid":2}', 7, 9, 8, NOON, NOON, 2, 3, 0, 0, 26, 3),
        ("ids", "seqid", "topics"),
    ),
}
OPENED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SCREENS, ()),
    "broker": ("2", "enter"),
    "topic": ("3", "j", "j", "enter"),
    "group": ("5", "j", "enter"),
    "records": ("3", "j", "j", "t"),
    "help": ("4", "question_mark"),
    "command": ("colon", *"topics or"),
    "filter": ("3", "slash", *"ord"),
    "kill": ("4", "b", "enter"),
    "drills": ("4", "d"),
    "reset": ("5", "R"),
    "delete": ("3", "asterisk", "ctrl+d"),
}
"""What is pressed to get there; nothing for a screen that is shown from the start."""
SMALL, LARGE = (80, 24), (160, 50)
DIALOGS = ("command", "filter", "drills", "reset")
SHOWN = [(name, size) for name in OPENED for size in (SMALL, LARGE) if size == SMALL or name not in DIALOGS]


@pytest.mark.parametrize(("name", "size"), SHOWN, ids=[f"{name}-{width}x{height}" for name, (width, height) in SHOWN])
def test_every_screen_of_a_harmed_cluster(
    name: str, size: tuple[int, int], snap_compare: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, feed = dashboard(name if name in SCREENS and not OPENED[name] else "overview")
    feed.answers, feed.records = ANSWERS, [RECORDS]
    planned = Prepared(
        Plan(
            "delete 3 topics?",
            ("audit: 1 partition on brokers 1, 3", "orders: 3 partitions on brokers 1, 2, 3"),
            "kops topic delete audit lost orders",
            "kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --delete --topic 'audit|lost|orders'",
            "3 topics",
        ),
        lambda session: "",
    )
    monkeypatch.setattr(deeds, "delete_topics", lambda *_: planned)

    async def opened(pilot: "Pilot[object]") -> None:
        feed.show(view())
        feed.later(1)
        feed.show(view((*AFTER, GONE), (1, 3), stopped=(2,)))
        feed.gauges = replace(feed.gauges, sizes={1: {"orders-0": 9_000_000}, 2: None, 3: {"orders-1": 4096}})
        await painted(pilot)
        await pilot.press(*OPENED[name])
        await painted(pilot)
        if name in ("kill", "delete"):
            while not isinstance(pilot.app.screen, Confirm):
                await pilot.pause(0.02)
            await painted(pilot)

    assert snap_compare(app, terminal_size=size, run_before=opened)  # type: ignore[operator]


def test_a_recorded_failover_is_replayed(snap_compare: object, tmp_path: Path) -> None:
    failover(tmp_path / "r")
    feed = ReplayFeed(recording.read(str(tmp_path / "r")), "failover.ndjson")
    feed.paused = True
    feed.seek(2500)
    assert snap_compare(KopsApp(feed.context, first="isr", feed=feed), terminal_size=(100, 30), run_before=painted)  # type: ignore[operator]


def test_data_that_is_too_old_is_dimmed(snap_compare: object) -> None:
    app, feed = dashboard("isr")

    async def silent(pilot: "Pilot[object]") -> None:
        feed.show(view())
        feed.later(12)
        feed.fail("no broker answers")
        await painted(pilot)
        assert pilot.app.screen.has_class("stale")

    assert snap_compare(app, terminal_size=(80, 24), run_before=silent)  # type: ignore[operator]
