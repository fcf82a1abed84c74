"""What entering a state does to a replica (kafka.controller.ZkReplicaStateMachine); the table is in transitions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from broker.controller.conversation import Transition, Turn, rewrite_states
from broker.controller.requests import RequestBatch
from broker.controller.state import NO_LEADER, Leadership, Replica, ReplicaState, TopicPartition
from broker.controller.transitions import IllegalTransition, check_replicas, enter_replica_state

log = logging.getLogger(__name__)


def to_state(turn: Turn, replicas: Collection[Replica], target: ReplicaState) -> None:
    """DeletionSuccessful, DeletionIneligible or NonExistent: only remembered. Raises IllegalTransition."""
    check_replicas(turn.context, replicas, target)
    for replica in replicas:
        enter_replica_state(turn.context, replica, target)


def to_new(turn: Turn, replicas: Collection[Replica]) -> None:
    """A replica that is to be built: its broker hears of it if there is a leader to copy from."""
    check_replicas(turn.context, replicas, ReplicaState.NEW)
    for replica in replicas:
        leadership = turn.context.leadership.get(replica.partition)
        if leadership is not None and leadership.leader == replica.broker:
            raise IllegalTransition(f"{replica} cannot become New: it leads")
    batch = RequestBatch(turn)
    for replica in replicas:
        leadership = turn.context.leadership.get(replica.partition)
        if leadership is not None:
            batch.add_leader_and_isr([replica.broker], replica.partition, leadership, is_new=True)
        enter_replica_state(turn.context, replica, ReplicaState.NEW)
    batch.send()


def to_online(turn: Turn, replicas: Collection[Replica]) -> None:
    """A replica whose broker is there: it is told its role, unless it has just been told as a new one.

    Nothing is said for topics that are to be deleted; their replicas are about to be stopped.
    """
    check_replicas(turn.context, replicas, ReplicaState.ONLINE)
    context = turn.context
    batch = RequestBatch(turn)
    for replica in replicas:
        leadership = context.leadership.get(replica.partition)
        is_told = context.state_of_replica(replica) is ReplicaState.NEW
        if leadership is not None and not is_told and not context.is_to_be_deleted(replica.partition.topic):
            batch.add_leader_and_isr([replica.broker], replica.partition, leadership)
        enter_replica_state(context, replica, ReplicaState.ONLINE)
    batch.send()


def to_offline(turn: Turn, replicas: Collection[Replica]) -> Transition[None]:
    """Stop each replica and take it out of its partition's ISR; the others of the partition hear of that."""
    context = turn.context
    check_replicas(context, replicas, ReplicaState.OFFLINE)
    batch = RequestBatch(turn)
    leaving: dict[TopicPartition, list[int]] = {}
    for replica in replicas:
        batch.add_stop_replica(replica.broker, replica.partition, delete=False)
        if not context.is_to_be_deleted(replica.partition.topic):
            leaving.setdefault(replica.partition, []).append(replica.broker)
    shrunk = yield from _leave_isr(turn, leaving)
    for partition, brokers in leaving.items():
        leadership = shrunk.get(partition)
        if leadership is not None:
            others = [it for it in context.assignment(partition).replicas if it not in brokers]
            batch.add_leader_and_isr(others, partition, leadership)
        elif partition in context.leadership:
            batch.add_update_metadata(context.recipients(), [partition])
    for replica in replicas:
        enter_replica_state(context, replica, ReplicaState.OFFLINE)
    batch.send()


def _leave_isr(
    turn: Turn, leaving: Mapping[TopicPartition, Collection[int]]
) -> Transition[dict[TopicPartition, Leadership]]:
    """The new leadership of those partitions whose leader or ISR changed.

    An ISR that would become empty is kept: its members alone are known to have every acknowledged record.
    """

    def decide(current: Mapping[TopicPartition, Leadership]) -> Transition[dict[TopicPartition, Leadership]]:
        yield from ()
        wanted: dict[TopicPartition, Leadership] = {}
        for partition, leadership in current.items():
            gone = leaving[partition]
            isr = tuple(it for it in leadership.isr if it not in gone) or leadership.isr
            leader = NO_LEADER if leadership.leader in gone else leadership.leader
            if (leader, isr) != (leadership.leader, leadership.isr):
                wanted[partition] = leadership.led_by(leader, isr)
        return wanted

    known = [partition for partition in leaving if partition in turn.context.leadership]
    written = yield from rewrite_states(turn, known, decide)
    for partition, reason in written.failed.items():
        log.warning("%s: replicas %s stay in the ISR: %s", partition, list(leaving[partition]), reason)
    for partition, new in written.updated.items():
        log.info("%s: leader %d, ISR %s, leader epoch %d", partition, new.leader, list(new.isr), new.leader_epoch)
    return written.updated


def to_deletion_started(turn: Turn, replicas: Collection[Replica]) -> None:
    """Have the files removed; the broker's reply moves the replica on."""
    check_replicas(turn.context, replicas, ReplicaState.DELETION_STARTED)
    batch = RequestBatch(turn)
    for replica in replicas:
        batch.add_stop_replica(replica.broker, replica.partition, delete=True)
        enter_replica_state(turn.context, replica, ReplicaState.DELETION_STARTED)
    batch.send()


def in_states(turn: Turn, replicas: Iterable[Replica], *states: ReplicaState) -> list[Replica]:
    """Those of ``replicas`` that are in one of ``states``."""
    return [replica for replica in replicas if turn.context.state_of_replica(replica) in states]
