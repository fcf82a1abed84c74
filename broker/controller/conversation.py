"""What a transition says to ZooKeeper (the controller's half of kafka.zk.KafkaZkClient).

A transition is a generator: it yields a :class:`ZkBatch` and is resumed with the results, one per operation, in order.
Every write is a multi that first checks the version of /controller_epoch, so a controller that was replaced while it
was paused or cut off changes nothing: it finds out, by :class:`ControllerMoved`, from its first write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from uuid import UUID

from broker.cluster.ibp import Ibp
from broker.config import KafkaConfig
from broker.controller.events import Effect
from broker.controller.state import ControllerContext, Leadership, TopicPartition
from broker.zk import znodes
from broker.zk.operations import Check, Create, Delete, GetData, Multi, Operation, Result, SetData, Write, ZkCode

log = logging.getLogger(__name__)

T = TypeVar("T")


class ZkBatch(NamedTuple):
    """Operations to perform in order; results come back in the same order."""

    ops: tuple[Operation, ...]


Transition = Generator[ZkBatch, Sequence[Result], T]


class ControllerMoved(Exception):
    """Another controller was elected: a guarded write was refused. Resign."""


@dataclass(slots=True)
class Turn:
    """One event's turn: what is known, and the effects gathered so far."""

    config: KafkaConfig
    ibp: Ibp
    context: ControllerContext
    new_uuid: Callable[[], UUID]
    effects: list[Effect] = field(default_factory=list)


def ask(ops: Sequence[Operation]) -> Transition[Sequence[Result]]:
    """Perform reads (or unguarded writes); nothing is sent when there is nothing to ask."""
    if not ops:
        return []
    return (yield ZkBatch(tuple(ops)))


def guarded(turn: Turn, writes: Sequence[Sequence[Write]]) -> Transition[list[Result]]:
    """Each element as one multi behind the check of the controller epoch; the results are the multis' own.

    ``result.results[0]`` is the check's, those of the writes follow. Raises ControllerMoved.
    """
    check = Check(znodes.CONTROLLER_EPOCH, turn.context.epoch_zk_version)
    results = yield from ask([Multi((check, *ops)) for ops in writes])
    for result in results:
        if result.failed == 0:
            raise ControllerMoved(f"{znodes.CONTROLLER_EPOCH} is no longer at version {check.version}")
    return list(results)


def delete_nodes(turn: Turn, paths: Iterable[str]) -> Transition[None]:
    """Delete each; those that are gone already are no matter."""
    yield from guarded(turn, [[Delete(path)] for path in paths])


# --- partition states ----------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """``failed``: why nothing was written for a partition."""

    updated: dict[TopicPartition, Leadership]
    failed: dict[TopicPartition, str]


def read_states(partitions: Iterable[TopicPartition]) -> Transition[dict[TopicPartition, Leadership]]:
    """Those that have a readable state znode."""
    asked = list(partitions)
    results = yield from ask([GetData(znodes.partition_state(*partition)) for partition in asked])
    found: dict[TopicPartition, Leadership] = {}
    for partition, result in zip(asked, results, strict=True):
        if not result.ok:
            continue
        try:
            found[partition] = Leadership.of(znodes.PartitionState.decode(result.data), result.version)
        except znodes.MalformedZnode as error:
            log.error("%s: its state in ZooKeeper cannot be read, so it stays without a leader: %s", partition, error)
    return found


Decide = Callable[[Mapping[TopicPartition, Leadership]], Transition[dict[TopicPartition, Leadership]]]


