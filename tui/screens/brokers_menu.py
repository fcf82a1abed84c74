"""Kill, pause, resume, stop, start or restart a broker of this machine, from any screen that shows brokers."""

from textual import work

from kops.errors import KopsError
from tui import actions
from tui.messages import whole
from tui.screens.base import KopsScreen
from tui.widgets.dialogs import Choose, Confirm


class BrokersMenu(KopsScreen):
    """A screen with the menu; ``preferred_brokers`` come first in it."""

    def preferred_brokers(self) -> list[int]:
        return []

    def action_brokers_menu(self) -> None:
        """Choose, see the plan, confirm."""
        view = self.feed.view
        if self.feed.context.cluster is None:
            self.kops.say("kops did not start this cluster: its brokers cannot be harmed from here", bad=True)
        elif self.feed.context.read_only:
            self.kops.say("this context is read-only", bad=True)
        elif view is None:
            self.kops.say("the brokers are not known yet: in a moment", bad=True)
        else:
            self._menu(actions.possible(view, self.preferred_brokers()))

    @work(group="dialogs")
    async def _menu(self, options: list[tuple[str, str]]) -> None:
        view = self.feed.view
        chosen = await self.kops.ask(Choose("What is to be done?", options))
        if chosen is None or view is None:
            return
        verb, _, broker = chosen.partition(" ")
        server = next(one for one in self.feed.servers() if one.id == int(broker))
        plan = actions.plan(self.feed.context, view, verb, server)
        if not await self.kops.ask(Confirm(plan)):
            self.kops.say(f"{verb} broker {broker}: not done")
            return
        self.kops.say(f"{verb} broker {broker} …")
        try:
            self.kops.say(await self.feed.act(verb, server))
        except KopsError as error:
            self.kops.say(whole(error), bad=True)
