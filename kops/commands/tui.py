"""``kops tui``: the dashboard."""

import sys
from typing import Annotated

import typer

from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import BadUsage, Refused

app = typer.Typer(rich_markup_mode=None)


@command(app, "tui", kind="Dashboard")
def show(
    run: Run,
    screen: Annotated[str, typer.Argument(metavar="[SCREEN]", help="Which screen to begin with.")] = "isr",
    interval: Annotated[float, typer.Option("--interval", help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show the cluster live, full-screen."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("the dashboard needs a terminal", "In scripts: `kops partition list`, `kops partition watch`.")
    from tui.app import KopsApp

    if screen not in KopsApp.SCREENS:
        raise BadUsage(f"there is no screen '{screen}'", f"One of: {', '.join(KopsApp.SCREENS)}.")
    if interval < 0.1:
        raise BadUsage("--interval must be at least 0.1", "For example --interval 0.5.")
    KopsApp(run.context, first=screen, interval=interval).run()
