"""What is changed from the dashboard: plans, names to be typed, marks, the reset wizard, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input

from kops.cluster.changes import Step
from kops.cluster.groups import Committed, Group, Member
from kops.cluster.lag import GroupLag, Lag
from kops.cluster.metadata import Broker
from kops.cluster.offsets import Position
from kops.contexts import Context
from kops.errors import Refused
from kops.operations.targets import Target, Where
from kops.session import Session
from tests.tui.canned import CannedFeed, partition, view
from tests.tui.test_app import dashboard, keys, settled, text
from tui import deeds
from tui.deeds import Prepared
from tui.widgets.dialogs import Ask, Choose, Confirm, Plan
from tui.widgets.grid import Grid


async def until(pilot: "Pilot[object]", condition: Callable[[], bool]) -> None:
    for _ in range(500):
        await pilot.pause(0.01)
        if condition():
            return
    raise AssertionError(f"it never came to it: {pilot.app.screen} {pilot.app.said}")


class Planned:
    """A feed's answers to plans: what was asked for, and what was done."""

    def __init__(self, feed: CannedFeed, monkeypatch: pytest.MonkeyPatch, typed: str = "") -> None:
        self.asked: list[tuple[str, object]] = []
        self.done: list[str] = []
        self.typed = typed
        for name in ("delete_topics", "delete_groups", "reset_offsets", "elect"):
            monkeypatch.setattr(deeds, name, lambda session, given, name=name: self._prepared(name, given))

        looks = feed.ask

        async def ask(question: object, *given: object) -> object:
            if getattr(question, "__name__", "") in feed.answers:
                return await looks(question, *given)  # type: ignore[arg-type]
            return question(None, *given)  # type: ignore[operator]

        monkeypatch.setattr(feed, "ask", ask)
        monkeypatch.setattr(feed, "change", self._change)

    def _prepared(self, name: str, given: object) -> Prepared:
        self.asked.append((name, given))
        return Prepared(Plan(f"{name}?", ("a line",), "kops …", "apache …", self.typed), lambda session: f"{name} done")

    async def _change(self, do: object) -> str:
        self.done.append(do(None))  # type: ignore[operator]
        return self.done[-1]


def group(name: str, *topics: str) -> GroupLag:
    member = Member("m", None, "app", "/127.0.0.1", topics, ())
    described = Group(name, "Empty", "consumer", "range", Broker(1, "h", 1), ())
    parts = tuple(Lag(name, Position(topic, 0), 3, 0, 9, member) for topic in topics)
    return GroupLag(described, parts)


async def test_marked_topics_are_deleted_only_after_their_number_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    app, feed = dashboard("topics")
    planned = Planned(feed, monkeypatch, typed="2 topics")
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("asterisk", "ctrl+d")
        await settled(pilot)
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        assert planned.asked == [("delete_topics", ["audit", "orders"])]
        assert app.screen.query_one("#cancel", Button).has_focus
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Confirm) and "not done" in text(app, "#line"))
        assert planned.done == []
        await pilot.press("ctrl+d")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("shift+tab", *"2 topic", "enter")
        await settled(pilot)
        assert app.screen.query_one("#typed", Input).value == "2 topic"
        assert planned.done == []
        await pilot.press("s", "enter")
        await until(pilot, lambda: "delete_topics done" in text(app, "#line"))
        assert planned.done == ["delete_topics done"]
        assert app.screen.query_one(Grid).marked == set()


