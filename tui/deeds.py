"""What the dashboard can change over the public protocols: each deed is planned first, then done, by the same functions
that the commands use. Every plan names the `kops` line and the line of Apache's tools that do the same.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kops.cluster import elections, groups, topics
from kops.cluster.changes import Step
from kops.cluster.metadata import snapshot, topics_of
from kops.contexts import Context
from kops.errors import Failed, KopsError, Refused
from kops.operations import removal, reset, targets
from kops.operations.targets import Target, Where
from kops.session import Session
from tui.snapshots import UNAVAILABLE
from tui.widgets.dialogs import Plan

SHOWN = 200
"""Lines of a plan at most; what is beyond is counted."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan to be confirmed, and what does it then: that gives a line for the person at the screen."""

    plan: Plan
    do: Callable[[Session], str]


@dataclass(frozen=True, slots=True)
class Reset:
    """``scope``: ``topic`` or ``topic:0,1``, all that is committed when empty. ``words``: of the command line."""

    groups: tuple[str, ...]
    scope: tuple[str, ...]
    target: Target
    words: str


def delete_topics(session: Session, names: list[str]) -> Prepared:
    """Raises NotFound for one that is gone meanwhile."""
    found = topics_of(session, list(names))[1]

    def do(session: Session) -> str:
        gone = [topics.delete_topic(session, one) for one in found]
        return f"deleted {', '.join(one.name for one in gone)}: no broker knows it any more"

    pattern = "|".join(re.escape(name).replace(r"\-", "-") for name in names)
    plan = Plan(
        question=f"delete {_counted(names, 'topic')}?",
        lines=(*topics.plan_of_deletion(snapshot(session, []), found), "the records cannot be brought back"),
        command=_line("kops topic delete", *names),
        apache=_apache(session.context, "kafka-topics.sh", "--delete", "--topic", pattern),
        typed=_typed(session.context, names, "topic"),
    )
    return Prepared(plan, do)


def delete_groups(session: Session, names: list[str]) -> Prepared:
    """Raises Refused for groups that somebody is in, NotFound."""
    chosen = removal.plan(session, groups.select(session, list(names)))

    def do(session: Session) -> str:
        _, gone, errors = removal.carry_out(session, chosen)
        _raise_first(errors)
        return f"deleted {', '.join(one.id for one in gone)}; `kops undo` brings the offsets back"

    plan = Plan(
        question=f"delete {_counted(names, 'group')}?",
        lines=(*chosen.lines, "`kops undo` can bring the offsets back"),
        command=_line("kops group delete", *names),
        apache=_apache(session.context, "kafka-consumer-groups.sh", "--delete", *_each("--group", names)),
        typed=_typed(session.context, names, "group"),
    )
    return Prepared(plan, do)


def reset_offsets(session: Session, wish: Reset) -> Prepared:
    """Raises Refused for groups that somebody is in, NotFound."""
    busy = reset.busy(session, wish.groups)
    if busy:
        raise groups.in_use(busy)
    steps = reset.plan(session, wish.groups, reset.Scope(targets.scope(wish.scope)), wish.target)
    changes = [change for step in steps if (change := step.change)]
    what = f"reset {', '.join(wish.groups)} to {wish.target.told}"

    def do(session: Session) -> str:
        entry, errors = reset.carry_out(session, what, changes)
        _raise_first(errors)
        undo = "`kops undo` takes it back" if entry else "nothing had to be moved"
        return f"{what}: as planned; {undo}"

    scope = _each("--topic", wish.scope)
    plan = Plan(
        question=f"{what}?",
        lines=(reset.totals(steps), *_steps(steps, many=len(wish.groups) > 1)),
        command=_line("kops group reset", *wish.groups, *scope) + f" {wish.words}",
        apache=_apache(
            session.context, "kafka-consumer-groups.sh", *_each("--group", wish.groups), *(scope or ("--all-topics",))
        )
        + f" --reset-offsets {apache_words(wish)} --execute",
        typed=session.context.name if session.context.protected else "",
    )
    return Prepared(plan, do)


