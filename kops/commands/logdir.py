"""``kops logdir list``: the brokers' log directories, and with --replicas what lies in them."""

from typing import Annotated

import typer

from kops.cluster import logdirs
from kops.cluster.metadata import snapshot
from kops.columns.lifecycle import LOG_DIR_REPLICAS, LOG_DIRS
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.errors import Unreachable, not_found

app = typer.Typer(help="Log directories of brokers.", no_args_is_help=True, rich_markup_mode=None)
noun(app)


@command(app, "list", "ls", "describe", kind="LogDirList")
def list_dirs(
    run: Run,
    broker: Annotated[list[int] | None, typer.Argument(metavar="ID", show_default=False)] = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", help="Only replicas of this topic.")] = None,
    replicas: Annotated[bool, typer.Option("--replicas", help="A row per replica, the largest first.")] = False,
) -> None:
    """List the log directories of every broker: state, replicas, bytes, room; or the replicas in them."""
    known = [one.id for one in snapshot(run.session, []).brokers]
    for wanted in broker or []:
        if wanted not in known:
            raise not_found("broker", str(wanted), map(str, known), f"Registered: {', '.join(map(str, known))}.")
    told = logdirs.directories(run.session, broker or known)
    run.errors += [
        Unreachable(f"broker {one} does not answer", "`kops broker list` shows who is there.", subject=str(one))
        for one, folders in told.items()
        if folders is None
    ]
    found = [folder for folders in told.values() for folder in folders or ()]
    if not replicas and not topic:
        run.show(LOG_DIRS, found)
        return
    rows = [(folder, one) for folder in found for one in folder.replicas if not topic or one.topic in topic]
    run.show(LOG_DIR_REPLICAS, sorted(rows, key=lambda row: -row[1].size))
