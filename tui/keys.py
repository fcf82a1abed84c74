"""Keys one after the other: each is done with, and what it opened has the focus, before the next one is looked at.

Textual forwards a key to whoever has the focus when it arrives. Of `:topics` typed fast, or pasted by a terminal, the
first letters would go to the screen below the command bar that is just being opened; and a letter may be a key there.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from kops.contexts import Context

Answer = TypeVar("Answer")
STEPS = 6
"""Turns of the event loop after which a worker that a key began has opened its dialog, if it does so first."""
LONGEST = 1.0
"""Seconds; a screen that is busy for longer gets the next key all the same."""


class OrderlyKeys(App[Context]):
    """An application whose keys take effect in the order in which they were typed."""

    async def ask(self, dialog: Screen[Answer]) -> Answer | None:
        """What a dialog gives, asked from a worker. It is open, and gets the keys, from this moment on."""
        return await asyncio.shield(self.push_screen(dialog, wait_for_dismiss=True))

    typed_at = 0.0
    """On the clock of the event loop; the last key."""

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
            return
        self.typed_at = asyncio.get_running_loop().time()
        if not self.is_running or not self.screen_stack:
            return  # typed while it ends
        await self._opened()
        types = isinstance(self.focused, Input) and event.is_printable
        if types or not (await self._bound(event.key, priority=True) or await self._bound(event.key)):
            await super().on_event(event)
        if self.screen_stack:
            await self._settled(self.focused, self.screen)

    async def _bound(self, key: str, *, priority: bool = False) -> bool:
        """Whether a binding took it; its action has run then."""
        return await self._check_bindings(key, priority)

    async def _opened(self) -> None:
        """The screen on top is put together, and what is to have the focus has it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LONGEST
        while loop.time() < deadline and self.screen_stack:
            screen = self.screen
            if screen.is_mounted and (screen.focused is not None or not any(map(_takes_focus, screen.query(Widget)))):
                return
            await asyncio.sleep(0.002)

    async def _settled(self, *nodes: MessagePump | None) -> None:
        """What the key set off has happened: messages to these were worked off, and workers begun."""
        for node in nodes:
            done = asyncio.Event()
            if isinstance(node, DOMNode) and node.is_attached and node.call_later(_set(done)):
                with suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), LONGEST)
        for _ in range(STEPS):
            await asyncio.sleep(0)


def _takes_focus(widget: Widget) -> bool:
    return bool(widget.focusable)


def _set(event: asyncio.Event) -> Callable[[], None]:
    return event.set
