"""A newly elected controller learns the cluster and takes it over (KafkaController.onControllerFailover).

The order matters. Watches come first, since what changes before the context is read is in it, and what changes after is
an event. Brokers learn who lives and who is controller before any role (UpdateMetadata without partitions, then
LeaderAndIsr). Replicas come before partitions: a leader must find its followers told. What was half done (a topic
without states, a deletion with marks left, an election that was asked for) is found in ZooKeeper and gone on with.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from broker.controller import (
    brokers,
    deletion,
    elections,
    fast_failover,
    partitions,
    reassignment,
    replicas,
    topics,
)
from broker.controller.conversation import Transition, Turn, ask, delete_nodes, guarded, read_states, read_topics
from broker.controller.events import AutoRebalance, ControllerSeen, SetTimer
from broker.controller.requests import send_metadata
from broker.controller.state import PartitionState, Replica, ReplicaState
from broker.zk import znodes
from broker.zk.operations import Create, Exists, GetChildren, GetData, Result, SetData
from broker.zk.znodes import FeatureZnode

log = logging.getLogger(__name__)

FIRST_REBALANCE_S = 5.0


def take_over(turn: Turn, deposed: ControllerSeen | None = None) -> Transition[None]:
    """Everything between winning the election and the first event. ``deposed``: the former controller, if suspected."""
    yield from _set_features(turn)
    marked = yield from _read_cluster(turn, deposed)
    send_metadata(turn, turn.context.recipients())
    turn.context.to_delete.update(dict.fromkeys((yield from deletion.accept_marks(turn, marked))))
    yield from _start_replicas(turn)
    yield from _start_partitions(turn)
    yield from reassignment.resume(turn)
    yield from reassignment.on_reassignment_znode(turn)
    yield from deletion.resume_deletions(turn)
    yield from elections.on_preferred_election_znode(turn)
    turn.effects.append(SetTimer(FIRST_REBALANCE_S, AutoRebalance()))
    context = turn.context
    log.info(
        "controller e%d: took over brokers %s, %d topics, %d partitions",
        context.epoch,
        context.recipients(),
        len(context.assignments),
        len(context.partition_states),
    )


def _set_features(turn: Turn) -> Transition[None]:
    """/feature says whether feature versions are on (KIP-584); a cluster that never had them has no such node."""
    found = (yield from ask([GetData(znodes.FEATURE)]))[0]
    is_on = turn.ibp.feature_versions
    if not found.ok:
        if is_on:
            yield from guarded(turn, [[Create(znodes.FEATURE, FeatureZnode(enabled=True).encode())]])
        return
    present = FeatureZnode.decode(found.data)
    if present.enabled != is_on:
        wanted = FeatureZnode(enabled=is_on)
        yield from guarded(turn, [[SetData(znodes.FEATURE, wanted.encode(), found.version)]])


def _read_cluster(turn: Turn, deposed: ControllerSeen | None) -> Transition[Sequence[str]]:
    """Set the watches, drop old notices (states are read after that), fill the context; answers the marked topics."""
    context = turn.context
    watched = (
        znodes.BROKER_IDS,
        znodes.TOPICS,
        znodes.DELETE_TOPICS,
        znodes.LOG_DIR_EVENTS,
        znodes.ISR_CHANGES,
    )
    results = yield from ask(
        [*(GetChildren(path, watch=True) for path in watched), Exists(znodes.PREFERRED_REPLICA_ELECTION, watch=True)]
    )
    ids, names, marked, log_dir_events, isr_changes = (_children(result) for result in results[: len(watched)])
    old = [znodes.child(znodes.LOG_DIR_EVENTS, it) for it in log_dir_events]
    yield from delete_nodes(turn, [*old, *(znodes.child(znodes.ISR_CHANGES, it) for it in isr_changes)])
    context.live.update((yield from brokers.read_brokers(ids)))
    if deposed is not None and context.broker_epoch(deposed.broker) == deposed.broker_epoch:
        context.suspected[deposed.broker] = context.live.pop(deposed.broker)
        fast_failover.greet(turn, deposed.broker)
    for broker in context.live:
        brokers.open_channel(turn, broker, was_here=True)
    for topic, znode in (yield from read_topics(turn, names)).items():
        topics.learn_topic(turn, topic, znode)
    context.leadership.update((yield from read_states(list(context.partitions()))))
    return marked


def _children(result: Result) -> tuple[str, ...]:
    return result.or_raise().children


def _start_replicas(turn: Turn) -> Transition[None]:
    """Those that can be reached are told their roles; the others leave their ISRs, and keep deletions waiting."""
    context = turn.context
    online: list[Replica] = []
    offline: list[Replica] = []
    for topic in context.assignments:
        for replica in context.replicas_of(topic):
            is_online = context.is_online(replica.broker, replica.partition)
            state = ReplicaState.ONLINE if is_online else ReplicaState.DELETION_INELIGIBLE
            context.replica_states[replica] = state
            (online if is_online else offline).append(replica)
    replicas.to_online(turn, online)
    lost = [it for it in offline if not context.is_to_be_deleted(it.partition.topic)]
    yield from replicas.to_offline(turn, lost)
    for replica in offline:
        if context.is_to_be_deleted(replica.partition.topic):
            deletion.make_wait(turn, [replica.partition.topic], f"broker {replica.broker} is not there")
    for partition in reassignment.in_progress(turn):
        deletion.make_wait(turn, [partition.topic], f"{partition} is being reassigned")


def _start_partitions(turn: Turn) -> Transition[None]:
    context = turn.context
    for partition in context.partitions():
        leadership = context.leadership.get(partition)
        if leadership is None:
            state = PartitionState.NEW
        elif context.is_online(leadership.leader, partition):
            state = PartitionState.ONLINE
        else:
            state = PartitionState.OFFLINE
        context.partition_states[partition] = state
    yield from partitions.elect_new_and_offline(turn)
