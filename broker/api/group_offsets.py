"""Committed offsets on the wire, and where a group's coordinator is (KafkaApis.handleOffsetCommitRequest; facts F).

OffsetCommit v0 and OffsetFetch v0 mean offsets in ZooKeeper; they are not served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from broker.admin.auto_creation import OFFSETS_TOPIC, AutoTopicCreation
from broker.api.context import Context, Later
from broker.api.groups import coordinator_of
from broker.api.table import api
from broker.cluster.metadata_cache import MetadataCache
from broker.coordinator.group_records import OffsetCommitValue
from broker.coordinator.offsets import Offsets, Position
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.find_coordinator import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse
from broker.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from broker.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from broker.wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

GROUP_KEY = 0
_SAID = {ErrorCode.NONE: "NONE", ErrorCode.COORDINATOR_NOT_AVAILABLE: "The coordinator is not available."}
"""Kafka's words up to version 3; later ones say nothing."""
Asked = list[tuple[str, list[int]]] | None
Found = dict[str, dict[int, OffsetCommitValue | None]]


@api(ApiKey.FIND_COORDINATOR, 0, 6)
def find_coordinator(ctx: Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse:
    """The leader of the group's partition of the offsets topic, which is created when first asked for (KIP-699: v4)."""
    keys = request.coordinator_keys if ctx.version >= 4 else [request.key]
    found = [_coordinator(ctx, key, request.key_type) for key in keys]
    if ctx.version >= 4:
        return FindCoordinatorResponse(coordinators=found)
    one = found[0]
    return FindCoordinatorResponse(
        error_code=one.error_code,
        error_message=one.error_message or _SAID[ErrorCode(one.error_code)],
        node_id=one.node_id,
        host=one.host,
        port=one.port,
    )


def _coordinator(ctx: Context, key: str, key_type: int) -> Coordinator:
    if key_type != GROUP_KEY:
        return _nobody(key, ErrorCode.INVALID_REQUEST, f"coordinators of type {key_type} are not served")
    metadata: MetadataCache = ctx.services.metadata
    if not metadata.has_topic(OFFSETS_TOPIC):
        creation: AutoTopicCreation = ctx.services.auto_creation
        creation.begin(OFFSETS_TOPIC)
        return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    state = metadata.partition(OFFSETS_TOPIC, coordinator_of(ctx).partition_of(key))
    endpoint = None if state is None else metadata.endpoint(state.leader, ctx.listener)
    if state is None or endpoint is None:
        return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return Coordinator(key=key, node_id=state.leader, host=endpoint.host, port=endpoint.port)


def _nobody(key: str, error: ErrorCode, message: str = "") -> Coordinator:
    return Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=message)


@api(ApiKey.OFFSET_COMMIT, 1, 9)
def offset_commit(ctx: Context, request: OffsetCommitRequest) -> Later:
    """Answered when the commit is replicated. Partitions that cannot be committed have their own error."""
    later = Later(holds=True)
    values, refused = _values(ctx, request)

    def ended(error: int) -> None:
        topics = [
            OffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetCommitResponsePartition(
                        partition_index=p.partition_index,
                        error_code=refused.get(Position(topic.name, p.partition_index), error),
                    )
                    for p in topic.partitions
                ],
            )
            for topic in request.topics
        ]
        later.complete(OffsetCommitResponse(topics=topics))

    coordinator_of(ctx).commit(
        request.group_id,
        request.member_id,
        request.group_instance_id,
        request.generation_id_or_member_epoch,
        values,
        ended,
    )
    return later


def _values(
    ctx: Context, request: OffsetCommitRequest
) -> tuple[dict[Position, OffsetCommitValue], dict[Position, int]]:
    """(what may be committed, the errors of the rest)."""
    now_ms = ctx.services.host.clock.wall_ms()
    expire = now_ms + request.retention_time_ms if request.retention_time_ms >= 0 else -1
    values: dict[Position, OffsetCommitValue] = {}
    refused: dict[Position, int] = {}
    for topic in request.topics:
        for partition in topic.partitions:
            position = Position(topic.name, partition.partition_index)
            error = _refusal(ctx, position, partition)
            if error:
                refused[position] = error
                continue
            values[position] = OffsetCommitValue(
                offset=partition.committed_offset,
                leader_epoch=partition.committed_leader_epoch,
                metadata=partition.committed_metadata or "",
                commit_timestamp=partition.commit_timestamp if partition.commit_timestamp >= 0 else now_ms,
                expire_timestamp=expire,
            )
    return values, refused


