"""``kops partition``: leaders, ISR and offsets of every partition, their changes as they happen, elections, moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Annotated

import typer

from kops.cluster import partitions, topics
from kops.cluster.metadata import snapshot
from kops.cluster.partitions import Change, Offsets
from kops.cluster.recording import Recording, recorded_by_polling
from kops.cluster.watching import Watching, wall_ms
from kops.columns.views import CHANGES, PARTITIONS
from kops.commands import partition_moves
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.commands.topic import Names, TopicOption
from kops.errors import BadUsage
from kops.session import Session

app = typer.Typer(help="Partitions.", no_args_is_help=True, rich_markup_mode=None)
noun(app)


@command(app, "list", "ls", "describe", kind="PartitionList")
def list_partitions(
    run: Run,
    topic_name: Names = None,
    topic: TopicOption = None,
    under_replicated: Annotated[
        bool, typer.Option("--under-replicated", help="Only those with a replica out of sync.")
    ] = False,
) -> None:
    """List partitions: leader, epoch, replicas, ISR, first and next offset."""
    wanted = [*(topic_name or []), *(topic or [])]
    found = [p for one in topics.select(run.session, wanted, None) for p in one.partitions]
    kept = [partition for partition in found if partition.under_replicated or not under_replicated]
    offsets = partitions.offsets(run.session, kept)
    run.show(PARTITIONS, [(partition, offsets.get(partition.name, Offsets(None, None))) for partition in kept])


@command(app, "watch", kind="PartitionChange")
def watch(
    run: Run,
    topic_name: Names = None,
    topic: TopicOption = None,
    interval: Annotated[
        float | None, typer.Option("--interval", help="Ask the brokers so often instead, in seconds.")
    ] = None,
    max_changes: Annotated[int | None, typer.Option("--max-changes", help="Stop after so many.")] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Also onto a recording, for `kops tui --replay`.", metavar="FILE")
    ] = None,
) -> None:
    """Watch leaders and ISR: each change when it happens, pushed by ZooKeeper where one is known, else polled."""
    if interval is not None and interval <= 0:
        raise BadUsage("--interval must be more than 0", "For example --interval 0.5.")
    wanted = [*(topic_name or []), *(topic or [])] or None
    if wanted:
        topics.select(run.session, wanted, None)
    if run.context.zookeeper and interval is None:
        changes = partitions.watch_zookeeper(run.session, wanted)
        run.out.say(f"watching through ZooKeeper {run.context.zookeeper}: changes are pushed (ctrl-c ends)")
    else:
        every = interval or 1.0
        changes = partitions.watch_polled(run.session, wanted, every)
        run.out.say(f"asking the brokers every {every:g} s: times are exact to ±{every:g} s (ctrl-c ends)")
    with _recording(run, record, wanted, None if run.context.zookeeper and interval is None else interval or 1.0):
        for change in islice(changes, max_changes):
            _tell(run, change)


@contextmanager
def _recording(run: Run, path: str | None, wanted: list[str] | None, interval: float | None) -> Iterator[None]:
    """While it is open, everything that changes goes onto the recording, brokers and controller included.

    ``interval`` None: as ZooKeeper pushes it.
    """
    if path is None:
        yield
        return
    with Recording(path, wall_ms(), run.context.name) as recording, Session(run.context) as session:
        recording.cluster(wall_ms(), snapshot(session, wanted), int((interval or 0) * 1000))
        if interval is None:
            watching = Watching(session.zookeeper, recording.fact, wanted)
            watching.start()
            yield
            watching.close()
        else:
            with recorded_by_polling(recording, session, wanted, interval):
                yield


def _tell(run: Run, change: Change) -> None:
    run.out.stream(CHANGES, change)


command(app, "elect", kind="PartitionElection")(partition_moves.elect)
command(app, "reassign", kind="PartitionReassignment")(partition_moves.reassign)
