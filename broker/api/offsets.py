"""Where logs begin and end: ListOffsets, OffsetForLeaderEpoch, DeleteRecords (kafka.server.KafkaApis; facts D.13)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from broker.api.context import Context, Later
from broker.api.produce import INTERNAL_TOPICS
from broker.api.table import api
from broker.host import LogDirFailed
from broker.replication.purgatory import WaitingProduce
from broker.storage.log import TimestampAndOffset
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from broker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)
from broker.wire.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition
    from broker.replication.replicas import Replicas

LATEST: Final = -1
EARLIEST: Final = -2
MAX_TIMESTAMP: Final = -3
EARLIEST_LOCAL: Final = -4
LATEST_TIERED: Final = -5
_DEBUGGER: Final = -2
_HIGH_WATERMARK: Final = -1
_READ_COMMITTED: Final = 1
_SINCE: Final = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9}


@api(ApiKey.LIST_OFFSETS, 1, 9)
def list_offsets(ctx: Context, request: ListOffsetsRequest) -> ListOffsetsResponse:
    """Offsets by time, or by the special times above. A partition that is named twice is refused (facts D.13)."""
    response = ListOffsetsResponse()
    named = Counter((topic.name, each.partition_index) for topic in request.topics for each in topic.partitions)
    doubled = {key for key, times in named.items() if times > 1}
    for topic in request.topics:
        answers = [_list(ctx, request, topic.name, each, doubled) for each in topic.partitions]
        response.topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=answers))
    return response


def _list(
    ctx: Context, request: ListOffsetsRequest, topic: str, wanted: ListOffsetsPartition, doubled: set[tuple[str, int]]
) -> ListOffsetsPartitionResponse:
    answer = ListOffsetsPartitionResponse(partition_index=wanted.partition_index)
    replicas: Replicas = ctx.services.replicas
    try:
        if (topic, wanted.partition_index) in doubled:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        if ctx.version < _SINCE.get(wanted.timestamp, 0) or wanted.timestamp < LATEST_TIERED:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
        if request.replica_id == _DEBUGGER:
            hosted = replicas.partition(topic, wanted.partition_index)
        else:
            hosted = replicas.leader(topic, wanted.partition_index, wanted.current_leader_epoch)
        found = _look_up(ctx, request, hosted, wanted.timestamp)
    except KafkaError as error:
        answer.error_code = int(error.code)
    except LogDirFailed:
        answer.error_code = int(ErrorCode.KAFKA_STORAGE_ERROR)
    else:
        answer.timestamp, answer.offset, answer.leader_epoch = found
    return answer


def _look_up(ctx: Context, request: ListOffsetsRequest, hosted: HostedPartition, timestamp: int) -> TimestampAndOffset:
    log = hosted.log
    if request.replica_id >= 0:
        upper = log.log_end_offset
    else:
        upper = log.last_stable_offset if request.isolation_level == _READ_COMMITTED else log.high_watermark
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        return log.earliest()
    if timestamp == LATEST_TIERED:
        return TimestampAndOffset(-1, -1, -1)
    if request.replica_id < 0:
        _must_know_the_end(ctx, hosted)
    if timestamp == LATEST:
        return log.latest(upper)
    if timestamp == MAX_TIMESTAMP:
        found = log.max_timestamp()
        return found if found.offset < upper else TimestampAndOffset(-1, -1, -1)
    return log.offset_for_timestamp(timestamp, upper)


def _must_know_the_end(ctx: Context, hosted: HostedPartition) -> None:
    """A new leader's high watermark may lie behind what its predecessor had told, until its followers have fetched."""
    partition = hosted.partition
    if hosted.is_leader and partition.high_watermark < partition.leader_epoch_start:
        known = ctx.version >= 5
        raise KafkaError(ErrorCode.OFFSET_NOT_AVAILABLE if known else ErrorCode.LEADER_NOT_AVAILABLE)


@api(ApiKey.OFFSET_FOR_LEADER_EPOCH, 2, 4)
def offset_for_leader_epoch(ctx: Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse:
    """Where an epoch ended in the leader's log, for truncation (KIP-101, KIP-320)."""
    response = OffsetForLeaderEpochResponse()
    for topic in request.topics:
        answers = [_epoch_end(ctx, topic.topic, wanted) for wanted in topic.partitions]
        response.topics.append(OffsetForLeaderTopicResult(topic=topic.topic, partitions=answers))
    return response


def _epoch_end(ctx: Context, topic: str, wanted: OffsetForLeaderPartition) -> EpochEndOffset:
    answer = EpochEndOffset(partition=wanted.partition)
    replicas: Replicas = ctx.services.replicas
    try:
        log = replicas.leader(topic, wanted.partition, wanted.current_leader_epoch).log
    except KafkaError as error:
        answer.error_code = int(error.code)
    else:
        found = log.leader_epochs.end_offset_for(wanted.leader_epoch, log.log_end_offset)
        answer.leader_epoch, answer.end_offset = found
    return answer


@api(ApiKey.DELETE_RECORDS, 0, 2)
def delete_records(ctx: Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse | Later:
    """Move log starts forward; done once every live replica has followed, which its next fetch tells (KIP-107)."""
    replicas: Replicas = ctx.services.replicas
    response = DeleteRecordsResponse()
    deleted: list[tuple[HostedPartition, DeleteRecordsPartitionResult]] = []

    def finish() -> None:
        for hosted, answer in deleted:
            if not answer.error_code:
                answer.low_watermark = hosted.partition.low_watermark(hosted.log.log_start_offset)
        if later is not None:
            later.complete(response)

    later: Later | None = None
    waiting = WaitingProduce(finish)
    for topic in request.topics:
        answers = []
        for wanted in topic.partitions:
            answer = DeleteRecordsPartitionResult(partition_index=wanted.partition_index, low_watermark=-1)
            answers.append(answer)
            hosted = _delete(replicas, topic.name, wanted, answer)
            if hosted is not None:
                deleted.append((hosted, answer))
                waiting.wait_for(hosted.deletions, hosted.log.log_start_offset, answer)
        response.topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=answers))
    waiting.release()
    if not waiting.is_waiting:
        finish()
        return response
    later = Later(on_drop=waiting.drop)
    waiting.park(ctx.services.host.clock, request.timeout_ms / 1000)
    return later


def _delete(
    replicas: Replicas, topic: str, wanted: DeleteRecordsPartition, answer: DeleteRecordsPartitionResult
) -> HostedPartition | None:
    try:
        if topic in INTERNAL_TOPICS:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
        hosted = replicas.leader(topic, wanted.partition_index)
        log = hosted.log
        if "delete" not in log.config.cleanup_policy:
            raise KafkaError(ErrorCode.POLICY_VIOLATION)
        offset = log.high_watermark if wanted.offset == _HIGH_WATERMARK else wanted.offset
        if not 0 <= offset <= log.high_watermark:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
        log.increment_log_start_offset(offset)
        hosted.role_changed()
    except KafkaError as error:
        answer.error_code = int(error.code)
    except LogDirFailed:
        answer.error_code = int(ErrorCode.KAFKA_STORAGE_ERROR)
    else:
        return hosted
    return None
