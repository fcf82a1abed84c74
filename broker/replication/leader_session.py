"""Fetch sessions, the follower's side (org.apache.kafka.clients.FetchSessionHandler; KIP-227, facts D.10)."""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID

from broker.replication.follower import Question
from broker.wire.errors import ErrorCode

_LAST_EPOCH: Final = 0x7FFFFFFF

Key = tuple[str, int]


class Forgotten(NamedTuple):
    """A partition by the id under which the leader's session knows it."""

    key: Key
    topic_id: UUID | None


class LeaderSession:
    """What the leader's session holds of ours. ``epoch`` 0: the next fetch is a full one, and asks for a session.

    ``stated`` is the question that the leader's session has for each partition; ``dirty`` those that must be stated
    again, or not at all, with the next fetch; ``topic_ids`` under which id each was stated, where ids are used.
    """

    def __init__(self) -> None:
        self.session_id = 0
        self.epoch = 0
        self.stated: dict[Key, Question] = {}
        self.topic_ids: dict[Key, UUID | None] = {}
        self.dirty: dict[Key, None] = {}

    @property
    def is_full(self) -> bool:
        return self.epoch == 0

    def touch(self, key: Key) -> None:
        """What is to be asked of this partition may have changed, or it is followed no longer."""
        self.dirty[key] = None

    def state(self, key: Key, question: Question, topic_id: UUID | None) -> None:
        """The next fetch says this."""
        self.stated[key] = question
        self.topic_ids[key] = topic_id

    def retract(self, key: Key) -> Forgotten | None:
        """What to take out of the leader's session so that it holds ``key`` no longer; None if it does not."""
        if self.stated.pop(key, None) is None:
            return None
        return Forgotten(key, self.topic_ids.pop(key, None))

    def begin_again(self, keys: list[Key], error: int = 0) -> None:
        """The session is lost or refused: state everything anew. A session that may live is closed by that fetch."""
        if error == ErrorCode.FETCH_SESSION_ID_NOT_FOUND:
            self.session_id = 0
        self.epoch = 0
        self.stated.clear()
        self.topic_ids.clear()
        self.dirty = dict.fromkeys(keys)

    def accepted(self, session_id: int) -> None:
        """The leader answered without an error for the whole; 0 means that it grants no session, or ended it."""
        if session_id == 0 or (self.epoch and session_id != self.session_id):
            self.session_id = self.epoch = 0
            return
        self.session_id = session_id
        self.epoch = 1 if self.epoch == _LAST_EPOCH else self.epoch + 1
