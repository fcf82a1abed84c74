"""The broker's log directories and every log in them (kafka.log.LogManager). [interface; bodies follow]"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from broker.host import Host

if TYPE_CHECKING:
    from broker.config import KafkaConfig, LogConfig
    from broker.storage.log import Log
    from broker.storage.meta_properties import MetaProperties


class LogDirs:
    """Order of life: ``lock_and_read_meta`` -> (broker id, cluster id decided) -> ``write_meta`` -> ``load`` -> ``start`` ->
    ... -> ``stop``.

    ``on_dir_failed(dir, [(topic, partition), ...])`` after a dir went offline: its logs are already gone from here;
    ``on_fatal(reason)`` when the last dir went offline or an fsync failed: the process must end without ``stop``.
    """

    def __init__(
        self,
        host: Host,
        config: KafkaConfig,
        on_dir_failed: Callable[[str, list[tuple[str, int]]], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        raise NotImplementedError

    def lock_and_read_meta(self) -> list[MetaProperties]:
        """Make the dirs, lock each (``.lock``) and read ``meta.properties``; unusable dirs go offline.

        Raises ValueError with a line for the user when another process holds a dir, or when the dirs disagree.
        """
        raise NotImplementedError

    async def write_meta(self, broker_id: int, cluster_id: str) -> None:
        """Write ``meta.properties`` in each live dir, durably."""
        raise NotImplementedError

    async def load(self, config_of: Callable[[str], LogConfig]) -> None:
        """Open every log; recover those of a dir without clean mark. ``config_of(topic)``: defaults plus overrides."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin retention, flush and checkpoints."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Clean shutdown: flush, snapshots, checkpoints, then the clean mark in each live dir; locks released."""
        raise NotImplementedError

    def get(self, topic: str, partition: int) -> Log | None:
        raise NotImplementedError

    def logs(self) -> Iterator[Log]:
        """Every online log, in order of topic and partition creation."""
        raise NotImplementedError

    def get_or_create(self, topic: str, partition: int, topic_id: UUID | None, config: LogConfig, is_new: bool) -> Log:
        """The log, made in the live dir with the fewest when absent.

        Raises KafkaError KAFKA_STORAGE_ERROR when absent, not ``is_new`` and some dir is offline (facts E.10), and
        INCONSISTENT_TOPIC_ID when the log has another id.
        """
        raise NotImplementedError

    def delete(self, topic: str, partition: int) -> None:
        """Take the log away at once (renamed ``-delete``); its files go after file.delete.delay.ms."""
        raise NotImplementedError

    def update_config(self, topic: str, config: LogConfig) -> None:
        """New settings for every log of the topic."""
        raise NotImplementedError

    def is_offline(self, topic: str, partition: int) -> bool:
        """Whether the log was in a dir that went offline."""
        raise NotImplementedError

    live_dirs: tuple[str, ...]
    offline_dirs: tuple[str, ...]

    def checkpoint_high_watermarks(self) -> None:
        """Write ``replication-offset-checkpoint`` of each live dir now (also done every 5 s)."""
        raise NotImplementedError
