"""``kops topic``: list, describe, create, alter, delete; by brokers, or with --zookeeper as Kafka did up to 2.x."""

import re
import sys
from typing import Annotated

import typer

from kops.cluster import legacy, replicas, topics
from kops.cluster.configs import TOPIC, Entity
from kops.cluster.metadata import Topic, snapshot, topics_of
from kops.columns.views import DELETED, TOPIC_DETAILS, TOPIC_PARTITIONS, TOPICS
from kops.commands import topic_life
from kops.commands.options import command, noun
from kops.commands.run import Run, pairs
from kops.errors import BadUsage, NotFound
from kops.render import kafka
from kops.words import counted

app = typer.Typer(help="Topics.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)]
TopicOption = Annotated[list[str] | None, typer.Option("--topic", help="A topic (as Apache's tools take it).")]
Regex = Annotated[str | None, typer.Option("--regex", help="Topics whose whole name matches.", metavar="PATTERN")]
Config = Annotated[list[str] | None, typer.Option("--config", help="A setting of the topic.", metavar="KEY=VALUE")]


@command(app, "list", "ls", kind="TopicList")
def list_topics(
    run: Run,
    name: Names = None,
    topic: TopicOption = None,
    regex: Regex = None,
    exclude_internal: Annotated[bool, typer.Option("--exclude-internal", help="Leave internal topics out.")] = False,
) -> None:
    """List topics."""
    wanted = _names(name, topic)
    found = _selected(run, wanted, regex)
    shown = [one for one in found if not (exclude_internal and one.internal)]
    run.show(TOPICS, shown, kafka.topic_names)


@command(app, "describe", kind="TopicDescription")
def describe(
    run: Run,
    name: Names = None,
    topic: TopicOption = None,
    regex: Regex = None,
    under_replicated: Annotated[
        bool, typer.Option("--under-replicated-partitions", "--under-replicated", help="Only those.")
    ] = False,
    unavailable: Annotated[bool, typer.Option("--unavailable-partitions", help="Only those without a leader.")] = False,
    under_min_isr: Annotated[
        bool, typer.Option("--under-min-isr-partitions", help="Only those with fewer in sync than min.insync.replicas.")
    ] = False,
    at_min_isr: Annotated[
        bool, typer.Option("--at-min-isr-partitions", help="Only those with exactly min.insync.replicas in sync.")
    ] = False,
    with_overrides: Annotated[
        bool, typer.Option("--topics-with-overrides", help="Only topics that have settings of their own.")
    ] = False,
    exclude_internal: Annotated[bool, typer.Option("--exclude-internal", help="Leave internal topics out.")] = False,
) -> None:
    """Describe topics: settings, and leader, replicas and ISR of every partition."""
    found = [one for one in _selected(run, _names(name, topic), regex) if not (exclude_internal and one.internal)]
    inherited = run.out.form == "kafka"
    described = found if run.through_zookeeper else topics.with_configs(run.session, found, inherited=inherited)
    if under_replicated or unavailable or under_min_isr or at_min_isr:
        kept = [p for one in described for p in one.partitions]
        if under_replicated:
            kept = [p for p in kept if p.under_replicated]
        if unavailable:
            kept = [p for p in kept if p.leader < 0]
        if under_min_isr or at_min_isr:
            needed = replicas.min_insync(run.session, sorted({p.topic for p in kept}))
            kept = [
                p
                for p in kept
                if (under_min_isr and (p.leader < 0 or len(p.isr) < needed.get(p.topic, 1)))
                or (at_min_isr and len(p.isr) == needed.get(p.topic, 1))
            ]
        run.show(TOPIC_PARTITIONS, kept, kafka.partitions)
        return
    if with_overrides:
        own = topics.with_configs(run.session, found)
        names = {one.name for one in own if one.configs}
        described = [one for one in described if one.name in names]
    if run.out.form in ("table", "wide"):
        _describe_for_people(run, described)
        return
    run.show(TOPIC_DETAILS, described, kafka.topics_described)


def _describe_for_people(run: Run, found: list[Topic]) -> None:
    """What a topic is first, then a row per partition."""
    for one in found:
        for key, value in [("Topic", one.name), ("Id", one.id), *sorted(one.configs.items())]:
            if value:
                run.out.say(f"{key + ':':<10} {value}")
    run.show(TOPIC_PARTITIONS, [partition for one in found for partition in one.partitions])


@command(app, "create", kind="TopicCreation")
def create(
    run: Run,
    name: Names = None,
    topic: TopicOption = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", "-p", help="How many; broker's default if not said.")
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option("--replication-factor", "--replicas", "-r", help="Copies; broker's default if not said."),
    ] = None,
    replica_assignment: Annotated[
        str | None, typer.Option("--replica-assignment", help="Brokers per partition.", metavar="1:2,2:3")
    ] = None,
    config: Config = None,
    if_not_exists: Annotated[bool, typer.Option("--if-not-exists", help="No error when it is there already.")] = False,
) -> None:
    """Create topics, and wait until every partition has a leader and every broker knows it."""
    if not run.settings.dry_run:
        run.change("create topics")
    assignment = _assignment(replica_assignment)
    if assignment and (partitions is not None or replication_factor is not None):
        raise BadUsage("--replica-assignment says partitions and replicas already", "Leave out --partitions.")

    def one(wanted: str) -> Topic | None:
        topics.check_name(wanted)
        new = topics.NewTopic(wanted, partitions, replication_factor, assignment, pairs(config or [], "--config"))
        if if_not_exists and (present := _present(run, wanted)):
            return present
        if run.through_zookeeper:
            return legacy.create_topic(run.session.zookeeper, new, run.timeout)
        return topics.create_topic(run.session, new, validate_only=run.settings.dry_run)

    made = [found for found in run.each(_needed(name, topic), one) if found]
    run.show(TOPICS, made, kafka.topics_created)


