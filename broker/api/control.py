"""What the controller tells brokers, and brokers the controller (kafka.server.KafkaApis, facts C.4, B.13, B.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from broker.api.context import Context
from broker.api.table import api
from broker.cluster.metadata_cache import ZERO_UUID
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.wire.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from broker.wire.messages.controlled_shutdown import (
    ControlledShutdownRequest,
    ControlledShutdownResponse,
    RemainingPartition,
)
from broker.wire.messages.leader_and_isr import (
    LeaderAndIsrPartitionError,
    LeaderAndIsrRequest,
    LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
)
from broker.wire.messages.stop_replica import StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse
from broker.wire.messages.update_metadata import UpdateMetadataRequest, UpdateMetadataResponse

if TYPE_CHECKING:
    from broker.controller.driver import Controller
    from broker.replication.role_changes import RoleChanges

_ERRORS_BY_TOPIC_ID = 5


@api(ApiKey.LEADER_AND_ISR, 0, 7)
async def leader_and_isr(ctx: Context, request: LeaderAndIsrRequest) -> LeaderAndIsrResponse:
    """Lead and follow as told; a partition's error does not keep the others from changing."""
    roles: RoleChanges = ctx.services.role_changes
    if new := _topics_without_log(ctx, request):
        await ctx.services.load_topic_settings(new)
    try:
        errors = roles.become_leader_or_follower(request)
    except KafkaError as error:
        return LeaderAndIsrResponse(error_code=int(error.code))
    await ctx.services.logdirs.forget_removed()
    if ctx.version < _ERRORS_BY_TOPIC_ID:
        return LeaderAndIsrResponse(
            partition_errors=[
                LeaderAndIsrPartitionError(topic_name=topic, partition_index=index, error_code=int(code))
                for (topic, index), code in errors.items()
            ]
        )
    ids = {topic.topic_name: topic.topic_id for topic in request.topic_states}
    topics: dict[UUID, LeaderAndIsrTopicError] = {}
    for (topic, index), code in errors.items():
        topic_id = ids.get(topic, ZERO_UUID)
        answer = topics.setdefault(topic_id, LeaderAndIsrTopicError(topic_id=topic_id))
        answer.partition_errors.append(LeaderAndIsrPartitionError(partition_index=index, error_code=int(code)))
    return LeaderAndIsrResponse(topics=list(topics.values()))


def _topics_without_log(ctx: Context, request: LeaderAndIsrRequest) -> list[str]:
    """Those whose settings must be read, since a log is about to be made."""
    wanted = [(state.topic_name, state.partition_index) for state in request.ungrouped_partition_states]
    for topic in request.topic_states:
        wanted += [(topic.topic_name, state.partition_index) for state in topic.partition_states]
    return [topic for topic, index in wanted if ctx.services.logdirs.get(topic, index) is None]


@api(ApiKey.STOP_REPLICA, 0, 4)
async def stop_replica(ctx: Context, request: StopReplicaRequest) -> StopReplicaResponse:
    """Stop serving replicas, and delete those that are marked so: nothing speaks of them any more when it answers."""
    roles: RoleChanges = ctx.services.role_changes
    try:
        errors = roles.stop_replicas(request, ctx.version)
    except KafkaError as error:
        return StopReplicaResponse(error_code=int(error.code))
    await ctx.services.logdirs.forget_removed()
    return StopReplicaResponse(
        partition_errors=[
            StopReplicaPartitionError(topic_name=topic, partition_index=index, error_code=int(code))
            for (topic, index), code in errors.items()
        ]
    )


@api(ApiKey.UPDATE_METADATA, 0, 8)
def update_metadata(ctx: Context, request: UpdateMetadataRequest) -> UpdateMetadataResponse:
    """Take the controller's word for who is alive and who leads; then fetch from leaders that were not known."""
    roles: RoleChanges = ctx.services.role_changes
    try:
        roles.check_epochs(request.controller_epoch, request.broker_epoch)
    except KafkaError as error:
        return UpdateMetadataResponse(error_code=int(error.code))
    roles.metadata_updated(ctx.services.metadata.update(request))
    return UpdateMetadataResponse()


@api(ApiKey.CONTROLLED_SHUTDOWN, 0, 3)
async def controlled_shutdown(ctx: Context, request: ControlledShutdownRequest) -> ControlledShutdownResponse:
    """A broker is about to stop: move its leaderships; answers those that it still leads."""
    controller: Controller = ctx.services.controller
    try:
        remaining = await controller.controlled_shutdown(request.broker_id, request.broker_epoch)
    except KafkaError as error:  # Kafka says that its controller moved on
        moved = error.code == ErrorCode.NOT_CONTROLLER
        return ControlledShutdownResponse(error_code=int(ErrorCode.STALE_CONTROLLER_EPOCH if moved else error.code))
    return ControlledShutdownResponse(
        remaining_partitions=[RemainingPartition(topic_name=topic, partition_index=index) for topic, index in remaining]
    )


@api(ApiKey.ALTER_PARTITION, 0, 3)
async def alter_partition(ctx: Context, request: AlterPartitionRequest) -> AlterPartitionResponse:
    """A leader proposes ISRs (KIP-497)."""
    controller: Controller = ctx.services.controller
    if not controller.is_active:
        return AlterPartitionResponse(error_code=int(ErrorCode.NOT_CONTROLLER))
    return await controller.alter_partition(request, ctx.version)


@api(ApiKey.ALLOCATE_PRODUCER_IDS, 0, 0)
async def allocate_producer_ids(ctx: Context, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse:
    """A broker wants a block of producer ids (KIP-730)."""
    controller: Controller = ctx.services.controller
    if not controller.is_active:
        return AllocateProducerIdsResponse(error_code=int(ErrorCode.NOT_CONTROLLER))
    return await controller.allocate_producer_ids(request)
