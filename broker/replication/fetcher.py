"""Followers' fetching from one leader over one line (kafka.server.ReplicaFetcherThread, RemoteLeaderEndPoint).

A fetcher asks, over one line, what each of its follower machines wants to know, and performs what they make of the
answers: truncate, append verbatim, restart. An answer counts only for a machine that would still ask the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from broker.cluster.ibp import FETCH, LIST_OFFSETS, OFFSET_FOR_LEADER_EPOCH, Ibp
from broker.cluster.metadata_cache import ZERO_UUID
from broker.cluster.peers import Line, PeerUnreachable
from broker.config import KafkaConfig
from broker.host import Clock, LogDirFailed
from broker.replication.followed import Followed
from broker.replication.follower import Append, Effect, Phase, Question
from broker.replication.leader_session import Forgotten, Key, LeaderSession
from broker.replication.partition import Effects
from broker.replication.quota import Throttles
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
    PartitionData,
    ReplicaState,
)
from broker.wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from broker.wire.messages.offset_for_leader_epoch import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
)

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition

logger = logging.getLogger(__name__)

_LATEST: Final = -1
_EARLIEST: Final = -2
_LOOK_AGAIN_SECONDS: Final = 0.1
"""Pause while nothing may be fetched but what is throttled."""


class Fetcher:
    """The partitions that this broker follows at one leader under one fetcher id.

    ``connect(leader, client id)`` gives a line to where UpdateMetadata says that the leader is, or None;
    ``perform(hosted, effects)`` does the partition machine's effects.
    """

    def __init__(
        self,
        leader: int,
        fetcher_id: int,
        config: KafkaConfig,
        ibp: Ibp,
        clock: Clock,
        connect: Callable[[int, str], Line | None],
        broker_epoch: Callable[[], int],
        perform: Callable[[HostedPartition, Effects], None],
        throttles: Throttles,
    ) -> None:
        self.leader = leader
        self._throttles = throttles
        self._held_back = False
        self._config = config
        self._ibp = ibp
        self._clock = clock
        self._connect = connect
        self._broker_epoch = broker_epoch
        self._perform = perform
        self._client_id = f"broker-{config.broker_id}-fetcher-{fetcher_id}"
        self._backoff = config.replica_fetch_backoff_ms / 1000
        self._timeout = config.replica_socket_timeout_ms / 1000
        self._line: Line | None = None
        self._followed: dict[Key, Followed] = {}
        self._names: dict[UUID, str] = {}
        self._without_id: dict[Key, None] = {}
        self._session = LeaderSession()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # membership

    def __len__(self) -> int:
        return len(self._followed)

    def __contains__(self, key: object) -> bool:
        return key in self._followed

    def hosted(self) -> list[HostedPartition]:
        """The partitions that are followed here."""
        return [followed.hosted for followed in self._followed.values()]

    def add(self, followed: Followed) -> None:
        """Follow from now on; replaces what was followed under that name."""
        self._followed[followed.key] = followed
        self._session.touch(followed.key)
        if followed.hosted.topic_id is not None:
            self._names[followed.hosted.topic_id] = followed.hosted.topic
            self._without_id.pop(followed.key, None)
        else:
            self._without_id[followed.key] = None
        self._changed.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def remove(self, key: Key) -> None:
        """Follow no longer; an answer that is on its way is dropped."""
        if self._followed.pop(key, None) is not None:
            self._session.touch(key)
            self._without_id.pop(key, None)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._hang_up()

    # asking

    async def _run(self) -> None:
        reachable = True
        while True:
            self._changed.clear()
            began = self._clock.monotonic()
            try:
                asked = await self._ask_once()
                reachable = True
            except PeerUnreachable as error:
                logger.log(logging.INFO if reachable else logging.DEBUG, "%s: %s", self, error)
                reachable = False
                await self._begin_again()
            except Exception:
                logger.exception("%s failed; it begins again", self)  # or its partitions would silently stand still
                await self._begin_again()
            else:
                if not asked:
                    await self._wait_for_work(began)

    async def _begin_again(self) -> None:
        self._hang_up()
        await self._clock.sleep(self._backoff)

    async def _ask_once(self) -> bool:
        """Ask what machines want to know, first where to begin, then records; False when none wants anything."""
        asked = False
        for phase, ask in (
            (Phase.TRUNCATING, self._ask_epochs),
            (Phase.SEEKING_END, self._ask_ends),
            (Phase.SEEKING_START, self._ask_starts),
        ):
            if wanting := self._wanting(phase):
                await ask(wanting)
                asked = True
        return await self._fetch() or asked

    def _wanting(self, phase: Phase) -> list[Followed]:
        """Who is in ``phase`` and not delayed; whoever leaves FETCHING is dirty, so no other needs to be looked at."""
        now = self._clock.monotonic()
        dirty = [self._followed[key] for key in self._session.dirty if key in self._followed]
        return [each for each in dirty if each.follower.phase is phase and each.follower.is_ready(now)]

    async def _wait_for_work(self, looked_at: float) -> None:
        """Until something is added, or the first delay ends; some may have ended since ``looked_at``."""
        now = self._clock.monotonic()
        ends = [each.follower.delayed_until for each in self._followed.values()]
        longest = _LOOK_AGAIN_SECONDS if self._held_back else 3600.0
        delay = min((max(end - now, 0.0) for end in ends if end > looked_at), default=longest)
        timer = self._clock.call_later(delay, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()

    async def _send(self, api_key: int, version: int, request: object) -> Any:
        if self._line is None:
            self._line = self._connect(self.leader, self._client_id)
        if self._line is None:
            raise PeerUnreachable(f"broker {self.leader} is not alive, as far as UpdateMetadata has told")
        return await self._line.send(api_key, version, request, self._timeout)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        self._session.begin_again(list(self._followed))

    def _is_current(self, followed: Followed, asked: Question | None) -> bool:
        """Whether an answer to ``asked`` may be used: the same machine would still ask the same."""
        return self._followed.get(followed.key) is followed and followed.follower.question() == asked

    # where to begin

    async def _ask_epochs(self, wanting: list[Followed]) -> None:
        """OffsetForLeaderEpoch (KIP-101, where fetch replies do not tell)."""
        asked = {each.key: each.follower.question() for each in wanting}
        topics = [
            OffsetForLeaderTopic(
                topic=topic,
                partitions=[
                    OffsetForLeaderPartition(
                        partition=each.hosted.index,
                        current_leader_epoch=each.follower.leader_epoch,
                        leader_epoch=each.follower.last_epoch,
                    )
                    for each in group
                ],
            )
            for topic, group in _by_topic(wanting)
        ]
        request = OffsetForLeaderEpochRequest(replica_id=self._config.broker_id, topics=topics)
        version = self._ibp.version(OFFSET_FOR_LEADER_EPOCH)
        response: OffsetForLeaderEpochResponse = await self._send(OFFSET_FOR_LEADER_EPOCH, version, request)
        for topic in response.topics:
            for answer in topic.partitions:
                followed = self._followed.get((topic.topic, answer.partition))
                if followed is None or not self._is_current(followed, asked.get(followed.key)):
                    continue
                if answer.error_code:
                    self._refused(followed, answer.error_code)
                else:
                    ended = followed.follower.epoch_ended
                    high_watermark = followed.hosted.partition.high_watermark
                    self._guard(followed, ended, answer.leader_epoch, answer.end_offset, high_watermark)

    async def _ask_ends(self, wanting: list[Followed]) -> None:
        await self._ask_offsets(wanting, _LATEST)

    async def _ask_starts(self, wanting: list[Followed]) -> None:
        await self._ask_offsets(wanting, _EARLIEST)

    async def _ask_offsets(self, wanting: list[Followed], timestamp: int) -> None:
        """ListOffsets, after an offset out of range (AbstractFetcherThread.fetchOffsetAndTruncate)."""
        asked = {each.key: each.follower.question() for each in wanting}
        topics = [
            ListOffsetsTopic(
                name=topic,
                partitions=[
                    ListOffsetsPartition(
                        partition_index=each.hosted.index,
                        current_leader_epoch=each.follower.leader_epoch,
                        timestamp=timestamp,
                    )
                    for each in group
                ],
            )
            for topic, group in _by_topic(wanting)
        ]
        request = ListOffsetsRequest(replica_id=self._config.broker_id, topics=topics)
        response: ListOffsetsResponse = await self._send(LIST_OFFSETS, self._ibp.version(LIST_OFFSETS), request)
        for topic in response.topics:
            for answer in topic.partitions:
                followed = self._followed.get((topic.name, answer.partition_index))
                if followed is None or not self._is_current(followed, asked.get(followed.key)):
                    continue
                follower = followed.follower
                if answer.error_code:
                    self._refused(followed, answer.error_code)
                elif timestamp == _LATEST:
                    self._guard(followed, follower.leader_ends_at, answer.offset)
                else:
                    self._guard(followed, follower.leader_starts_at, answer.offset, self._clock.monotonic())

    # records

    async def _fetch(self) -> bool:
        """One fetch of all that are FETCHING; False if none is."""
        session = self._session
        await self._settle()
        stated, forgotten = self._statements()
        if not stated and not session.stated:
            return False
        version = self._ibp.fetch_version(topic_ids_known=not self._without_id)
        request = self._request(stated, forgotten, version)
        for each in stated:
            session.state(each.key, each.follower.question(), each.hosted.topic_id)
        response: FetchResponse = await self._send(FETCH, version, request)
        if response.error_code:
            logger.info("%s: the fetch was answered %s", self, _name(response.error_code))
            if response.error_code not in _SESSION_ERRORS:
                await self._clock.sleep(self._backoff)
            session.begin_again(list(self._followed), response.error_code)
            return True
        session.accepted(response.session_id)
        for topic in response.responses:
            name = self._names.get(topic.topic_id, "") if version >= 13 else topic.topic
            for data in topic.partitions:
                followed = self._followed.get((name, data.partition_index))
                if followed is not None and self._is_current(followed, session.stated.get(followed.key)):
                    self._answered(followed, data)
                elif followed is None and data.error_code:
                    session.begin_again(list(self._followed))  # the leader would repeat it at once, for ever
        return True

    async def _settle(self) -> None:
        """A fetch tells the leader how far we got, so what flush.messages wants synced must be synced before."""
        for key in list(self._session.dirty):
            followed = self._followed.get(key)
            if followed is not None and not followed.hosted.log.durability.is_settled:
                await self._settled(followed)

    async def _settled(self, followed: Followed) -> None:
        log = followed.hosted.log
        while not (log.durability.is_settled or log.dir.is_offline) and self._followed.get(followed.key) is followed:
            await log.durability.wait()

    def _statements(self) -> tuple[list[Followed], list[Forgotten]]:
        """What to state in the next fetch, and what to take out of the leader's session."""
        session, now = self._session, self._clock.monotonic()
        self._held_back = False
        if session.is_full:
            session.begin_again(list(self._followed))
        stated: list[Followed] = []
        forgotten: list[Forgotten] = []
        for key in list(session.dirty):
            followed = self._followed.get(key)
            ready = followed is not None and followed.follower.is_fetching(now) and not self._throttled(followed, now)
            renamed = followed is not None and session.topic_ids.get(key) != followed.hosted.topic_id
            if (not ready or renamed) and (gone := session.retract(key)) is not None:
                forgotten.append(gone)
            if followed is not None and ready:
                stated.append(followed)
            if followed is None or ready:
                del session.dirty[key]
        return stated, forgotten

    def _throttled(self, followed: Followed, now: float) -> bool:
        """Whether this one must wait until follower.replication.throttled.rate lets more through (KIP-73)."""
        throttled = followed.hosted.log.config.follower_replication_throttled_replicas
        if not throttled or followed.in_sync or not self._throttles.names(throttled, followed.hosted.index):
            return False
        held_back = self._throttles.follower.is_exceeded(now)
        self._held_back |= held_back
        return held_back

    def _request(self, stated: list[Followed], forgotten: list[Forgotten], version: int) -> FetchRequest:
        config, by_id = self._config, version >= 13
        topics = [
            FetchTopic(
                topic=topic,
                topic_id=(group[0].hosted.topic_id or ZERO_UUID) if by_id else ZERO_UUID,
                partitions=[self._statement(each) for each in group],
            )
            for topic, group in _by_topic(stated)
        ]
        return FetchRequest(
            replica_id=config.broker_id if version < 15 else -1,
            replica_state=ReplicaState(replica_id=config.broker_id, replica_epoch=self._broker_epoch()),
            max_wait_ms=config.replica_fetch_wait_max_ms,
            min_bytes=config.replica_fetch_min_bytes,
            max_bytes=config.replica_fetch_response_max_bytes,
            session_id=self._session.session_id,
            session_epoch=self._session.epoch,
            topics=topics,
            forgotten_topics_data=[
                ForgottenTopic(topic=topic, topic_id=topic_id or ZERO_UUID, partitions=[index])
                for (topic, index), topic_id in forgotten
            ],
        )

    def _statement(self, followed: Followed) -> FetchPartition:
        follower = followed.follower
        return FetchPartition(
            partition=followed.hosted.index,
            current_leader_epoch=follower.leader_epoch,
            fetch_offset=follower.offset,
            last_fetched_epoch=follower.last_epoch if self._ibp.truncates_on_fetch else -1,
            log_start_offset=followed.hosted.log.log_start_offset,
            partition_max_bytes=self._config.replica_fetch_max_bytes,
        )

    def _answered(self, followed: Followed, data: PartitionData) -> None:
        """What the leader says of one partition, to a question that still stands."""
        follower = followed.follower
        diverging = data.diverging_epoch
        if data.error_code:
            self._refused(followed, data.error_code)
        elif diverging.epoch >= 0:
            high_watermark = followed.hosted.partition.high_watermark
            self._guard(followed, follower.diverged, diverging.epoch, diverging.end_offset, high_watermark)
        else:
            self._guard(followed, self._take, followed, data)

    def _take(self, followed: Followed, data: PartitionData) -> None:
        """Append, then learn what is committed and where the leader's log begins."""
        records = data.records
        if isinstance(followed.follower.fetched(has_records=bool(records)), Append) and records is not None:
            followed.append(records)
        hosted = followed.hosted
        log, partition = hosted.log, hosted.partition
        followed.in_sync = data.high_watermark <= log.log_end_offset
        throttled = log.config.follower_replication_throttled_replicas
        if records and throttled and self._throttles.names(throttled, hosted.index):
            self._throttles.follower.record(len(records), self._clock.monotonic())
        effects = partition.learned(data.high_watermark, log.log_start_offset, log.log_end_offset)
        if effects:
            self._perform(hosted, effects)
        if log.log_start_offset < data.log_start_offset <= log.high_watermark:
            log.increment_log_start_offset(data.log_start_offset)

    # what comes of answers

    def _guard(self, followed: Followed, tell: Callable[..., Effect | None], *answer: Any) -> None:
        """Tell the machine, perform its effect; what our log cannot take fails, or delays, this partition only."""
        self._session.touch(followed.key)
        try:
            followed.do(tell(*answer))
        except LogDirFailed:
            followed.follower.fail()
        except (KafkaError, ValueError) as error:
            logger.warning("%s: what leader %d sent cannot be used: %s", followed.hosted, self.leader, error)
            followed.follower.delay(self._clock.monotonic())

    def _refused(self, followed: Followed, error: int) -> None:
        self._session.touch(followed.key)
        follower = followed.follower
        follower.refused(error, self._clock.monotonic())
        if follower.phase is Phase.FAILED:
            logger.warning("%s is fenced in epoch %d, waits for LeaderAndIsr", followed.hosted, follower.leader_epoch)
        elif follower.phase is Phase.SEEKING_END:
            logger.warning("%s has offset %d, out of its leader's range", followed.hosted, follower.offset)
        else:
            logger.info("%s: leader %d answered %s", followed.hosted, self.leader, _name(error))

    def __str__(self) -> str:
        return f"{self._client_id} of leader {self.leader}"


_SESSION_ERRORS: Final = (
    ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode.INVALID_FETCH_SESSION_EPOCH,
    ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
)


def _by_topic(followed: Iterable[Followed]) -> Iterable[tuple[str, list[Followed]]]:
    groups: dict[str, list[Followed]] = {}
    for each in followed:
        groups.setdefault(each.hosted.topic, []).append(each)
    return groups.items()


def _name(error: int) -> str:
    try:
        return ErrorCode(error).name
    except ValueError:
        return f"error {error}"
