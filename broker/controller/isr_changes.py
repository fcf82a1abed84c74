"""ISR changes that leaders propose: AlterPartition (KIP-497), and notifications in ZooKeeper below IBP 2.7."""

from __future__ import annotations

import logging
from typing import NamedTuple

from broker.controller import reassignment
from broker.controller.conversation import Transition, Turn, ask, delete_nodes, guarded, read_states
from broker.controller.events import AlterPartition, Reply
from broker.controller.requests import send_metadata
from broker.controller.state import RECOVERED, RECOVERING, Leadership, TopicPartition
from broker.wire.errors import ErrorCode
from broker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    RequestPartitionData,
    RequestTopicData,
    ResponsePartitionData,
    ResponseTopicData,
)
from broker.zk import znodes
from broker.zk.operations import GetChildren, GetData, SetData, ZkCode

log = logging.getLogger(__name__)

NAMED_BY_ID = 2
WITH_BROKER_EPOCHS = 3


class _Proposal(NamedTuple):
    """``answer`` is what there is to say at once; None while the write is outstanding."""

    partition: TopicPartition
    wanted: Leadership | None
    answer: ResponsePartitionData | None


def alter_partition(turn: Turn, event: AlterPartition) -> Transition[None]:
    """Check each proposal (facts B.14), write those that stand, and let everybody know."""
    request: AlterPartitionRequest = event.request
    response = AlterPartitionResponse(topics=[])
    turn.effects.append(Reply(event.token, response))
    epoch = turn.context.broker_epoch(request.broker_id)
    if epoch is None or epoch != request.broker_epoch:
        response.error_code = ErrorCode.STALE_BROKER_EPOCH
        return
    judged = [(topic, _judge_topic(turn, topic, event.version)) for topic in request.topics]
    wanted = {it.partition: it.wanted for _, them in judged for it in them if it.wanted is not None}
    outcomes = yield from _write(turn, wanted)
    for topic, proposals in judged:
        answers = [it.answer if it.answer is not None else outcomes[it.partition] for it in proposals]
        named = ResponseTopicData(topic_name=topic.topic_name, topic_id=topic.topic_id, partitions=answers)
        response.topics.append(named)
    changed = [partition for partition, answer in outcomes.items() if answer.error_code == ErrorCode.NONE]
    if changed:
        send_metadata(turn, turn.context.recipients(), changed)
        yield from reassignment.on_isr_changed(turn, changed)


def _judge_topic(turn: Turn, topic: RequestTopicData, version: int) -> list[_Proposal]:
    name: str | None = topic.topic_name
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if version >= NAMED_BY_ID:
        name, unknown = turn.context.topic_names.get(topic.topic_id), ErrorCode.UNKNOWN_TOPIC_ID
    if name is None or name not in turn.context.assignments:
        nowhere = TopicPartition("", -1)
        return [_Proposal(nowhere, None, _refused(it.partition_index, unknown)) for it in topic.partitions]
    return [_judge(turn, TopicPartition(name, it.partition_index), it, version) for it in topic.partitions]


