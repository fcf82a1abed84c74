"""``kops group reset`` and ``delete-offsets``: options, the plan, the question, the change and its proof."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kops.cluster import groups, legacy_groups, times
from kops.cluster.changes import OffsetChange, Step
from kops.cluster.offsets import Position
from kops.columns.group_views import STEPS
from kops.commands import group_legacy
from kops.commands.options import command
from kops.commands.run import Run
from kops.errors import BadUsage
from kops.operations import reset, targets
from kops.operations.reset import Scope
from kops.operations.targets import Target, Where
from kops.render import kafka_groups, text
from kops.words import counted

Names = Annotated[list[str] | None, typer.Argument(metavar="GROUP", show_default=False)]
GroupOption = Annotated[list[str] | None, typer.Option("--group", "-g", help="A group (as Apache's tools take it).")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="Only this topic or these partitions.", metavar="T[:0,1]")
]
Regex = Annotated[str | None, typer.Option("--regex", help="Groups whose whole name matches.", metavar="PATTERN")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it, without being asked (as Apache's tools).")]
WaitEmpty = Annotated[
    str | None, typer.Option("--wait-empty", help="Wait so long for the members to leave.", metavar="60s")
]


def reset_offsets(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    regex: Regex = None,
    all_groups: Annotated[bool, typer.Option("--all-groups", help="Every group there is.")] = False,
    topic: Topics = None,
    all_topics: Annotated[
        bool, typer.Option("--all-topics", help="All that is committed (as without --topic).")
    ] = False,
    include_uncommitted: Annotated[
        bool, typer.Option("--include-uncommitted", help="Also partitions of those topics without a commit.")
    ] = False,
    to_earliest: Annotated[bool, typer.Option("--to-earliest", help="The first record there is.")] = False,
    to_latest: Annotated[bool, typer.Option("--to-latest", help="The end.")] = False,
    to_current: Annotated[bool, typer.Option("--to-current", help="What is committed now.")] = False,
    to_offset: Annotated[int | None, typer.Option("--to-offset", help="This offset.")] = None,
    shift_by: Annotated[int | None, typer.Option("--shift-by", help="So many forward, or back if negative.")] = None,
    to_datetime: Annotated[
        str | None, typer.Option("--to-datetime", help="RFC 3339, epoch s or ms, or -6h.", metavar="TIME")
    ] = None,
    by_duration: Annotated[str | None, typer.Option("--by-duration", help="So long ago.", metavar="PT6H|6h")] = None,
    from_file: Annotated[str | None, typer.Option("--from-file", help="Apache's CSV.", metavar="FILE")] = None,
    from_group: Annotated[
        str | None, typer.Option("--from-group", help="Where this group is.", metavar="GROUP")
    ] = None,
    export: Annotated[bool, typer.Option("--export", help="Print the plan as Apache's CSV.")] = False,
    execute: Execute = False,
    wait_empty: WaitEmpty = None,
) -> None:
    """Move the offsets of groups that nobody is in: the plan first, then the change, then the proof."""
    as_apache(run, execute)
    names = _names(run, [*(name or []), *(group or [])], regex, all_groups, from_file)
    target = _target(
        run, names,
        {Where.EARLIEST: to_earliest, Where.LATEST: to_latest, Where.CURRENT: to_current},
        {Where.OFFSET: to_offset, Where.SHIFT: shift_by},
        to_datetime, by_duration, from_file, from_group,
    )  # fmt: skip
    if target.where is Where.FILE and target.given and not names:
        names = list(target.given)
    if topic and all_topics:
        raise BadUsage("--topic and --all-topics say different things", "Leave one of them out.")
    scope = Scope(targets.scope(topic or []), include_uncommitted)
    if run.through_zookeeper:
        group_legacy.move(run, names, scope, target)
        return
    if wait_empty:
        groups.wait_empty(run.session, names, times.duration(wait_empty) / 1000)
    steps = reset.plan(run.session, names, scope, target)
    if export:
        _export(names, steps)
    if export and not (execute or run.settings.yes):
        return
    carry_out(run, f"reset {', '.join(names)} to {target.told}", steps, show=not export)


def carry_out(run: Run, what: str, steps: Sequence[Step], *, show: bool = True) -> None:
    """Plan, refusal of groups in use, question, change, proof; the rows with what became of them."""
    summary = reset.totals(steps)
    dry = run.settings.dry_run
    busy = reset.busy(run.session, dict.fromkeys(step.group for step in steps))
    if busy and not dry:
        raise groups.in_use(busy)
    changes = [change for step in steps if (change := step.change)]
    if not run.confirm(what, [] if run.unasked else _table(steps, summary), ask=bool(changes)):
        run.show(STEPS, steps, kafka_groups.reset, summary=summary, what=what)
        run.out.say(summary)
        for one in busy:
            run.out.say(f"group {one.id} is {one.state}: it would be refused until its members have left")
        return
    entry, failed = reset.carry_out(run.session, what, changes)
    run.errors += failed
    subjects = {error.subject for error in failed}
    done = [step for step in steps if f"group {step.group}: {step.position}" not in subjects]
    if show:
        run.show(STEPS, done, kafka_groups.reset, summary=summary, what=what, undo=entry.id if entry else None)
    proof = f"; read back: {'NOT ' if failed else ''}as planned. `kops undo` takes it back." if entry else ""
    run.out.say(f"{summary}{proof}")


def delete_offsets(
    run: Run,
    name: Names = None,
    group: GroupOption = None,
    topic: Topics = None,
    execute: Execute = False,
) -> None:
    """Forget what groups have committed for a topic; `kops undo` brings it back."""
    as_apache(run, execute, asks=False)
    names = _names(run, [*(name or []), *(group or [])], None, False, None)
    scope = targets.scope(topic or [])
    if not scope:
        raise BadUsage("no topic is named", "For example `kops group delete-offsets GROUP --topic orders:0,1`.")
    chosen = groups.select(run.session, names)
    committed = groups.committed(run.session, chosen)
    changes = [
        OffsetChange(one.id, position, value, None)
        for one in chosen
        for position, value in sorted(committed[one.id].items())
        if position.topic in scope and (not scope[position.topic] or position.partition in scope[position.topic])
    ]
    steps = [Step(c.group, c.position, c.before, None, None, None, note="to be deleted") for c in changes]
    what = f"delete offsets of {', '.join(names)} for {', '.join(topic or [])}"
    plan = _table(steps, counted(len(steps), "committed offset", "goes", "go"))
    if not run.confirm(what, [] if run.unasked else plan, ask=not run.settings.apache):
        run.show(STEPS, steps, what=what)
        return
    entry, failed = reset.carry_out(run.session, what, changes)
    run.errors += failed
    subjects = {error.subject for error in failed}
    gone = [step for step in steps if f"group {step.group}: {step.position}" not in subjects]
    run.show(STEPS, gone, kafka_groups.offsets_deleted, what=what, undo=entry.id if entry else None)
    if entry is not None:
        run.out.say("`kops undo` takes it back.")


def add_to(app: typer.Typer) -> None:
    command(app, "reset", "reset-offsets", "seek", kind="GroupReset")(reset_offsets)
    command(app, "delete-offsets", kind="GroupReset")(delete_offsets)


def as_apache(run: Run, execute: bool, *, asks: bool = True) -> None:
    """``--execute`` is yes; with Apache's verbs its absence is a dry run."""
    if execute and not run.settings.dry_run:
        run.settings.yes = True
    elif run.settings.apache and asks:
        run.settings.dry_run = run.out.dry_run = True


