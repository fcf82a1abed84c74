"""Moving replicas between brokers: a plan that says what it costs, carried out, followed to its end, verified.

The replicas from before are kept in a file of Apache's form, so that they can be put back with the same command.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kops.cluster import logdirs, reassignments, throttles
from kops.cluster.metadata import Partition, snapshot
from kops.cluster.offsets import Position
from kops.errors import BadUsage, Failed, KopsError, NotFound, Unreachable
from kops.local.state import state_dir
from kops.operations.spread import spread
from kops.session import Session
from kops.words import counted

PLANNED, SAME, MOVING, DONE, FAILED = "planned", "stays", "moving", "done", "not as planned"
_BYTES_PER_SECOND = 100 * 1024 * 1024
_STEP = 0.5
_LATEST = 5.0
"""Seconds after which every broker has heard of what the controller did."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One partition. ``size``: bytes of one replica."""

    position: Position
    now: tuple[int, ...]
    target: tuple[int, ...]
    size: int
    state: str = PLANNED

    @property
    def adding(self) -> tuple[int, ...]:
        return tuple(broker for broker in self.target if broker not in self.now)

    @property
    def removing(self) -> tuple[int, ...]:
        return tuple(broker for broker in self.now if broker not in self.target)

    @property
    def bytes(self) -> int:
        """What is copied."""
        return self.size * len(self.adding)

    @property
    def changes(self) -> bool:
        """Another order counts: the first replica is the preferred leader."""
        return self.now != self.target


def evenly(
    session: Session, names: Sequence[str], brokers: Sequence[int], drain: Sequence[int], factor: int | None
) -> list[Step]:
    """A plan that spreads the topics (all when none is named) evenly over ``brokers`` (all that live when none)."""
    seen = snapshot(session, names or None)
    live = {broker.id: broker.rack for broker in seen.brokers}
    absent = sorted(set(brokers) - set(live))
    if absent:
        raise NotFound(f"broker {absent[0]} is not there", f"Registered: {', '.join(map(str, sorted(live)))}.")
    usable = {broker: live[broker] for broker in (brokers or live) if broker not in drain}
    if not usable:
        raise BadUsage("no broker is left to move to", "Name others with --to, or drain fewer.")
    now = {(p.topic, p.index): p.replicas for p in seen.partitions}
    sizes = _sizes(session, seen.partitions)
    try:
        targets = spread(now, usable, sizes, factor)
    except ValueError as error:
        raise BadUsage(str(error), "Name more brokers with --to, or ask for fewer replicas.") from error
    return [Step(Position(*key), now[key], targets[key], sizes.get(key, 0)) for key in sorted(now)]


def as_told(session: Session, targets: Mapping[Position, tuple[int, ...]]) -> list[Step]:
    """A plan from a file. Raises NotFound for a partition that is not there."""
    seen = snapshot(session, sorted({position.topic for position in targets}))
    now = {Position(p.topic, p.index): p for p in seen.partitions}
    for position in targets:
        if position not in now:
            raise NotFound(f"{position} does not exist", "`kops partition list` shows what there is.")
    sizes = _sizes(session, [now[position] for position in targets])
    return [
        Step(position, now[position].replicas, target, sizes.get((position.topic, position.partition), 0))
        for position, target in sorted(targets.items())
    ]


def _sizes(session: Session, partitions: Iterable[Partition]) -> dict[tuple[str, int], int]:
    """Bytes of each partition's largest replica, as the brokers tell."""
    brokers = sorted({p.leader for p in partitions if p.leader >= 0})
    found: dict[tuple[str, int], int] = {}
    for folders in logdirs.directories(session, brokers).values():
        for one in (one for folder in folders or () for one in folder.replicas):
            key = one.topic, one.partition
            found[key] = max(found.get(key, 0), one.size)
    return found


