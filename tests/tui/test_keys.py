"""Keys typed faster than screens open: each goes where somebody who types slowly would have sent it."""

from textual import events
from textual.widgets import Input

from tests.tui.canned import view
from tests.tui.test_app import dashboard, keys, settled, text
from tui.app import KopsApp
from tui.widgets.dialogs import Choose, Confirm
from tui.widgets.grid import Grid


def at_once(app: KopsApp, *names: str) -> None:
    """All in one go, as a terminal delivers what was pasted or typed ahead."""
    for name in names:
        app.post_message(events.Key(name, name if len(name) == 1 else {"enter": "\r", "colon": ":"}.get(name)))


async def test_a_command_typed_in_one_go_arrives_whole() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        at_once(app, "colon", *"isr orders-1", "enter")
        await settled(pilot)
        assert keys(app) == ["orders-1"]


async def test_keys_before_the_first_screen_is_there_are_not_lost() -> None:
    app, feed = dashboard("overview")
    async with app.run_test(size=(100, 30)) as pilot:
        at_once(app, "3", "colon", *"ev", "tab", "enter")
        feed.show(view())
        await settled(pilot)
        assert "events" in text(app, "Header")


async def test_what_is_typed_after_a_filter_moves_the_cursor_in_what_it_left() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(100, 30)) as pilot:
        feed.show(view())
        await settled(pilot)
        at_once(app, "slash", *"orders", "enter", "j", "j")
        await settled(pilot)
        assert app.screen.query_one(Grid).cursor == "orders-2"
        assert app.screen.query_one("#filter", Input).value == "orders"


async def test_a_dialog_gets_what_is_typed_after_the_key_that_opens_it() -> None:
    app, feed = dashboard()
    async with app.run_test(size=(120, 40)) as pilot:
        feed.show(view())
        await settled(pilot)
        at_once(app, "b", "escape", "question_mark", "q", "b", "enter")
        await settled(pilot)
        assert isinstance(app.screen, Confirm)
        at_once(app, "enter", "b")
        await settled(pilot)
        assert isinstance(app.screen, Choose)
        assert feed.done == []
