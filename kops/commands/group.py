"""``kops group``: list, describe, lag, delete; its offsets' own verbs are in ``kops.commands.group_offsets``."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from kops.cluster import groups, lag
from kops.cluster.groups import Listed
from kops.columns.group_views import GROUP_DETAILS, GROUP_LAGS, GROUPS, LAGS, MEMBERS, PACES, STATES, span
from kops.commands import group_legacy, group_offsets
from kops.commands.options import command, noun
from kops.commands.run import Run
from kops.errors import BadUsage, Failed, Unhealthy
from kops.operations import removal
from kops.render import kafka_groups

app = typer.Typer(help="Consumer groups.", no_args_is_help=True, rich_markup_mode=None)
noun(app)

Names = Annotated[list[str] | None, typer.Argument(metavar="GROUP", show_default=False)]
GroupOption = Annotated[list[str] | None, typer.Option("--group", "-g", help="A group (as Apache's tools take it).")]
Regex = Annotated[str | None, typer.Option("--regex", help="Groups whose whole name matches.", metavar="PATTERN")]
AllGroups = Annotated[bool, typer.Option("--all-groups", help="Every group there is.")]
Interval = Annotated[float, typer.Option("--interval", help="Seconds between two looks.")]


@command(app, "list", "ls", kind="GroupList")
def list_groups(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    regex: Regex = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only groups in these states.", metavar="[STATE,...]")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--type", help="Only these: classic, consumer, share, or a protocol type.", metavar="[TYPE]"),
    ] = None,
) -> None:
    """List groups with their state, from every broker."""
    if run.through_zookeeper:
        group_legacy.show(run, _names(name, group))
        return
    found = _selected(run, _names(name, group), regex)
    states = {word.strip().lower() for word in (state or "").split(",") if word.strip()}
    unknown = states - {
        "stable",
        "empty",
        "dead",
        "preparingrebalance",
        "completingrebalance",
        "assigning",
        "reconciling",
    }
    if unknown:
        raise BadUsage(
            f"--state {', '.join(sorted(unknown))}: there is no such state",
            "Stable, Empty, PreparingRebalance, CompletingRebalance, Assigning, Reconciling, Dead.",
        )
    shown = [one for one in found if not states or one.state.lower() in states]
    if kind:
        shown = [one for one in shown if kind.lower() in (one.kind, "" if run.settings.apache else one.protocol_type)]
    layout = kafka_groups.names_with_types if kind is not None else kafka_groups.names
    run.show(GROUPS, shown, kafka_groups.names_with_states if state is not None else layout)


@command(app, "describe", kind="GroupDescription")
def describe(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    regex: Regex = None,
    all_groups: AllGroups = False,
    members: Annotated[bool, typer.Option("--members", help="A row per member.")] = False,
    offsets: Annotated[bool, typer.Option("--offsets", help="A row per partition (as without it).")] = False,
    state: Annotated[bool, typer.Option("--state", help="A row per group.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, with rates.")] = False,
    interval: Interval = 2.0,
) -> None:
    """Describe groups: state, members, and committed offset, end, lag and age of the next record per partition."""
    wanted = _names(name, group)
    if not wanted and regex is None and not all_groups:
        raise BadUsage("no group is named", "For example `kops group describe NAME`, or --all-groups.")
    if run.through_zookeeper:
        group_legacy.describe(run, wanted)
        return
    found = _selected(run, wanted, regex)
    for one in found:
        if not one.describable:
            what = f"group {one.id} is a {one.kind} group ({one.state}): kops does not know how to look into those"
            run.errors.append(Failed(what, "Use Apache's tool for them.", subject=one.id))
    if state:
        run.show(STATES, groups.describe(run.session, found), kafka_groups.states)
    elif members:
        described = groups.describe(run.session, found)
        rows = [(one, member) for one in described for member in one.members]
        run.show(MEMBERS, rows, lambda _rows: kafka_groups.members(described, verbose=run.settings.verbose > 0))
    elif watch:
        _watch(run, found, interval)
    else:
        _describe(run, found, offsets)


def _describe(run: Run, found: Sequence[Listed], offsets: bool) -> None:
    structured = run.out.form not in ("kafka", "name")
    measured = lag.measure(run.session, found, ages=structured, starts=structured)
    if run.out.form == "kafka" or (run.out.structured and not offsets):
        run.show(GROUP_DETAILS, measured, kafka_groups.offsets)
        return
    for one in measured if run.out.form in ("table", "wide") else ():
        described = one.group
        run.out.say(
            f"Group: {described.id}  State: {described.state}  Members: {len(described.members)}  "
            f"Assignor: {described.protocol or '-'}  Coordinator: {described.coordinator.id} "
            f"({described.coordinator.address})  Lag: {one.total}  Behind: {span(one.oldest_ms)}"
        )
    run.show(LAGS, [row for one in measured for row in one.partitions])


@command(app, "lag", kind="GroupLag")
def show_lag(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    regex: Regex = None,
    all_groups: AllGroups = False,
    fail_above: Annotated[int | None, typer.Option("--fail-above", help="Exit code 10 when a group lags more.")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again, with rates.")] = False,
    interval: Interval = 2.0,
) -> None:
    """Show how many records each group is behind, all groups when none is named; with --watch also how fast."""
    found = _selected(run, _names(name, group), regex)
    if watch:
        _watch(run, found, interval)
        return
    measured = lag.measure(run.session, found, ages=run.out.form in ("wide", "csv") or len(found) == 1)
    run.show(GROUP_LAGS, measured)
    late = [one for one in measured if fail_above is not None and one.total > fail_above]
    if late:
        told = ", ".join(f"{one.group.id} ({one.total})" for one in late)
        run.errors.append(
            Unhealthy(f"more than {fail_above} records behind: {told}", "`kops group describe` shows where.")
        )


def _watch(run: Run, found: Sequence[Listed], interval: float) -> None:
    run.rendered = True
    for round_ in lag.paces(run.session, found, interval):
        for one in round_:
            run.out.stream(PACES, one)


@command(app, "delete", "rm", kind="GroupDeletion")
def delete(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    regex: Regex = None,
    all_groups: AllGroups = False,
    legacy: Annotated[bool, typer.Option("--legacy", help="Groups that old clients keep in ZooKeeper.")] = False,
) -> None:
    """Delete groups that nobody is in, with all they have committed; `kops undo` brings the offsets back."""
    wanted = _names(name, group)
    if not wanted and regex is None and not all_groups:
        raise BadUsage("no group is named", "For example `kops group delete NAME`.")
    if legacy or run.through_zookeeper:
        group_legacy.delete(run, wanted)
        return
    found = _selected(run, wanted, regex)
    plan = removal.plan(run.session, found)
    if not found or not run.confirm(plan.what, plan.lines, ask=not run.settings.apache):
        run.show(GROUPS, found, plan=plan.lines)
        return
    entry, gone, failed = removal.carry_out(run.session, plan)
    run.errors += failed
    run.show(GROUPS, gone, kafka_groups.deleted)
    if gone:
        run.out.say(f"`kops undo {entry.id}` brings the offsets back.")


def _selected(run: Run, wanted: Sequence[str], regex: str | None) -> list[Listed]:
    try:
        return groups.select(run.session, wanted, regex)
    except re.error as error:
        raise BadUsage(f"'{regex}' is not a regular expression: {error}", "It must match whole names.") from error


def _names(positional: list[str] | None, option: list[str] | None) -> list[str]:
    return [*(positional or []), *(option or [])]


group_offsets.add_to(app)
