"""AlterPartitionReassignments and ListPartitionReassignments: moving partitions (KafkaApis; KIP-455)."""

from __future__ import annotations

from broker.api.context import Context
from broker.api.table import api
from broker.controller.driver import Controller
from broker.wire.errors import KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)
from broker.wire.messages.list_partition_reassignments import (
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
)


@api(ApiKey.ALTER_PARTITION_REASSIGNMENTS, 0, 0)
async def alter_partition_reassignments(
    ctx: Context, request: AlterPartitionReassignmentsRequest
) -> AlterPartitionReassignmentsResponse:
    """Begins moves, or with a null target cancels them; they go on after the answer."""
    controller: Controller = ctx.services.controller
    targets = {
        (topic.name, each.partition_index): each.replicas for topic in request.topics for each in topic.partitions
    }
    try:
        outcomes = await controller.reassign_partitions(targets)
    except KafkaError as error:
        return AlterPartitionReassignmentsResponse(error_code=int(error.code), error_message=error.message)
    by_topic: dict[str, list[ReassignablePartitionResponse]] = {}
    for (topic, index), (code, message) in outcomes.items():
        answer = ReassignablePartitionResponse(partition_index=index, error_code=code, error_message=message)
        by_topic.setdefault(topic, []).append(answer)
    return AlterPartitionReassignmentsResponse(
        responses=[ReassignableTopicResponse(name=topic, partitions=answers) for topic, answers in by_topic.items()]
    )


@api(ApiKey.LIST_PARTITION_REASSIGNMENTS, 0, 0)
async def list_partition_reassignments(
    ctx: Context, request: ListPartitionReassignmentsRequest
) -> ListPartitionReassignmentsResponse:
    """What is on its way; null topics: all of it."""
    controller: Controller = ctx.services.controller
    asked = None
    if request.topics is not None:
        asked = [(topic.name, index) for topic in request.topics for index in topic.partition_indexes]
    try:
        found = await controller.list_reassignments(asked)
    except KafkaError as error:
        return ListPartitionReassignmentsResponse(error_code=int(error.code), error_message=error.message)
    by_topic: dict[str, list[OngoingPartitionReassignment]] = {}
    for (topic, index), moving in found.items():
        ongoing = OngoingPartitionReassignment(
            partition_index=index,
            replicas=list(moving.replicas),
            adding_replicas=list(moving.adding),
            removing_replicas=list(moving.removing),
        )
        by_topic.setdefault(topic, []).append(ongoing)
    return ListPartitionReassignmentsResponse(
        topics=[OngoingTopicReassignment(name=topic, partitions=moves) for topic, moves in by_topic.items()]
    )
