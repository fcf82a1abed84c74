"""``kops partition elect|reassign``: who leads, and who holds replicas. Declared by ``kops.commands.partition``."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from kops.cluster import elections, reassignments, topics
from kops.cluster.elections import Election
from kops.cluster.metadata import Partition
from kops.columns import ids
from kops.columns.moves import ELECTIONS, MOVES, STEPS
from kops.commands.run import Run
from kops.errors import BadUsage, NotFound
from kops.operations import reassign as operation
from kops.operations.reassign import Step

Names = Annotated[list[str] | None, typer.Argument(metavar="TOPIC[:0,1]", show_default=False)]


def elect(
    run: Run,
    name: Names = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", help="As Apache's tool takes it.")] = None,
    partition: Annotated[list[int] | None, typer.Option("--partition", help="Only this one of --topic.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "--all-topic-partitions", help="Every partition that needs it.")
    ] = False,
    unclean: Annotated[
        bool, typer.Option("--unclean", help="Let a replica out of sync lead where nobody else can: records are lost.")
    ] = False,
    election_type: Annotated[str | None, typer.Option("--election-type", help="preferred or unclean")] = None,
) -> None:
    """Elect leaders: the preferred replica of each partition, or with --unclean whoever lives.

    Only partitions that need it are elected: those that their preferred replica does not lead, or nobody leads.
    """
    if election_type and election_type.lower() not in ("preferred", "unclean"):
        raise BadUsage(f"--election-type {election_type}", "preferred or unclean.")
    unclean = unclean or (election_type or "").lower() == "unclean"
    named = [*(name or []), *_with_partitions(topic or [], partition or [])]
    if not named and not everything:
        raise BadUsage("no partition is named", "For example `kops partition elect orders`, or --all.")
    needed = elections.needed(_partitions(run, named), unclean=unclean)
    plan = [f"{one.name}: led by {_leader(one)}, preferred {one.replicas[0]}, in sync {ids(one.isr)}" for one in needed]
    if unclean and needed:
        plan.append("records that only the lost leader had are gone for ever")
    if not needed:
        run.out.say("nothing needs an election")
    if not run.confirm("elect leaders", plan, ask=unclean and bool(needed)):
        run.show(ELECTIONS, [Election(one) for one in needed])
        return
    elected, errors = elections.elect(run.session, needed, unclean=unclean)
    run.errors += errors
    run.show(ELECTIONS, elected)


def _leader(partition: Partition) -> str:
    return str(partition.leader) if partition.leader >= 0 else "nobody"


def _with_partitions(names: Sequence[str], partitions: Sequence[int]) -> list[str]:
    return [f"{name}:{','.join(map(str, partitions))}" if partitions else name for name in names]


def _partitions(run: Run, named: Sequence[str]) -> list[Partition]:
    """``orders`` or ``orders:0,2``; all when nothing is named. Raises NotFound, BadUsage."""
    chosen: dict[str, list[int]] = {}
    for word in named:
        topic, _, indexes = word.partition(":")
        try:
            chosen.setdefault(topic, []).extend(int(index) for index in indexes.split(",") if index)
        except ValueError as error:
            raise BadUsage(f"{word}: not TOPIC:0,1", "For example orders:0,2.") from error
    found = []
    for one in topics.select(run.session, list(chosen), None):
        there = {partition.index: partition for partition in one.partitions}
        for index in chosen.get(one.name, []):
            if index not in there:
                raise NotFound(f"topic {one.name} has no partition {index}", f"It has {len(there)}, from 0 on.")
        found += [there[index] for index in (chosen.get(one.name) or there)]
    return found


def reassign(
    run: Run,
    topic: Annotated[list[str] | None, typer.Argument(metavar="TOPIC", show_default=False)] = None,
    to: Annotated[str | None, typer.Option("--to", help="Brokers to use; all when not said.", metavar="1,2,3")] = None,
    drain: Annotated[str | None, typer.Option("--drain", help="Brokers to move everything off.", metavar="4")] = None,
    replication_factor: Annotated[
        int | None, typer.Option("--replication-factor", "-r", help="Copies of each partition from now on.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--reassignment-json-file", "--file", help="Apache's JSON.", metavar="FILE")
    ] = None,
    topics_file: Annotated[
        str | None, typer.Option("--topics-to-move-json-file", help="Apache's JSON.", metavar="FILE")
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Only print the plan, as --dry-run.")] = False,
    execute: Annotated[bool, typer.Option("--execute", help="As --yes, and do not wait for the end.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="How far it is; with a file: whether it is as told.")
    ] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take back what is under way.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="What is under way.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    throttle: Annotated[
        int | None, typer.Option("--throttle", help="At most so much in and out of each broker.", metavar="BYTES/S")
    ] = None,
) -> None:
    """Move replicas between brokers: plan, confirm, execute, follow, verify.

    Without a file it plans by itself: evenly over the brokers, moving as little as possible, racks apart, preferred
    leaders spread. The plan says bytes and time; -o kafka prints it as Apache's JSON. The replicas from before are kept
    in a file of that form, to put them back with --file. A throttle ends with the moves: when they were followed, with
    --verify once they are done, or with --cancel.
    """
    if throttle is not None and throttle < 1:
        raise BadUsage(f"--throttle {throttle}", "Bytes a second, for example 10485760.")
    if listed or (verify and not file):
        run.show(MOVES, _under_way(run, topic))
    elif cancel:
        _cancel(run, topic, file)
    elif verify and file:
        _verify(run, file)
    else:
        names = [*(topic or []), *(operation.topics_in(topics_file) if topics_file else [])]
        if not (file or names or to or drain or replication_factor):
            raise BadUsage("what is to be moved?", "Name topics, --to, --drain, --replication-factor or --file.")
        if file:
            steps = operation.as_told(run.session, operation.read(file))
        else:
            steps = operation.evenly(run.session, names, _ids(to, "--to"), _ids(drain, "--drain"), replication_factor)
        _reassign(run, steps, throttle, generate=generate, execute=execute, wait=wait and not execute)


def _reassign(run: Run, steps: list[Step], throttle: int | None, *, generate: bool, execute: bool, wait: bool) -> None:
    changing = [step for step in steps if step.changes]
    plan = [f"{one.position}: {ids(one.now)} to {ids(one.target)}, {one.bytes} bytes" for one in changing]
    plan += operation.totals(steps, throttle)
    if generate:
        run.show(STEPS, changing, _as_json)
        return
    if not run.confirm("reassign partitions", plan, ask=bool(changing) and not execute):
        run.show(STEPS, changing, _as_json)
        return
    if not changing:
        run.show(STEPS, [], _as_json)
        return
    run.out.say(f"the replicas from before are in {operation.keep(changing)}")
    if throttle:
        operation.throttle(run.session, changing, throttle)
    moving, errors = operation.execute(run.session, changing)
    run.errors += errors
    if wait and moving:
        moving, errors = operation.follow(run.session, moving, run.out.say)
        run.errors += errors
    if throttle:
        if wait or not moving:
            operation.unthrottle(run.session, {one.position.topic for one in changing}, run.out.say)
        else:
            run.out.say("the throttle stays until `kops partition reassign --verify --file FILE` finds the moves done")
    run.show(STEPS, moving, _as_json)


def _as_json(steps: Sequence[Step]) -> Iterator[str]:
    yield "Current partition replica assignment"
    yield operation.written({step.position: step.now for step in steps})
    yield ""
    yield "Proposed partition reassignment configuration"
    yield operation.written({step.position: step.target for step in steps})


def _verify(run: Run, file: str) -> None:
    found, errors = operation.verify(run.session, operation.as_told(run.session, operation.read(file)))
    run.errors += errors
    if all(one.state != operation.MOVING for one in found) and not run.context.read_only:
        operation.unthrottle(run.session, {one.position.topic for one in found}, run.out.say)
    run.show(STEPS, found)


def _cancel(run: Run, topic: list[str] | None, file: str | None) -> None:
    moves = _under_way(run, topic)
    if file:
        told = operation.read(file)
        moves = [move for move in moves if move.position in told]
    plan = [f"{move.name}: adding {ids(move.adding)} and removing {ids(move.removing)} is taken back" for move in moves]
    if run.confirm("cancel reassignments", plan or ["nothing is under way"], ask=bool(moves)):
        run.errors += reassignments.cancel(run.session, moves).values()
        operation.unthrottle(run.session, {move.topic for move in moves}, run.out.say)
    run.show(MOVES, moves)


def _under_way(run: Run, names: list[str] | None) -> list[reassignments.Move]:
    return [move for move in reassignments.under_way(run.session) if not names or move.topic in names]


def _ids(text: str | None, option: str) -> list[int]:
    try:
        return [int(part) for part in (text or "").split(",") if part]
    except ValueError as error:
        raise BadUsage(f"{option} {text}: not broker ids", f"For example {option} 1,2,3.") from error