def read(path: str) -> dict[Position, tuple[int, ...]]:
    """Apache's ``--reassignment-json-file``. Raises NotFound, BadUsage (for log_dirs other than any, too)."""
    content = _json(path)
    try:
        entries = content["partitions"]
        if any(folder != "any" for one in entries for folder in one.get("log_dirs", ())):
            raise BadUsage(f"{path} names log_dirs", "kops moves between brokers; leave log_dirs out, or say any.")
        targets = {Position(one["topic"], int(one["partition"])): tuple(map(int, one["replicas"])) for one in entries}
    except (KeyError, TypeError, ValueError) as error:
        raise BadUsage(f"{path} is no reassignment: {error}", 'It has {"partitions": [{"topic", ...}]}.') from error
    for position, replicas in targets.items():
        if not replicas or len(set(replicas)) != len(replicas):
            raise BadUsage(f"{path}: {position}: replicas {list(replicas)}", "Each broker once, and at least one.")
    return targets


def topics_in(path: str) -> list[str]:
    """Apache's ``--topics-to-move-json-file``. Raises NotFound, BadUsage."""
    try:
        return [str(one["topic"]) for one in _json(path)["topics"]]
    except (KeyError, TypeError) as error:
        raise BadUsage(f"{path} names no topics: {error}", 'It has {"topics": [{"topic": "t"}]}.') from error