def _refusal(ctx: Context, position: Position, partition: OffsetCommitRequestPartition) -> int:
    metadata: MetadataCache = ctx.services.metadata
    if metadata.partition(position.topic, position.partition) is None:
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    if len(partition.committed_metadata or "") > ctx.services.config.offset_metadata_max_bytes:
        return ErrorCode.OFFSET_METADATA_TOO_LARGE
    return ErrorCode.NONE


@api(ApiKey.OFFSET_FETCH, 1, 9)
def offset_fetch(ctx: Context, request: OffsetFetchRequest) -> OffsetFetchResponse:
    """v8+ asks for several groups at once (KIP-709); v1 has no place for a group's error but on each partition."""
    if ctx.version >= 8:
        groups = [
            _fetched_group(
                ctx, g.group_id, None if g.topics is None else [(t.name, t.partition_indexes) for t in g.topics]
            )
            for g in request.groups
        ]
        return OffsetFetchResponse(groups=groups)
    asked: Asked = None if request.topics is None else [(t.name, t.partition_indexes) for t in request.topics]
    error, offsets = coordinator_of(ctx).committed(request.group_id)
    spread = error if ctx.version == 1 else ErrorCode.NONE
    found = _look_up(offsets, asked) if not error or ctx.version == 1 else {}
    topics = [
        OffsetFetchResponseTopic(
            name=topic,
            partitions=[OffsetFetchResponsePartition(**_fields(p, v, spread)) for p, v in partitions.items()],
        )
        for topic, partitions in found.items()
    ]
    return OffsetFetchResponse(topics=topics, error_code=error)


def _fetched_group(ctx: Context, group_id: str, asked: Asked) -> OffsetFetchResponseGroup:
    error, offsets = coordinator_of(ctx).committed(group_id)
    if error:
        return OffsetFetchResponseGroup(group_id=group_id, error_code=error)
    topics = [
        OffsetFetchResponseTopics(
            name=topic,
            partitions=[OffsetFetchResponsePartitions(**_fields(p, v, 0)) for p, v in partitions.items()],
        )
        for topic, partitions in _look_up(offsets, asked).items()
    ]
    return OffsetFetchResponseGroup(group_id=group_id, topics=topics)


def _look_up(offsets: Offsets, asked: Asked) -> Found:
    """All that is committed where ``asked`` is None, else a value or None for each partition that was asked for."""
    found: Found = {}
    if asked is None:
        for position, committed in offsets.committed.items():
            found.setdefault(position.topic, {})[position.partition] = committed.value
        return found
    for topic, partitions in asked:
        for partition in partitions:
            known = offsets.committed.get(Position(topic, partition))
            found.setdefault(topic, {})[partition] = None if known is None else known.value
    return found


def _fields(partition: int, value: OffsetCommitValue | None, error: int) -> dict[str, Any]:
    """-1, -1 and an empty text stand for "nothing committed"."""
    return {
        "partition_index": partition,
        "committed_offset": -1 if value is None else value.offset,
        "committed_leader_epoch": -1 if value is None else value.leader_epoch,
        "metadata": "" if value is None else value.metadata,
        "error_code": error,
    }


@api(ApiKey.OFFSET_DELETE, 0, 0)
def offset_delete(ctx: Context, request: OffsetDeleteRequest) -> Later:
    """KIP-496. Partitions that do not exist have their own error."""
    later = Later(holds=True)
    metadata: MetadataCache = ctx.services.metadata
    asked = [Position(topic.name, p.partition_index) for topic in request.topics for p in topic.partitions]
    known = [position for position in asked if metadata.partition(*position) is not None]

    def ended(error: int, errors: dict[Position, int]) -> None:
        unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        topics = [] if error else _deleted(asked, {p: errors.get(p, unknown) for p in asked})
        later.complete(OffsetDeleteResponse(error_code=error, topics=topics))

    coordinator_of(ctx).delete_offsets(request.group_id, known, ended)
    return later


def _deleted(asked: Iterable[Position], errors: dict[Position, int]) -> list[OffsetDeleteResponseTopic]:
    topics: dict[str, list[OffsetDeleteResponsePartition]] = {}
    for position in asked:
        reply = OffsetDeleteResponsePartition(partition_index=position.partition, error_code=errors[position])
        topics.setdefault(position.topic, []).append(reply)
    return [OffsetDeleteResponseTopic(name=name, partitions=partitions) for name, partitions in topics.items()]
