"""The dashboard under a pilot, on a canned feed: keys, filters, cursors, dialogs, and what is shown when."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Static

from kops.cluster.metadata import Broker
from kops.cluster.records import Record
from kops.contexts import Context
from kops.errors import Unreachable
from tests.tui.canned import NOON, WHOLE, WITHOUT_TWO, CannedFeed, partition, view
from tui.app import SCREENS, KopsApp
from tui.history import KEPT, Event
from tui.screens.help import Help, Page, keys_of
from tui.screens.isr import IsrScreen
from tui.widgets.dialogs import Choose, Confirm
from tui.widgets.footer import KeyLine
from tui.widgets.grid import Grid


def dashboard(first: str = "isr", context: Context | None = None) -> tuple[KopsApp, CannedFeed]:
    feed = CannedFeed(context)
    return KopsApp(feed.context, first=first, feed=feed), feed


async def settled(pilot: "Pilot[object]") -> None:
    """What was shown last has been painted."""
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, KopsApp)
    for _ in range(200):
        await pilot.pause(0.02)
        if not app.painting:
            break
    await pilot.pause()


def text(app: KopsApp, name: str) -> str:
    return str(app.screen.query_one(name, Static).render())


def keys(app: KopsApp) -> list[str]:
    return [row.key for row in app.screen.query_one(Grid).rows]


@pytest.mark.parametrize("name", SCREENS)
async def test_every_screen_shows_that_it_is_asking_before_anything_came(name: str) -> None:
    app, feed = dashboard(name)
    feed.answers = {"znode": Unreachable("no ZooKeeper answers"), "groups": []}
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "LOADING" in text(app, "Header")
        feed.show(view())
        await settled(pilot)
        assert "LIVE" in text(app, "Header")
        assert "brokers 3/3" in text(app, "Header")


async def test_the_isr_screen_follows_a_failover() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        assert "under-replicated 0" in text(app, "Header")
        feed.later(5.8)
        feed.show(view(WITHOUT_TWO, (1, 3)))
        await settled(pilot)
        assert "under-replicated 3" in text(app, "Header")
        assert "leader changes 1" in text(app, "#counters")
        assert "2 DOWN 0.0s" in text(app, "#brokers")
        assert "leader 2 → 3 (epoch 3 → 4)" in text(app, "#timeline")
        assert keys(app) == ["orders-0", "orders-1", "orders-2", "audit-0"]


async def test_a_refresh_keeps_cursor_and_filter() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("slash", *"orders", "enter", "j", "j")
        assert app.screen.query_one(Grid).cursor == "orders-2"
        assert "/orders   3 of 4" in text(app, "#line")
        feed.show(view((*WITHOUT_TWO, partition("more-0", 1, 0, (1, 3), (1, 3))), (1, 3)))
        await settled(pilot)
        assert app.screen.query_one(Grid).cursor == "orders-2"
        assert keys(app) == ["orders-0", "orders-1", "orders-2"]
        await pilot.press("escape")
        await settled(pilot)
        assert len(keys(app)) == 5
        assert app.is_running


async def test_the_cursor_stays_near_when_its_row_is_gone() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(120, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("G")
        assert app.screen.query_one(Grid).cursor == "orders-2"
        feed.show(view(WHOLE[:3]))
        await settled(pilot)
        assert app.screen.query_one(Grid).cursor == "orders-1"


async def test_stale_data_stay_with_their_age_and_the_reason() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(160, 30)) as pilot:
        feed.show(view())
        feed.later(12)
        feed.fail("no broker answers (127.0.0.1:9092: connection refused)")
        await settled(pilot)
        header = text(app, "Header")
        assert "STALE" in header and "12s ago" in header and "connection refused" in header
        assert len(keys(app)) == 4


async def test_without_zookeeper_the_resolution_is_stated() -> None:
    app, feed = dashboard(context=Context("prod", "h:9092"))
    feed.watching = "no ZooKeeper is known"
    async with app.run_test(size=(120, 30)) as pilot:
        feed.show(view(pushed=False, local=False))
        feed.show(view(WITHOUT_TWO, (1, 3), pushed=False, local=False))
        await settled(pilot)
        assert "polled, ±1000 ms (no ZooKeeper is known)" in text(app, "#timeline")
        assert "ms ±1000" in text(app, "#timeline")


async def test_a_broker_is_killed_only_after_its_plan_was_confirmed() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("j", "j", "b")
        await pilot.pause()
        assert isinstance(app.screen, Choose)
        # orders-1 is selected: its leader comes first.
        assert app.screen.options[0][0] == "kill 2"
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        assert app.screen.plan.command == "kops broker kill 2"
        assert "it leads 1 of 4 partitions" in app.screen.plan.lines
        assert app.screen.query_one("#cancel", Button).has_focus
        await pilot.press("enter")
        await settled(pilot)
        assert feed.done == []
        await pilot.press("b")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("right", "enter")
        await settled(pilot)
        assert feed.done == [("kill", 2)]
        assert "kill broker 2: done" in text(app, "#line")


async def test_in_a_protected_context_its_name_must_be_typed() -> None:
    app, feed = dashboard(context=Context("prod", "h:1", cluster="prod", protected=True))
    async with app.run_test(size=(120, 40)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("b")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        button = app.screen.query_one("#do", Button)
        assert button.disabled
        app.screen.query_one("#typed", Input).focus()
        await pilot.press(*"prod")
        assert not button.disabled


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (Context("far", "h:9092"), "kops did not start this cluster"),
        (Context("dev", "h:9092", cluster="dev", read_only=True), "read-only"),
    ],
)
@pytest.mark.parametrize("key", ["b", "d"])
async def test_nobody_else_s_brokers_can_be_harmed(context: Context, why: str, key: str) -> None:
    app, feed = dashboard(context=context)
    async with app.run_test(size=(120, 40)) as pilot:
        feed.show(view(local=False))
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        assert why in text(app, "#line")
        assert feed.done == []


async def test_what_needs_zookeeper_or_a_local_cluster_is_offered_only_where_there_is_one() -> None:
    for context, there in ((None, True), (Context("far", "h:9092"), False)):
        app, feed = dashboard(context=context)
        async with app.run_test(size=(160, 40)) as pilot:
            feed.show(view())
            await settled(pilot)
            assert ("7 zookeeper" in text(app, "#line")) is there
            assert "8 events" in text(app, "#line")
            assert ("d drill" in text(app, "KeyLine"), "b kill, pause…" in text(app, "KeyLine")) == (there, there)
            await pilot.press("question_mark")
            assert isinstance(app.screen, Help)
            assert [("7", "zookeeper") in app.screen.keys, "zookeeper" in app.screen.commands] == [there, there]


async def test_digits_and_the_command_bar_lead_to_screens_and_escape_never_quits() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        feed.answers = {"topic_settings": [("min.insync.replicas", "2", "topic")], "offsets": {}}
        await pilot.press("3")
        await settled(pilot)
        assert keys(app) == ["audit", "orders"]
        await pilot.press("j", "enter")
        await settled(pilot)
        assert keys(app) == ["orders-0", "orders-1", "orders-2"]
        assert feed.asked[0] == ("topic_settings", ("orders",))
        await pilot.press("escape")
        await settled(pilot)
        assert keys(app) == ["audit", "orders"]
        await pilot.press("escape", "escape")
        assert app.is_running
        await pilot.press("colon", *"ev", "tab", "enter")
        await settled(pilot)
        assert "events" in text(app, "Header")
        await pilot.press("colon", *"isr orders-1", "enter")
        await settled(pilot)
        assert keys(app) == ["orders-1"]
        await pilot.press("colon", *"nonsense", "enter")
        await settled(pilot)
        assert "there is no command 'nonsense'" in text(app, "#line")
        await pilot.press("q")
    assert not app.is_running


async def test_pause_and_interval_are_shown() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await pilot.press("p", "plus")
        await settled(pilot)
        assert "PAUSED" in text(app, "Header") and "every 2s" in text(app, "Header")
        await pilot.press("p", "minus", "minus")
        await settled(pilot)
        assert "LIVE" in text(app, "Header") and "every 0.5s" in text(app, "Header")


async def test_help_names_the_keys_that_work() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        assert isinstance(app.screen, IsrScreen)
        found = {words: shown for shown, words in keys_of(app.screen)}
        assert found["drill"] == "d"
        assert found["down"] == "down j"
        assert found["filter"] == "/"
        assert "1" in found["overview"]
        assert "mark all" in found
        assert "the other table" not in found
        await pilot.press("question_mark")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        lines = weakref.ref(app.screen._styles_cache)
        await pilot.press("escape")
        assert not isinstance(app.screen, Help)
        await pilot.pause()
        gc.collect()
        assert lines() is None, "what was drawn of a dialog outlives it"


async def test_menus_and_help_move_with_the_keys_of_tables() -> None:
    app, feed = dashboard("brokers")
    async with app.run_test(size=(80, 24)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("b", "j", "j", "k")
        menu = app.screen.query_one(OptionList)
        assert menu.highlighted == 1
        await pilot.press("G")
        assert menu.highlighted == menu.option_count - 1
        await pilot.press("h", "question_mark", "G")
        await settled(pilot)
        assert app.screen.query_one(Page).scroll_y > 0


async def test_words_that_need_more_than_a_line_get_it() -> None:
    app, feed = dashboard("topics")
    async with app.run_test(size=(80, 24)) as pilot:
        feed.show(view())
        await settled(pilot)
        app.say("why it failed, in many words " * 6, bad=True)
        await settled(pilot)
        assert app.screen.query_one("#line").size.height == 3
        await pilot.press("colon", *"events", "enter")
        await settled(pilot)
        assert app.screen.query_one("#line").size.height == 1


async def test_back_leads_to_where_one_came_from() -> None:
    app, feed = dashboard("topics")
    feed.answers = {"groups": [], "topic_settings": [], "offsets": {}}
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("G", "enter")
        app.say("something was done to this topic")
        await pilot.press("o")
        await settled(pilot)
        assert "groups of topic orders" in text(app, "Header")
        await pilot.press("q")
        await settled(pilot)
        assert "topic orders" in text(app, "Header")
        assert app.said == ("", False)
        await pilot.press("i", "escape", "escape", "escape")
        await settled(pilot)
        assert "topics" in text(app, "Header")
        assert app.is_running


async def test_rows_are_sorted_by_the_chosen_column_numbers_as_numbers() -> None:
    app, feed = dashboard("topics")
    many = [partition(f"t{number}-{index}", 1, 0, (1,), (1,)) for number in (1, 2, 10) for index in range(number)]
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view(tuple(many)))
        await settled(pilot)
        await pilot.press("s", "s", "S")
        assert keys(app) == ["t10", "t2", "t1"]
        await pilot.press("S")
        assert keys(app) == ["t1", "t2", "t10"]


async def test_ten_thousand_partitions_show_only_what_is_affected() -> None:
    app, feed = dashboard()
    many = [
        partition(f"t{number:04}-{index}", 1, 0, (1, 2, 3), (1, 2, 3)) for number in range(1000) for index in range(10)
    ]
    async with app.run_test(size=(160, 50)) as pilot:
        feed.show(view((*many, *WITHOUT_TWO)))
        await settled(pilot)
        assert keys(app) == ["orders-0", "orders-1", "orders-2"]
        assert "only affected of 10004" in text(app, "#counters")
        await pilot.press("a")
        await settled(pilot)
        assert len(keys(app)) == 10_004
        await pilot.press("G")
        assert app.screen.query_one(Grid).cursor == "t0999-9"


async def test_records_are_shown_as_they_arrive_and_decoded() -> None:
    app, feed = dashboard("topics")
    feed.records = [
        [Record(b"k", b'{"n": 1}', (("h", b"v"),), NOON, 0, "audit", 0)],
        [Record(None, b"\x82\xa1a\x01\xa1b\xc0", (), NOON, 0, "audit", 1), Record(None, None, (), NOON, 0, "audit", 2)],
    ]
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("t")
        await settled(pilot)
        await settled(pilot)
        assert keys(app) == ["0-2", "0-1", "0-0"]
        assert "value (null)" in text(app, "#record-text")
        await pilot.press("j")
        await settled(pilot)
        assert "value (MessagePack)" in text(app, "#record-text")
        await pilot.press("j")
        await settled(pilot)
        shown = text(app, "#record-text")
        assert "value (JSON)" in shown and "header h: v" in shown


async def test_the_cursor_stays_on_an_event_when_the_oldest_ones_are_forgotten() -> None:
    app, feed = dashboard("events")
    async with app.run_test(size=(120, 20)) as pilot:
        feed.show(view())
        for number in range(KEPT):
            feed.history.note(Event(NOON, "isr", "orders-0", str(number)))
        app.screen.repaint()  # type: ignore[attr-defined]
        await pilot.press("j")
        for number in range(KEPT, KEPT + 3):
            feed.history.note(Event(NOON, "isr", "orders-0", str(number)))
        app.screen.repaint()  # type: ignore[attr-defined]
        current = app.screen.query_one(Grid).current
        assert current is not None and current.cells[3] == str(KEPT - 2)


async def test_events_are_exported_as_ndjson(tmp_path: Path) -> None:
    app, feed = dashboard("events")
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        feed.show(view(WITHOUT_TWO, (1, 3)))
        await settled(pilot)
        await pilot.press("ctrl+e")
        await settled(pilot)
    written = list(tmp_path.glob("kops-events-*.ndjson"))
    assert len(written) == 1
    assert len(written[0].read_text().splitlines()) == 7


async def test_a_narrow_terminal_drops_columns_and_a_tiny_one_does_not_crash() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        feed.show(view())
        await settled(pilot)
        shown = [heading.title for _, heading, _ in app.screen.query_one(Grid).columns()]
        assert shown[:4] == ["PARTITION", "b1", "b2", "b3"] and "STATE" in shown
        await pilot.resize_terminal(30, 8)
        await settled(pilot)
        assert app.is_running


async def test_brokers_say_what_is_known_of_them() -> None:
    app, feed = dashboard("brokers")
    async with app.run_test(size=(160, 30)) as pilot:
        feed.show(replace(view(stopped=(3,)), brokers=(Broker(1, "h", 9092), Broker(2, "h", 9093))))
        feed.gauges = replace(feed.gauges, sizes={1: {"orders-0": 2048}, 2: None})
        await settled(pilot)
        rows = {row.key: row.text.split() for row in app.screen.query_one(Grid).rows}
        assert rows["1"][:3] == ["1", "h:9092", "up"] and "2.0" in rows["1"]
        assert rows["3"][:3] == ["3", "—", "stopped"]


async def test_clicks_on_keys_screens_and_headings() -> None:
    app, feed = dashboard("topics")
    feed.answers = {"groups": []}
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        assert text(app, "KeyLine").rstrip() == "/ filter t records i isr ^d delete : command ? help q quit"
        await pilot.click(KeyLine, offset=(21, 0))
        await settled(pilot)
        assert "isr" in text(app, "Header")
        assert "d drill" in text(app, "KeyLine")
        await pilot.click("#line", offset=(24, 0))
        await settled(pilot)
        assert "topics" in text(app, "Header")
        grid = app.screen.query_one(Grid)
        for descending in (False, True):
            await pilot.click(Grid, offset=(20, 0))
            await settled(pilot)
            assert (grid.headings[grid.sorted_by or 0].title, grid.descending) == ("PARTITIONS", descending)


async def test_keys_that_are_typed_while_it_ends_are_dropped() -> None:
    app, feed = dashboard("overview")
    async with app.run_test(size=(80, 24)) as pilot:
        feed.show(view())
        await settled(pilot)
        for key in ("q", "j", "b", "question_mark"):
            app.post_message(events.Key(key, key))
    assert not app.is_running
