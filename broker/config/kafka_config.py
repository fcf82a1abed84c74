"""The settings of one broker, typed (kafka.server.KafkaConfig)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from broker.config.checks import advertised_error, check_together
from broker.config.endpoints import EndPoint, parse_listeners, parse_protocol_map
from broker.config.group_keys import GROUP_KEYS
from broker.config.keys import BadValue, Key
from broker.config.log_config import LogConfig
from broker.config.log_keys import LOG_KEYS
from broker.config.properties import ConfigError, Entry, Problem, read_properties
from broker.config.server_keys import SERVER_KEYS
from broker.config.topic_keys import TOPIC_KEYS
from broker.host import Host

BROKER_KEYS: tuple[Key, ...] = (*SERVER_KEYS, *LOG_KEYS, *GROUP_KEYS)
BROKER_KEY: dict[str, Key] = {key.name: key for key in BROKER_KEYS}


@dataclass(slots=True, kw_only=True, eq=False)
class KafkaConfig:
    """Every attribute is a broker setting of the same name; None where it is not set and has no default.

    One object for the life of a broker: :meth:`reconfigure` changes it in place, so that everyone who holds it sees
    the dynamic settings (KIP-226). ``originals`` is what the file and the command line say, as text.
    """

    broker_id: int
    broker_id_generation_enable: bool
    reserved_broker_max_id: int
    broker_rack: str | None
    inter_broker_protocol_version: str
    metric_reporters: tuple[str, ...]
    auto_include_jmx_reporter: bool
    process_roles: tuple[str, ...]
    unstable_api_versions_enable: bool
    zookeeper_connect: str
    zookeeper_session_timeout_ms: int
    zookeeper_connection_timeout_ms: int | None
    zookeeper_set_acl: bool
    zookeeper_max_in_flight_requests: int
    zookeeper_ssl_client_enable: bool
    zookeeper_metadata_migration_enable: bool
    listeners: str
    advertised_listeners: str | None
    host_name: str | None
    port: int | None
    advertised_host_name: str | None
    advertised_port: int | None
    listener_security_protocol_map: str
    inter_broker_listener_name: str | None
    security_inter_broker_protocol: str
    control_plane_listener_name: str | None
    early_start_listeners: str | None
    num_network_threads: int
    num_io_threads: int
    background_threads: int
    queued_max_requests: int
    queued_max_request_bytes: int
    request_timeout_ms: int
    socket_send_buffer_bytes: int
    socket_receive_buffer_bytes: int
    socket_request_max_bytes: int
    socket_listen_backlog_size: int
    connections_max_idle_ms: int
    max_connections: int
    max_connections_per_ip: int
    max_connections_per_ip_overrides: str
    max_connection_creation_rate: int
    connection_failed_authentication_delay_ms: int
    message_max_bytes: int
    fetch_max_bytes: int
    max_incremental_fetch_session_cache_slots: int
    max_request_partition_size_limit: int
    auto_create_topics_enable: bool
    delete_topic_enable: bool
    default_replication_factor: int
    num_partitions: int
    auto_leader_rebalance_enable: bool
    leader_imbalance_per_broker_percentage: int
    leader_imbalance_check_interval_seconds: int
    controlled_shutdown_enable: bool
    controlled_shutdown_max_retries: int
    controlled_shutdown_retry_backoff_ms: int
    controller_socket_timeout_ms: int
    kops_controller_fast_failover_enable: bool
    kops_controller_fast_failover_window_ms: int
    controller_quota_window_num: int
    controller_quota_window_size_seconds: int
    create_topic_policy_class_name: str | None
    alter_config_policy_class_name: str | None
    quota_window_num: int
    quota_window_size_seconds: int
    quota_producer_default: int | None
    quota_consumer_default: int | None
    replication_quota_window_num: int
    replication_quota_window_size_seconds: int
    alter_log_dirs_replication_quota_window_num: int
    alter_log_dirs_replication_quota_window_size_seconds: int
    client_quota_callback_class: str | None
    leader_replication_throttled_rate: int | None
    follower_replication_throttled_rate: int | None
    replica_alter_log_dirs_io_max_bytes_per_second: int | None
    log_dir: str
    log_dirs: tuple[str, ...]
    num_recovery_threads_per_data_dir: int
    log_retention_check_interval_ms: int
    log_flush_scheduler_interval_ms: int
    log_flush_offset_checkpoint_interval_ms: int
    log_flush_start_offset_checkpoint_interval_ms: int
    log_dir_failure_timeout_ms: int
    log_initial_task_delay_ms: int
    log_cleanup_policy: tuple[str, ...]
    compression_type: str
    compression_gzip_level: int
    compression_lz4_level: int
    compression_zstd_level: int
    log_segment_bytes: int
    log_segment_delete_delay_ms: int
    log_flush_interval_messages: int
    log_flush_interval_ms: int | None
    log_index_interval_bytes: int
    log_index_size_max_bytes: int
    log_local_retention_bytes: int
    log_local_retention_ms: int
    log_message_downconversion_enable: bool
    log_message_format_version: str
    log_message_timestamp_after_max_ms: int
    log_message_timestamp_before_max_ms: int
    log_message_timestamp_difference_max_ms: int
    log_message_timestamp_type: str
    log_preallocate: bool
    log_retention_bytes: int
    log_retention_ms: int | None
    log_retention_minutes: int | None
    log_retention_hours: int
    log_roll_ms: int | None
    log_roll_hours: int
    log_roll_jitter_ms: int | None
    log_roll_jitter_hours: int
    min_insync_replicas: int
    unclean_leader_election_enable: bool
    remote_log_storage_system_enable: bool
    log_cleaner_enable: bool
    log_cleaner_threads: int
    log_cleaner_dedupe_buffer_size: int
    log_cleaner_io_buffer_size: int
    log_cleaner_io_buffer_load_factor: float
    log_cleaner_io_max_bytes_per_second: float
    log_cleaner_backoff_ms: int
    log_cleaner_delete_retention_ms: int
    log_cleaner_max_compaction_lag_ms: int
    log_cleaner_min_compaction_lag_ms: int
    log_cleaner_min_cleanable_ratio: float
    replica_lag_time_max_ms: int
    replica_socket_timeout_ms: int
    replica_socket_receive_buffer_bytes: int
    replica_fetch_max_bytes: int
    replica_fetch_wait_max_ms: int
    replica_fetch_min_bytes: int
    replica_fetch_response_max_bytes: int
    replica_fetch_backoff_ms: int
    num_replica_fetchers: int
    replica_high_watermark_checkpoint_interval_ms: int
    replica_selector_class: str | None
    num_replica_alter_log_dirs_threads: int | None
    fetch_purgatory_purge_interval_requests: int
    producer_purgatory_purge_interval_requests: int
    delete_records_purgatory_purge_interval_requests: int
    group_min_session_timeout_ms: int
    group_max_session_timeout_ms: int
    group_initial_rebalance_delay_ms: int
    group_max_size: int
    offset_metadata_max_bytes: int
    offsets_load_buffer_size: int
    offsets_topic_num_partitions: int
    offsets_topic_replication_factor: int
    offsets_topic_segment_bytes: int
    offsets_topic_compression_codec: int
    offsets_retention_minutes: int
    offsets_retention_check_interval_ms: int
    offsets_commit_timeout_ms: int
    offsets_commit_required_acks: int
    transactional_id_expiration_ms: int
    transaction_max_timeout_ms: int
    transaction_state_log_num_partitions: int
    transaction_state_log_replication_factor: int
    transaction_state_log_min_isr: int
    transaction_state_log_segment_bytes: int
    transaction_state_log_load_buffer_size: int
    transaction_abort_timed_out_transaction_cleanup_interval_ms: int
    transaction_remove_expired_transaction_cleanup_interval_ms: int
    transaction_partition_verification_enable: bool
    producer_id_expiration_ms: int
    producer_id_expiration_check_interval_ms: int
    authorizer_class_name: str
    super_users: str | None
    allow_everyone_if_no_acl_found: bool
    principal_builder_class: str | None
    password_encoder_secret: str | None
    password_encoder_old_secret: str | None
    delegation_token_master_key: str | None
    delegation_token_secret_key: str | None
    sasl_enabled_mechanisms: tuple[str, ...]
    sasl_mechanism_inter_broker_protocol: str
    sasl_jaas_config: str | None
    sasl_server_max_receive_size: int
    connections_max_reauth_ms: int
    ssl_keystore_location: str | None
    ssl_keystore_password: str | None
    ssl_keystore_type: str
    ssl_key_password: str | None
    ssl_truststore_location: str | None
    ssl_truststore_password: str | None
    ssl_truststore_type: str
    ssl_client_auth: str
    ssl_protocol: str
    ssl_enabled_protocols: tuple[str, ...]
    ssl_endpoint_identification_algorithm: str
    originals: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[Entry, ...] = ()
    _topic_defaults: LogConfig | None = field(default=None, init=False, repr=False, compare=False)

    @staticmethod
    def parse(mapping: Mapping[str, str]) -> KafkaConfig:
        """From names and texts. Raises :class:`ConfigError` that names everything that is wrong."""
        return _from_entries([Entry(name, text, None) for name, text in mapping.items()], "the settings")

    @staticmethod
    def load(host: Host, path: str, overrides: Mapping[str, str] | None = None) -> KafkaConfig:
        """From a .properties file, ``overrides`` on top. Raises :class:`ConfigError`, with lines."""
        entries = [entry for entry in read_properties(host.files, path) if entry.name not in (overrides or {})]
        entries += [Entry(name, text, None) for name, text in (overrides or {}).items()]
        return _from_entries(entries, path)

    @staticmethod
    def of(broker_id: int = 1, **attributes: Any) -> KafkaConfig:
        """Defaults, save for ``attributes``; for tests and tools."""
        by_attribute = {key.attribute: key for key in BROKER_KEYS}
        unknown = sorted(attributes.keys() - by_attribute.keys())
        if unknown:
            raise TypeError(f"no such broker setting: {', '.join(unknown)}")
        given = {"broker_id": broker_id, "zookeeper_connect": "localhost:2181", **attributes}
        texts = {by_attribute[name].name: by_attribute[name].format(value) for name, value in given.items()}
        return KafkaConfig.parse({name: text for name, text in texts.items() if text is not None})

    def reconfigure(self, dynamic: Mapping[str, str]) -> set[str]:
        """Make ``dynamic`` (names and texts; per-broker ones already over cluster-wide ones) act on top of the file.

        Settings that are no longer in ``dynamic`` return to what the file says. A bad value is left out, since
        ZooKeeper may hold anything. Returns the names whose value changed.
        """
        changed = set()
        self._topic_defaults = None
        for key in BROKER_KEYS:
            if key.update is key.update.READ_ONLY:
                continue
            value = self._static_value(key)
            if key.name in dynamic:
                try:
                    value = key.parse(dynamic[key.name])
                except BadValue:
                    continue
                if key.name == "advertised.listeners" and advertised_error(self, value) is not None:
                    continue
            if value != getattr(self, key.attribute):
                setattr(self, key.attribute, value)
                changed.add(key.name)
        return changed

    def _static_value(self, key: Key) -> Any:
        return key.parse(self.originals[key.name]) if key.name in self.originals else key.default

    def topic_defaults(self) -> LogConfig:
        """What a topic without settings of its own has: each from the strongest broker synonym that is set.

        One object until :meth:`reconfigure`: it is asked for once per partition.
        """
        if self._topic_defaults is None:
            self._topic_defaults = LogConfig(**self._topic_values())
        return self._topic_defaults

    def _topic_values(self) -> dict[str, Any]:
        values = {}
        for key in TOPIC_KEYS:
            values[key.attribute] = key.default
            for synonym in key.synonyms:
                broker_value = getattr(self, BROKER_KEY[synonym.name].attribute)
                if broker_value is not None:
                    values[key.attribute] = (
                        max(broker_value * synonym.factor, -1) if synonym.factor > 1 else broker_value
                    )
                    break
        return values

    def endpoints(self) -> tuple[EndPoint, ...]:
        """The listeners to bind."""
        text = self.listeners
        if "listeners" not in self.originals and (self.host_name is not None or self.port is not None):
            text = f"PLAINTEXT://{self.host_name or ''}:{9092 if self.port is None else self.port}"
        return parse_listeners(text, parse_protocol_map(self.listener_security_protocol_map))

    def advertised_endpoints(self) -> tuple[EndPoint, ...]:
        """What clients are told; a host "" is this machine's name, a port 0 the one that was bound."""
        if self.advertised_listeners is not None:
            return parse_listeners(self.advertised_listeners, parse_protocol_map(self.listener_security_protocol_map))
        return tuple(
            endpoint._replace(
                host=self.advertised_host_name or endpoint.host,
                port=endpoint.port if self.advertised_port is None else self.advertised_port,
            )
            for endpoint in self.endpoints()
        )

    def inter_broker_listener(self) -> str:
        """The name of the listener on which brokers talk to each other."""
        if self.inter_broker_listener_name is not None:
            return self.inter_broker_listener_name.upper()
        protocols = parse_protocol_map(self.listener_security_protocol_map)
        for endpoint in self.endpoints():
            if protocols[endpoint.listener] == self.security_inter_broker_protocol:
                return endpoint.listener
        return self.security_inter_broker_protocol

    def value_text(self, name: str) -> str | None:
        """The effective value of broker setting ``name``, as DescribeConfigs shows it."""
        key = BROKER_KEY[name]
        return key.format(getattr(self, key.attribute))


