"""What the dashboard has closed is gone: also from the caches of the libraries that drew it."""

import weakref

from textual._styles_cache import StylesCache
from textual.color import Color

from tests.tui.canned import NOON
from tui import caches
from tui.history import KEPT, Event, History


def test_colours_that_were_mixed_do_not_keep_the_lines_of_the_widget_that_asked() -> None:
    for _ in range(2):  # every application does it, also the second one of a process
        caches.without_owners()
    black, white = Color(0, 0, 0), Color(255, 255, 255)
    lines, others = StylesCache(), StylesCache()
    assert lines.get_inner_outer(black, white) is others.get_inner_outer(black, white)
    gone = weakref.ref(lines)
    del lines
    assert gone() is None


def test_of_twenty_thousand_events_the_last_are_kept() -> None:
    history = History()
    for number in range(20_000):
        history.note(Event(NOON + number, "isr", "orders-0", "ISR 1,2 → 1"))
    assert len(history.events) == KEPT
    assert history.events[-1].at == NOON + 19_999
