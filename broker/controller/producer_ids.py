"""Blocks of producer ids, no id twice (ZkProducerIdManager.getNewProducerIdBlock, KIP-730)."""

from __future__ import annotations

from broker.controller.conversation import Transition, Turn, ask, guarded
from broker.controller.events import AllocateProducerIds, Reply
from broker.wire.errors import ErrorCode
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.zk import znodes
from broker.zk.operations import GetData, SetData, ZkCode
from broker.zk.znodes import ProducerIdBlock

BLOCK_SIZE = 1000
LARGEST_ID = (1 << 63) - 1


def allocate_producer_ids(turn: Turn, event: AllocateProducerIds) -> Transition[None]:
    """The next block, for a broker that is registered with the epoch that it names."""
    request: AllocateProducerIdsRequest = event.request
    response = AllocateProducerIdsResponse()
    turn.effects.append(Reply(event.token, response))
    epoch = turn.context.broker_epoch(request.broker_id)
    if epoch is None:
        response.error_code = ErrorCode.BROKER_ID_NOT_REGISTERED
    elif epoch != request.broker_epoch:
        response.error_code = ErrorCode.STALE_BROKER_EPOCH
    else:
        block = yield from _next_block(turn, request.broker_id)
        if block is None:
            response.error_code = ErrorCode.UNKNOWN_SERVER_ERROR
        else:
            response.producer_id_start, response.producer_id_len = block.first, BLOCK_SIZE


def _next_block(turn: Turn, broker: int) -> Transition[ProducerIdBlock | None]:
    """None when all ids are used up. A write that lost is tried again behind the winner's block."""
    while True:
        found = (yield from ask([GetData(znodes.PRODUCER_ID_BLOCK)]))[0].or_raise()
        former = ProducerIdBlock.decode(found.data)
        first = 0 if former is None else former.last + 1
        if first > LARGEST_ID - BLOCK_SIZE:
            return None
        block = ProducerIdBlock(broker, first, first + BLOCK_SIZE - 1)
        write = SetData(znodes.PRODUCER_ID_BLOCK, block.encode(), found.version)
        result = (yield from guarded(turn, [[write]]))[0]
        if result.code is not ZkCode.BAD_VERSION:
            result.or_raise()
            return block
