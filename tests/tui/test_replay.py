"""A recorded failover is seen again in the same screens: cells, timeline, verdict; moved in time, hastened, paused."""

import json
from pathlib import Path

import pytest

from kops.cluster import recording
from kops.cluster.metadata import Broker, Snapshot, Topic
from kops.cluster.recording import Recording
from kops.cluster.watching import Controlled, Registered, StateOf
from kops.errors import BadUsage
from tests.tui.canned import ENDS, NOON, REPORT, WHOLE, failover
from tests.tui.test_app import keys, settled, text
from tui.app import KopsApp
from tui.replay import ReplayFeed


def replay(path: Path) -> ReplayFeed:
    return ReplayFeed(recording.read(str(path)), "a file")


def test_what_was_recorded_is_what_was_seen(tmp_path: Path) -> None:
    feed = failover(tmp_path / "r")
    again = replay(tmp_path / "r")
    again.seek(1e9)
    assert feed.view is not None and again.view is not None
    assert again.view.partitions == feed.view.partitions
    assert again.view.processes == feed.view.processes
    assert (again.view.alive, again.view.controller) == (feed.view.alive, 3)
    assert set(again.history.events) == set(feed.history.events)
    assert again.history.led_before == {"orders-1": 2}
    assert again.gauges.min_isr == feed.gauges.min_isr and again.gauges.ends == ENDS
    assert again.report == REPORT


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    failover(tmp_path / "r")
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "r").read_text().splitlines()]
    assert kinds.count("cluster") == 1 and kinds.count("partition") == 3 and kinds.count("report") == 1


def test_a_replay_goes_to_any_moment(tmp_path: Path) -> None:
    failover(tmp_path / "r")
    again = replay(tmp_path / "r")
    assert again.length == 5318
    again.seek(2117)
    assert again.view is not None and again.view.partitions["orders-1"].leader == 2
    again.seek(2118)
    assert again.view is not None and again.view.partitions["orders-1"].leader == 3
    again.seek(0)
    assert again.view is not None and again.view.partitions["orders-1"].leader == 2
    assert again.history.leader_changes == 0


async def test_a_replay_is_shown_in_the_same_view(tmp_path: Path) -> None:
    failover(tmp_path / "r")
    feed = replay(tmp_path / "r")
    feed.paused = True
    app = KopsApp(feed.context, first="isr", feed=feed)
    async with app.run_test(size=(160, 50)) as pilot:
        await settled(pilot)
        assert "PAUSED" in text(app, "Header") and "0.0 of 5.3s" in text(app, "Header")
        await pilot.press("full_stop")
        await settled(pilot)
        assert "leader 2 → 3 (epoch 3 → 4)" in text(app, "#timeline")
        assert keys(app)[0] == "orders-0" and "URP" in app.screen.query_one("#matrix").rows[0].text  # type: ignore[attr-defined]
        await pilot.press("plus", "p")
        assert feed.speed == 2.0
        for _ in range(500):
            await pilot.pause(0.02)
            if "ENDED" in text(app, "Header"):
                break
        assert "write gap 131 ms" in text(app, "#probe")
        await pilot.press("d")
        await settled(pilot)
        assert "kops did not start this cluster" in text(app, "#line")


def test_watches_alone_make_a_recording(tmp_path: Path) -> None:
    path = str(tmp_path / "r")
    with Recording(path, NOON, "dev") as written:
        topics = (Topic("orders", None, False, (WHOLE[2],)),)
        brokers = tuple(Broker(n, "h", n) for n in (1, 2, 3))
        written.cluster(NOON, Snapshot("id", 1, brokers, topics), 0)
        written.fact(StateOf(NOON + 100, "orders", 1, 3, 4, (3, 1)))
        written.fact(Registered(NOON + 200, (1, 3)))
        written.fact(Controlled(NOON + 300, 3))
        written.fact(Registered(NOON + 400, (1, 2, 3)))
    again = replay(Path(path))
    again.seek(350)
    assert again.view is not None
    one = again.view.partitions["orders-1"]
    assert (one.leader, one.leader_epoch, one.isr, one.replicas) == (3, 4, (3, 1), (2, 3, 1))
    assert (sorted(again.view.alive), again.view.controller) == ([1, 3], 3)
    again.seek(1e9)
    assert again.view is not None and again.view.brokers == brokers


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is no recording"),
        ("not JSON\n", "line 1"),
        ('{"at":1,"kind":"cluster"}\n', "is no recording"),
        ('{"at":1,"kind":"recording","version":9,"name":"x"}\n', "another version"),
    ],
)
def test_other_files_are_refused(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(BadUsage, match=complaint):
        recording.read(str(tmp_path / "r"))


def test_a_torn_last_line_is_left_out_and_nothing_is_overwritten(tmp_path: Path) -> None:
    failover(tmp_path / "r")
    whole = (tmp_path / "r").read_text()
    lines = recording.read(str(tmp_path / "r"))
    (tmp_path / "r").write_text(whole[:-20])
    assert len(recording.read(str(tmp_path / "r"))) == len(lines) - 1
    with pytest.raises(BadUsage, match="there already"):
        Recording(str(tmp_path / "r"), NOON, "dev")
