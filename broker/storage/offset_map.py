"""The newest offset of each key in the dirty part of a log (SkimpyOffsetMap; facts E.7).

Kafka keeps 16 bytes of MD5 per key. Here the key itself is kept where it is short, and BLAKE2b's 32 bytes otherwise, so
that two keys are never taken for one; what that costs counts against log.cleaner.dedupe.buffer.size.
"""

from __future__ import annotations

from hashlib import blake2b

LONG_KEY = 32
"""Bytes from which a key is kept as its digest; the two cannot be confused, for keys kept whole are shorter."""
BYTES_PER_KEY = 33 + 32 + 104
"""CPython: header of a bytes object, an int, and a dict's share with its room to grow."""


class OffsetMap:
    """``latest`` is the highest offset whose batch was looked at: what lies past it is nobody's to judge."""

    __slots__ = ("_bytes", "_limit", "_offsets", "latest")

    def __init__(self, limit: int) -> None:
        """``limit``: bytes that it may take."""
        self._offsets: dict[bytes, int] = {}
        self._limit = limit
        self._bytes = 0
        self.latest = -1

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def is_full(self) -> bool:
        return self._bytes >= self._limit

    def put(self, key: bytes, offset: int) -> None:
        """``key`` was written at ``offset``; what is known to be newer stays."""
        if len(key) >= LONG_KEY:
            key = blake2b(key, digest_size=LONG_KEY).digest()
        known = self._offsets.get(key)
        if known is None:
            self._bytes += BYTES_PER_KEY + len(key)
        elif known > offset:
            return
        self._offsets[key] = offset

    def get(self, key: bytes) -> int:
        """-1 when the key was not written in the dirty part."""
        if len(key) >= LONG_KEY:
            key = blake2b(key, digest_size=LONG_KEY).digest()
        return self._offsets.get(key, -1)