@command(app, "alter", kind="TopicAlteration")
def alter(
    run: Run,
    name: Names = None,
    topic: TopicOption = None,
    partitions: Annotated[int | None, typer.Option("--partitions", "-p", help="Raise the number to this.")] = None,
    config: Config = None,
    delete_config: Annotated[list[str] | None, typer.Option("--delete-config", help="Unset.", metavar="KEY")] = None,
) -> None:
    """Add partitions, set and unset settings, and read them back."""
    from kops.operations import settings  # every other command of topics would wait for it, too

    put, drop = pairs(config or [], "--config"), list(delete_config or [])
    if partitions is None and not put and not drop:
        raise BadUsage("nothing is to be altered", "Say --partitions N, --config KEY=VALUE or --delete-config KEY.")
    found = _selected(run, _needed(name, topic), None)
    if (put or drop) and not run.through_zookeeper:
        settings.check_names(run.session, Entity(TOPIC, found[0].name), put, drop)
    if not run.confirm("alter topics", _alteration(found, partitions, put, drop), ask=False):
        run.show(TOPIC_DETAILS, found, kafka.topics_described)
        return
    run.show(
        TOPIC_DETAILS, run.each(found, lambda one: _altered(run, one, partitions, put, drop)), kafka.topics_described
    )


@command(app, "delete", "rm", kind="TopicDeletion")
def delete(
    run: Run,
    name: Names = None,
    topic: TopicOption = None,
    regex: Regex = None,
    if_exists: Annotated[bool, typer.Option("--if-exists", help="No error when it is not there.")] = False,
) -> None:
    """Delete topics, and wait until no broker knows them any more, or say why they stay."""
    wanted = _names(name, topic)
    if not wanted and regex is None:
        raise BadUsage("no topic is named", "For example `kops topic delete NAME`.")
    try:
        found = _selected(run, wanted, regex)
    except NotFound:
        if not if_exists:
            raise
        found = [one for one in _selected(run, [], None) if one.name in wanted]
    plan = _deletion(run, found)
    if found and not run.confirm(
        f"delete {', '.join(one.name for one in found)}", plan, ask=not (run.settings.apache and sys.stdin.isatty())
    ):
        run.show(DELETED, [topics.Deleted(one.name, len(one.partitions), 0.0) for one in found], plan=plan)
        return
    if run.through_zookeeper:
        client = run.session.zookeeper
        run.show(
            DELETED, run.each(found, lambda one: legacy.delete_topic(client, one, run.timeout)), kafka.topics_deleted
        )
        return
    run.show(DELETED, run.each(found, lambda one: topics.delete_topic(run.session, one)), kafka.topics_deleted)


command(app, "purge", kind="TopicPurge")(topic_life.purge)
command(app, "empty", "trim", kind="TopicEmptying")(topic_life.empty)
command(app, "config", "configs", kind="ConfigList")(topic_life.config)


def _altered(run: Run, one: Topic, partitions: int | None, put: dict[str, str], drop: list[str]) -> Topic:
    changed = one
    if run.through_zookeeper:
        client = run.session.zookeeper
        if partitions is not None:
            changed = legacy.add_partitions(client, one, partitions, run.timeout)
        return legacy.alter_configs(client, one.name, put, drop) if put or drop else changed
    if partitions is not None:
        changed = topics.add_partitions(run.session, one.name, partitions)
    if not put and not drop:
        return changed
    from kops.operations import settings

    if settings.change(run.session, Entity(TOPIC, one.name), put, drop) is not None:
        run.out.say("`kops undo` takes the settings back.")
    return topics.with_configs(run.session, topics_of(run.session, [one.name])[1])[0]


def _alteration(found: list[Topic], partitions: int | None, put: dict[str, str], drop: list[str]) -> list[str]:
    changes = [f"partitions to {partitions}"] if partitions is not None else []
    changes += [f"{key}={value}" for key, value in put.items()] + [f"unset {key}" for key in drop]
    return [f"{one.name}: {', '.join(changes)}" for one in found]


def _deletion(run: Run, found: list[Topic]) -> list[str]:
    if run.through_zookeeper:
        return [f"{one.name}: {counted(len(one.partitions), 'partition')}" for one in found]
    return topics.plan_of_deletion(snapshot(run.session, []), found)


def _selected(run: Run, wanted: list[str], regex: str | None) -> list[Topic]:
    """Topics by the way the line asks for: brokers, or ZooKeeper. Raises NotFound."""
    if not run.through_zookeeper:
        return topics.select(run.session, wanted, regex)
    found = legacy.topics(run.session.zookeeper, wanted or None)
    return found if regex is None else [one for one in found if re.fullmatch(regex, one.name) and not one.internal]


def _present(run: Run, wanted: str) -> Topic | None:
    try:
        return _selected(run, [wanted], None)[0]
    except NotFound:
        return None


def _names(positional: list[str] | None, option: list[str] | None) -> list[str]:
    return [*(positional or []), *(name for given in option or [] for name in given.split(","))]


def _needed(positional: list[str] | None, option: list[str] | None) -> list[str]:
    names = _names(positional, option)
    if not names:
        raise BadUsage("no topic is named", "For example `kops topic create NAME`, or --topic NAME.")
    return names


def _assignment(text: str | None) -> tuple[tuple[int, ...], ...]:
    """Apache's form: partitions divided by commas, brokers by colons."""
    if not text:
        return ()
    try:
        return tuple(tuple(int(broker) for broker in partition.split(":")) for partition in text.split(","))
    except ValueError as error:
        raise BadUsage(
            f"--replica-assignment {text}: not broker ids", "For example 1:2,2:3 for two partitions."
        ) from error
