"""Producer ids, from blocks of a thousand (org.apache.kafka.coordinator.transaction.ProducerIdManager; facts G.1).

A block comes from the controller (AllocateProducerIds, KIP-730), or below 3.0 from ZooKeeper, written by this broker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from broker.cluster.ibp import ALLOCATE_PRODUCER_IDS, Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Peers, PeerUnreachable
from broker.config import KafkaConfig
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import GetData, SetData, ZkCode, ZkError
from broker.zk.znodes import ProducerIdBlock

logger = logging.getLogger(__name__)

BLOCK: Final = 1000
_LOW: Final = BLOCK // 10
_LARGEST: Final = (1 << 63) - 1
_TIMEOUT: Final = 10.0
_PATIENCE: Final = 1.0
"""Seconds that a producer waits for a block: then it may find a broker that has one, while ZooKeeper is away."""

Allocate = Callable[[], Awaitable[range]]


class ProducerIds:
    """Hands out ids; ``allocate`` brings the next block and raises KafkaError where it cannot."""

    def __init__(self, allocate: Allocate) -> None:
        self._allocate = allocate
        self._block = range(0)
        self._next_block = range(0)
        self._allocating: asyncio.Task[None] | None = None

    async def next(self) -> int:
        """An id that no producer of this cluster has had. Raises KafkaError COORDINATOR_LOAD_IN_PROGRESS: try again."""
        while not self._block:
            if self._next_block:
                self._block, self._next_block = self._next_block, range(0)
            else:
                await self._wait_for_block()
        taken, self._block = self._block[0], self._block[1:]
        if len(self._block) <= _LOW and not self._next_block:
            self._fill()  # ahead of need, so that nobody waits while the controller is away
        return taken

    async def _wait_for_block(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(self._fill())
        except TimeoutError:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "no block of producer ids came yet") from None

    def _fill(self) -> asyncio.Task[None]:
        if self._allocating is None:
            self._allocating = asyncio.ensure_future(self._take_block())
            self._allocating.add_done_callback(self._filled)
        return self._allocating

    def _filled(self, filled: asyncio.Task[None]) -> None:
        self._allocating = None
        if not filled.cancelled() and filled.exception() is not None:
            logger.info("producer ids: %s", filled.exception())

    async def _take_block(self) -> None:
        self._next_block = await self._allocate()


def from_controller(
    config: KafkaConfig, ibp: Ibp, peers: Peers, metadata: MetadataCache, broker_epoch: Callable[[], int]
) -> Allocate:
    """Blocks by AllocateProducerIds."""

    async def allocate() -> range:
        controller = metadata.controller_id
        endpoint = metadata.endpoint(controller, config.inter_broker_listener())
        if endpoint is None:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "no controller is known yet")
        line = peers.line(controller, endpoint.host, endpoint.port, str(config.broker_id))
        request = AllocateProducerIdsRequest(broker_id=config.broker_id, broker_epoch=broker_epoch())
        try:
            version = ibp.version(ALLOCATE_PRODUCER_IDS)
            response: AllocateProducerIdsResponse = await line.send(ALLOCATE_PRODUCER_IDS, version, request, _TIMEOUT)
        except PeerUnreachable as error:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, str(error)) from error
        finally:
            line.close()
        if response.error_code:
            logger.info("producer ids: controller %d answered %d", controller, response.error_code)
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "the controller gave no producer ids")
        return range(response.producer_id_start, response.producer_id_start + response.producer_id_len)

    return allocate


def from_zookeeper(zk: ZooKeeperClient, broker_id: int) -> Allocate:
    """Blocks written to ``/latest_producer_id_block`` on condition of its version (ZkProducerIdManager)."""

    async def allocate() -> range:
        try:
            while True:
                [found] = await zk.request([GetData(znodes.PRODUCER_ID_BLOCK)], _TIMEOUT)
                found.or_raise()
                latest = ProducerIdBlock.decode(found.data)
                first = latest.last + 1 if latest is not None else 0
                if first > _LARGEST - BLOCK:
                    raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, "all producer ids are used up")
                block = ProducerIdBlock(broker_id, first, first + BLOCK - 1)
                write = SetData(znodes.PRODUCER_ID_BLOCK, block.encode(), found.version)
                [written] = await zk.request([write], _TIMEOUT)
                if written.ok:
                    return range(block.first, block.last + 1)
                if written.code != ZkCode.BAD_VERSION:
                    written.or_raise()
        except ZkError as error:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, str(error)) from error

    return allocate
