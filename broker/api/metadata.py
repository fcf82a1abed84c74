"""Metadata: who is in the cluster and who leads what (KafkaApis.handleTopicMetadataRequest; facts H.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from broker.admin.auto_creation import AutoTopicCreation
from broker.api.authorized import CLUSTER_OPERATIONS, NOT_ASKED, TOPIC_OPERATIONS
from broker.api.context import Context
from broker.api.table import api
from broker.cluster.metadata_cache import NO_LEADER, ZERO_UUID, MetadataCache, PartitionState
from broker.wire import codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

INTERNAL_TOPICS = ("__consumer_offsets", "__transaction_state")


class ReplyCache:
    """Encoded replies by question, until the metadata changes: asking again costs a look-up, not 50 µs and more.

    Bounded: clients of one broker ask few different questions, and whoever asks many starts the cache anew.
    """

    MOST = 512

    def __init__(self, metadata: MetadataCache) -> None:
        self._metadata = metadata
        self._of_version = metadata.version
        self._frames: dict[Hashable, bytes] = {}

    def get(self, question: Hashable) -> bytes | None:
        if self._of_version != self._metadata.version:
            self._frames.clear()
            self._of_version = self._metadata.version
        return self._frames.get(question)

    def put(self, question: Hashable, frame: bytes) -> None:
        """Call right after :meth:`get`, with nothing awaited between."""
        if len(self._frames) >= self.MOST:
            self._frames.clear()
        self._frames[question] = frame


@api(ApiKey.METADATA, 0, 12)
def metadata(ctx: Context, request: MetadataRequest) -> MetadataResponse | bytes:
    """The cluster as the client's listener shows it; unknown topics may be created (KIP-4, KIP-361)."""
    question = _question(ctx, request)
    replies: ReplyCache = ctx.services.metadata_replies
    frame = replies.get(question)
    if frame is None:
        reply = _answer(ctx, request)
        if any(topic.error_code for topic in reply.topics):
            return reply  # asking again must look again, and may have to create again
        frame = codec.encode_response(ApiKey.METADATA, ctx.version, 0, reply)
        replies.put(question, frame)
    return b"".join((frame[:4], ctx.correlation_id.to_bytes(4, "big", signed=True), frame[8:]))


def _question(ctx: Context, request: MetadataRequest) -> Hashable:
    topics = None if request.topics is None else tuple((topic.name, topic.topic_id) for topic in request.topics)
    operations = (request.include_cluster_authorized_operations, request.include_topic_authorized_operations)
    return ctx.version, ctx.listener, topics, operations


def _answer(ctx: Context, request: MetadataRequest) -> MetadataResponse:
    cache: MetadataCache = ctx.services.metadata
    return MetadataResponse(
        brokers=list(_brokers(cache, ctx.listener)),
        cluster_id=ctx.services.cluster_id,
        controller_id=cache.controller_id,
        topics=[_topic(ctx, request, name, topic_id) for name, topic_id in _wanted(ctx, request, cache)],
        cluster_authorized_operations=CLUSTER_OPERATIONS
        if request.include_cluster_authorized_operations
        else NOT_ASKED,
    )


def _brokers(cache: MetadataCache, listener: str) -> Iterator[MetadataResponseBroker]:
    for broker in cache.brokers():
        endpoint = broker.endpoint(listener)
        if endpoint is not None:
            yield MetadataResponseBroker(
                node_id=broker.broker_id, host=endpoint.host, port=endpoint.port, rack=broker.rack
            )


def _wanted(ctx: Context, request: MetadataRequest, cache: MetadataCache) -> list[tuple[str | None, UUID]]:
    """Names, or (v12) ids of topics whose name is not known. Raises KafkaError INVALID_REQUEST."""
    if request.topics is None or (ctx.version == 0 and not request.topics):
        return [(name, cache.topic_id(name)) for name in cache.topics()]
    wanted: dict[tuple[str | None, UUID], None] = {}
    for topic in request.topics:
        if ctx.version < 12 and (topic.topic_id != ZERO_UUID or topic.name is None):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Topic ids are for version 12 and above (KIP-516)")
        if topic.topic_id != ZERO_UUID:
            wanted[cache.topic_name(topic.topic_id), topic.topic_id] = None
        else:
            wanted[topic.name or "", cache.topic_id(topic.name or "")] = None
    return list(wanted)


def _topic(ctx: Context, request: MetadataRequest, name: str | None, topic_id: UUID) -> MetadataResponseTopic:
    cache: MetadataCache = ctx.services.metadata
    if name is None:
        return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id)
    operations = TOPIC_OPERATIONS if request.include_topic_authorized_operations else NOT_ASKED
    if not cache.has_topic(name):
        error = _create(ctx, request, name)
        return MetadataResponseTopic(
            error_code=error, name=name, is_internal=name in INTERNAL_TOPICS, topic_authorized_operations=operations
        )
    partitions = cache.partitions(name)
    return MetadataResponseTopic(
        name=name,
        topic_id=topic_id,
        is_internal=name in INTERNAL_TOPICS,
        partitions=[_partition(ctx, cache, index, partitions[index]) for index in sorted(partitions)],
        topic_authorized_operations=operations,
    )


def _create(ctx: Context, request: MetadataRequest, name: str) -> ErrorCode:
    """What to say of a topic that is not there, having asked for its creation where that is wanted."""
    auto_creation: AutoTopicCreation = ctx.services.auto_creation
    asked_for_all = request.topics is None or (ctx.version == 0 and not request.topics)
    allowed = ctx.version < 4 or request.allow_auto_topic_creation
    if asked_for_all or not allowed:
        return auto_creation.refuse(name)
    return auto_creation.ask(name)


def _partition(ctx: Context, cache: MetadataCache, index: int, state: PartitionState) -> MetadataResponsePartition:
    replicas, isr = list(state.replicas), list(state.isr)
    error, leader = ErrorCode.NONE, state.leader
    if leader == NO_LEADER or cache.endpoint(leader, ctx.listener) is None:
        listener_missing = ctx.version >= 6 and cache.is_alive(leader)
        error = ErrorCode.LISTENER_NOT_FOUND if listener_missing else ErrorCode.LEADER_NOT_AVAILABLE
        leader = NO_LEADER
    if ctx.version == 0:
        replicas = [each for each in replicas if cache.endpoint(each, ctx.listener) is not None]
        isr = [each for each in isr if cache.endpoint(each, ctx.listener) is not None]
        if not error and (len(replicas) < len(state.replicas) or len(isr) < len(state.isr)):
            error = ErrorCode.REPLICA_NOT_AVAILABLE
    return MetadataResponsePartition(
        error_code=error,
        partition_index=index,
        leader_id=leader,
        leader_epoch=state.leader_epoch,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=list(state.offline_replicas),
    )