def rewrite_states(turn: Turn, partitions: Iterable[TopicPartition], decide: Decide) -> Transition[Written]:
    """Decide on each partition's present leadership and write the outcome, each on condition that it is still present.

    ``decide`` answers those that shall be written (the others stay as they are). A write that lost against another's
    (a leader's ISR change, below IBP 2.7) is read and decided again; one that lost against itself, because the reply
    of its first attempt was lost with the connection, is recognised and counts.
    """
    written = Written({}, {})
    attempted: dict[TopicPartition, Leadership] = {}
    pending = list(partitions)
    reread = not turn.ibp.alter_partition
    while pending:
        current = yield from _present(turn, pending, written, reread=reread)
        for partition in [p for p in current if p in attempted and _is_outcome(current[p], attempted[p])]:
            written.updated[partition] = current.pop(partition)
        turn.context.leadership.update(written.updated)
        wanted = yield from decide(current)
        attempted = {p: new._replace(controller_epoch=turn.context.epoch) for p, new in wanted.items()}
        pending = yield from _write_states(turn, attempted, written)
        reread = True
    return written


def _present(
    turn: Turn, partitions: Sequence[TopicPartition], written: Written, *, reread: bool
) -> Transition[dict[TopicPartition, Leadership]]:
    """From ZooKeeper, or from memory where nobody else writes (IBP >= 2.7: leaders ask the controller)."""
    known = turn.context.leadership
    current = {} if reread else {partition: known[partition] for partition in partitions if partition in known}
    current |= yield from read_states(partition for partition in partitions if partition not in current)
    for partition in partitions:
        if partition not in current:
            written.failed[partition] = "it has no state in ZooKeeper"
        elif current[partition].controller_epoch > turn.context.epoch:
            written.failed[partition] = f"controller epoch {current.pop(partition).controller_epoch} wrote it already"
        else:
            known[partition] = current[partition]
    return current


def _is_outcome(found: Leadership, attempted: Leadership) -> bool:
    """What was found is what the attempt would have left."""
    return found == attempted._replace(partition_epoch=attempted.partition_epoch + 1)


def _write_states(
    turn: Turn, wanted: Mapping[TopicPartition, Leadership], written: Written
) -> Transition[list[TopicPartition]]:
    """Answers those to be tried again."""
    writes = [
        [SetData(znodes.partition_state(*partition), new.znode().encode(), new.partition_epoch)]
        for partition, new in wanted.items()
    ]
    results = yield from guarded(turn, writes)
    again: list[TopicPartition] = []
    for (partition, new), result in zip(wanted.items(), results, strict=True):
        if result.ok:
            written.updated[partition] = new._replace(partition_epoch=result.results[1].version)
        elif result.code is ZkCode.BAD_VERSION:
            again.append(partition)
        else:
            written.failed[partition] = f"ZooKeeper answered {result.code.name}"
    turn.context.leadership.update(written.updated)
    return again


PARTITIONS_PER_MULTI = 50


def create_states(turn: Turn, wanted: Mapping[TopicPartition, Leadership]) -> Transition[Written]:
    """First states, with the nodes above them.

    Tried with one multi for many partitions of a topic; where nodes are there already (partitions were added, or a
    controller died half-way) they are made one by one.
    """
    written = Written({}, {})
    chunks = list(_chunks(turn, wanted))
    results = yield from guarded(turn, [_creates(turn, chunk, wanted) for chunk in chunks])
    stubborn: list[TopicPartition] = []
    for chunk, result in zip(chunks, results, strict=True):
        if result.ok:
            written.updated.update((partition, wanted[partition]) for partition in chunk)
        else:
            stubborn.extend(chunk)
    yield from _create_one_by_one(turn, {partition: wanted[partition] for partition in stubborn}, written)
    turn.context.leadership.update(written.updated)
    return written


def _chunks(turn: Turn, partitions: Iterable[TopicPartition]) -> Iterable[list[TopicPartition]]:
    by_topic: dict[str, list[TopicPartition]] = {}
    for partition in partitions:
        by_topic.setdefault(partition.topic, []).append(partition)
    for ofone in by_topic.values():
        for start in range(0, len(ofone), PARTITIONS_PER_MULTI):
            yield ofone[start : start + PARTITIONS_PER_MULTI]


