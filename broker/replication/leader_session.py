"""Fetch sessions, the follower's side (org.apache.kafka.clients.FetchSessionHandler; KIP-227, facts D.10)."""

from __future__ import annotations

from typing import Final

from broker.replication.follower import Question
from broker.wire.errors import ErrorCode

_LAST_EPOCH: Final = 0x7FFFFFFF

Key = tuple[str, int]


class LeaderSession:
    """What the leader's session holds of ours. ``epoch`` 0: the next fetch is a full one, and asks for a session.

    ``stated`` is the question that the leader's session has for each partition; ``dirty`` those that must be stated
    again, or not at all, with the next fetch.
    """

    def __init__(self) -> None:
        self.session_id = 0
        self.epoch = 0
        self.stated: dict[Key, Question] = {}
        self.dirty: dict[Key, None] = {}

    @property
    def is_full(self) -> bool:
        return self.epoch == 0

    def touch(self, key: Key) -> None:
        """What is to be asked of this partition may have changed, or it is followed no longer."""
        self.dirty[key] = None

    def begin_again(self, keys: list[Key], error: int = 0) -> None:
        """The session is lost or refused: state everything anew. A session that may live is closed by that fetch."""
        if error == ErrorCode.FETCH_SESSION_ID_NOT_FOUND:
            self.session_id = 0
        self.epoch = 0
        self.stated.clear()
        self.dirty = dict.fromkeys(keys)

    def accepted(self, session_id: int) -> None:
        """The leader answered without an error for the whole; 0 means that it grants no session, or ended it."""
        if session_id == 0 or (self.epoch and session_id != self.session_id):
            self.session_id = self.epoch = 0
            return
        self.session_id = session_id
        self.epoch = 1 if self.epoch == _LAST_EPOCH else self.epoch + 1