def elect(session: Session, names: list[str]) -> Prepared:
    """Let the preferred replicas of these partitions lead. Raises Refused when all of them do."""
    seen = snapshot(session)
    wanted = [one for one in seen.partitions if one.name in set(names)]
    needed = elections.needed(wanted, unclean=False)
    if not needed:
        raise Refused(f"{_counted(names, 'partition')}: led by the preferred replica already")

    def do(session: Session) -> str:
        elected, errors = elections.elect(session, needed, unclean=False)
        _raise_first(errors)
        return "elected " + ", ".join(f"{one.leader} for {one.partition.name}" for one in elected[:5])

    first = needed[0]
    words = ("--topic", first.topic, "--partition", str(first.index)) if len(needed) == 1 else ()
    plan = Plan(
        question=f"let the preferred replica lead {_counted([one.name for one in needed], 'partition')}?",
        lines=_some([f"{one.name}: leader {one.leader} → {one.replicas[0]}" for one in needed]),
        command=_line("kops partition elect", *dict.fromkeys(one.topic for one in needed)),
        apache=_apache(
            session.context,
            "kafka-leader-election.sh",
            *("--election-type", "preferred", *(words or ("--all-topic-partitions",))),
        ),
        typed=session.context.name if session.context.protected else "",
    )
    return Prepared(plan, do)


def apache_words(wish: Reset) -> str:
    """Apache's tool takes moments in UTC, without a zone; the rest is spelled the same."""
    if wish.target.where is not Where.TIME:
        return wish.words
    moment = datetime.fromtimestamp(wish.target.number / 1000, UTC)
    return f"--to-datetime {moment.strftime('%Y-%m-%dT%H:%M:%S')}.{wish.target.number % 1000:03d}"


def _steps(steps: Sequence[Step], *, many: bool) -> tuple[str, ...]:
    lines = []
    for step in steps:
        whose = f"{step.group}  " if many else ""
        before = UNAVAILABLE if step.committed is None else str(step.committed.offset)
        after = "stays" if step.target is None else str(step.target)
        cost = f"   {step.replayed} replayed" if step.replayed else f"   {step.skipped} skipped" if step.skipped else ""
        note = f"   {step.note}" if step.note else ""
        lines.append(f"{whose}{step.position}   {before} → {after}{cost}{note}")
    return _some(lines)


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    more = (f"… and {len(lines) - SHOWN} more",) if len(lines) > SHOWN else ()
    return (*lines[:SHOWN], *more)


def _raise_first(errors: Sequence[KopsError]) -> None:
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise Failed(f"{errors[0].what}{more}", errors[0].do) from errors[0]


def _counted(names: Sequence[str], noun: str) -> str:
    return f"{noun} {names[0]}" if len(names) == 1 else f"{len(names)} {noun}s"


def _typed(context: Context, names: Sequence[str], noun: str) -> str:
    """What cannot be taken back is confirmed by its name, many of them by their number."""
    if context.protected:
        return context.name
    return names[0] if len(names) == 1 else f"{len(names)} {noun}s"


def _each(option: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (option, value))


def _line(command: str, *words: str) -> str:
    return " ".join([command, *map(shlex.quote, words)])


def _apache(context: Context, tool: str, *words: str) -> str:
    return _line(f"{tool} --bootstrap-server {context.bootstrap_servers}", *words)


def wish_of(chosen: Sequence[str], scope: Sequence[str], where: Where, given: str, target: Target) -> Reset:
    """A wish with the words of the command line that mean it."""
    words = {
        Where.EARLIEST: "--to-earliest",
        Where.LATEST: "--to-latest",
        Where.OFFSET: f"--to-offset {given}",
        Where.SHIFT: f"--shift-by {given}",
        Where.TIME: f"--to-datetime={given}" if given.startswith("-") else f"--to-datetime {given}",
    }[where]
    return Reset(tuple(chosen), tuple(scope), replace(target, where=where), words)
