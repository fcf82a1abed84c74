"""The consumer groups: state, members, lag, pace and what is wrong; behind each its partitions and members."""

import math
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding

from kops.cluster.lag import GroupLag, Lag
from kops.errors import KopsError
from tui import deeds, questions
from tui.lagging import Lagging
from tui.matrix import natural
from tui.rates import spark
from tui.screens.deeds_menu import ResetMenu
from tui.snapshots import LOADING, UNAVAILABLE, age, count
from tui.widgets.grid import Cells, Grid, Heading, Row

HEADINGS = (
    Heading("GROUP"),
    Heading("STATE", 12),
    Heading("MEMBERS", 7, right=True, drop=2),
    Heading("LAG", 8, right=True),
    Heading("OLDEST", 7, right=True),
    Heading("PRODUCED/S", 10, right=True, drop=4),
    Heading("CONSUMED/S", 10, right=True, drop=3),
    Heading("CATCH UP", 8, right=True, drop=5),
    Heading("TREND", 10, drop=6),
    Heading("WHY", least=28),
)
PARTITIONS = (
    Heading("PARTITION"),
    Heading("COMMITTED", 10, right=True),
    Heading("END", 10, right=True),
    Heading("LAG", 8, right=True),
    Heading("OLDEST", 7, right=True),
    Heading("FIRST", 10, right=True, drop=2),
    Heading("MEMBER", 24, drop=1),
    Heading("NOTE"),
)
MEMBERS = (Heading("MEMBER"), Heading("CLIENT", 20), Heading("HOST", 16), Heading("PARTITIONS", 10, right=True))
EVERY = 2.0


