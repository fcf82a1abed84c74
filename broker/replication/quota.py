"""How fast replication may go, a machine (kafka.server.ReplicationQuotaManager, metrics.stats.SimpleRate; KIP-73).

Bytes are counted in samples of a second or so. The rate is all that the last samples hold over the time that they span
(at least one of them), so that a burst is paid for by the seconds after it. Whoever is over the limit does not begin
anything; what has begun is counted when it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from broker.config import KafkaConfig

EVERY = "*"


class Throttle:
    """``limit``: bytes a second now, None for none. Times are monotonic seconds."""

    __slots__ = ("_limit", "_samples", "_seconds", "_span")

    def __init__(self, samples: int, seconds: float, limit: Callable[[], float | None]) -> None:
        self._seconds = seconds
        self._span = samples * seconds
        self._limit = limit
        self._samples: deque[list[float]] = deque()  # [when it began, bytes]

    def record(self, size: int, now: float) -> None:
        """So many bytes were sent, fetched or copied."""
        samples = self._samples
        if not samples or now - samples[-1][0] >= self._seconds:
            samples.append([now, 0])
        samples[-1][1] += size
        self._forget(now)

    def rate(self, now: float) -> float:
        """Bytes a second of late."""
        self._forget(now)
        if not self._samples:
            return 0.0
        return sum(size for _, size in self._samples) / max(now - self._samples[0][0], self._seconds)

    def is_exceeded(self, now: float) -> bool:
        limit = self._limit()
        return limit is not None and self.rate(now) > limit

    def _forget(self, now: float) -> None:
        while self._samples and now - self._samples[0][0] >= self._span:
            self._samples.popleft()


class Throttles:
    """The three of one broker; rates are dynamic settings, and read whenever they are asked for."""

    __slots__ = ("_broker_id", "follower", "leader", "moves")

    def __init__(self, config: KafkaConfig) -> None:
        self._broker_id = config.broker_id
        samples, seconds = config.replication_quota_window_num, config.replication_quota_window_size_seconds
        self.leader = Throttle(samples, seconds, lambda: config.leader_replication_throttled_rate)
        self.follower = Throttle(samples, seconds, lambda: config.follower_replication_throttled_rate)
        self.moves = Throttle(
            config.alter_log_dirs_replication_quota_window_num,
            config.alter_log_dirs_replication_quota_window_size_seconds,
            lambda: config.replica_alter_log_dirs_io_max_bytes_per_second,
        )

    def names(self, throttled: tuple[str, ...], partition: int) -> bool:
        """Whether a topic's list of throttled replicas (``partition:broker``, or ``*``) names the one that is here."""
        return bool(throttled) and (EVERY in throttled or f"{partition}:{self._broker_id}" in throttled)
