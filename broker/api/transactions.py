"""InitProducerId, for idempotent producers, and DescribeProducers, what they last wrote (kafka.server.KafkaApis)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.admin.topic_names import check_name
from broker.api.context import Context
from broker.api.table import api
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)
from broker.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

if TYPE_CHECKING:
    from broker.coordinator.producer_ids import ProducerIds
    from broker.replication.replicas import Replicas


@api(ApiKey.INIT_PRODUCER_ID, 0, 5)
async def init_producer_id(ctx: Context, request: InitProducerIdRequest) -> InitProducerIdResponse:
    """A new producer id, epoch 0. A transactional id has no coordinator here: COORDINATOR_NOT_AVAILABLE."""
    if request.transactional_id == "":
        return _refused(ErrorCode.INVALID_REQUEST)
    if (request.producer_id < 0) != (request.producer_epoch < 0):
        return _refused(ErrorCode.INVALID_REQUEST)
    if request.transactional_id is not None:
        return _refused(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    producer_ids: ProducerIds = ctx.services.producer_ids
    try:
        return InitProducerIdResponse(producer_id=await producer_ids.next(), producer_epoch=0)
    except KafkaError as error:
        return _refused(error.code)


def _refused(error: ErrorCode) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=int(error), producer_id=-1, producer_epoch=-1)


@api(ApiKey.DESCRIBE_PRODUCERS, 0, 0)
def describe_producers(ctx: Context, request: DescribeProducersRequest) -> DescribeProducersResponse:
    """Of each replica here, the producers that its log remembers; any replica tells, not the leader alone (KIP-664)."""
    response = DescribeProducersResponse()
    for topic in request.topics:
        answers = [_producers(ctx.services.replicas, topic.name, index) for index in topic.partition_indexes]
        response.topics.append(TopicResponse(name=topic.name, partitions=answers))
    return response


def _producers(replicas: Replicas, topic: str, index: int) -> PartitionResponse:
    try:
        check_name(topic)
        if not replicas.metadata.has_topic(topic):
            unknown = "This server does not host this topic-partition."
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, unknown)
        producers = replicas.partition(topic, index).log.producers.producers
    except KafkaError as error:
        return PartitionResponse(partition_index=index, error_code=int(error.code), error_message=error.message)
    states = [
        ProducerState(
            producer_id=producer_id,
            producer_epoch=known.epoch,
            last_sequence=known.last_sequence,
            last_timestamp=known.last_timestamp,
            coordinator_epoch=known.coordinator_epoch,
            current_txn_start_offset=known.txn_first_offset,
        )
        for producer_id, known in producers.items()
    ]
    return PartitionResponse(partition_index=index, active_producers=states)
