"""The settings of one topic, typed (org.apache.kafka.storage.internals.log.LogConfig)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from broker.config.keys import MAX_LONG, BadValue, Key
from broker.config.topic_keys import TOPIC_KEY, TOPIC_KEYS


class InvalidTopicConfig(ValueError):
    """A topic setting that does not exist, or whose value is not allowed; the text is what Kafka would say.

    ``of_value``: it is the value of one setting that is wrong (ConfigException, and not InvalidConfigurationException).
    """

    def __init__(self, message: str, *, of_value: bool = False) -> None:
        super().__init__(message)
        self.of_value = of_value


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Every attribute is a topic setting of the same name. Immutable: a change makes another one.

    ``overrides`` are those that the topic itself sets (its znode in ``/config/topics``), as text.
    """

    cleanup_policy: tuple[str, ...]
    compression_type: str
    compression_gzip_level: int
    compression_lz4_level: int
    compression_zstd_level: int
    delete_retention_ms: int
    file_delete_delay_ms: int
    flush_messages: int
    flush_ms: int
    follower_replication_throttled_replicas: tuple[str, ...]
    index_interval_bytes: int
    leader_replication_throttled_replicas: tuple[str, ...]
    local_retention_bytes: int
    local_retention_ms: int
    max_compaction_lag_ms: int
    max_message_bytes: int
    message_downconversion_enable: bool
    message_format_version: str
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    message_timestamp_difference_max_ms: int
    message_timestamp_type: str
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    min_insync_replicas: int
    preallocate: bool
    remote_log_copy_disable: bool
    remote_log_delete_on_disable: bool
    remote_storage_enable: bool
    retention_bytes: int
    retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    segment_jitter_ms: int
    segment_ms: int
    unclean_leader_election_enable: bool
    overrides: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(**attributes: Any) -> LogConfig:
        """Defaults, save for ``attributes``; for tests and tools."""
        values = {key.attribute: key.default for key in TOPIC_KEYS}
        unknown = sorted(attributes.keys() - values.keys())
        if unknown:
            raise TypeError(f"no such topic setting: {', '.join(unknown)}")
        return LogConfig(**(values | attributes))

    def with_overrides(self, overrides: Mapping[str, str]) -> LogConfig:
        """These settings with a topic's own on top; earlier overrides are forgotten only if named again.

        Raises :class:`InvalidTopicConfig` for a name or value that is not allowed.
        """
        values = {topic_key(name).attribute: parse_topic_value(name, text) for name, text in overrides.items()}
        changed = replace(self, **values, overrides={**self.overrides, **overrides})
        changed.check()
        _check_tiered(values)
        return changed

    def check(self) -> None:
        """The rules between settings (LogConfig.validateValues)."""
        if self.min_compaction_lag_ms > self.max_compaction_lag_ms:
            raise InvalidTopicConfig(
                f"conflict topic config setting min.compaction.lag.ms ({self.min_compaction_lag_ms}) > "
                f"max.compaction.lag.ms ({self.max_compaction_lag_ms})"
            )

    @property
    def compact(self) -> bool:
        return "compact" in self.cleanup_policy

    @property
    def delete(self) -> bool:
        return "delete" in self.cleanup_policy

    @property
    def timestamp_before_max_ms(self) -> int:
        """How far in the past a record's timestamp may lie; the deprecated setting acts where this one is not set."""
        own = self.message_timestamp_before_max_ms
        return self.message_timestamp_difference_max_ms if own == MAX_LONG else own

    @property
    def timestamp_after_max_ms(self) -> int:
        """How far in the future a record's timestamp may lie."""
        own = self.message_timestamp_after_max_ms
        return self.message_timestamp_difference_max_ms if own == MAX_LONG else own

    def value_text(self, name: str) -> str | None:
        """The effective value of topic setting ``name``, as DescribeConfigs shows it."""
        key = topic_key(name)
        return key.format(getattr(self, key.attribute))


def _check_tiered(values: Mapping[str, Any]) -> None:
    """What a broker without tiered storage says of a topic that wants it."""
    if values.get("remote_log_delete_on_disable") or values.get("remote_log_copy_disable"):
        names = "`remote.log.delete.on.disable` or `remote.log.copy.disable`"
        raise InvalidTopicConfig(f"It is invalid to set {names} under Zookeeper's mode.")
    if values.get("remote_storage_enable"):
        what = "Tiered Storage functionality is disabled in the broker."
        raise InvalidTopicConfig(f"{what} Topic cannot be configured with remote log storage.", of_value=True)


def topic_key(name: str) -> Key:
    """The row of a topic setting. Raises :class:`InvalidTopicConfig`."""
    key = TOPIC_KEY.get(name)
    if key is None:
        raise InvalidTopicConfig(f"Unknown topic config name: {name}")
    return key


def parse_topic_value(name: str, text: str) -> Any:
    """The typed value of ``text`` for topic setting ``name``. Raises :class:`InvalidTopicConfig`."""
    try:
        return topic_key(name).parse(text)
    except BadValue as error:
        raise InvalidTopicConfig(str(error), of_value=True) from None
