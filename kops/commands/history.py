"""``kops history`` and ``kops undo``: what kops changed, and putting it back."""

from typing import Annotated

import typer

from kops.cluster import groups
from kops.cluster.changes import UNDONE, Entry
from kops.cluster.metadata import snapshot
from kops.columns.group_views import HISTORY
from kops.commands import group_legacy
from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import KopsError
from kops.operations import journal, reset, settings
from kops.words import counted

history_app = typer.Typer(rich_markup_mode=None)
undo_app = typer.Typer(rich_markup_mode=None)


@command(history_app, "history", kind="History")
def history(
    run: Run,
    limit: Annotated[int, typer.Option("--limit", "-n", help="Show so many, the newest first.")] = 20,
) -> None:
    """Show what kops changed and can put back."""
    run.show(HISTORY, journal.entries()[:limit])


@command(undo_app, "undo", kind="Undo")
def undo(
    run: Run,
    identity: Annotated[str | None, typer.Argument(metavar="ID", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Although somebody changed it since.")] = False,
) -> None:
    """Put back what was there before a change: the latest one on this cluster, or the one named."""
    cluster = "" if identity else snapshot(run.session, []).cluster_id or ""
    entry = journal.find(identity, lambda one: one.cluster == cluster)
    if entry.way == "zookeeper":
        run.show(HISTORY, [group_legacy.undo(run, entry, force=force)])
        return
    if entry.settings:
        run.show(HISTORY, [_settings(run, entry, force=force)])
        return
    changes = reset.undo_plan(run.session, entry, force=force)
    busy = reset.busy(run.session, entry.groups)
    if busy:
        raise groups.in_use(busy)
    plan = [f"undo of {entry.id}: {entry.what}"]
    plan += [f"  {c.group} {c.position}: {_told(c.before)} -> {_told(c.after)}" for c in changes]
    if not changes:
        run.out.say("everything is as it was before: nothing to put back")
    if not run.confirm(f"undo {entry.what}", plan, ask=bool(changes)):
        run.show(HISTORY, [entry], plan=plan)
        return
    failed = reset.put_back(run.session, changes)
    run.show(HISTORY, [_ended(run, entry, failed, counted(len(changes), "offset", "is", "are"))], plan=plan)


def _settings(run: Run, entry: Entry, *, force: bool) -> Entry:
    reset.check_cluster(run.session, entry, force=force)
    changes = settings.undo_plan(run.session, entry, force=force)
    plan = [f"undo of {entry.id}: {entry.what}"]
    plan += [f"  {settings.line(change)}" for change in changes]
    if not run.confirm(f"undo {entry.what}", plan, ask=bool(changes)):
        return entry
    failed = settings.put_back(run.session, changes)
    return _ended(run, entry, failed, counted(len(changes), "setting", "is", "are"))


def _ended(run: Run, entry: Entry, failed: list[KopsError], what: str) -> Entry:
    run.errors += failed
    if failed:
        return entry
    run.out.say(f"{what} back as before; read back: as planned.")
    return journal.ended(entry, UNDONE)


def _told(one: groups.Committed | None) -> str:
    return "nothing" if one is None else str(one.offset)
