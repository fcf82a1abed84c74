"""``kops topic purge``: every trace of a topic removed, and proved. Declared by ``kops.commands.topic``."""

from typing import Annotated

import typer

from kops.columns.lifecycle import PURGED
from kops.commands.run import Run
from kops.operations import purge as operation
from kops.operations.purge import Item, Plan, Purge

DataDirs = Annotated[
    list[str] | None,
    typer.Option("--data-dir", help="A log directory of a broker that kops did not start.", metavar="PATH"),
]


def purge(
    run: Run,
    name: Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)],
    data_dir: DataDirs = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also when it is in use, or waits for a broker that is down.")
    ] = False,
    watch: Annotated[
        float, typer.Option("--watch", help="Seconds to look out for somebody creating it again.", metavar="SECONDS")
    ] = 5.0,
) -> None:
    """Remove every trace of topics and prove it, place by place.

    Looks at the metadata of every broker, their replicas, the disks of brokers that kops runs or --data-dir names,
    ZooKeeper (with --zookeeper or a context that has one), committed offsets and ACLs. Deletes through the controller,
    removes what is left (znodes in one multi that checks the controller's epoch, directories only of brokers that are
    stopped or have let go of them), looks again, and reports each place: removed, was not there, left, left to the
    broker (checkpoint lines), or not verifiable from here. May be repeated: it goes on where it was. Topics that are
    half deleted, marked for ever, or only left on a disk are its business, too. Kafka has no quotas by topic.
    """
    plans = run.each(name, lambda one: operation.plan(run.session, one, data_dir or []))
    lines = [line for made in plans for line in operation.described(made, force=force)]
    for made in plans:
        operation.check(made, force=force)
    if run.errors:
        run.show(PURGED, [])
        return
    if not run.confirm(f"purge {', '.join(name)}", lines, ask=any(not made.found.empty for made in plans)):
        run.show(PURGED, [item for made in plans for item in operation.planned(made)])
        return
    items: list[Item] = []
    for made in plans:
        items += _purged(run, made, Purge(run.session, made.found.topic, data_dir or [], force, watch, run.out.say))
    run.show(PURGED, items)


def _purged(run: Run, made: Plan, purge: Purge) -> list[Item]:
    items = operation.carry_out(purge, made)
    operation.verdict(purge, items)
    run.errors += purge.errors
    return items