class GroupsScreen(ResetMenu):
    heading: ClassVar[str] = "groups"
    BINDINGS = [
        Binding("R", "reset", "reset offsets"),
        Binding("ctrl+d", "delete", "delete"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[GroupLag] | None = None
        self.lagging = Lagging()
        self.reason = ""
        self.topic = ""
        """Only groups that have committed something for it."""
        self._asking = False

    def body(self) -> ComposeResult:
        yield Grid(marks=True)

    def title_now(self) -> str:
        return f"groups of topic {self.topic}" if self.topic else "groups"

    def only_of(self, topic: str) -> None:
        """Escape shows all again."""
        self.topic = topic
        self.repaint()

    def action_leave(self) -> None:
        if self.topic and not self.kops.is_deep and not self.query_one("#filter").display:
            self.topic = ""
            self.repaint()
        else:
            super().action_leave()

    def on_mount(self) -> None:
        super().on_mount()
        self._ask()
        self.set_interval(EVERY, self._again)

    def _again(self) -> None:
        """A look that is under way is not overtaken: with many groups it may take longer than the interval."""
        if self.is_current and not self.feed.paused and not self._asking:
            self._ask()

    @work(exclusive=True)
    async def _ask(self) -> None:
        self._asking = True
        try:
            self.seen, self.reason = await self.feed.ask(questions.groups), ""
            self.lagging.add(self.feed.wall(), self.seen)
        except KopsError as error:
            self.reason = error.what
            self.kops.say(f"groups: {error.what}", bad=True)
        finally:
            self._asking = False
        self.repaint()

    def paint(self) -> None:
        grid = self.query_one(Grid)
        grid.empty = lambda: self.reason or (f"asking {LOADING}" if self.seen is None else "there are no groups yet")
        seen = [one for one in self.seen or () if not self.topic or self.topic in _topics(one)]
        if self.topic and self.seen:
            grid.empty = lambda: f"no group has committed anything for {self.topic} (5: all groups)"
        grid.show(
            HEADINGS, [Row(one.group.id, partial(self._cells, one), partial(self._sort_value, one)) for one in seen]
        )

    def _cells(self, one: GroupLag) -> Cells:
        doing = self.lagging.of(one)
        unknown = any(part.lag is None for part in one.partitions)
        left = doing.seconds_left(one.total)
        waiting = LOADING if doing.produced is None or doing.consumed is None else "∞"
        return (
            one.group.id,
            one.group.state,
            str(len(one.group.members)),
            Text(f"{'≥' if unknown else ''}{count(one.total)}", "yellow" if one.total else "")
            if one.partitions
            else UNAVAILABLE,
            UNAVAILABLE if one.oldest_ms is None else age(one.oldest_ms) if one.oldest_ms else "0",
            LOADING if doing.produced is None else count(doing.produced),
            LOADING if doing.consumed is None else count(doing.consumed),
            UNAVAILABLE if not one.partitions else waiting if left is None else age(left * 1000) if left else "0",
            spark(doing.trend, 10),
            Text(doing.reason, "bold red"),
        )

    def _sort_value(self, one: GroupLag, column: int) -> object:
        if column < 5:
            group = one.group
            return (natural(group.id), group.state, len(group.members), one.total, one.oldest_ms or 0)[column]
        doing = self.lagging.of(one)
        left = doing.seconds_left(one.total)
        paces = (doing.produced or 0.0, doing.consumed or 0.0, math.inf if left is None else left)
        return (*paces, sum(doing.trend), doing.reason)[column - 5]

    @on(Grid.Chosen)
    def _chosen(self, event: Grid.Chosen) -> None:
        self.kops.open(GroupScreen(event.key))

    def action_reset(self) -> None:
        """The marked groups, or the one under the cursor."""
        names = self.chosen()
        topics = sorted({topic for one in self.seen or () if one.group.id in names for topic in _topics(one)})
        self.reset_wizard(names, [(), *((topic,) for topic in topics if len(topics) > 1)])

    def action_delete(self) -> None:
        if names := self.chosen():
            self.carry_through("delete", deeds.delete_groups, names)


class GroupScreen(ResetMenu):
    """One group: partitions above, members below; tab goes from one to the other."""

    heading: ClassVar[str] = "group"
    BINDINGS = [
        Binding("R", "reset", "reset offsets"),
        Binding("ctrl+d", "delete", "delete"),
    ]

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group
        self.seen: GroupLag | None = None
        self.reason = ""

    def body(self) -> ComposeResult:
        yield Grid(id="partitions", marks=True)
        yield Grid(id="members")

    def on_mount(self) -> None:
        super().on_mount()
        self._ask()
        self.set_interval(EVERY, self._again)

    def title_now(self) -> str:
        return f"group {self.group}" + (f" ({self.seen.group.state})" if self.seen else "")

    def _again(self) -> None:
        if self.is_current and not self.feed.paused:
            self._ask()

    @work(exclusive=True)
    async def _ask(self) -> None:
        try:
            found = await self.feed.ask(questions.groups, (self.group,))
            self.seen, self.reason = (found[0], "") if found else (None, f"group {self.group} is not there any more")
        except KopsError as error:
            self.reason = error.what
        self.repaint()

    def paint(self) -> None:
        upper, lower = self.query_one("#partitions", Grid), self.query_one("#members", Grid)
        upper.empty = lambda: self.reason or (f"asking {LOADING}" if self.seen is None else "it has committed nothing")
        upper.show(PARTITIONS, [_partition(one) for one in self.seen.partitions] if self.seen else [])
        lower.empty = lambda: f"asking {LOADING}" if self.seen is None and not self.reason else "it has no members"
        lower.show(
            MEMBERS,
            [
                Row(one.id, (one.instance_id or one.id, one.client_id, one.host.lstrip("/"), str(len(one.assigned))))
                for one in (self.seen.group.members if self.seen else ())
            ],
        )

    def action_reset(self) -> None:
        """All partitions, those of the topic under the cursor, or those that are marked (else: under the cursor)."""
        by_key = {str(one.position): one.position for one in (self.seen.partitions if self.seen else ())}
        picked = [by_key[key] for key in self.chosen() if key in by_key]
        topics = list(dict.fromkeys(position.topic for position in picked))
        exact = tuple(
            f"{topic}:{','.join(str(one.partition) for one in picked if one.topic == topic)}" for topic in topics
        )
        self.reset_wizard([self.group], [(), *((topic,) for topic in topics), *([exact] if exact else [])])

    def action_delete(self) -> None:
        self.carry_through("delete", deeds.delete_groups, [self.group])


def _topics(one: GroupLag) -> set[str]:
    return {part.position.topic for part in one.partitions}


def _partition(one: Lag) -> Row:
    known = [UNAVAILABLE if value is None else str(value) for value in (one.committed, one.end, one.lag)]
    return Row(
        str(one.position),
        (
            str(one.position),
            *known,
            UNAVAILABLE if one.age_ms is None else age(one.age_ms) if one.age_ms else "0",
            UNAVAILABLE if one.earliest is None else str(one.earliest),
            one.owner.client_id if one.owner else UNAVAILABLE,
            Text(one.note, "bold red"),
        ),
    )
