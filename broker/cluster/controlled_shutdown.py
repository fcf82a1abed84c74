"""Handing leadership over before a stop (KafkaServer.controlledShutdown; facts B.13)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from broker.cluster.ibp import CONTROLLED_SHUTDOWN, Ibp
from broker.cluster.metadata_cache import MetadataCache
from broker.cluster.peers import Peers, PeerUnreachable
from broker.config import KafkaConfig
from broker.host import Clock
from broker.wire.errors import ErrorCode
from broker.wire.messages.controlled_shutdown import ControlledShutdownRequest, ControlledShutdownResponse

log = logging.getLogger(__name__)


class ControlledShutdown:
    """Asks the controller, whoever it is, to let other replicas lead what this broker leads."""

    def __init__(
        self,
        config: KafkaConfig,
        clock: Clock,
        peers: Peers,
        ibp: Ibp,
        metadata: MetadataCache,
        controller_id: Callable[[], int],
    ) -> None:
        """``controller_id``: as ``/controller`` last said; -1 nobody."""
        self._config = config
        self._clock = clock
        self._peers = peers
        self._version = ibp.version(CONTROLLED_SHUTDOWN)
        self._metadata = metadata
        self._controller_id = controller_id

    async def perform(self, broker_epoch: int) -> bool:
        """True once nothing replicated is led here. Tries ``controlled.shutdown.max.retries`` times; raises nothing."""
        tries = self._config.controlled_shutdown_max_retries
        for attempt in range(1, tries + 1):
            failure = await self._try(broker_epoch)
            if failure is None:
                log.info("controlled shutdown succeeded")
                return True
            log.warning("controlled shutdown, try %d of %d: %s", attempt, tries, failure)
            if self._is_last():
                log.warning("no other broker is left to lead: going on without handing leadership over")
                return False
            if attempt < tries:
                await self._clock.sleep(self._config.controlled_shutdown_retry_backoff_ms / 1000)
        log.warning("proceeding to do an unclean shutdown as all the controlled shutdown attempts failed")
        return False

    def _is_last(self) -> bool:
        """Waiting for somebody to take over, as Kafka does, would only hold up the stop of a whole cluster."""
        return [broker.broker_id for broker in self._metadata.brokers()] == [self._config.broker_id]

    async def _try(self, broker_epoch: int) -> str | None:
        """None when it succeeded, else why not."""
        controller = self._controller_id()
        endpoint = self._metadata.endpoint(controller, self._config.inter_broker_listener())
        if endpoint is None:
            return "there is no controller" if controller < 0 else f"controller {controller} is not known"
        line = self._peers.line(controller, endpoint.host, endpoint.port, str(self._config.broker_id))
        request = ControlledShutdownRequest(broker_id=self._config.broker_id, broker_epoch=broker_epoch)
        try:
            timeout = self._config.controller_socket_timeout_ms / 1000
            reply: ControlledShutdownResponse = await line.send(CONTROLLED_SHUTDOWN, self._version, request, timeout)
        except PeerUnreachable as error:
            return str(error)
        finally:
            line.close()
        if reply.error_code:
            return f"controller {controller} answered {ErrorCode(reply.error_code).name}"
        if reply.remaining_partitions:
            left = ", ".join(f"{each.topic_name}-{each.partition_index}" for each in reply.remaining_partitions)
            return f"still leading {left}"
        return None