async def test_the_reset_wizard_asks_for_partitions_and_place_and_shows_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app, feed = dashboard("groups")
    feed.answers = {"groups": [group("billing", "orders", "audit"), group("mail", "orders")]}
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.pause()
        planned = Planned(feed, monkeypatch)
        await pilot.press("R")
        await settled(pilot)
        assert isinstance(app.screen, Choose)
        assert [words for _, words in app.screen.options] == ["all that is committed", "audit", "orders"]
        await pilot.press("down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Choose) and app.screen.options[0][0] == "earliest"
        await pilot.press("down", "down", "down", "enter")
        await pilot.pause()
        assert isinstance(app.screen, Ask)
        await pilot.press(*"soon", "enter")
        assert isinstance(app.screen, Ask)
        await pilot.press(*["backspace"] * 4, *"-3", "enter")
        await settled(pilot)
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("right", "enter")
        await until(pilot, lambda: planned.done == ["reset_offsets done"])
    ((name, wish),) = planned.asked
    assert name == "reset_offsets" and isinstance(wish, deeds.Reset)
    assert (wish.groups, wish.scope, wish.words) == (("billing",), ("audit",), "--shift-by -3")
    assert wish.target == Target(Where.SHIFT, -3)


@pytest.mark.parametrize(("screen", "key"), [("topics", "ctrl+d"), ("groups", "R"), ("groups", "ctrl+d"), ("isr", "e")])
async def test_a_read_only_context_is_not_changed(screen: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app, feed = dashboard(screen, Context("dev", "h:9092", read_only=True))
    feed.answers = {"groups": [group("mail", "orders")]}
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        planned = Planned(feed, monkeypatch)
        await pilot.press(key)
        await settled(pilot)
        assert "this context is read-only" in text(app, "#line")
    assert planned.asked == []


async def test_a_group_in_use_is_refused_with_its_members(monkeypatch: pytest.MonkeyPatch) -> None:
    app, feed = dashboard("groups")
    feed.answers = {"groups": [group("mail", "orders")]}
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)

        async def refuse(*_: object) -> None:
            raise Refused("group mail is Stable: app-1 (app at 127.0.0.1)")

        monkeypatch.setattr(feed, "ask", refuse)
        await pilot.press("ctrl+d")
        await settled(pilot)
        assert "group mail is Stable: app-1" in text(app, "#line")


async def test_a_topic_leads_to_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    app, feed = dashboard("groups")
    feed.answers = {
        "groups": [group("billing", "orders"), group("mail", "audit")],
        "topic_settings": [],
        "offsets": {},
    }
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("colon", *"topics orders", "enter")
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        await settled(pilot)
        assert keys(app) == ["billing"] and "groups of topic orders" in text(app, "Header")
        await pilot.press("escape")
        await settled(pilot)
        assert "topic orders" in text(app, "Header")
        await pilot.press("5")
        await settled(pilot)
        assert keys(app) == ["billing", "mail"]


async def test_a_topic_of_many_partitions_takes_one_row_until_it_is_opened() -> None:
    app, feed = dashboard()
    many = [partition(f"wide-{index}", 1, 0, (1, 2, 3), (1, 2, 3)) for index in range(201)]
    async with app.run_test(size=(120, 30)) as pilot:
        feed.show(view((*many, partition("orders-0", 1, 1, (1, 2, 3), (1, 3)))))
        await settled(pilot)
        assert keys(app) == ["orders-0", "wide ▸"]
        row = app.screen.query_one(Grid).rows[1]
        assert row.text == "wide ok"
        assert [str(cell) for cell in row.cells[:4]] == ["wide ▸201", "L201", "F201", "F201"]
        await pilot.press("j", "enter")
        await settled(pilot)
        assert len(keys(app)) == 202
        await pilot.press("t")
        await settled(pilot)
        assert keys(app) == ["orders-0", "wide ▸"]


async def test_every_table_is_exported_as_it_is_shown(tmp_path: Path) -> None:
    app, feed = dashboard("topics")
    async with app.run_test(size=(160, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("slash", *"ord", "enter", "ctrl+e")
        await settled(pilot)
    (written,) = tmp_path.glob("kops-topics-*.ndjson")
    (line,) = written.read_text().splitlines()
    assert json.loads(line)["topic"] == "orders" and json.loads(line)["partitions"] == "3"


async def test_themes_are_chosen_by_name() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        await pilot.press("colon", *"theme nord", "enter")
        await settled(pilot)
        assert app.theme == "nord"
        await pilot.press("colon", *"theme mud", "enter")
        await settled(pilot)
        assert app.theme == "nord" and "the themes are:" in text(app, "#line")


CONTEXT = Context("dev", "127.0.0.1:9092")


def test_a_plan_of_a_reset_has_both_lines_and_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step("mail", Position("orders", 0), Committed(9), 3, 0, 12),
        Step("mail", Position("orders", 1), None, None, None, None, note="topic gone"),
    ]
    monkeypatch.setattr(deeds.reset, "plan", lambda *_: steps)
    monkeypatch.setattr(deeds.reset, "busy", lambda *_: [])
    wish = deeds.wish_of(["mail"], ["orders:0,1"], Where.TIME, "-6h", Target(Where.TIME, 1_767_225_600_123))
    plan = deeds.reset_offsets(Session(CONTEXT), wish).plan
    assert plan.command == "kops group reset mail --topic orders:0,1 --to-datetime=-6h"
    assert plan.apache == (
        "kafka-consumer-groups.sh --bootstrap-server 127.0.0.1:9092 --group mail --topic orders:0,1 "
        "--reset-offsets --to-datetime 2026-01-01T00:00:00.123 --execute"
    )
    assert plan.lines == (
        "1 of 2 partitions move; at most 6 records are replayed and 0 skipped",
        "orders-0   9 → 3   6 replayed",
        "orders-1   — → stays   topic gone",
    )
    assert plan.typed == ""


def test_protected_contexts_ask_for_their_own_name() -> None:
    assert deeds._typed(CONTEXT, ["orders"], "topic") == "orders"
    assert deeds._typed(CONTEXT, ["orders", "audit"], "topic") == "2 topics"
    assert deeds._typed(Context("prod", "h:1", protected=True), ["orders"], "topic") == "prod"


def test_names_with_blanks_are_quoted_so_that_the_line_can_be_pasted() -> None:
    assert deeds._line("kops topic delete", "a b", "c") == "kops topic delete 'a b' c"
