"""Deeds from any screen: ask what is planned, show it, confirm it, do it, say what became of it."""

from collections.abc import Callable, Sequence

from textual import work

from kops.cluster import times
from kops.errors import KopsError
from kops.operations.targets import Target, Where
from kops.session import Session
from tui import deeds
from tui.deeds import Prepared
from tui.messages import whole
from tui.screens.base import KopsScreen
from tui.snapshots import LOADING
from tui.widgets.dialogs import Ask, Choose, Confirm

_WHERE = (
    ("earliest", "earliest — read everything again"),
    ("latest", "latest — skip everything that is there"),
    ("datetime", "a time — the first record at or after it"),
    ("shift-by", "shift — so many records back (-) or on"),
    ("offset", "an offset — the same in every partition"),
)
_EXAMPLES = {
    Where.TIME: ("Since when?", "-6h, 2026-01-31T12:00:00Z, or epoch ms"),
    Where.SHIFT: ("By how many records?", "-100 for a hundred records again"),
    Where.OFFSET: ("To which offset?", "0"),
}


class Deeds(KopsScreen):
    """A screen from which things are changed."""

    @work(group="dialogs")
    async def carry_through(
        self, what: str, prepare: Callable[[Session, list[str]], Prepared], names: list[str]
    ) -> None:
        """Plan, confirm, do. ``what`` begins the lines that tell of it."""
        await self._carry_through(what, lambda session: prepare(session, names))

    async def _carry_through(self, what: str, prepare: Callable[[Session], Prepared]) -> None:
        if not self.may(what):
            return
        self.kops.say(f"{what}: what would it do {LOADING}")
        try:
            prepared = await self.feed.ask(prepare)
            self.kops.say("")
            if not await self.kops.ask(Confirm(prepared.plan)):
                self.kops.say(f"{what}: not done")
                return
            self.kops.say(f"{what} {LOADING}")
            self.kops.say(await self.feed.change(prepared.do))
            if self.grid is not None:
                self.grid.marked.clear()
        except KopsError as error:
            self.kops.say(f"{what}: {whole(error)}", bad=True)

    def may(self, what: str) -> bool:
        """Whether this context may be changed; says so when not."""
        if self.feed.context.read_only:
            self.kops.say(f"{what}: this context is read-only", bad=True)
        return not self.feed.context.read_only

    def chosen(self) -> list[str]:
        """The keys of the marked rows in their order, or the one under the cursor."""
        grid = self.grid
        if grid is None or grid.current is None:
            return []
        return [row.key for row in grid.rows if row.key in grid.marked] or [grid.current.key]


class ResetMenu(Deeds):
    """A screen that can move the offsets of groups."""

    @work(group="dialogs")
    async def reset_wizard(self, groups: Sequence[str], scopes: Sequence[tuple[str, ...]]) -> None:
        """Which partitions, where to, the plan, the change. ``scopes``: what may be meant, none for all."""
        what = f"reset {', '.join(groups)}"
        if not groups or not self.may(what):
            return
        scope: tuple[str, ...] = ()
        if len(scopes) > 1:
            options = [(str(n), ", ".join(one) or "all that is committed") for n, one in enumerate(scopes)]
            chosen = await self.kops.ask(Choose(f"{what}: which partitions?", options))
            if chosen is None:
                return
            scope = scopes[int(chosen)]
        where = await self.kops.ask(Choose(f"{what}: where to?", _WHERE))
        if where is None:
            return
        kind, given = Where(where), ""
        if kind in _EXAMPLES:
            answer = await self.kops.ask(Ask(*_EXAMPLES[kind], lambda text: _wrong(kind, text)))
            if answer is None:
                return
            given = answer
        wish = deeds.wish_of(groups, scope, kind, given, Target(kind, _number(kind, given)))
        await self._carry_through(what, lambda session: deeds.reset_offsets(session, wish))


def _number(kind: Where, text: str) -> int:
    """Raises BadUsage, ValueError."""
    return times.moment(text) if kind is Where.TIME else int(text or 0)


def _wrong(kind: Where, text: str) -> str:
    try:
        number = _number(kind, text)
    except (KopsError, ValueError):
        return f"'{text}' is not understood: {_EXAMPLES[kind][1]}"
    return "an offset is not below 0" if kind is Where.OFFSET and number < 0 else ""
