"""InitProducerId, for idempotent producers (kafka.server.KafkaApis.handleInitProducerIdRequest)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.api.context import Context
from broker.api.table import api
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.init_producer_id import InitProducerIdRequest, InitProducerIdResponse

if TYPE_CHECKING:
    from broker.coordinator.producer_ids import ProducerIds


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
