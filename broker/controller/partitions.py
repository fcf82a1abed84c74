"""What entering a state does to a partition (kafka.controller.ZkPartitionStateMachine); the table is in transitions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from broker.controller import leader_election
from broker.controller.conversation import Transition, Turn, create_states, read_topic_configs, rewrite_states
from broker.controller.leader_election import OFFLINE, Elected, Strategy
from broker.controller.requests import RequestBatch
from broker.controller.state import RECOVERED, Leadership, PartitionState, TopicPartition
from broker.controller.transitions import check_partitions, enter_partition_state

log = logging.getLogger(__name__)

UNCLEAN_KEY = "unclean.leader.election.enable"


def to_state(turn: Turn, partitions: Collection[TopicPartition], target: PartitionState) -> None:
    """New, Offline or NonExistent: nothing is done but to remember it. Raises IllegalTransition."""
    check_partitions(turn.context, partitions, target)
    for partition in partitions:
        enter_partition_state(turn.context, partition, target)


def to_online(
    turn: Turn, partitions: Collection[TopicPartition], strategy: Strategy = OFFLINE
) -> Transition[dict[TopicPartition, str]]:
    """Give each a leader: a first one to those that are New, an elected one to the others.

    Answers why for those that got none; these stay in their state. Raises IllegalTransition.
    """
    check_partitions(turn.context, partitions, PartitionState.ONLINE)
    new = [it for it in partitions if turn.context.state_of(it) is PartitionState.NEW]
    rest = [it for it in partitions if turn.context.state_of(it) is not PartitionState.NEW]
    batch = RequestBatch(turn)
    failed = yield from _initialise(turn, batch, new)
    failed |= yield from _elect(turn, batch, rest, strategy)
    batch.send()
    return failed


def elect_new_and_offline(turn: Turn, topic: str | None = None) -> Transition[bool]:
    """Try to bring every New and Offline partition (of one topic) online (triggerOnlinePartitionStateChange).

    True if any came.
    """
    context = turn.context
    candidates = [
        partition
        for partition, state in context.partition_states.items()
        if state in (PartitionState.NEW, PartitionState.OFFLINE)
        and not context.is_to_be_deleted(partition.topic)
        and topic in (None, partition.topic)
    ]
    failed = yield from to_online(turn, candidates)
    return len(failed) < len(candidates)


def _initialise(
    turn: Turn, batch: RequestBatch, partitions: Iterable[TopicPartition]
) -> Transition[dict[TopicPartition, str]]:
    wanted: dict[TopicPartition, Leadership] = {}
    failed: dict[TopicPartition, str] = {}
    for partition in partitions:
        online = turn.context.online_replicas(partition)
        if online:
            wanted[partition] = Leadership(online[0], 0, tuple(online), RECOVERED, 0, turn.context.epoch)
        else:
            failed[partition] = f"none of its replicas {_list(turn.context.assignment(partition).replicas)} is alive"
    written = yield from create_states(turn, wanted)
    for partition, leadership in written.updated.items():
        enter_partition_state(turn.context, partition, PartitionState.ONLINE)
        batch.add_leader_and_isr(leadership.isr, partition, leadership, is_new=True)
        log.debug("%s has its first leader %d, ISR %s", partition, leadership.leader, _list(leadership.isr))
    failed |= written.failed
    for partition, reason in failed.items():
        log.warning("%s stays without a leader: %s", partition, reason)
    return failed


def _elect(
    turn: Turn, batch: RequestBatch, partitions: Collection[TopicPartition], strategy: Strategy
) -> Transition[dict[TopicPartition, str]]:
    elected: dict[TopicPartition, Elected] = {}
    former: dict[TopicPartition, int] = {}
    refused: dict[TopicPartition, str] = {}

    def decide(current: Mapping[TopicPartition, Leadership]) -> Transition[dict[TopicPartition, Leadership]]:
        unclean = yield from _unclean_allowed(turn, current, strategy)
        for partition, leadership in current.items():
            former[partition] = leadership.leader
            outcome = leader_election.elect(
                turn.context,
                strategy,
                partition,
                leadership,
                unclean=partition.topic in unclean,
                recovery_supported=turn.ibp.leader_recovery,
            )
            elected.pop(partition, None)
            if outcome is None:
                refused[partition] = f"no replica qualifies ({strategy.name}), ISR {_list(leadership.isr)}"
            else:
                elected[partition] = outcome
        return {partition: elected[partition].leadership for partition in current if partition in elected}

    written = yield from rewrite_states(turn, partitions, decide)
    for partition, leadership in written.updated.items():
        enter_partition_state(turn.context, partition, PartitionState.ONLINE)
        batch.add_leader_and_isr(elected[partition].recipients, partition, leadership)
        _say_elected(partition, former[partition], leadership, strategy)
    failed = refused | written.failed
    for partition, reason in failed.items():
        log.warning("%s: no leader elected: %s", partition, reason)
    return failed


def _unclean_allowed(
    turn: Turn, current: Mapping[TopicPartition, Leadership], strategy: Strategy
) -> Transition[set[str]]:
    """Topics that may be led by a replica out of sync; their settings are read only where that would matter."""
    if strategy is not OFFLINE:
        return set()
    in_need = {
        partition.topic: None
        for partition, leadership in current.items()
        if not any(turn.context.is_online(broker, partition) for broker in leadership.isr)
    }
    configs = yield from read_topic_configs(in_need)
    default = "true" if turn.config.unclean_leader_election_enable else "false"
    return {topic for topic, config in configs.items() if config.get(UNCLEAN_KEY, default).strip().lower() == "true"}


def _say_elected(partition: TopicPartition, former: int, leadership: Leadership, strategy: Strategy) -> None:
    log.info(
        "%s leader %d -> %d (%s), leader epoch %d, ISR %s",
        partition,
        former,
        leadership.leader,
        strategy.name,
        leadership.leader_epoch,
        _list(leadership.isr),
    )


def _list(brokers: Iterable[int]) -> str:
    return ",".join(map(str, brokers))
