"""Changing the ISR: AlterPartition at the controller (kafka.server.AlterPartitionManager); see also ``zookeeper_isr``.

Whichever way, a proposal ends as accepted, refused (surely not written: back to the committed ISR), or stays pending
until the next LeaderAndIsr, because falling back to a smaller ISR than the one that may have been written loses data:

    answer (facts B.14)                                                          the proposal
    NONE                                                                         accepted
    INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED                                  refused
    UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, FENCED_LEADER_EPOCH,
    INVALID_UPDATE_VERSION, INVALID_REQUEST                                      stays pending
    any other, any error of the whole request, no answer at all                  is sent again
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from broker.cluster.ibp import ALTER_PARTITION, Ibp
from broker.cluster.metadata_cache import ZERO_UUID, MetadataCache
from broker.cluster.peers import Line, Peers, PeerUnreachable
from broker.config import KafkaConfig
from broker.host import Clock
from broker.replication.hosted import HostedPartition
from broker.replication.partition import Effects, Proposal
from broker.wire.errors import ErrorCode
from broker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    RequestPartitionData,
    RequestTopicData,
    ResponsePartitionData,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.05

Perform = Callable[[HostedPartition, Effects], None]


class Verdict(Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    PENDING = "stays pending"
    RETRY = "is sent again"


_VERDICTS: Final = {
    ErrorCode.NONE: Verdict.ACCEPTED,
    ErrorCode.INELIGIBLE_REPLICA: Verdict.REFUSED,
    ErrorCode.OPERATION_NOT_ATTEMPTED: Verdict.REFUSED,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: Verdict.PENDING,
    ErrorCode.UNKNOWN_TOPIC_ID: Verdict.PENDING,
    ErrorCode.FENCED_LEADER_EPOCH: Verdict.PENDING,
    ErrorCode.INVALID_UPDATE_VERSION: Verdict.PENDING,
    ErrorCode.INVALID_REQUEST: Verdict.PENDING,
}


def verdict(error: int) -> Verdict:
    """What becomes of a proposal that was answered with ``error``."""
    return _VERDICTS.get(error, Verdict.RETRY)  # type: ignore[call-overload, no-any-return]


class Waiting(NamedTuple):
    hosted: HostedPartition
    proposal: Proposal

    @property
    def still_stands(self) -> bool:
        return self.hosted.partition.pending is self.proposal


class AlterPartitionChanges:
    """Proposals to the controller: one request in flight, with all that wait for it; IBP from 2.7 (KIP-497)."""

    def __init__(
        self,
        config: KafkaConfig,
        ibp: Ibp,
        clock: Clock,
        peers: Peers,
        metadata: MetadataCache,
        broker_epoch: Callable[[], int],
        perform: Perform,
    ) -> None:
        self._config = config
        self._ibp = ibp
        self._clock = clock
        self._peers = peers
        self._metadata = metadata
        self._broker_epoch = broker_epoch
        self._perform = perform
        self._waiting: dict[tuple[str, int], Waiting] = {}
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None

    def propose(self, hosted: HostedPartition, proposal: Proposal) -> None:
        """Send it soon; what was proposed for that partition before is void."""
        self._waiting[hosted.topic, hosted.index] = Waiting(hosted, proposal)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        """Until nothing waits; the next proposal begins again."""
        while self._waiting:
            try:
                settled = await self._send()
            except PeerUnreachable as error:
                logger.info("AlterPartition: %s", error)
                settled = False
            except Exception:
                logger.exception("AlterPartition failed; it is sent again")
                settled = False
            if not settled:
                await self._clock.sleep(RETRY_SECONDS)
        self._task = None

    async def _send(self) -> bool:
        """One request with all that waits; False when something is to be sent again."""
        self._waiting = {key: each for key, each in self._waiting.items() if each.still_stands}
        sent = dict(self._waiting)
        if not sent:
            return True
        known = all(each.hosted.topic_id for each in sent.values())
        version = self._ibp.alter_partition_version(topic_ids_known=known)
        line = self._controller_line()
        response = await self._ask(line, version, self._request(list(sent.values()), version))
        if response.error_code:
            logger.info("AlterPartition: controller %d answered %s", line.broker_id, _name(response.error_code))
            return False
        names = {each.hosted.topic_id: each.hosted.topic for each in sent.values()}
        for topic in response.topics:
            name = names.get(topic.topic_id, "") if version >= 2 else topic.topic_name
            for answer in topic.partitions:
                waiting = sent.get((name, answer.partition_index))
                if waiting is not None:
                    self._answered(waiting, answer)
        return not any(self._waiting.get(key) is each for key, each in sent.items())

    async def _ask(self, line: Line, version: int, request: AlterPartitionRequest) -> AlterPartitionResponse:
        """A controller that is silent is waited for only as long as it is the controller. Raises PeerUnreachable."""
        timeout = self._config.controller_socket_timeout_ms / 1000
        answer = line.send(ALTER_PARTITION, version, request, timeout)
        replaced = asyncio.ensure_future(
            self._metadata.wait_for(lambda seen: seen.controller_id != line.broker_id, timeout)
        )
        try:
            await asyncio.wait([answer, replaced], return_when=asyncio.FIRST_COMPLETED)
        finally:
            replaced.cancel()
        if not answer.done():
            line.close()
            self._line = None
        response: AlterPartitionResponse = await answer
        return response

    def _controller_line(self) -> Line:
        """The line to whoever is controller now. Raises PeerUnreachable while nobody knows."""
        controller = self._metadata.controller_id
        endpoint = self._metadata.endpoint(controller, self._config.inter_broker_listener())
        if endpoint is None:
            raise PeerUnreachable("no controller is known")
        line = self._line
        if line is None or (line.broker_id, line.host, line.port) != (controller, endpoint.host, endpoint.port):
            if line is not None:
                line.close()
            client_id = str(self._config.broker_id)
            line = self._line = self._peers.line(controller, endpoint.host, endpoint.port, client_id)
        return line

    def _request(self, sent: list[Waiting], version: int) -> AlterPartitionRequest:
        topics: dict[str, RequestTopicData] = {}
        for hosted, proposal in sent:
            topic = topics.setdefault(
                hosted.topic, RequestTopicData(topic_name=hosted.topic, topic_id=hosted.topic_id or ZERO_UUID)
            )
            data = RequestPartitionData(
                partition_index=hosted.index,
                leader_epoch=proposal.leader_epoch,
                partition_epoch=proposal.partition_epoch,
            )
            if version >= 3:  # the epochs of brokers are KRaft's; -1 is not looked at
                data.new_isr_with_epochs = [BrokerState(broker_id=replica) for replica in proposal.isr]
            else:
                data.new_isr = list(proposal.isr)
            topic.partitions.append(data)
        return AlterPartitionRequest(
            broker_id=self._config.broker_id, broker_epoch=self._broker_epoch(), topics=list(topics.values())
        )

    def _answered(self, waiting: Waiting, answer: ResponsePartitionData) -> None:
        hosted, proposal = waiting
        end = verdict(answer.error_code)
        if answer.error_code:
            logger.info("%s isr proposal was answered %s, %s", hosted, _name(answer.error_code), end.value)
        if end is Verdict.RETRY:
            return
        key = (hosted.topic, hosted.index)
        if self._waiting.get(key) is waiting:
            del self._waiting[key]
        now = self._clock.monotonic()
        if end is Verdict.ACCEPTED:
            effects = hosted.partition.isr_accepted(
                proposal, answer.leader_epoch, tuple(answer.isr), answer.partition_epoch, now
            )
            self._perform(hosted, effects)
        elif end is Verdict.REFUSED:
            self._perform(hosted, hosted.partition.isr_refused(proposal, now))


def _name(error: int) -> str:
    try:
        return ErrorCode(error).name
    except ValueError:
        return f"error {error}"
