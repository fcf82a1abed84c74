"""``kops tui``: the dashboard."""

import gc
import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from kops.cluster import recording
from kops.cluster.recording import Recording
from kops.cluster.watching import wall_ms
from kops.commands.options import command
from kops.commands.run import Run
from kops.contexts import Context
from kops.errors import BadUsage, Refused

app = typer.Typer(rich_markup_mode=None)


@command(app, "tui", kind="Dashboard")
def show(
    run: Run,
    screen: Annotated[str, typer.Argument(metavar="SCREEN", help="Which screen to begin with.")] = "overview",
    interval: Annotated[float, typer.Option("--interval", help="Seconds between two looks.")] = 1.0,
    record: Annotated[str | None, typer.Option("--record", help="Write down all that is seen.", metavar="FILE")] = None,
    replay: Annotated[str | None, typer.Option("--replay", help="Show a recording.", metavar="FILE")] = None,
    theme: Annotated[
        str | None, typer.Option("--theme", help="Colours; :theme names them.", envvar="KOPS_THEME")
    ] = None,
) -> None:
    """Show the cluster live, full-screen; record what is seen, or replay a recording in the same screens."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Refused("the dashboard needs a terminal", "In scripts: `kops partition list`, `kops partition watch`.")
    from tui.app import SCREENS, KopsApp
    from tui.feed import Feed
    from tui.recorder import Recorder
    from tui.replay import ReplayFeed

    if screen not in SCREENS:
        raise BadUsage(f"there is no screen '{screen}'", f"One of: {', '.join(SCREENS)}.")
    if interval < 0.1:
        raise BadUsage("--interval must be at least 0.1", "For example --interval 0.5.")
    if replay is not None:
        feed: Feed | None = ReplayFeed(recording.read(replay), replay)
        KopsApp(Context(replay), first=screen, feed=feed, theme=theme).run()
        return
    _collect_seldom()
    sys.setswitchinterval(0.001)  # answers of many partitions are decoded on threads: keys come first
    context: Context | None = run.context
    with ExitStack() as stack:
        while context is not None:
            feed = Feed(context, interval)
            if record is not None:
                feed.recorder = Recorder(stack.enter_context(Recording(record, wall_ms(), context.name)))
                record = None  # another context is another cluster: it does not belong on the same recording
            context = KopsApp(context, first=screen, feed=feed, theme=theme).run()


def _collect_seldom() -> None:
    """Often among what was just made, since every line that is drawn leaves cycles, and then for some milliseconds.

    Seldom among what has lasted: ten thousand rows are looked through by the dashboard itself, when nobody types.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 1000)