def _json(path: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", "It is Apache's JSON for moving partitions.") from error
    except ValueError as error:
        raise BadUsage(f"{path} is not JSON: {error}", "It is Apache's JSON for moving partitions.") from error
    if not isinstance(content, dict):
        raise BadUsage(f"{path} is not a JSON object", "It is Apache's JSON for moving partitions.")
    return content


def written(replicas: Mapping[Position, Sequence[int]]) -> str:
    """As Apache's tools write it, and read it back."""
    entries = [
        {"topic": p.topic, "partition": p.partition, "replicas": list(ids), "log_dirs": ["any"] * len(ids)}
        for p, ids in replicas.items()
    ]
    return json.dumps({"version": 1, "partitions": entries}, separators=(",", ":"))


def totals(steps: Sequence[Step], throttle: int | None = None) -> list[str]:
    """What the whole costs, in lines. ``throttle``: bytes a second into each broker, at most."""
    moved = [step for step in steps if step.adding]
    total = sum(step.bytes for step in moved)
    into: dict[int, int] = {}
    for step in moved:
        for broker in step.adding:
            into[broker] = into.get(broker, 0) + step.size
    copies = sum(len(step.adding) for step in moved)
    changed = sum(step.changes for step in steps)
    change = f"{changed} of {counted(len(steps), 'partition', 'changes', 'change')}"
    lines = [f"{change}, {counted(copies, 'replica', 'is', 'are')} copied: {total} bytes"]
    if into:
        seconds = max(1, round(max(into.values()) / min(throttle or _BYTES_PER_SECOND, _BYTES_PER_SECOND)))
        how = f"throttled to {throttle} bytes/s in and out of" if throttle else "unthrottled, at 100 MiB/s into"
        lines.append(f"about {seconds} s, {how} each broker")
    return lines


def keep(steps: Sequence[Step]) -> str:
    """Write the replicas of now to a file of their own; its path."""
    folder = state_dir() / "reassignments"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
    path.write_text(written({step.position: step.now for step in steps}) + "\n", encoding="utf-8")
    return str(path)


def execute(session: Session, steps: Sequence[Step]) -> tuple[list[Step], list[KopsError]]:
    """Hand the plan to the controller. (what it took up, what it refused)."""
    changing = [step for step in steps if step.changes]
    failed = reassignments.start(session, {step.position: step.target for step in changing})
    return [replace(step, state=MOVING) for step in changing if step.position not in failed], list(failed.values())


def throttle(session: Session, steps: Sequence[Step], rate: int) -> None:
    """Before the moves begin."""
    throttles.put(session, {step.position: (step.now, step.adding) for step in steps}, rate)


def unthrottle(session: Session, topics: Iterable[str], say: Say) -> None:
    """After they ended: what throttles these topics is taken away, and from every broker unless others are moved."""
    brokers = [] if reassignments.under_way(session) else [broker.id for broker in snapshot(session, []).brokers]
    throttled = throttles.found(session, topics, brokers)
    throttles.clear(session, throttled)
    if throttled:
        say(f"the throttle is taken away from {', '.join(map(str, throttled))}")


def follow(session: Session, steps: Sequence[Step], say: Say) -> tuple[list[Step], list[KopsError]]:
    """Wait until all are done, as long as something moves. Raises Unreachable when nothing did for the time-out."""
    from kafka.errors import KafkaError

    told, since = (-1, -1), time.monotonic()
    while True:
        try:
            moving = {move.position for move in reassignments.under_way(session)}
            left = [step for step in steps if step.position in moving]
            copied = _copied(session, left)
        except KafkaError:
            moving, left, copied = set(), list(steps), told[1]
            if time.monotonic() - since > session.timeout:
                raise
            time.sleep(_STEP)
            continue
        if not left:
            return _settled(session, steps)
        if (len(left), copied) != told:
            told, since = (len(left), copied), time.monotonic()
            moved = f"{len(steps) - len(left)} of {counted(len(steps), 'partition')} moved"
            say(f"{moved}; {copied} bytes copied of those under way")
        if time.monotonic() - since > session.timeout:
            raise _stalled(session, left)
        time.sleep(_STEP)


def _settled(session: Session, steps: Sequence[Step]) -> tuple[list[Step], list[KopsError]]:
    """The controller is done; the metadata of the broker that is asked may be a moment older."""
    deadline = time.monotonic() + _LATEST
    while True:
        found, errors = verify(session, steps)
        if not errors or time.monotonic() > deadline:
            return found, errors
        time.sleep(_STEP / 5)


def _copied(session: Session, left: Sequence[Step]) -> int:
    """Bytes that the joining replicas have so far."""
    wanted = {(step.position.topic, step.position.partition, broker) for step in left for broker in step.adding}
    told = logdirs.directories(session, sorted({broker for *_, broker in wanted}))
    return sum(
        one.size
        for broker, folders in told.items()
        for folder in folders or ()
        for one in folder.replicas
        if (one.topic, one.partition, broker) in wanted
    )


def _stalled(session: Session, left: Sequence[Step]) -> Unreachable:
    alive = {broker.id for broker in snapshot(session, []).brokers}
    down = sorted({broker for step in left for broker in step.adding} - alive)
    why = f"broker {','.join(map(str, down))} is down" if down else "nothing was copied for that long"
    return Unreachable(
        f"{counted(len(left), 'partition', 'is', 'are')} still being moved, {left[0].position} among them: {why}",
        "It goes on by itself: `kops partition reassign --verify`; `--cancel` takes it back.",
    )


def verify(session: Session, steps: Sequence[Step]) -> tuple[list[Step], list[KopsError]]:
    """Each partition as it is now: moving, done, or not as planned, which is an error."""
    moving = {move.position for move in reassignments.under_way(session)}
    seen = snapshot(session, sorted({step.position.topic for step in steps}))
    now = {Position(p.topic, p.index): p.replicas for p in seen.partitions}
    found, errors = [], []
    for step in steps:
        there = now.get(step.position, ())
        state = MOVING if step.position in moving else DONE if there == step.target else FAILED
        found.append(replace(step, state=state))
        if state == FAILED:
            errors.append(
                Failed(
                    f"{step.position} has replicas {','.join(map(str, there)) or 'none'}, not "
                    f"{','.join(map(str, step.target))}",
                    "Somebody moved it elsewhere, or the move was cancelled.",
                    subject=str(step.position),
                )
            )
    return found, list(errors)
