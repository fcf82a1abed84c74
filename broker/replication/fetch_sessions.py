"""Fetch sessions, the server's side (kafka.server.FetchSession, FetchSessionCache; KIP-227, facts D.10).

A session remembers the partitions that a client reads, so that a request names only what changed and a reply carries
only what is new. Ours also remembers which partitions have *news*: an incremental fetch of a thousand quiet partitions
looks at none of them. A fetch without a session is a session for the time of one request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

from broker.wire.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from broker.replication.hosted import HostedPartition
    from broker.replication.purgatory import Parked, Wake

NO_SESSION: Final = 0
FINAL_EPOCH: Final = -1
INITIAL_EPOCH: Final = 0
_LAST_EPOCH: Final = 0x7FFFFFFF
_EVICTABLE_AFTER: Final = 120.0
_UNREPORTED: Final = -1


class WantedPartition(Protocol):
    """A partition of a Fetch request, as ``FetchPartition`` has it."""

    partition: int
    current_leader_epoch: int
    fetch_offset: int
    last_fetched_epoch: int
    log_start_offset: int
    partition_max_bytes: int


class WantedTopic(Protocol):
    topic: str
    topic_id: UUID

    @property
    def partitions(self) -> Iterable[WantedPartition]: ...


class Forgotten(Protocol):
    topic: str
    topic_id: UUID
    partitions: list[int]


Key = tuple[str | UUID, int]


class Reader:
    """One partition as one client reads it. ``replica_id`` is -1 for consumers.

    ``has_news`` while there may be something to send or to learn: bytes, offsets, an error, a follower that may join.
    """

    __slots__ = (
        "has_news",
        "hosted",
        "index",
        "last_epoch",
        "leader_epoch",
        "log_start",
        "max_bytes",
        "offset",
        "replica_id",
        "sent_high_watermark",
        "sent_log_start",
        "session",
        "topic",
        "topic_id",
    )

    def __init__(self, session: FetchSession, topic: str, topic_id: UUID, wanted: WantedPartition) -> None:
        self.session = session
        self.replica_id = session.replica_id
        self.topic = topic
        self.topic_id = topic_id
        self.index = wanted.partition
        self.hosted: HostedPartition | None = None
        self.sent_high_watermark = _UNREPORTED
        self.sent_log_start = _UNREPORTED
        self.has_news = False
        self.take(wanted)

    def take(self, wanted: WantedPartition) -> None:
        """What the client says now."""
        self.offset = wanted.fetch_offset
        self.max_bytes = wanted.partition_max_bytes
        self.leader_epoch = max(wanted.current_leader_epoch, -1)
        self.last_epoch = wanted.last_fetched_epoch
        self.log_start = wanted.log_start_offset

    def tell(self, *, wake: bool) -> None:
        """There may be news; ``wake``: of a kind that a parked fetch waits for.

        While no fetch is parked nothing more needs to be told until the next one has looked: so a session whose client
        is gone costs its partitions nothing.
        """
        session = self.session
        if not self.has_news:
            self.has_news = True
            session.news[self] = None
        if session.parked is not None:
            if wake:
                session.wake.add(session.parked)
        elif not session.is_reading:  # else it may be parked next, and must be told of what comes then
            self.register(None)

    def settle(self) -> None:
        """Everything is sent and nothing is expected."""
        self.has_news = False
        self.session.news.pop(self, None)

    def requeue(self) -> None:
        """It got its share; the others come first the next time (fairness)."""
        self.session.news.pop(self, None)
        self.session.news[self] = None
        self.has_news = True

    def register(self, hosted: HostedPartition | None) -> None:
        """Be told by ``hosted``, and by no other."""
        if hosted is not self.hosted:
            if self.hosted is not None:
                self.hosted.readers.pop(self, None)
            self.hosted = hosted
            if hosted is not None:
                hosted.readers[self] = None

    def is_unreported(self, high_watermark: int, log_start: int) -> bool:
        return self.sent_high_watermark != high_watermark or self.sent_log_start != log_start

    def reported(self, high_watermark: int, log_start: int, error: int) -> None:
        """An error makes the next success be reported, whatever it says."""
        self.sent_high_watermark = _UNREPORTED if error else high_watermark
        self.sent_log_start = log_start


class FetchSession:
    """``session_id`` 0: for one request only. ``fetched_at`` is the monotonic arrival of its latest request.

    ``reads_followers``: its consumer may be answered by a follower (KIP-392, Fetch from version 11 on), if it names the
    leader epoch; one that does not is sent to the leader, which Kafka leaves to the client.
    """

    __slots__ = (
        "created_at",
        "epoch",
        "fetched_at",
        "is_reading",
        "news",
        "parked",
        "readers",
        "reads_followers",
        "replica_id",
        "session_id",
        "uses_topic_ids",
        "wake",
    )

    def __init__(self, session_id: int, replica_id: int, uses_topic_ids: bool, wake: Wake, now: float) -> None:
        self.session_id = session_id
        self.replica_id = replica_id
        self.uses_topic_ids = uses_topic_ids
        self.reads_followers = False
        self.wake = wake
        self.epoch = 1
        self.created_at = now
        self.fetched_at = now
        self.readers: dict[Key, Reader] = {}
        self.news: dict[Reader, None] = {}
        self.parked: Parked | None = None
        self.is_reading = False

    def update(self, topics: Iterable[WantedTopic]) -> None:
        """Add or change the partitions that a request names; each has news."""
        for topic in topics:
            name: str | UUID = topic.topic_id if self.uses_topic_ids else topic.topic
            for wanted in topic.partitions:
                reader = self.readers.get((name, wanted.partition))
                if reader is None:
                    reader = Reader(self, topic.topic, topic.topic_id, wanted)
                    self.readers[name, wanted.partition] = reader
                else:
                    reader.take(wanted)
                reader.tell(wake=False)

    def forget(self, topics: Iterable[Forgotten]) -> None:
        for topic in topics:
            name: str | UUID = topic.topic_id if self.uses_topic_ids else topic.topic
            for index in topic.partitions:
                reader = self.readers.pop((name, index), None)
                if reader is not None:
                    self._release(reader)

    def next_epoch(self) -> None:
        """0 is the mark of a full fetch, so the count goes on with 1."""
        self.epoch = 1 if self.epoch == _LAST_EPOCH else self.epoch + 1

    def close(self) -> None:
        for reader in self.readers.values():
            self._release(reader)
        self.readers.clear()

    def _release(self, reader: Reader) -> None:
        reader.settle()
        reader.register(None)


class FetchSessions:
    """The sessions of this broker, at most ``slots``. Times are monotonic seconds."""

    def __init__(self, slots: int, random: Random, wake: Wake) -> None:
        self._slots = slots
        self._random = random
        self._wake = wake
        self._sessions: dict[int, FetchSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[FetchSession]:
        return iter(self._sessions.values())

    def open(
        self, session_id: int, epoch: int, replica_id: int, uses_topic_ids: bool, now: float
    ) -> tuple[FetchSession, bool]:
        """(session, whether the fetch is full) for a request. ``session_id`` of the session is 0 where none is granted.

        Raises KafkaError FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if session_id != NO_SESSION:
                self._close(session_id)
            granted = self._new_id(replica_id, now) if epoch == INITIAL_EPOCH else NO_SESSION
            session = FetchSession(granted, replica_id, uses_topic_ids, self._wake, now)
            if granted != NO_SESSION:
                self._sessions[granted] = session
            return session, True
        return self._continue(session_id, epoch, uses_topic_ids, now), False

    def _continue(self, session_id: int, epoch: int, uses_topic_ids: bool, now: float) -> FetchSession:
        session = self._sessions.get(session_id)
        if session is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        if session.uses_topic_ids != uses_topic_ids:
            raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
        session.next_epoch()
        session.fetched_at = now
        del self._sessions[session_id]
        self._sessions[session_id] = session  # kept in order of use
        return session

    def _new_id(self, replica_id: int, now: float) -> int:
        if len(self._sessions) >= self._slots and not self._evict(replica_id >= 0, now):
            return NO_SESSION
        while True:
            session_id = self._random.randrange(1, _LAST_EPOCH)
            if session_id not in self._sessions:
                return session_id

    def _evict(self, privileged: bool, now: float) -> bool:
        """Make room: one that is idle, else an old one of a consumer where a follower asks (facts D.10)."""
        for session in self._sessions.values():
            idle = now - session.fetched_at > _EVICTABLE_AFTER and session.parked is None
            lesser = privileged and session.replica_id < 0 and now - session.created_at > _EVICTABLE_AFTER
            if idle or (lesser and session.parked is None):
                self._close(session.session_id)
                return True
        return False

    def end(self, session: FetchSession) -> None:
        """Its client is gone, or it was for one request only; whoever comes again begins with a full fetch."""
        if self._sessions.get(session.session_id) is session:
            del self._sessions[session.session_id]
        session.close()

    def _close(self, session_id: int) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            session.close()
