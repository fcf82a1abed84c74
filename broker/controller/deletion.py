"""Deletion of topics (kafka.controller.TopicDeletionManager, KafkaController.processTopicDeletion).

A child of /admin/delete_topics asks for it. Every replica is stopped, then has its files removed; only when all brokers
have said so do the znodes go. A replica whose broker is dead, or that failed to delete, makes the topic wait
(ineligible): it goes on when that broker is back. Nothing is remembered that the marks and the assignment do not say,
so another controller resumes where this one died.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from broker.controller import partitions, replicas
from broker.controller.conversation import PARTITIONS_PER_MULTI, Transition, Turn, ask, delete_nodes, guarded
from broker.controller.requests import send_metadata
from broker.controller.state import PartitionState, Replica, ReplicaState
from broker.zk import znodes
from broker.zk.operations import Delete, GetChildren, Write

log = logging.getLogger(__name__)

R = ReplicaState


def on_topic_deletion(turn: Turn) -> Transition[None]:
    """Children of /admin/delete_topics: queue the topics; with delete.topic.enable=false take the marks away."""
    marked = (yield from ask([GetChildren(znodes.DELETE_TOPICS, watch=True)]))[0].or_raise().children
    yield from enqueue(turn, marked)


def enqueue(turn: Turn, marked: Sequence[str]) -> Transition[None]:
    """Queue the marked topics that exist, and begin; the marks of others are removed."""
    existing = yield from accept_marks(turn, marked)
    for topic in existing:
        if topic not in turn.context.to_delete:
            log.info("topic %s is queued for deletion", topic)
            turn.context.to_delete[topic] = None
            if _is_being_reassigned(turn, topic):
                make_wait(turn, [topic], "it is being reassigned")
    yield from resume_deletions(turn)


def _is_being_reassigned(turn: Turn, topic: str) -> bool:
    return any(it.adding or it.removing for it in turn.context.assignments.get(topic, {}).values())


def accept_marks(turn: Turn, marked: Sequence[str]) -> Transition[list[str]]:
    """The marked topics that may be deleted; marks that ask for nothing, or for what is disabled, are removed."""
    existing = [topic for topic in marked if topic in turn.context.assignments]
    refused = [topic for topic in marked if topic not in turn.context.assignments]
    if not turn.config.delete_topic_enable:
        for topic in existing:
            log.warning(
                "topic %s is marked for deletion. Note: This will have no impact if delete.topic.enable is not set to "
                "true: the mark is removed, nothing is deleted",
                topic,
            )
        existing, refused = [], list(marked)
    yield from delete_nodes(turn, [znodes.delete_topic(topic) for topic in refused])
    return existing


def make_wait(turn: Turn, topics: Iterable[str], reason: str) -> None:
    """Halt the deletion of those that are queued."""
    for topic in topics:
        if topic in turn.context.to_delete:
            turn.context.deletion_ineligible[topic] = reason
            log.info("topic %s: deletion waits: %s", topic, reason)


def resume(turn: Turn, topics: Iterable[str]) -> Transition[None]:
    """What they waited for has come: try again."""
    waiting = [it for it in topics if it in turn.context.to_delete and not _is_being_reassigned(turn, it)]
    for topic in waiting:
        turn.context.deletion_ineligible.pop(topic, None)
    if waiting:
        yield from resume_deletions(turn)


def on_replicas_failed(turn: Turn, failed: Collection[Replica]) -> Transition[None]:
    """These cannot be deleted now (failReplicaDeletion): their topics wait."""
    queued = [it for it in failed if turn.context.is_to_be_deleted(it.partition.topic)]
    if not queued:
        return
    yield from _make_ineligible(turn, queued)
    brokers = sorted({it.broker for it in queued})
    make_wait(
        turn, dict.fromkeys(it.partition.topic for it in queued), f"replicas on brokers {brokers} cannot be deleted now"
    )
    yield from resume_deletions(turn)


def on_replicas_deleted(turn: Turn, deleted: Collection[Replica]) -> Transition[None]:
    """Their brokers said that the files are gone (completeReplicaDeletion)."""
    started = replicas.in_states(turn, deleted, R.DELETION_STARTED)
    replicas.to_state(turn, started, R.DELETION_SUCCESSFUL)
    yield from resume_deletions(turn)


def _make_ineligible(turn: Turn, failed: Collection[Replica]) -> Transition[None]:
    serving = replicas.in_states(turn, failed, R.NEW, R.ONLINE)
    yield from replicas.to_offline(turn, serving)
    replicas.to_state(turn, replicas.in_states(turn, failed, R.OFFLINE, R.DELETION_STARTED), R.DELETION_INELIGIBLE)


def resume_deletions(turn: Turn) -> Transition[None]:
    """One step for every queued topic: finish it, retry its failed replicas, or begin."""
    context = turn.context
    begin: list[str] = []
    for topic in list(context.to_delete):
        states = {context.state_of_replica(replica) for replica in context.replicas_of(topic)}
        if states <= {R.DELETION_SUCCESSFUL}:
            yield from _complete(turn, topic)
        elif topic not in context.deletion_ineligible and R.DELETION_STARTED not in states:
            begin.append(topic)
    if begin:
        yield from _begin(turn, begin)


def _begin(turn: Turn, topics: Sequence[str]) -> Transition[None]:
    """Brokers drop the topics from their metadata, then lose their replicas (onTopicDeletion)."""
    context = turn.context
    for topic in topics:
        if topic not in context.deletion_begun:
            members = context.partitions_of(topic)
            partitions.to_state(turn, members, PartitionState.OFFLINE)
            partitions.to_state(turn, members, PartitionState.NON_EXISTENT)
            context.deletion_begun.add(topic)
    send_metadata(turn, context.recipients(), [it for topic in topics for it in context.partitions_of(topic)])
    remaining = [
        replica
        for topic in topics
        for replica in context.replicas_of(topic)
        if context.state_of_replica(replica) is not R.DELETION_SUCCESSFUL
    ]
    reachable = [it for it in remaining if context.is_online(it.broker, it.partition)]
    dead = [it for it in remaining if not context.is_online(it.broker, it.partition)]
    yield from replicas.to_offline(turn, reachable)
    replicas.to_deletion_started(turn, reachable)
    yield from _make_ineligible(turn, dead)
    for topic in topics:
        missing = sorted({it.broker for it in dead if it.partition.topic == topic})
        if missing:
            make_wait(turn, [topic], f"brokers {missing} are not there, or their log dirs are offline")


def _complete(turn: Turn, topic: str) -> Transition[None]:
    """Remove the znodes and forget it. The mark goes last: while it is there, a new controller takes up the rest."""
    context = turn.context
    replicas.to_state(turn, context.replicas_of(topic), R.NON_EXISTENT)
    indexes = list(context.assignments[topic])
    chunks = [indexes[at : at + PARTITIONS_PER_MULTI] for at in range(0, len(indexes), PARTITIONS_PER_MULTI)]
    writes = [_partition_deletes(topic, chunk) for chunk in chunks] or [[]]
    config = znodes.config_entity("topics", topic)
    last = [Delete(znodes.partitions(topic)), Delete(znodes.topic(topic)), Delete(config)]
    writes[-1].extend([*last, Delete(znodes.delete_topic(topic))])
    results = yield from guarded(turn, writes)
    if not all(result.ok for result in results):  # nodes are missing, or there are some that Kafka did not make
        for path in (znodes.topic(topic), config):
            yield from _delete_tree(turn, path)
        yield from delete_nodes(turn, [znodes.delete_topic(topic)])
    context.forget_topic(topic)
    log.info("topic %s is deleted", topic)


def _partition_deletes(topic: str, indexes: Iterable[int]) -> list[Write]:
    ops: list[Write] = []
    for index in indexes:
        ops += [Delete(znodes.partition_state(topic, index)), Delete(znodes.partition(topic, index))]
    return ops


def _delete_tree(turn: Turn, path: str) -> Transition[None]:
    found = (yield from ask([GetChildren(path)]))[0]
    for name in found.children:
        yield from _delete_tree(turn, znodes.child(path, name))
    if found.ok:
        yield from delete_nodes(turn, [path])