def _judge(turn: Turn, partition: TopicPartition, asked: RequestPartitionData, version: int) -> _Proposal:
    current = turn.context.leadership.get(partition)
    if current is None or not turn.context.is_known(partition):
        return _Proposal(partition, None, _refused(partition.partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    isr = tuple(asked.new_isr)
    if version >= WITH_BROKER_EPOCHS:
        isr = tuple(it.broker_id for it in asked.new_isr_with_epochs)
    error = _epoch_error(current, asked)
    if error is None and _is_same(current, asked, isr):
        return _Proposal(partition, None, _accepted(partition, current))
    error = error or _error(turn, partition, current, asked, isr, version)
    if error is not None:
        log.info("%s: ISR %s refused: %s", partition, list(isr), error.name)
        return _Proposal(partition, None, _refused(partition.partition, error))
    wanted = current._replace(isr=isr, recovery_state=asked.leader_recovery_state, controller_epoch=turn.context.epoch)
    return _Proposal(partition, wanted, None)


def _epoch_error(current: Leadership, asked: RequestPartitionData) -> ErrorCode | None:
    """A leader that knows more than this controller has heard from a newer one."""
    if asked.leader_epoch > current.leader_epoch or asked.partition_epoch > current.partition_epoch:
        return ErrorCode.NOT_CONTROLLER
    if asked.leader_epoch < current.leader_epoch:
        return ErrorCode.FENCED_LEADER_EPOCH
    return None


def _is_same(current: Leadership, asked: RequestPartitionData, isr: tuple[int, ...]) -> bool:
    return sorted(isr) == sorted(current.isr) and asked.leader_recovery_state == current.recovery_state


def _error(
    turn: Turn,
    partition: TopicPartition,
    current: Leadership,
    asked: RequestPartitionData,
    isr: tuple[int, ...],
    version: int,
) -> ErrorCode | None:
    if asked.partition_epoch < current.partition_epoch:
        return ErrorCode.INVALID_UPDATE_VERSION
    if asked.leader_recovery_state == RECOVERING and (len(isr) > 1 or current.recovery_state == RECOVERED):
        return ErrorCode.INVALID_REQUEST
    replicas = turn.context.assignment(partition).replicas
    if current.leader not in isr or len(set(isr)) != len(isr) or not set(isr) <= set(replicas):
        return ErrorCode.INVALID_REQUEST
    if not all(turn.context.is_live(broker) for broker in isr) or _has_bounced(turn, asked, version):
        named = version >= NAMED_BY_ID
        return ErrorCode.INELIGIBLE_REPLICA if named else ErrorCode.OPERATION_NOT_ATTEMPTED
    return None


def _has_bounced(turn: Turn, asked: RequestPartitionData, version: int) -> bool:
    """The leader's word on a replica is of an earlier life of its broker, which may since have lost data (KIP-903)."""
    if version < WITH_BROKER_EPOCHS:
        return False
    states = [it for it in asked.new_isr_with_epochs if it.broker_epoch != -1]
    return any(turn.context.broker_epoch(it.broker_id) != it.broker_epoch for it in states)


def _write(
    turn: Turn, wanted: dict[TopicPartition, Leadership]
) -> Transition[dict[TopicPartition, ResponsePartitionData]]:
    writes = [
        [SetData(znodes.partition_state(*partition), new.znode().encode(), new.partition_epoch)]
        for partition, new in wanted.items()
    ]
    results = yield from guarded(turn, writes)
    lost = [it for it, result in zip(wanted, results, strict=True) if result.code is ZkCode.BAD_VERSION]
    present = yield from read_states(lost)
    outcomes: dict[TopicPartition, ResponsePartitionData] = {}
    for (partition, new), result in zip(wanted.items(), results, strict=True):
        written = new._replace(partition_epoch=new.partition_epoch + 1)
        if result.ok or present.get(partition) == written:  # the latter: mine, its first reply was lost
            turn.context.leadership[partition] = written
            log.info("%s ISR %s (asked by leader %d)", partition, list(new.isr), new.leader)
            outcomes[partition] = _accepted(partition, written)
        elif partition in lost:
            turn.context.leadership.update({partition: present[partition]} if partition in present else {})
            outcomes[partition] = _refused(partition.partition, ErrorCode.INVALID_UPDATE_VERSION)
        else:
            outcomes[partition] = _refused(partition.partition, ErrorCode.UNKNOWN_SERVER_ERROR)
    return outcomes


def _refused(partition: int, error: ErrorCode) -> ResponsePartitionData:
    return ResponsePartitionData(partition_index=partition, error_code=error)


def _accepted(partition: TopicPartition, leadership: Leadership) -> ResponsePartitionData:
    return ResponsePartitionData(
        partition_index=partition.partition,
        leader_id=leadership.leader,
        leader_epoch=leadership.leader_epoch,
        isr=list(leadership.isr),
        leader_recovery_state=leadership.recovery_state,
        partition_epoch=leadership.partition_epoch,
    )


def on_isr_change(turn: Turn) -> Transition[None]:
    """Leaders wrote ISRs into ZooKeeper themselves: read them, and let everybody know."""
    names = (yield from ask([GetChildren(znodes.ISR_CHANGES, watch=True)]))[0].or_raise().children
    paths = [znodes.child(znodes.ISR_CHANGES, name) for name in names]
    changed: dict[TopicPartition, None] = {}
    for path, result in zip(paths, (yield from ask([GetData(path) for path in paths])), strict=True):
        try:
            pairs = znodes.decode_partition_set(result.data) if result.ok else ()
        except znodes.MalformedZnode as error:
            log.error("%s is dropped: %s", path, error)
            continue
        changed.update((TopicPartition(*pair), None) for pair in pairs)
    known = [partition for partition in changed if turn.context.is_known(partition)]
    present = yield from read_states(known)
    turn.context.leadership.update(present)
    if present:
        send_metadata(turn, turn.context.recipients(), present)
        yield from reassignment.on_isr_changed(turn, present)
    yield from delete_nodes(turn, paths)
