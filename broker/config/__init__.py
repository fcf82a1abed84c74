"""Typed settings: one row per setting, everything else derives from the rows (kafka.server.KafkaConfig, LogConfig).

A package, since 250 rows do not fit one file: ``*_keys`` hold the rows, ``kafka_config`` and ``log_config`` the types.
"""

from __future__ import annotations

from broker.config.checks import advertised_error
from broker.config.endpoints import EndPoint
from broker.config.kafka_config import BROKER_KEY, BROKER_KEYS, KafkaConfig
from broker.config.keys import BadValue, Key, Kind, Synonym, Update
from broker.config.log_config import InvalidTopicConfig, LogConfig, parse_topic_value, topic_key
from broker.config.properties import ConfigError, Entry, Problem, read_properties
from broker.config.topic_keys import TOPIC_KEY, TOPIC_KEYS

__all__ = [
    "BROKER_KEY",
    "BROKER_KEYS",
    "TOPIC_KEY",
    "TOPIC_KEYS",
    "BadValue",
    "ConfigError",
    "EndPoint",
    "Entry",
    "InvalidTopicConfig",
    "KafkaConfig",
    "Key",
    "Kind",
    "LogConfig",
    "Problem",
    "Synonym",
    "Update",
    "advertised_error",
    "parse_topic_value",
    "read_properties",
    "topic_key",
]
