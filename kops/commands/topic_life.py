"""``kops topic purge|empty|config``: what happens to a topic during its life. Declared by ``kops.commands.topic``."""

from typing import TYPE_CHECKING, Annotated

import typer

from kops.cluster import configs, emptying, topics
from kops.cluster.offsets import Position
from kops.columns.lifecycle import PURGED
from kops.columns.settings import EMPTIED, SETTINGS
from kops.commands.run import Run, pairs
from kops.errors import BadUsage, NotFound, Refused
from kops.words import counted

if TYPE_CHECKING:
    from kops.operations.purge import Item, Plan, Purge

DataDirs = Annotated[
    list[str] | None,
    typer.Option("--data-dir", help="A log directory of a broker that kops did not start.", metavar="PATH"),
]


def purge(
    run: Run,
    name: Annotated[list[str], typer.Argument(metavar="NAME", show_default=False)],
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
    from kops.operations import purge as operation  # every other command of topics would wait for it, too

    plans = run.each(name, lambda one: operation.plan(run.session, one, data_dir or []))
    lines = [line for made in plans for line in operation.described(made, force=force)]
    if run.errors:
        run.show(PURGED, [])
        return
    for made in plans:
        try:
            operation.check(made, force=force)
        except Refused as refusal:
            if not run.settings.dry_run:
                raise
            run.errors.append(refusal)
    if not run.confirm(f"purge {', '.join(name)}", lines, ask=any(not made.found.empty for made in plans)):
        run.show(PURGED, [item for made in plans for item in operation.planned(made)])
        return
    items: list[Item] = []
    for made in plans:
        task = operation.Purge(run.session, made.found.topic, data_dir or [], force, watch, run.out.say)
        items += _purged(run, made, task)
    run.show(PURGED, items)


def _purged(run: Run, made: "Plan", purge: "Purge") -> "list[Item]":
    from kops.operations import purge as operation

    items = operation.carry_out(purge, made)
    operation.verdict(purge, items)
    run.errors += purge.errors
    return items


def empty(
    run: Run,
    name: Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)] = None,
    partition: Annotated[list[int] | None, typer.Option("--partition", help="Only this one; repeatable.")] = None,
    before: Annotated[
        int | None, typer.Option("--before", help="Only records below this offset.", metavar="OFFSET")
    ] = None,
    offset_json_file: Annotated[
        str | None, typer.Option("--offset-json-file", help="Apache's file for kafka-delete-records.", metavar="FILE")
    ] = None,
) -> None:
    """Remove the records of topics, all or those below an offset; the topics and their settings stay.

    Uses DeleteRecords: the topic's cleanup.policy must have delete (not only compact). Offsets go on where they were.
    """
    wanted: dict[Position, int | None]
    if offset_json_file:
        wanted = dict(_from_file(offset_json_file))
    else:
        if not name:
            raise BadUsage("no topic is named", "For example `kops topic empty NAME`.")
        wanted = dict.fromkeys(_positions(run, name, partition), before)
    steps = emptying.plan(run.session, wanted)
    plan = [
        f"{one.position}: at most {counted(one.records, 'record')}, offsets {one.begins} to {one.target}"
        for one in steps
    ]
    total = sum(one.records for one in steps)
    plan.append(f"in all at most {counted(total, 'record')}; what is emptied cannot be brought back")
    if not run.confirm("empty topics", plan, ask=total > 0):
        run.show(EMPTIED, steps)
        return
    run.show(EMPTIED, run.each(steps, lambda step: emptying.empty(run.session, step)))


def _positions(run: Run, names: list[str], partitions: list[int] | None) -> list[Position]:
    found = []
    for topic in topics.select(run.session, names, None):
        there = {one.index for one in topic.partitions}
        if missing := set(partitions or ()) - there:
            raise NotFound(f"topic {topic.name} has no partition {min(missing)}", f"It has {len(there)}, from 0 on.")
        found += [Position(topic.name, index) for index in sorted(partitions or there)]
    return found


def _from_file(path: str) -> dict[Position, int]:
    """``{"partitions": [{"topic": "t", "partition": 0, "offset": 3}], "version": 1}``."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        return {Position(one["topic"], int(one["partition"])): int(one["offset"]) for one in content["partitions"]}
    except (ValueError, KeyError, TypeError) as error:
        raise BadUsage(f"{path} is not Apache's offset file: {error}", "See kafka-delete-records.sh --help.") from error


def config(
    run: Run,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    setting: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", show_default=False)] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", help="Take a setting away.", metavar="KEY")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what nobody set on the topic.")] = False,
) -> None:
    """Show the settings of a topic and where they come from; with KEY=VALUE or --unset change them."""
    from kops.commands.config import alter_settings

    if setting or unset:
        alter_settings(run, configs.TOPIC, name, pairs(setting or [], "config"), list(unset or []))
        return
    (entity,) = configs.checked(run.session, configs.TOPIC, [name])
    shown = [one for one in configs.describe(run.session, entity) if everything or one.overridden]
    run.show(SETTINGS, shown)
