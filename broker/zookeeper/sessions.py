"""Sessions: ids, passwords, time-outs, and which are over (SessionTrackerImpl).

A machine: ``now`` is monotonic seconds. A session is over ``timeout`` after its last packet, never earlier; ZooKeeper
rounds the moment up to its next tick, here it is exact. A lost connection alone ends no session. After a restart every
session of the log gets a full new time-out.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac


class Session:
    """One client's session. ``deadline`` moves with every packet."""

    __slots__ = ("deadline", "id", "timeout_ms")

    def __init__(self, session_id: int, timeout_ms: int, now: float) -> None:
        self.id = session_id
        self.timeout_ms = timeout_ms
        self.deadline = now + timeout_ms / 1000


class Sessions:
    """``key`` is the server's secret: a password is HMAC(key, id), so it survives restarts and cannot be guessed."""

    def __init__(self, key: bytes, min_timeout_ms: int, max_timeout_ms: int) -> None:
        self._key = key
        self._min_ms = min_timeout_ms
        self._max_ms = max_timeout_ms
        self._sessions: dict[int, Session] = {}
        self._queue: list[tuple[float, int]] = []
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def get(self, session_id: int) -> Session | None:
        return self._sessions.get(session_id)

    def negotiate(self, timeout_ms: int) -> int:
        """The time-out asked for, within the server's bounds."""
        return max(self._min_ms, min(self._max_ms, timeout_ms))

    def next_id(self, wall_ms: int) -> int:
        """A new id: server number 1, 40 bits of milliseconds, a counter; always above every id seen before."""
        first = (1 << 56) | ((wall_ms & 0xFFFFFFFFFF) << 16)
        self._last_id = max(self._last_id + 1, first)
        return self._last_id

    def seen(self, session_id: int) -> None:
        """An id of the log: new ones are above it."""
        if 0 < session_id < (2 << 56):
            self._last_id = max(self._last_id, session_id)

    def password(self, session_id: int) -> bytes:
        """16 bytes."""
        raw = (session_id & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")
        return hmac.digest(self._key, raw, hashlib.sha256)[:16]

    def is_password(self, session_id: int, password: bytes | None) -> bool:
        return hmac.compare_digest(self.password(session_id), password or b"")

    def open(self, session_id: int, timeout_ms: int, now: float) -> Session:
        """Track a session; one that is known gets the new time-out."""
        session = Session(session_id, timeout_ms, now)
        self._sessions[session_id] = session
        heapq.heappush(self._queue, (session.deadline, session_id))
        self.seen(session_id)
        return session

    def touch(self, session: Session, now: float) -> None:
        session.deadline = now + session.timeout_ms / 1000

    def close(self, session_id: int) -> None:
        self._sessions.pop(session_id, None)

    def due(self, now: float) -> list[int]:
        """Sessions that are over, oldest deadline first. They stay tracked until :meth:`close`."""
        over: list[int] = []
        while self._queue and self._queue[0][0] <= now:
            deadline, session_id = heapq.heappop(self._queue)
            session = self._sessions.get(session_id)
            if session is None:
                continue
            if session.deadline <= now:
                over.append(session_id)
            else:
                heapq.heappush(self._queue, (max(session.deadline, deadline), session_id))
        return list(dict.fromkeys(over))

    def next_deadline(self) -> float | None:
        """When to ask :meth:`due` again; it may be earlier than any session really ends."""
        return self._queue[0][0] if self._queue else None
