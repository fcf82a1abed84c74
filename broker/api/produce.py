"""Produce (kafka.server.KafkaApis.handleProduceRequest, ReplicaManager.appendRecords).

The life of a batch: each partition's batch is appended (``replicas.append``: admitted, checked, written, announced to
followers); with acks=all the reply then waits until the high watermark has passed them all.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from broker.api.context import NO_REPLY, Close, Context, Later, NoReply
from broker.api.leaders import MOVED, endpoints_of, leader_of
from broker.api.table import api
from broker.host import LogDirFailed
from broker.replication.purgatory import WaitingProduce
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.hot import produce_reply
from broker.wire.keys import ApiKey
from broker.wire.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from broker.wire.validation import InvalidRecords, NeedsWorker, Walked, needs_worker, validate

if TYPE_CHECKING:
    from broker.replication.replicas import Appended, Replicas

ALL: Final = -1
INTERNAL_TOPICS: Final = frozenset({"__consumer_offsets", "__transaction_state"})
_ADMIN_CLIENT: Final = "__admin_client"
_ZSTD: Final = 4
_NAMES_LEADERS: Final = 10
_WITHOUT_LOG_START: Final = frozenset(
    {
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.RECORD_LIST_TOO_LARGE,
        ErrorCode.KAFKA_STORAGE_ERROR,
    }
)
"""Errors of an append that do not say where the log begins (ReplicaManager.appendToLocalLog)."""
_SAID_OF_KNOWN: Final = frozenset(
    {
        ErrorCode.INVALID_RECORD,
        ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        ErrorCode.INVALID_TXN_STATE,
    }
)
"""Errors of records that are found before the partition is looked up, and stand behind its being unknown."""

Answer = ProduceResponse | bytes | NoReply | Close


@api(ApiKey.PRODUCE, 0, 11)
def produce(ctx: Context, request: ProduceRequest) -> Answer | Later:
    """Append every partition's batch, in the order of the request; errors stand in the partition's place."""
    if request.acks not in (0, 1, ALL):
        raise KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
    return _Produce(ctx, request).begin()


class _Produce:
    """One request under way."""

    __slots__ = ("_ctx", "_later", "_replicas", "_request", "_response", "_waiting")

    def __init__(self, ctx: Context, request: ProduceRequest) -> None:
        self._ctx = ctx
        self._request = request
        self._replicas: Replicas = ctx.services.replicas
        self._response = ProduceResponse()
        self._waiting: WaitingProduce | None = None
        self._later: Later | None = None

    def begin(self) -> Answer | Later:
        """Append all; batches that are large once inflated are validated by a worker first, and hold the connection."""
        large: list[tuple[str, PartitionProduceData, PartitionProduceResponse]] = []
        for topic in self._request.topic_data:
            answers = []
            for data in topic.partition_data:
                answer = PartitionProduceResponse(index=data.index, base_offset=-1)
                try:
                    self._append(topic.name, data, answer, None)
                except NeedsWorker:
                    large.append((topic.name, data, answer))
                answers.append(answer)
            if answers:
                self._response.responses.append(TopicProduceResponse(name=topic.name, partition_responses=answers))
        if large:
            self._later = Later(holds=True)
            task = asyncio.ensure_future(self._append_large(large, self._later))
            self._later.on_drop = partial(_cancel, task)  # keeps the task alive, too
            return self._later
        return self._end()

    async def _append_large(
        self, large: list[tuple[str, PartitionProduceData, PartitionProduceResponse]], later: Later
    ) -> None:
        host = self._ctx.services.host
        try:
            for topic, data, answer in large:
                try:
                    rules = self._replicas.leader(topic, data.index).log.rules
                    work = host.workers.compute(validate, bytes(data.records or b""), rules, host.clock.wall_ms())
                    self._append(topic, data, answer, await work)
                except KafkaError as error:
                    _refuse(answer, error)
        except Exception as error:  # noqa: BLE001 - whatever escapes a handler is the dispatcher's to log and answer
            later.fail(error)
            return
        later.on_drop = self._waiting.drop if self._waiting is not None else None
        answer_now = self._end()
        if answer_now is not later:
            later.complete(answer_now)

    def _append(
        self, topic: str, data: PartitionProduceData, answer: PartitionProduceResponse, walked: Walked | None
    ) -> None:
        """One partition; raises NeedsWorker only."""
        records = None
        try:
            records = self._checked(topic, data)
            if walked is None and needs_worker(records):
                raise NeedsWorker
            appended = self._replicas.append(topic, data.index, records, self._request.acks, walked=walked)
        except KafkaError as error:
            hosted = self._replicas.get(topic, data.index)
            if hosted is None and error.code in _SAID_OF_KNOWN and not self._is_known(topic, data.index):
                error = KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            _refuse(answer, error)
            if records is not None and hosted is not None and error.code not in _WITHOUT_LOG_START:
                answer.log_start_offset = hosted.log.log_start_offset
        except LogDirFailed:
            answer.error_code = int(ErrorCode.KAFKA_STORAGE_ERROR)
        else:
            self._appended(appended, answer)
        data.records = None  # lets go of the connection's buffer, which is not used again while someone looks at it

    def _checked(self, topic: str, data: PartitionProduceData) -> batches.Buffer:
        """What the request's version allows (facts C.7). Raises KafkaError."""
        records, version = data.records, self._ctx.version
        if topic in INTERNAL_TOPICS and self._ctx.client_id != _ADMIN_CLIENT:
            if not self._ctx.services.metadata.has_topic(topic):
                raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"clients may not write to {topic}")
        if records is None or len(records) <= batches.MAGIC_AT:
            raise KafkaError(ErrorCode.INVALID_RECORD, "exactly one record batch is expected")
        magic = batches.magic_at(records)
        if not 0 <= magic <= 2:
            raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"Invalid magic found in record: {magic}")
        if magic < 2 and version < 3:
            raise KafkaError(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, f"message format {magic} is not accepted")
        if magic != 2 or not batches.HEADER_SIZE <= len(records) == batches.size_at(records):
            raise KafkaError(ErrorCode.INVALID_RECORD, "exactly one record batch of magic 2 is expected")
        attributes = records[batches.ATTRIBUTES_AT + 1]
        if attributes & batches.CODEC_MASK == _ZSTD and version < 7:
            raise KafkaError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce version 7")
        if attributes & batches.TRANSACTIONAL:
            if self._request.transactional_id is None:
                raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            raise KafkaError(ErrorCode.INVALID_TXN_STATE, "this partition is in no transaction")
        return records

    def _is_known(self, topic: str, index: int) -> bool:
        return self._ctx.services.metadata.partition(topic, index) is not None

    def _appended(self, appended: Appended, answer: PartitionProduceResponse) -> None:
        hosted, info = appended
        answer.base_offset = info.first_offset
        answer.log_append_time_ms = info.log_append_time
        answer.log_start_offset = info.log_start_offset
        if self._request.acks == ALL:
            if self._waiting is None:
                self._waiting = WaitingProduce(self._answer)
            self._waiting.wait_for(hosted.acks, info.last_offset + 1, answer)

    def _end(self) -> Answer | Later:
        """Everything is appended: answer, or wait for the high watermark."""
        if self._request.acks == 0:
            return self._without_reply()
        if self._waiting is None:
            return self._named()
        self._waiting.release()
        if not self._waiting.is_waiting:
            return self._named()
        if self._later is None:
            self._later = Later(on_drop=self._waiting.drop)
        self._waiting.park(self._ctx.services.host.clock, self._request.timeout_ms / 1000)
        return self._later

    def _answer(self) -> None:
        """All partitions are done, or the time is up."""
        if self._later is not None:
            self._later.complete(self._named())

    def _named(self) -> ProduceResponse | bytes:
        """The response, with the new leaders of what moved (KIP-951)."""
        response = self._response
        if len(response.responses) == 1 and len(response.responses[0].partition_responses) == 1:
            [topic], [only] = response.responses, response.responses[0].partition_responses
            if not only.error_code:
                return produce_reply(
                    self._ctx.version,
                    self._ctx.correlation_id,
                    topic.name,
                    only.index,
                    0,
                    only.base_offset,
                    only.log_append_time_ms,
                    only.log_start_offset,
                )
        if self._ctx.version < _NAMES_LEADERS:
            return response
        moved = []
        for topic in response.responses:
            for answer in topic.partition_responses:
                if answer.error_code in MOVED:
                    leader = leader_of(self._ctx, topic.name, answer.index)
                    answer.current_leader = LeaderIdAndEpoch(leader_id=leader[0], leader_epoch=leader[1])
                    moved.append(leader.leader_id)
        if moved:
            response.node_endpoints = endpoints_of(self._ctx, moved, NodeEndpoint)
        return response

    def _without_reply(self) -> NoReply | Close:
        """acks=0: a producer learns of an error by the end of its connection, and then refreshes its metadata."""
        for topic in self._response.responses:
            for answer in topic.partition_responses:
                if answer.error_code:
                    error = ErrorCode(answer.error_code).name
                    return Close(f"produce with acks=0 to {topic.name}-{answer.index}: {error}")
        return NO_REPLY


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _refuse(answer: PartitionProduceResponse, error: KafkaError) -> None:
    answer.error_code = int(error.code)
    answer.error_message = error.message
    if isinstance(error, InvalidRecords):
        answer.record_errors = [
            BatchIndexAndErrorMessage(batch_index=index, batch_index_error_message=message)
            for index, message in error.record_errors
        ]
