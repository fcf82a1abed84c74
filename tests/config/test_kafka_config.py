"""Reading server.properties: typed values, synonyms, listeners, and mistakes shown where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.config import ConfigError, InvalidTopicConfig, KafkaConfig, LogConfig
from broker.host import real_host


def load(tmp_path: Path, text: str, **overrides: str) -> KafkaConfig:
    path = tmp_path / "server.properties"
    path.write_text(text, encoding="latin-1")
    named = {name.replace("_", "."): value for name, value in overrides.items()}
    return KafkaConfig.load(real_host(), str(path), named)


def test_a_file_of_kafka_is_read(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "# as shipped\nbroker.id=7\nlisteners=PLAINTEXT://:9093\nlog.dirs=/tmp/a, /tmp/b\n"
        "zookeeper.connect = z1:2181,\\\n  z2:2181/kafka\nlog.retention.hours=2\n",
    )
    assert config.broker_id == 7
    assert config.log_dirs == ("/tmp/a", "/tmp/b")
    assert config.zookeeper_connect == "z1:2181,z2:2181/kafka"
    assert config.topic_defaults().retention_ms == 7_200_000
    assert [str(end) for end in config.endpoints()] == ["PLAINTEXT://:9093"]


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, "broker.id=7\nzookeeper.connect=z:1\n", broker_id="8")
    assert config.broker_id == 8


def test_every_mistake_is_named_with_its_line_its_value_and_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "broker.id=seven\n\nzookeeper.connect=z:1\nlog.cleanup.policy=keep\nnum.partitions=0\n")
    assert [(problem.line, problem.name, problem.text) for problem in raised.value.problems] == [
        (1, "broker.id", "seven"),
        (4, "log.cleanup.policy", "keep"),
        (5, "num.partitions", "0"),
    ]
    assert "line 4: log.cleanup.policy=keep: allowed: a list of compact, delete" in str(raised.value)


def test_lines_are_counted_across_comments_and_continuations(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, "! c\nzookeeper.connect=a:1,\\\n   b:1\n\n# c\nport=x\n")
    assert raised.value.problems[0].line == 6


def test_unknown_settings_are_kept_aside_with_their_lines(tmp_path: Path) -> None:
    config = load(tmp_path, "zookeeper.connect=z:1\nno.such.thing=1\n")
    assert [(entry.name, entry.line) for entry in config.unknown] == [("no.such.thing", 2)]


def test_zookeeper_connect_is_required() -> None:
    with pytest.raises(ConfigError, match="zookeeper.connect is missing"):
        KafkaConfig.parse({"broker.id": "1"})


@pytest.mark.parametrize(
    ("settings", "at_fault"),
    [
        ({"listeners": "PLAINTEXT://:9092,PLAINTEXT://:9093"}, "listeners"),
        ({"listeners": "PLAINTEXT://:9092,OTHER://:9093"}, "listeners"),
        ({"listeners": "9092"}, "listeners"),
        ({"listeners": "SSL://:9093"}, "listeners"),
        ({"listener.security.protocol.map": "A:TLS"}, "listener.security.protocol.map"),
        ({"advertised.listeners": "PLAINTEXT://0.0.0.0:9092"}, "advertised.listeners"),
        ({"advertised.listeners": "OUTSIDE://h:9092"}, "advertised.listeners"),
        ({"inter.broker.listener.name": "INSIDE"}, "inter.broker.listener.name"),
        ({"inter.broker.protocol.version": "2.4"}, "inter.broker.protocol.version"),
        ({"broker.id": "1001"}, "broker.id"),
        ({"replica.lag.time.max.ms": "100"}, "replica.lag.time.max.ms"),
        ({"zookeeper.connect": ""}, "zookeeper.connect"),
        ({"min.insync.replicas": "99999999999"}, "min.insync.replicas"),
    ],
)
def test_settings_that_no_broker_can_run_with_are_refused(settings: dict[str, str], at_fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        KafkaConfig.parse({"zookeeper.connect": "z:2181", **settings})
    assert raised.value.problems[0].name == at_fault


def test_listeners_are_named_mapped_and_advertised() -> None:
    config = KafkaConfig.of(
        listeners="INSIDE://[::1]:9092,OUTSIDE://:9093",
        listener_security_protocol_map="INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT",
        advertised_listeners="INSIDE://inside:9092,OUTSIDE://outside:19093",
        inter_broker_listener_name="INSIDE",
    )
    assert [(end.listener, end.host, end.port) for end in config.endpoints()] == [
        ("INSIDE", "::1", 9092),
        ("OUTSIDE", "", 9093),
    ]
    assert [str(end) for end in config.advertised_endpoints()] == ["INSIDE://inside:9092", "OUTSIDE://outside:19093"]
    assert config.inter_broker_listener() == "INSIDE"


def test_host_name_and_port_of_old_files_make_the_listener() -> None:
    config = KafkaConfig.of(port=9095, advertised_host_name="here")
    assert [str(end) for end in config.endpoints()] == ["PLAINTEXT://:9095"]
    assert [str(end) for end in config.advertised_endpoints()] == ["PLAINTEXT://here:9095"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 604_800_000),
        ({"log_retention_hours": 1}, 3_600_000),
        ({"log_retention_hours": 1, "log_retention_minutes": 3}, 180_000),
        ({"log_retention_hours": 1, "log_retention_minutes": 3, "log_retention_ms": 5}, 5),
        ({"log_retention_hours": -1}, -1),
    ],
)
def test_the_finest_unit_of_retention_wins(settings: dict[str, int], expected: int) -> None:
    assert KafkaConfig.of(**settings).topic_defaults().retention_ms == expected


def test_dynamic_settings_act_in_place_and_leave_again() -> None:
    config = KafkaConfig.of(log_retention_ms=5, broker_id=3)
    changed = config.reconfigure({"log.retention.ms": "9", "broker.id": "4", "log.segment.bytes": "nonsense"})
    assert (changed, config.log_retention_ms, config.broker_id) == ({"log.retention.ms"}, 9, 3)
    assert config.reconfigure({}) == {"log.retention.ms"}
    assert config.log_retention_ms == 5
    assert config.reconfigure({"advertised.listeners": "PLAINTEXT://elsewhere:1"}) == {"advertised.listeners"}
    assert config.reconfigure({"advertised.listeners": "SSL://elsewhere:1"}) == set()  # nothing listens there


def test_a_topic_overrides_and_is_checked() -> None:
    defaults = KafkaConfig.of(min_insync_replicas=2).topic_defaults()
    topic = defaults.with_overrides({"retention.ms": "10", "cleanup.policy": "compact,delete"})
    assert (topic.retention_ms, topic.min_insync_replicas, topic.compact, topic.delete) == (10, 2, True, True)
    assert topic.overrides == {"retention.ms": "10", "cleanup.policy": "compact,delete"}
    for wrong in (
        {"retention.ms": "x"},
        {"no.such": "1"},
        {"max.compaction.lag.ms": "1", "min.compaction.lag.ms": "2"},
    ):
        with pytest.raises(InvalidTopicConfig):
            defaults.with_overrides(wrong)


def test_the_deprecated_timestamp_difference_bounds_both_sides() -> None:
    topic = LogConfig.of(message_timestamp_difference_max_ms=5, message_timestamp_after_max_ms=3)
    assert (topic.timestamp_before_max_ms, topic.timestamp_after_max_ms) == (5, 3)
