"""The command bar: a line at the bottom, opened by a colon; tab or right completes, enter goes, escape closes."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input


class CommandBar(ModalScreen[str | None]):
    """Gives what was typed, None when it was closed."""

    BINDINGS = [Binding("escape", "close", "close"), Binding("tab", "complete", "complete", priority=True)]

    def __init__(self, suggester: Suggester) -> None:
        super().__init__()
        self.suggester = suggester

    def compose(self) -> ComposeResult:
        yield Input(
            id="command", placeholder="a screen: topics, isr, groups … (tab completes)", suggester=self.suggester
        )

    @on(Input.Submitted)
    def _go(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_close(self) -> None:
        self.dismiss(None)

    async def action_complete(self) -> None:
        """At once, also where the grey suggestion has not been painted yet."""
        field = self.query_one(Input)
        field.value = await self.suggester.get_suggestion(field.value) or field.value
        field.cursor_position = len(field.value)
