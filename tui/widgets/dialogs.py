"""Questions over a screen: choose one of several, confirm a plan, type a name. Escape always means no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be done: the question, what it means line by line, and the commands that do the same."""

    question: str
    lines: tuple[str, ...]
    command: str = ""
    apache: str = ""
    """How Apache's own tools are told the same; empty where they have nothing like it."""
    typed: str = ""
    """What must be typed to go on: for what cannot be taken back, and in protected contexts."""


class Options(OptionList):
    """A list that moves with the keys of tables, too."""

    BINDINGS = [
        Binding("j", "cursor_down"),
        Binding("k", "cursor_up"),
        Binding("g", "first"),
        Binding("G", "last"),
        Binding("l", "select"),
    ]


class Choose(ModalScreen[str | None]):
    """One of several; None for none of them."""

    BINDINGS = [Binding("escape,h,q", "no", "back")]

    def __init__(self, title: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.question = title
        self.options = options

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self.question, "bold"))
            yield Options(*(Option(text, id=key) for key, text in self.options))
            yield Static(Text("enter chooses, esc goes back", "dim"))

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def action_no(self) -> None:
        self.dismiss(None)


class Ask(ModalScreen[str | None]):
    """One line of text; None when it was closed. ``wrong`` says what is the matter with a text, if anything."""

    BINDINGS = [Binding("escape", "no", "back")]

    def __init__(self, title: str, example: str, wrong: Callable[[str], str]) -> None:
        super().__init__()
        self.question = title
        self.example = example
        self.wrong = wrong

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self.question, "bold"))
            yield Input(id="asked", placeholder=self.example)
            yield Static(Text("enter goes on, esc goes back", "dim"), id="wrong")

    @on(Input.Submitted, "#asked")
    def _given(self, event: Input.Submitted) -> None:
        complaint = self.wrong(event.value.strip())
        if complaint:
            self.query_one("#wrong", Static).update(Text(complaint, "bold red"))
        else:
            self.dismiss(event.value.strip())

    def action_no(self) -> None:
        self.dismiss(None)


class Confirm(ModalScreen[bool]):
    """A plan, with the focus on Cancel."""

    AUTO_FOCUS = "#cancel"

    BINDINGS = [
        Binding("escape,n", "no", "no"),
        Binding("left,right,h,l", "other", "other button", show=False),
    ]

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self.plan.question, "bold"))
            with VerticalScroll(can_focus=False):
                yield Static(Text("\n".join(f"  {line}" for line in self.plan.lines)))
            for label, line in (("kops   ", self.plan.command), ("Apache ", self.plan.apache)):
                if line:
                    yield Static(Text.assemble((label, "dim"), line), classes="same")
            if self.plan.typed:
                yield Static(Text.assemble("to go on press tab and type  ", (self.plan.typed, "bold")), classes="type")
                yield Input(id="typed", compact=True)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Do it", id="do", variant="error", disabled=bool(self.plan.typed))

    @on(Input.Changed, "#typed")
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#do", Button).disabled = event.value != self.plan.typed

    @on(Input.Submitted, "#typed")
    def _entered(self, event: Input.Submitted) -> None:
        if event.value == self.plan.typed:
            self.dismiss(True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "do")

    def action_no(self) -> None:
        self.dismiss(False)

    def action_other(self) -> None:
        self.focus_next(Button)
