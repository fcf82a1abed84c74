"""``kops tui``: the dashboard."""

import sys
from typing import Annotated

import typer

from kops.commands.options import command
from kops.commands.run import Run
from kops.contexts import Context
from kops.errors import BadUsage, Refused

app = typer.Typer(rich_markup_mode=None)


@command(app, "tui", kind="Dashboard")
def show(
    run: Run,
    screen: Annotated[str, typer.Argument(metavar="[SCREEN]", help="Which screen to begin with.")] = "overview",
    interval: Annotated[float, typer.Option("--interval", help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show the cluster live, full-screen."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("the dashboard needs a terminal", "In scripts: `kops partition list`, `kops partition watch`.")
    from tui.app import SCREENS, KopsApp

    if screen not in SCREENS:
        raise BadUsage(f"there is no screen '{screen}'", f"One of: {', '.join(SCREENS)}.")
    if interval < 0.1:
        raise BadUsage("--interval must be at least 0.1", "For example --interval 0.5.")
    context: Context | None = run.context
    while context is not None:
        context = KopsApp(context, first=screen, interval=interval).run()