def _names(run: Run, named: list[str], regex: str | None, everything: bool, file: str | None) -> list[str]:
    if named and (regex or everything):
        raise BadUsage("groups are named, and yet all or a pattern are asked for", "Leave one of them out.")
    if regex is not None or everything:
        if run.through_zookeeper:
            return [one.id for one in legacy_groups.select(run.session.zookeeper, []) if fits(one.id, regex)]
        found = [one.id for one in groups.select(run.session, [], regex)]
        if not found:
            raise BadUsage("no group is there, or none matches", "`kops group list` shows the groups there are.")
        return found
    if not named and file is None:
        raise BadUsage("no group is named", "For example `kops group reset NAME --to-earliest`.")
    return list(dict.fromkeys(named))


def fits(name: str, pattern: str | None) -> bool:
    return pattern is None or re.fullmatch(pattern, name) is not None


def _target(
    run: Run,
    names: Sequence[str],
    plain: dict[Where, bool],
    numbered: dict[Where, int | None],
    to_datetime: str | None,
    by_duration: str | None,
    from_file: str | None,
    from_group: str | None,
) -> Target:
    import time

    found = [Target(where) for where, wanted in plain.items() if wanted]
    found += [Target(where, number) for where, number in numbered.items() if number is not None]
    if to_datetime is not None:
        found.append(Target(Where.TIME, times.moment(to_datetime, utc=run.settings.apache)))
    if by_duration is not None:
        found.append(Target(Where.TIME, time.time_ns() // 1_000_000 - times.duration(by_duration)))
    if from_file is not None:
        found.append(Target(Where.FILE, given=targets.read_csv(_lines(from_file), names)))
    if from_group is not None:
        found.append(Target(Where.GROUP, given=reset.from_group(run.session, from_group)))
    if len(found) != 1:
        raise BadUsage(
            "where to is not said" if not found else "more than one place to go to is said",
            "One of --to-earliest --to-latest --to-current --to-offset --shift-by --to-datetime --by-duration "
            "--from-file --from-group.",
        )
    return found[0]


def _lines(file: str) -> list[str]:
    if file == "-":
        return sys.stdin.read().splitlines()
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadUsage(f"cannot read {file}: {(error.strerror or '').lower()}", "Name a file that is there.") from error


def _export(names: Sequence[str], steps: Sequence[Step]) -> None:
    offsets: dict[str, dict[Position, int]] = {name: {} for name in names}
    for step in steps:
        if step.target is not None:
            offsets[step.group][step.position] = step.target
    for line in targets.write_csv(offsets):
        print(line)


def _table(steps: Sequence[Step], summary: str) -> list[str]:
    """The plan as people read it before they are asked."""
    columns = [column for column in STEPS.columns if not column.wide]
    rows = [[column.value(step) for column in columns] for step in steps]
    return [*text.aligned([column.title for column in columns], rows, headers=True, color=False), summary]
