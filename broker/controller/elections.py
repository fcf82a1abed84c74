"""Elections that somebody asks for, or that balance the cluster (KafkaController.processReplicaLeaderElection)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from broker.controller import partitions
from broker.controller.conversation import Transition, Turn, ask, delete_nodes
from broker.controller.events import AutoRebalance, ElectLeaders, Reply, SetTimer
from broker.controller.leader_election import PREFERRED, UNCLEAN
from broker.controller.state import NO_LEADER, PartitionState, TopicPartition
from broker.wire.errors import ErrorCode
from broker.zk import znodes
from broker.zk.operations import Exists, GetData

log = logging.getLogger(__name__)

PREFERRED_TYPE = 0
UNCLEAN_TYPE = 1

Outcome = dict[TopicPartition, tuple[ErrorCode, str | None]]


def elect_leaders(turn: Turn, event: ElectLeaders) -> Transition[None]:
    """The ElectLeaders request (KIP-460). Asked for all, those that need nothing are left out."""
    asked = list(turn.context.partitions()) if event.partitions is None else event.partitions
    outcome = yield from _elect(turn, asked, event.election_type)
    if event.partitions is None:
        outcome = {it: found for it, found in outcome.items() if found[0] is not ErrorCode.ELECTION_NOT_NEEDED}
    turn.effects.append(Reply(event.token, outcome))


def on_preferred_election_znode(turn: Turn) -> Transition[None]:
    """The older way, through /admin/preferred_replica_election: done once, then the node is removed."""
    path = znodes.PREFERRED_REPLICA_ELECTION
    _, found = yield from ask([Exists(path, watch=True), GetData(path)])
    if not found.ok:
        return
    try:
        asked = [TopicPartition(*pair) for pair in znodes.decode_partition_set(found.data)]
    except znodes.MalformedZnode as error:
        log.error("%s is dropped: %s", path, error)
        asked = []
    for partition, (code, message) in (yield from _elect(turn, asked, PREFERRED_TYPE)).items():
        if code not in (ErrorCode.NONE, ErrorCode.ELECTION_NOT_NEEDED):
            log.warning("%s: preferred leader not elected: %s", partition, message or code.name)
    yield from delete_nodes(turn, [path])


def auto_rebalance(turn: Turn) -> Transition[None]:
    """Give brokers back the leadership that the assignment prefers them for, once enough of it is elsewhere."""
    interval = float(turn.config.leader_imbalance_check_interval_seconds)
    turn.effects.append(SetTimer(interval, AutoRebalance()))
    if not turn.config.auto_leader_rebalance_enable:
        return
    by_preferred: dict[int, list[TopicPartition]] = {}
    for partition in turn.context.partitions():
        replicas = turn.context.assignment(partition).replicas
        if replicas and not turn.context.is_to_be_deleted(partition.topic):
            by_preferred.setdefault(replicas[0], []).append(partition)
    tolerated = turn.config.leader_imbalance_per_broker_percentage / 100
    for broker, preferring in sorted(by_preferred.items()):
        astray = [it for it in preferring if _is_led_by_another(turn, it, broker)]
        if len(astray) / len(preferring) > tolerated:
            yield from _elect(turn, [it for it in astray if _can_lead(turn, it, broker)], PREFERRED_TYPE)


def _is_led_by_another(turn: Turn, partition: TopicPartition, broker: int) -> bool:
    leadership = turn.context.leadership.get(partition)
    return leadership is not None and leadership.leader != broker


def _can_lead(turn: Turn, partition: TopicPartition, broker: int) -> bool:
    assignment = turn.context.assignment(partition)
    is_moving = assignment.adding or assignment.removing
    in_sync = broker in turn.context.leadership[partition].isr
    is_eligible = turn.context.state_of(partition) in (PartitionState.ONLINE, PartitionState.OFFLINE)
    return not is_moving and in_sync and is_eligible and turn.context.is_online(broker, partition)


def _elect(turn: Turn, asked: Iterable[TopicPartition], election_type: int) -> Transition[Outcome]:
    """Outcomes in the order of asking (facts B.12)."""
    outcome: Outcome = {}
    electable: list[TopicPartition] = []
    for partition in dict.fromkeys(asked):
        refusal = _refusal(turn, partition, election_type)
        if refusal is None:
            electable.append(partition)
        outcome[partition] = refusal or (ErrorCode.NONE, None)
    is_preferred = election_type == PREFERRED_TYPE
    failed = yield from partitions.to_online(turn, electable, PREFERRED if is_preferred else UNCLEAN)
    code = ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE if is_preferred else ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    for partition, reason in failed.items():
        outcome[partition] = (code, f"Failed to elect leader for partition {partition}: {reason}")
    return outcome


def _refusal(turn: Turn, partition: TopicPartition, election_type: int) -> tuple[ErrorCode, str | None] | None:
    context = turn.context
    if not context.is_known(partition):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist."
    if context.is_to_be_deleted(partition.topic):
        return ErrorCode.INVALID_TOPIC_EXCEPTION, "The topic is being deleted"
    leadership = context.leadership.get(partition)
    leader = NO_LEADER if leadership is None else leadership.leader
    if election_type == PREFERRED_TYPE:
        is_needed = leader != context.assignment(partition).replicas[0]
    else:
        is_needed = leader == NO_LEADER or not context.is_live(leader)
    return None if is_needed else (ErrorCode.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.")