def _from_entries(entries: list[Entry], source: str) -> KafkaConfig:
    values: dict[str, Any] = {key.attribute: key.default for key in BROKER_KEYS}
    problems, unknown = [], []
    for entry in entries:
        key = BROKER_KEY.get(entry.name)
        if key is None:
            unknown.append(entry)
            continue
        try:
            values[key.attribute] = key.parse(entry.text)
        except BadValue as error:
            problems.append(Problem(entry.line, entry.name, entry.text, error.allowed))
    if values["zookeeper_connect"] is None and not any(problem.name == "zookeeper.connect" for problem in problems):
        problems.append(Problem(None, "zookeeper.connect", "", "host:port of ZooKeeper; it has no default"))
    values["log_dirs"] = tuple(os.path.abspath(each) for each in values["log_dirs"] or (values["log_dir"],) if each)
    originals = {entry.name: entry.text for entry in entries if entry.name in BROKER_KEY}
    config = KafkaConfig(**values, originals=originals, unknown=tuple(unknown))
    lines = {entry.name: entry.line for entry in entries}
    problems = problems or check_together(config, lines)
    if problems:
        raise ConfigError(source, problems)
    return config


def attribute_names() -> list[str]:
    """The settings that KafkaConfig declares, in order; a test holds them against the rows."""
    return [each.name for each in fields(KafkaConfig) if each.name not in ("originals", "unknown")]
