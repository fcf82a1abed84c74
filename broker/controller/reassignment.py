"""Moving partitions to other brokers (KIP-455; KafkaController.onPartitionReassignment).

A reassignment is in the topic's znode: ``replicas`` holds the target first, then what is leftover of the original;
``adding`` and ``removing`` say which is which. While the target is not in sync, all of them are replicas; once it is,
the leader moves into the target, the rest is stopped and deleted, and the znode shows the target alone. Each step can
be taken again from what is written, so a new controller goes on where this one died.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from broker.controller import deletion, partitions, replicas
from broker.controller.conversation import Transition, Turn, ask, guarded, rewrite_states
from broker.controller.events import ListReassignments, ReassignPartitions, Reply
from broker.controller.leader_election import OFFLINE, REASSIGN, Strategy
from broker.controller.requests import RequestBatch, send_metadata
from broker.controller.state import Leadership, Replica, ReplicaAssignment, ReplicaState, TopicPartition
from broker.wire.errors import ErrorCode
from broker.zk import znodes
from broker.zk.operations import Delete, Exists, GetData, SetData, ZkCode

log = logging.getLogger(__name__)

R = ReplicaState
Refusal = tuple[ErrorCode, str | None]

_ACCEPTED: Refusal = (ErrorCode.NONE, None)
_UNKNOWN: Refusal = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.")
_NONE_IN_PROGRESS: Refusal = (ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment is in progress.")


def target_of(assignment: ReplicaAssignment) -> tuple[int, ...]:
    return tuple(broker for broker in assignment.replicas if broker not in assignment.removing)


def origin_of(assignment: ReplicaAssignment) -> tuple[int, ...]:
    return tuple(broker for broker in assignment.replicas if broker not in assignment.adding)


def toward(assignment: ReplicaAssignment, target: Sequence[int]) -> ReplicaAssignment:
    """The assignment on the way from the original of ``assignment`` to ``target`` (ReplicaAssignment.reassignTo)."""
    origin = origin_of(assignment)
    full = tuple(dict.fromkeys((*target, *origin)))
    adding = tuple(broker for broker in full if broker not in origin)
    return ReplicaAssignment(full, adding, tuple(broker for broker in origin if broker not in target))


def is_moving(assignment: ReplicaAssignment) -> bool:
    return bool(assignment.adding or assignment.removing)


def in_progress(turn: Turn) -> list[TopicPartition]:
    return [partition for partition in turn.context.partitions() if is_moving(turn.context.assignment(partition))]


# --- who asks ------------------------------------------------------------------------------------------------------


def reassign_partitions(turn: Turn, event: ReassignPartitions) -> Transition[None]:
    """AlterPartitionReassignments; a target of None cancels."""
    outcome: dict[TopicPartition, Refusal] = {}
    for partition, target in event.targets.items():
        refused = _refusal(turn, partition, target)
        outcome[partition] = refused or _ACCEPTED
        if refused is None:
            assignment = turn.context.assignment(partition)
            yield from _go_on(turn, partition, toward(assignment, origin_of(assignment) if target is None else target))
    turn.effects.append(Reply(event.token, outcome))


def list_reassignments(turn: Turn, event: ListReassignments) -> None:
    """ListPartitionReassignments: what is on its way, of the partitions asked for or of all."""
    asked = turn.context.partitions() if event.partitions is None else event.partitions
    known = {it: turn.context.assignment(it) for it in asked if turn.context.is_known(it)}
    found = {partition: assignment for partition, assignment in known.items() if is_moving(assignment)}
    turn.effects.append(Reply(event.token, found))


def on_reassignment_znode(turn: Turn) -> Transition[None]:
    """The older way, /admin/reassign_partitions: what is refused leaves the node at once, the rest when it is done."""
    plan = yield from _read_plan()
    refused: list[TopicPartition] = []
    for partition, target in plan.items():
        if _is_under_way(turn, partition, target):
            continue
        refusal = _refusal(turn, partition, target)
        if refusal is not None:
            log.warning("%s is not reassigned to %s: %s", partition, list(target), refusal[1] or refusal[0].name)
            refused.append(partition)
        else:
            yield from _go_on(turn, partition, toward(turn.context.assignment(partition), target))
    yield from _strike_from_plan(turn, refused)


def _is_under_way(turn: Turn, partition: TopicPartition, target: tuple[int, ...]) -> bool:
    if not turn.context.is_known(partition):
        return False
    assignment = turn.context.assignment(partition)
    return is_moving(assignment) and target_of(assignment) == target


def _refusal(turn: Turn, partition: TopicPartition, target: Sequence[int] | None) -> Refusal | None:
    context = turn.context
    is_known = context.is_known(partition)
    assignment = context.assignment(partition) if is_known else ReplicaAssignment(())
    if target is None and not is_moving(assignment):
        return _NONE_IN_PROGRESS
    problem = None if target is None else _problem(turn, assignment, target)
    if problem is not None:
        return ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem
    return None if is_known and not context.is_to_be_deleted(partition.topic) else _UNKNOWN


def _problem(turn: Turn, assignment: ReplicaAssignment, target: Sequence[int]) -> str | None:
    context, added = turn.context, toward(assignment, target).adding
    if not target:
        return "Empty replica list specified in partition reassignment."
    if len(set(target)) != len(target):
        return f"Duplicate replica ids in partition reassignment replica list: ArrayBuffer({_join(target)})"
    if min(target) < 0:
        return f"Invalid broker id in replica list: ArrayBuffer({_join(target)})"
    if all(context.is_live(broker) for broker in added):
        return None
    live = _join(broker for broker in context.recipients() if context.is_live(broker))
    alive = f"Replica list: ArrayBuffer({_join(added)}), live broker list: Set({live})"
    return f"Replica assignment has brokers that are not alive. {alive}"


def _join(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


# --- what lets it go on --------------------------------------------------------------------------------------------


def resume(turn: Turn, brokers: Collection[int] | None = None) -> Transition[None]:
    """Go on with what is on its way (to one of ``brokers``, which have just come)."""
    for partition in in_progress(turn):
        assignment = turn.context.assignment(partition)
        if brokers is None or any(broker in brokers for broker in target_of(assignment)):
            yield from _go_on(turn, partition, assignment)


def on_isr_changed(turn: Turn, changed: Iterable[TopicPartition]) -> Transition[None]:
    """Complete those whose target is in sync now."""
    for partition in changed:
        assignment = turn.context.assignment(partition)
        if is_moving(assignment) and _is_in_sync(turn, partition, assignment):
            yield from _go_on(turn, partition, assignment)


def _is_in_sync(turn: Turn, partition: TopicPartition, assignment: ReplicaAssignment) -> bool:
    leadership = turn.context.leadership.get(partition)
    return leadership is not None and set(target_of(assignment)) <= set(leadership.isr)


# --- the steps -----------------------------------------------------------------------------------------------------


def _go_on(turn: Turn, partition: TopicPartition, wanted: ReplicaAssignment) -> Transition[None]:
    """From whatever was reached to the next thing that must be waited for."""
    former = turn.context.assignment(partition)
    if wanted != former:
        log.info(
            "%s: replicas %s, adding %s, removing %s",
            partition,
            list(wanted.replicas),
            list(wanted.adding),
            list(wanted.removing),
        )
        yield from _write_assignment(turn, partition, wanted)
        turn.context.assign(partition, wanted)
        yield from _remove(turn, partition, [it for it in former.replicas if it not in wanted.replicas])
    if not is_moving(wanted) or _is_in_sync(turn, partition, wanted):
        yield from _complete(turn, partition, wanted)
    else:
        yield from _tell_or_elect(turn, partition, OFFLINE)
        added = [Replica(partition, broker) for broker in wanted.adding]
        replicas.to_new(turn, replicas.in_states(turn, added, R.NON_EXISTENT))


def _complete(turn: Turn, partition: TopicPartition, reached: ReplicaAssignment) -> Transition[None]:
    """The target alone remains. It is written last: until then a new controller takes these steps again."""
    context = turn.context
    replicas.to_online(turn, [Replica(partition, broker) for broker in reached.adding])
    target = ReplicaAssignment(target_of(reached))
    context.assign(partition, target)
    yield from _tell_or_elect(turn, partition, REASSIGN)
    yield from _remove(turn, partition, reached.removing)
    yield from _write_assignment(turn, partition, target)
    yield from _strike_from_plan(turn, [partition])
    send_metadata(turn, context.recipients(), [partition])
    log.info("%s: reassignment to %s is complete", partition, list(target.replicas))
    if not any(is_moving(it) for it in context.assignments[partition.topic].values()):
        yield from deletion.resume(turn, [partition.topic])


def _tell_or_elect(turn: Turn, partition: TopicPartition, strategy: Strategy) -> Transition[None]:
    """Every replica hears of the changed assignment, from a leader that belongs to it."""
    leadership = turn.context.leadership.get(partition)
    if leadership is None:
        return  # the partition is New: its first leader is found as soon as one of its brokers is there
    leader = leadership.leader
    if leader in turn.context.assignment(partition).replicas and turn.context.is_online(leader, partition):
        yield from _bump_epoch(turn, partition)
    else:
        yield from partitions.to_online(turn, [partition], strategy)


def _bump_epoch(turn: Turn, partition: TopicPartition) -> Transition[None]:
    """The same leader in the next epoch: a LeaderAndIsr of the epoch that they know would be ignored.

    Replicas that are yet to be built hear of that epoch as new ones, or their brokers would look for old files.
    """

    def decide(current: Mapping[TopicPartition, Leadership]) -> Transition[dict[TopicPartition, Leadership]]:
        yield from ()
        return {it: leadership.led_by(leadership.leader, leadership.isr) for it, leadership in current.items()}

    written = yield from rewrite_states(turn, [partition], decide)
    batch = RequestBatch(turn)
    context = turn.context
    told = [
        broker
        for broker in context.assignment(partition).replicas
        if context.state_of_replica(Replica(partition, broker)) is not R.NON_EXISTENT
    ]
    for leadership in written.updated.values():
        batch.add_leader_and_isr(told, partition, leadership)
    batch.send()
    for reason in written.failed.values():
        log.warning("%s: the reassignment waits: %s", partition, reason)


def _remove(turn: Turn, partition: TopicPartition, brokers: Iterable[int]) -> Transition[None]:
    """Stop and delete replicas that no longer belong; nobody waits for a broker that is away."""
    gone = [Replica(partition, broker) for broker in brokers]
    present = [it for it in gone if turn.context.state_of_replica(it) is not R.NON_EXISTENT]
    if present:
        yield from replicas.to_offline(turn, present)
        replicas.to_deletion_started(turn, present)
        replicas.to_state(turn, present, R.DELETION_SUCCESSFUL)
        replicas.to_state(turn, present, R.NON_EXISTENT)


def _write_assignment(turn: Turn, partition: TopicPartition, wanted: ReplicaAssignment) -> Transition[None]:
    """Into the topic's znode, beside partitions that may have been added meanwhile."""
    topic, index = partition
    while True:
        found = (yield from ask([GetData(znodes.topic(topic))]))[0].or_raise()
        present = znodes.TopicZnode.decode(topic, found.data)
        changed = znodes.TopicZnode({**present.partitions, index: wanted}, present.topic_id)
        result = (yield from guarded(turn, [[SetData(znodes.topic(topic), changed.encode(), found.version)]]))[0]
        if result.code is not ZkCode.BAD_VERSION:
            result.or_raise()
            return


def _read_plan() -> Transition[dict[TopicPartition, tuple[int, ...]]]:
    path = znodes.REASSIGN_PARTITIONS
    _, found = yield from ask([Exists(path, watch=True), GetData(path)])
    try:
        plan = znodes.decode_reassignment(found.data) if found.ok else {}
    except znodes.MalformedZnode as error:
        log.error("%s is left alone: %s", path, error)
        plan = {}
    return {TopicPartition(*pair): target for pair, target in plan.items()}


def _strike_from_plan(turn: Turn, done: Collection[TopicPartition]) -> Transition[None]:
    """The last one to be struck takes the node with it."""
    plan = yield from _read_plan()
    rest: dict[tuple[str, int], tuple[int, ...]] = {
        partition: target for partition, target in plan.items() if partition not in done
    }
    if len(rest) == len(plan):
        return
    path = znodes.REASSIGN_PARTITIONS
    yield from guarded(turn, [[SetData(path, znodes.encode_reassignment(rest)) if rest else Delete(path)]])
