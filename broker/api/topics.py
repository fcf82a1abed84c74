"""CreateTopics, DeleteTopics, CreatePartitions: served by the controller's broker alone (KafkaApis; facts H.3, KIP-4).

Each answer waits until the result shows in this broker's metadata; at the time-out it is REQUEST_TIMED_OUT and the work
goes on. A time-out of 0 or less asks for that answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from broker.admin.configs import ConfigAdmin
from broker.admin.topics import CreatedTopic, NewTopic, TopicAdmin
from broker.api.context import Context
from broker.api.table import api
from broker.cluster.metadata_cache import NO_LEADER, ZERO_UUID, MetadataCache
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from broker.wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from broker.wire.messages.delete_topics import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse

WORK_SECONDS = 30.0
"""What ZooKeeper gets for work whose answer nobody waits for."""


def _budget(timeout_ms: int) -> float:
    return timeout_ms / 1000 if timeout_ms > 0 else WORK_SECONDS


def _check_controller(ctx: Context, message: str | None = None) -> None:
    if not ctx.services.controller.is_active:
        raise KafkaError(ErrorCode.NOT_CONTROLLER, message)


async def _shown(ctx: Context, timeout_ms: int, shows: Callable[[MetadataCache], bool]) -> bool:
    """Whether ``shows`` holds of the metadata before the request's time is up."""
    if timeout_ms <= 0:
        return False
    left = ctx.arrived + timeout_ms / 1000 - ctx.services.host.clock.monotonic()
    metadata: MetadataCache = ctx.services.metadata
    return await metadata.wait_for(shows, left)


# --- create --------------------------------------------------------------------------------------------------------


@api(ApiKey.CREATE_TOPICS, 0, 7)
async def create_topics(ctx: Context, request: CreateTopicsRequest) -> CreateTopicsResponse:
    """One result per topic; a name that comes twice is refused. Reports the shape from version 5 (KIP-525)."""
    _check_controller(ctx, message="")
    names = [topic.name for topic in request.topics]
    results: list[CreatableTopicResult] = []
    created: dict[str, CreatedTopic] = {}
    for topic in request.topics:
        if names.count(topic.name) > 1:
            message = "Found multiple entries for this topic."
            results.append(_creation_failed(topic.name, KafkaError(ErrorCode.INVALID_REQUEST, message)))
            continue
        try:
            created[topic.name] = await _create(ctx, request, topic)
        except KafkaError as error:
            results.append(_creation_failed(topic.name, error))
        else:
            results.append(_creation(ctx, created[topic.name], request.validate_only))
    if created and not request.validate_only:
        await _shown(ctx, request.timeout_ms, lambda cache: all(_led(cache, topic) for topic in created.values()))
        for index, result in enumerate(results):
            topic_created = created.get(result.name)
            late = request.timeout_ms <= 0 or not (topic_created and _led(ctx.services.metadata, topic_created))
            if topic_created is not None and late:
                results[index] = _creation_failed(result.name, KafkaError(ErrorCode.REQUEST_TIMED_OUT), result.topic_id)
    return CreateTopicsResponse(topics=results)


async def _create(ctx: Context, request: CreateTopicsRequest, topic: CreatableTopic) -> CreatedTopic:
    admin: TopicAdmin = ctx.services.admin
    wanted = NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        {each.partition_index: tuple(each.broker_ids) for each in topic.assignments},
        {each.name: each.value for each in topic.configs},
    )
    return await admin.create(wanted, validate_only=request.validate_only, timeout=_budget(request.timeout_ms))


def _led(cache: MetadataCache, topic: CreatedTopic) -> bool:
    """Every partition has a leader (and is of this topic, not of a namesake that is being deleted)."""
    partitions = cache.partitions(topic.name)
    if topic.topic_id is not None and cache.topic_id(topic.name) != topic.topic_id:
        return False
    return all(index in partitions and partitions[index].leader > NO_LEADER for index in topic.assignment)


def _creation(ctx: Context, topic: CreatedTopic, validated_only: bool) -> CreatableTopicResult:
    configs: ConfigAdmin = ctx.services.config_admin
    described = configs.describe_topic_settings(topic.name, topic.config.overrides)
    return CreatableTopicResult(
        name=topic.name,
        error_message=None,
        topic_id=ZERO_UUID if validated_only else topic.topic_id or ZERO_UUID,
        num_partitions=len(topic.assignment),
        replication_factor=len(topic.assignment[0]),
        configs=[
            CreatableTopicConfigs(
                name=each.key.name,
                value=each.value,
                read_only=each.read_only,
                config_source=each.source,
                is_sensitive=each.key.sensitive,
            )
            for each in described
        ],
    )


