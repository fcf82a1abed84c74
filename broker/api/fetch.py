"""Fetch (kafka.server.KafkaApis.handleFetchRequest), for consumers and followers alike.

The session says which partitions are read, ``replicas.fetch`` reads them or parks the request; what comes out is made a
reply here, and is remembered in the session as said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.api.context import Context, Later
from broker.api.leaders import MOVED, endpoints_of, leader_of
from broker.api.table import api
from broker.replication.reads import FetchLimits, PartitionRead
from broker.wire.errors import ErrorCode
from broker.wire.hot import Buffer, fetch_reply
from broker.wire.keys import ApiKey
from broker.wire.messages.fetch import (
    AbortedTransaction,
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionData,
)

if TYPE_CHECKING:
    from broker.replication.fetch_sessions import FetchSession
    from broker.replication.replicas import Replicas

_FIRST_WITH_SESSIONS: Final = 7
_FOLLOWERS_ANSWER_CONSUMERS: Final = 11
_FIRST_WITH_TOPIC_IDS: Final = 13
_FIRST_WITH_REPLICA_STATE: Final = 15
_NAMES_LEADERS: Final = 16
_STORAGE_ERROR_IS_KNOWN: Final = 6
_READ_COMMITTED: Final = 1
_NO_SESSION_EPOCH: Final = -1
_UNKNOWN_TOPICS: Final = (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID)
"""Said before anything is read: their aborted transactions are an empty list, those of other errors null."""


@api(ApiKey.FETCH, 4, 17)
def fetch(ctx: Context, request: FetchRequest) -> FetchResponse | list[Buffer] | Later:
    """Read, or wait up to ``max_wait_ms`` for ``min_bytes``. Session errors stand at the top of the reply (KIP-227)."""
    replicas: Replicas = ctx.services.replicas
    version = ctx.version
    replica_id = request.replica_state.replica_id if version >= _FIRST_WITH_REPLICA_STATE else request.replica_id
    has_sessions = version >= _FIRST_WITH_SESSIONS
    session, full = replicas.sessions.open(
        request.session_id if has_sessions else 0,
        request.session_epoch if has_sessions else _NO_SESSION_EPOCH,
        replica_id,
        version >= _FIRST_WITH_TOPIC_IDS,
        ctx.arrived,
    )
    session.reads_followers = version >= _FOLLOWERS_ANSWER_CONSUMERS and replica_id < 0
    session.update(request.topics)
    session.forget(request.forgotten_topics_data)
    found = replicas.fetch(session, full, _limits(ctx, request, replica_id))
    if isinstance(found, list):
        return _reply(ctx, session, found)
    parked = found

    def dropped() -> None:
        parked.drop()
        replicas.sessions.end(session)

    later = Later(holds=True, on_drop=dropped)
    parked.on_done = lambda reads: later.complete(_reply(ctx, session, reads))
    return later


def _limits(ctx: Context, request: FetchRequest, replica_id: int) -> FetchLimits:
    """Consumers are held to fetch.max.bytes (KIP-541)."""
    most = request.max_bytes
    if replica_id < 0:
        most = min(most, ctx.services.config.fetch_max_bytes)
    committed = request.isolation_level == _READ_COMMITTED and replica_id < 0
    return FetchLimits(min(request.min_bytes, most), most, request.max_wait_ms / 1000, committed)


def _reply(ctx: Context, session: FetchSession, found: list[PartitionRead]) -> FetchResponse | list[Buffer]:
    if len(found) == 1 and not (found[0].error or found[0].diverging):
        return _common_reply(ctx, session, found[0])
    response = FetchResponse(session_id=session.session_id)
    last: FetchableTopicResponse | None = None
    name: object = None
    moved: list[int] = []
    for read in found:
        reader = read.reader
        key = reader.topic_id if session.uses_topic_ids else reader.topic
        if last is None or key != name:
            last = FetchableTopicResponse(topic=reader.topic, topic_id=reader.topic_id)
            response.responses.append(last)
            name = key
        data = _data(ctx, read)
        last.partitions.append(data)
        reader.reported(read.high_watermark, read.log_start, read.error)
        if data.error_code in MOVED and ctx.version >= _NAMES_LEADERS:
            leader = leader_of(ctx, reader.topic, reader.index)
            data.current_leader = LeaderIdAndEpoch(leader_id=leader.leader_id, leader_epoch=leader.leader_epoch)
            moved.append(leader.leader_id)
    if moved:
        response.node_endpoints = endpoints_of(ctx, moved, NodeEndpoint)
    if session.session_id == 0:
        session.close()
    return response


def _common_reply(ctx: Context, session: FetchSession, read: PartitionRead) -> list[Buffer]:
    """Records of one partition, with nothing more to say: by far the most replies."""
    reader = read.reader
    reader.reported(read.high_watermark, read.log_start, 0)
    frame = fetch_reply(
        ctx.version,
        ctx.correlation_id,
        session.session_id,
        reader.topic,
        reader.topic_id,
        reader.index,
        0,
        read.high_watermark,
        read.last_stable_offset,
        read.log_start,
        read.records,
        committed=read.aborted is not None,
    )
    if session.session_id == 0:
        session.close()
    return frame


def _data(ctx: Context, read: PartitionRead) -> PartitionData:
    error = read.error
    if error == ErrorCode.KAFKA_STORAGE_ERROR and ctx.version < _STORAGE_ERROR_IS_KNOWN:
        error = int(ErrorCode.NOT_LEADER_OR_FOLLOWER)  # older clients do not know it, and would not try again
    data = PartitionData(
        partition_index=read.reader.index,
        error_code=error,
        high_watermark=read.high_watermark,
        last_stable_offset=read.last_stable_offset,
        log_start_offset=read.log_start,
        records=read.records,
    )
    if read.diverging is not None:
        data.diverging_epoch = EpochEndOffset(epoch=read.diverging[0], end_offset=read.diverging[1])
    if error not in _UNKNOWN_TOPICS:
        data.aborted_transactions = None
    if read.aborted is not None:
        data.aborted_transactions = [
            AbortedTransaction(producer_id=producer, first_offset=first) for producer, first in read.aborted
        ]
    return data