def _creates(turn: Turn, chunk: Sequence[TopicPartition], wanted: Mapping[TopicPartition, Leadership]) -> list[Write]:
    topic = chunk[0].topic
    siblings = turn.context.partitions_of(topic)
    is_first = next(p for p in siblings if p in wanted) == chunk[0]
    is_new = not any(p in turn.context.leadership for p in siblings)
    ops: list[Write] = [Create(znodes.partitions(topic))] if is_first and is_new else []
    for partition in chunk:
        ops.append(Create(znodes.partition(*partition)))
        ops.append(Create(znodes.partition_state(*partition), wanted[partition].znode().encode()))
    return ops


def _create_one_by_one(turn: Turn, wanted: Mapping[TopicPartition, Leadership], written: Written) -> Transition[None]:
    writes: list[list[Write]] = []
    for partition, new in wanted.items():
        writes.append([Create(znodes.partitions(partition.topic))])
        writes.append([Create(znodes.partition(*partition))])
        writes.append([Create(znodes.partition_state(*partition), new.znode().encode())])
    results = (yield from guarded(turn, writes))[2::3]
    exist: list[TopicPartition] = []
    for (partition, new), result in zip(wanted.items(), results, strict=True):
        if result.ok:
            written.updated[partition] = new
        elif result.code is ZkCode.NODE_EXISTS:
            exist.append(partition)
        else:
            written.failed[partition] = f"ZooKeeper answered {result.code.name}"
    found = yield from read_states(exist)
    for partition in exist:
        if found.get(partition) == wanted[partition]:
            written.updated[partition] = wanted[partition]  # mine: the reply of the first attempt was lost
        else:
            written.failed[partition] = "somebody else made its state"


# --- topics --------------------------------------------------------------------------------------------------------


def read_topics(turn: Turn, topics: Sequence[str]) -> Transition[dict[str, znodes.TopicZnode]]:
    """Assignments, watched; where topic ids are on (IBP >= 2.8) a topic without one gets its own here."""
    found: dict[str, znodes.TopicZnode] = {}
    pending = list(topics)
    while pending:
        results = yield from ask([GetData(znodes.topic(topic), watch=True) for topic in pending])
        lacking: dict[str, tuple[znodes.TopicZnode, int]] = {}
        for topic, result in zip(pending, results, strict=True):
            if not result.ok:
                continue  # deleted meanwhile; the event for that is on its way
            try:
                znode = znodes.TopicZnode.decode(topic, result.data)
            except znodes.MalformedZnode as error:
                log.error("topic %s is left alone: %s", topic, error)
                continue
            if turn.ibp.topic_ids and znode.topic_id is None:
                topic_id = (
                    turn.context.topic_ids.get(topic) or turn.new_uuid()
                )  # tools before 2.8 drop what they do not know
                lacking[topic] = (znodes.TopicZnode(znode.partitions, topic_id), result.version)
            else:
                found[topic] = znode
        pending = yield from _give_ids(turn, lacking, found)
    return found


def _give_ids(
    turn: Turn, lacking: Mapping[str, tuple[znodes.TopicZnode, int]], found: dict[str, znodes.TopicZnode]
) -> Transition[list[str]]:
    """Answers the topics whose znode changed meanwhile, to be read again."""
    writes = [[SetData(znodes.topic(topic), znode.encode(), version)] for topic, (znode, version) in lacking.items()]
    results = yield from guarded(turn, writes)
    again = []
    for (topic, (znode, _)), result in zip(lacking.items(), results, strict=True):
        if result.ok:
            found[topic] = znode
        elif result.code is ZkCode.BAD_VERSION:
            again.append(topic)
    return again


def read_topic_configs(topics: Iterable[str]) -> Transition[dict[str, dict[str, str]]]:
    """The topics' own settings; empty for those that have none."""
    asked = list(topics)
    results = yield from ask([GetData(znodes.config_entity("topics", topic)) for topic in asked])
    configs: dict[str, dict[str, str]] = {}
    for topic, result in zip(asked, results, strict=True):
        try:
            configs[topic] = znodes.decode_config(result.data) if result.ok else {}
        except znodes.MalformedZnode as error:
            log.error("topic %s: its settings cannot be read and count as none: %s", topic, error)
            configs[topic] = {}
    return configs