def _creation_failed(name: str, error: KafkaError, topic_id: UUID = ZERO_UUID) -> CreatableTopicResult:
    return CreatableTopicResult(
        name=name, topic_id=topic_id, error_code=error.code, error_message=error.message, configs=[]
    )


# --- delete --------------------------------------------------------------------------------------------------------


@api(ApiKey.DELETE_TOPICS, 0, 6)
async def delete_topics(ctx: Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """By name, from version 6 also by id (KIP-516), never by both; topics that are marked already are waited for too.

    What is asked for by name has no id in the reply.
    """
    _check_controller(ctx)
    if not ctx.services.config.delete_topic_enable:
        raise KafkaError(ErrorCode.TOPIC_DELETION_DISABLED if ctx.version >= 3 else ErrorCode.INVALID_REQUEST)
    if any(topic.name is not None and topic.topic_id != ZERO_UUID for topic in request.topics):
        raise KafkaError(ErrorCode.INVALID_REQUEST)
    results = []
    marked: list[tuple[DeletableTopicResult, UUID]] = []
    cache: MetadataCache = ctx.services.metadata
    for name, topic_id in _wanted(ctx, request):
        result = DeletableTopicResult(name=name, topic_id=topic_id)
        results.append(result)
        try:
            result.name = _resolve(cache, name, topic_id)
            known_id = cache.topic_id(result.name)
            await _delete(ctx, request, result.name)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
        else:
            marked.append((result, known_id))
    if marked:
        await _shown(
            ctx, request.timeout_ms, lambda cache: all(_gone(cache, each.name, known_id) for each, known_id in marked)
        )
        for result, known_id in marked:
            if request.timeout_ms <= 0 or not _gone(cache, result.name, known_id):
                result.error_code = ErrorCode.REQUEST_TIMED_OUT
    return DeleteTopicsResponse(responses=results)


def _wanted(ctx: Context, request: DeleteTopicsRequest) -> Iterable[tuple[str | None, UUID]]:
    if ctx.version >= 6:
        return [(topic.name, topic.topic_id) for topic in request.topics]
    return [(name, ZERO_UUID) for name in request.topic_names]


def _resolve(cache: MetadataCache, name: str | None, topic_id: UUID) -> str:
    if name is not None:
        if not cache.has_topic(name):
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return name
    if topic_id == ZERO_UUID:
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)  # what Kafka says of a topic without name and id
    known = cache.topic_name(topic_id)
    if known is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID)
    return known


async def _delete(ctx: Context, request: DeleteTopicsRequest, name: str) -> None:
    admin: TopicAdmin = ctx.services.admin
    await admin.delete(name, timeout=_budget(request.timeout_ms))


def _gone(cache: MetadataCache, name: str | None, topic_id: UUID) -> bool:
    """Whether the topic, or at least the one of this id, left the metadata."""
    return name is None or not cache.has_topic(name) or (topic_id != ZERO_UUID and cache.topic_id(name) != topic_id)


# --- more partitions -----------------------------------------------------------------------------------------------


@api(ApiKey.CREATE_PARTITIONS, 0, 3)
async def create_partitions(ctx: Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse:
    """Extend topics (KIP-195)."""
    _check_controller(ctx)
    names = [topic.name for topic in request.topics]
    results: dict[str, CreatePartitionsTopicResult] = {}
    added: dict[str, Iterable[int]] = {}
    for topic in request.topics:
        results[topic.name] = result = CreatePartitionsTopicResult(name=topic.name)
        try:
            if names.count(topic.name) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic in request.")
            added[topic.name] = await _add_partitions(ctx, request, topic)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
    if added and not request.validate_only:
        await _shown(ctx, request.timeout_ms, lambda cache: all(_extended(cache, *each) for each in added.items()))
        for name, partitions in added.items():
            if request.timeout_ms <= 0 or not _extended(ctx.services.metadata, name, partitions):
                results[name].error_code = ErrorCode.REQUEST_TIMED_OUT
    return CreatePartitionsResponse(results=list(results.values()))


async def _add_partitions(
    ctx: Context, request: CreatePartitionsRequest, topic: CreatePartitionsTopic
) -> Iterable[int]:
    if ctx.services.controller.is_marked_for_deletion(topic.name):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "The topic is queued for deletion.")
    admin: TopicAdmin = ctx.services.admin
    given = None if topic.assignments is None else [each.broker_ids for each in topic.assignments]
    return await admin.add_partitions(
        topic.name,
        topic.count,
        given,
        validate_only=request.validate_only,
        timeout=_budget(request.timeout_ms),
    )


def _extended(cache: MetadataCache, name: str, partitions: Iterable[int]) -> bool:
    known = cache.partitions(name)
    return all(index in known and known[index].leader > NO_LEADER for index in partitions)
