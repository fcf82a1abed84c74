"""Topics that come, grow and go (KafkaController.processTopicChange, processPartitionModifications)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from broker.controller import partitions, replicas
from broker.controller.conversation import Transition, Turn, ask, delete_nodes, guarded, read_topics
from broker.controller.state import PartitionState, Replica, TopicPartition
from broker.zk import znodes
from broker.zk.operations import GetChildren, SetData

log = logging.getLogger(__name__)


def on_topic_change(turn: Turn) -> Transition[None]:
    """Children of /brokers/topics: new topics get leaders, those that somebody removed by hand are forgotten."""
    context = turn.context
    children = (yield from ask([GetChildren(znodes.TOPICS, watch=True)]))[0].or_raise().children
    present = dict.fromkeys(children)
    vanished = [topic for topic in context.assignments if topic not in present]
    yield from _forget(turn, vanished)
    found = yield from read_topics(turn, [topic for topic in present if topic not in context.assignments])
    for topic, znode in found.items():
        learn_topic(turn, topic, znode)
    created = [partition for topic in found for partition in context.partitions_of(topic)]
    if found:
        log.info("controller e%d: new topics %s", context.epoch, ", ".join(found))
    yield from _bring_online(turn, created)


def _forget(turn: Turn, topics: Sequence[str]) -> Transition[None]:
    """Without the controller's doing; a mark for their deletion has nothing left to ask for."""
    marks = [znodes.delete_topic(topic) for topic in topics if turn.context.is_to_be_deleted(topic)]
    for topic in topics:
        log.warning("topic %s is no longer in ZooKeeper; somebody removed %s", topic, znodes.topic(topic))
        turn.context.forget_topic(topic)
    yield from delete_nodes(turn, marks)


def learn_topic(turn: Turn, topic: str, znode: znodes.TopicZnode) -> None:
    """Take over assignment and topic id; partitions that are known keep what is known of them."""
    context = turn.context
    context.assignments.setdefault(topic, {})
    if znode.topic_id is not None:
        context.set_topic_id(topic, znode.topic_id)
    for index, assignment in znode.partitions.items():
        if index not in context.assignments[topic]:
            context.assign(TopicPartition(topic, index), assignment)


def on_partition_modification(turn: Turn, topic: str) -> Transition[None]:
    """A topic's znode changed: bring added partitions online, or undo the change of a topic that is to be deleted."""
    context = turn.context
    if topic not in context.assignments:  # it could not be read when it came
        yield from on_topic_change(turn)
        return
    znode = (yield from read_topics(turn, [topic])).get(topic)
    if znode is None:
        return
    known = context.assignments[topic]
    added = [TopicPartition(topic, index) for index in znode.partitions if index not in known]
    if not added:
        return
    if context.is_to_be_deleted(topic):
        log.warning("topic %s is to be deleted: partitions added to it are taken away again", topic)
        former = znodes.TopicZnode(known, context.topic_ids.get(topic))
        yield from guarded(turn, [[SetData(znodes.topic(topic), former.encode())]])
        return
    learn_topic(turn, topic, znode)
    log.info("topic %s: new partitions %s", topic, ", ".join(str(it.partition) for it in added))
    yield from _bring_online(turn, added)


def _bring_online(turn: Turn, created: Sequence[TopicPartition]) -> Transition[None]:
    """New partitions and replicas; those none of whose brokers is alive wait as New (onNewPartitionCreation)."""
    if not created:
        return
    copies = [Replica(it, broker) for it in created for broker in turn.context.assignment(it).replicas]
    partitions.to_state(turn, created, PartitionState.NEW)
    replicas.to_new(turn, copies)
    yield from partitions.to_online(turn, created)
    context = turn.context
    replicas.to_online(turn, [it for it in copies if context.is_online(it.broker, it.partition)])
    offline = [it for it in copies if not context.is_online(it.broker, it.partition)]
    yield from replicas.to_offline(turn, offline)
