"""Describing and changing the settings of topics and brokers (kafka.server.ConfigHelper, ConfigAdminManager)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from broker.admin import loggers
from broker.admin.broker_settings import check_broker_settings
from broker.admin.entity_configs import Settings, change_entity, read_entity
from broker.admin.topic_names import check_name
from broker.cluster.dynamic_config import DynamicConfig, with_valid
from broker.cluster.metadata_cache import MetadataCache
from broker.config import (
    BROKER_KEY,
    BROKER_KEYS,
    TOPIC_KEY,
    TOPIC_KEYS,
    InvalidTopicConfig,
    KafkaConfig,
    Key,
    Kind,
    Update,
)
from broker.config.keys import anything, one_of
from broker.wire.errors import ErrorCode, KafkaError
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import ZkError
from broker.zk.znodes import DEFAULT_ENTITY

log = logging.getLogger(__name__)

_LEVEL = one_of(*loggers.LEVELS)


class ResourceType(IntEnum):
    """ConfigResource.Type."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16


class Source(IntEnum):
    """Where a value comes from (KIP-226)."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6


class Op(IntEnum):
    """AlterConfigOp.OpType (KIP-339)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class Synonym(NamedTuple):
    """One place that gives a value; ``value`` None where it is secret."""

    name: str
    value: str | None
    source: Source


class Described(NamedTuple):
    """A setting as it acts; ``synonyms`` strongest first, the first of them acts."""

    key: Key
    value: str | None
    source: Source
    read_only: bool
    synonyms: tuple[Synonym, ...]


class Alteration(NamedTuple):
    """One wish for one setting."""

    name: str
    value: str | None
    op: int = Op.SET


class ConfigAdmin:
    """Settings of topics, of all brokers together and of this one; another broker's are its own affair."""

    def __init__(
        self, zk: ZooKeeperClient, metadata: MetadataCache, config: KafkaConfig, dynamic: DynamicConfig
    ) -> None:
        self._zk = zk
        self._metadata = metadata
        self._config = config
        self._dynamic = dynamic

    # --- describe --------------------------------------------------------------------------------------------------

    async def describe(self, resource_type: int, name: str, only: Sequence[str] | None = None) -> list[Described]:
        """Settings of a resource, those named in ``only`` (None or empty: all). Raises KafkaError 3, 7, 42."""
        match resource_type:
            case ResourceType.TOPIC:
                described = await self._describe_topic(name)
            case ResourceType.BROKER:
                described = self._describe_broker(name)
            case ResourceType.BROKER_LOGGER:
                if not name:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "Broker id must not be empty")
                if _number(name, "Broker") != self._config.broker_id:
                    message = f"Unexpected broker id, expected {self._config.broker_id} but received {name}"
                    raise KafkaError(ErrorCode.INVALID_REQUEST, message)
                described = [_described_logger(logger, level) for logger, level in loggers.levels().items()]
            case _:
                message = "Config type client-metrics is only supported on KRaft clusters"
                raise KafkaError(ErrorCode.INVALID_REQUEST, message)
        return [each for each in described if not only or each.key.name in only]

    async def _describe_topic(self, topic: str) -> list[Described]:
        check_name(topic)
        if not self._metadata.has_topic(topic):
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "")
        settings: Mapping[str, str] = self._dynamic.topic_settings(topic)
        if self._zk.connected:
            try:
                settings = await read_entity(self._zk, f"topics/{topic}")
            except ZkError as error:
                raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, str(error)) from error
        return self.describe_topic_settings(topic, settings)

    def describe_topic_settings(self, topic: str, settings: Mapping[str, str]) -> list[Described]:
        """Every topic setting, with ``settings`` of the topic's own on top of this broker's defaults."""
        config = with_valid(topic, self._config.topic_defaults(), settings)
        described = []
        for key in TOPIC_KEYS:
            value = config.value_text(key.name)
            own = [Synonym(key.name, value, Source.TOPIC)] if key.name in settings else []
            names = [synonym.name for synonym in key.synonyms]
            synonyms = (*own, *_from_strongest(names, self._synonyms(names)))
            source = synonyms[0].source if synonyms else Source.DEFAULT
            described.append(Described(key, value, source, False, synonyms))
        return described

    def _describe_broker(self, name: str) -> list[Described]:
        if not name:
            there = self._dynamic.default_settings
            known = [self._default_broker_setting(key) for key in BROKER_KEYS if key.name in there]
            return known + _unknown((there, Source.DYNAMIC_DEFAULT_BROKER))
        if _number(name, "Broker") != self._config.broker_id:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id, expected {self._config.broker_id} or empty string, but received {name}",
            )
        return [self._broker_setting(key) for key in BROKER_KEYS] + _unknown(
            (self._dynamic.broker_settings, Source.DYNAMIC_BROKER),
            (self._dynamic.default_settings, Source.DYNAMIC_DEFAULT_BROKER),
            ({entry.name: entry.text for entry in self._config.unknown}, Source.STATIC_BROKER),
        )

    def _broker_setting(self, key: Key) -> Described:
        synonyms = self._synonyms([key.name])
        source = synonyms[0].source if synonyms else Source.DEFAULT
        value = None if key.sensitive else self._config.value_text(key.name)
        return Described(key, value, source, key.update is Update.READ_ONLY, synonyms)

    def _default_broker_setting(self, key: Key) -> Described:
        value = None if key.sensitive else self._dynamic.default_settings[key.name]
        synonym = Synonym(key.name, value, Source.DYNAMIC_DEFAULT_BROKER)
        return Described(key, value, Source.DYNAMIC_DEFAULT_BROKER, False, (synonym,))

    def _synonyms(self, names: Sequence[str]) -> tuple[Synonym, ...]:
        """Of broker settings ``names`` (strongest first): dynamic, dynamic default, static, then defaults."""
        config = self._config
        defaults = {name: BROKER_KEY[name].format(BROKER_KEY[name].default) for name in names}
        places: list[tuple[Mapping[str, str | None], Source]] = [
            (dict(self._dynamic.broker_settings), Source.DYNAMIC_BROKER),
            (dict(self._dynamic.default_settings), Source.DYNAMIC_DEFAULT_BROKER),
            (dict(config.originals), Source.STATIC_BROKER),
            ({name: value for name, value in defaults.items() if value is not None}, Source.DEFAULT),
        ]
        return tuple(
            Synonym(name, None if BROKER_KEY[name].sensitive else place[name], source)
            for place, source in places
            for name in names
            if name in place
        )

    # --- alter -----------------------------------------------------------------------------------------------------

    async def replace(self, resource_type: int, name: str, settings: Sequence[Alteration], validate_only: bool) -> None:
        """AlterConfigs: ``settings`` and no others from now on. Raises KafkaError 3, 7, 40, 42."""
        _check_names(settings)
        wanted = {each.name: each.value for each in settings if each.value is not None}
        await self._alter(resource_type, name, validate_only, lambda before: dict(wanted))

    async def alter(self, resource_type: int, name: str, changes: Sequence[Alteration], validate_only: bool) -> None:
        """IncrementalAlterConfigs (KIP-339): the settings named, and no others. Raises KafkaError 3, 7, 40, 42."""
        _check_names(changes)
        if resource_type == ResourceType.BROKER_LOGGER:
            if _number(name, "Node") != self._config.broker_id:
                message = f"Unexpected node id. Expected {self._config.broker_id}, but received {name}"
                raise KafkaError(ErrorCode.INVALID_REQUEST, message)
            loggers.alter(changes, validate_only=validate_only)
            return
        keys = TOPIC_KEY if resource_type == ResourceType.TOPIC else BROKER_KEY
        await self._alter(resource_type, name, validate_only, lambda before: apply_changes(before, changes, keys))

    async def _alter(
        self, resource_type: int, name: str, validate_only: bool, change: Callable[[Settings], Settings]
    ) -> None:
        entity = self._entity(resource_type, name)

        def checked(before: Settings) -> Settings:
            after = change(before)
            self._check(resource_type, name, after)
            return after

        try:
            if validate_only:
                checked(await read_entity(self._zk, entity))
                return
            after = await change_entity(self._zk, entity, checked)
        except ZkError as error:
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, str(error)) from error
        log.info("%s: settings are to be %s", entity, after)

    def _entity(self, resource_type: int, name: str) -> str:
        match resource_type:
            case ResourceType.TOPIC:
                if not name:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
                if not self._metadata.has_topic(name):
                    raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
                return f"topics/{name}"
            case ResourceType.BROKER:
                if name and _number(name, "Node") != self._config.broker_id:
                    raise KafkaError(
                        ErrorCode.INVALID_REQUEST,
                        f"Unexpected broker id, expected {self._config.broker_id}, but received {name}",
                    )
                return f"brokers/{name or DEFAULT_ENTITY}"
            case ResourceType.CLIENT_METRICS:
                message = "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS"
                raise KafkaError(ErrorCode.INVALID_REQUEST, message)
            case _:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {resource_type}")

    def _check(self, resource_type: int, name: str, settings: Settings) -> None:
        if resource_type == ResourceType.BROKER:
            check_broker_settings(self._config, settings, per_broker=bool(name))
            return
        try:
            self._config.topic_defaults().with_overrides(settings)
        except InvalidTopicConfig as error:
            where = f"Invalid config value for resource ConfigResource(type=TOPIC, name='{name}'): "
            message = f"{where if error.of_value else ''}{error}"
            raise KafkaError(ErrorCode.INVALID_CONFIG, message) from error


def _unknown(*places: tuple[Mapping[str, str], Source]) -> list[Described]:
    """Settings that only a plug-in may know (``places`` strongest first): their values are told to nobody."""
    names = dict.fromkeys(name for place, _ in places for name in place if name not in BROKER_KEY)
    described = []
    for name in names:
        synonyms = tuple(Synonym(name, None, source) for place, source in places if name in place)
        key = Key(name, Kind.UNKNOWN, None, anything(), "")
        described.append(Described(key, None, synonyms[0].source, True, synonyms))
    return described


def _described_logger(name: str, level: str) -> Described:
    key = Key(name, Kind.STRING, None, _LEVEL, "The level of a logger of this broker.")
    return Described(key, level, Source.DYNAMIC_BROKER_LOGGER, False, ())


def _from_strongest(names: Sequence[str], synonyms: tuple[Synonym, ...]) -> tuple[Synonym, ...]:
    """As Kafka lists them: nothing above the strongest name, and where that is not set (log.retention.ms), nothing."""
    for index, synonym in enumerate(synonyms):
        if synonym.name == names[0]:
            return synonyms[index:]
    return ()


def apply_changes(before: Settings, changes: Sequence[Alteration], keys: Mapping[str, Key]) -> Settings:
    """``before`` with ``changes`` made, in order. Raises KafkaError 40, 42."""
    after = dict(before)
    for name, value, op in changes:
        match op:
            case Op.SET:
                after[name] = value or ""
            case Op.DELETE:
                after.pop(name, None)
            case Op.APPEND | Op.SUBTRACT:
                after[name] = _listed(name, value or "", Op(op), after.get(name), keys)
            case _:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown operations type {op}")
    return after


def _listed(name: str, value: str, op: Op, before: str | None, keys: Mapping[str, Key]) -> str:
    key = keys.get(name)
    if key is None:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown config name: {name}")
    if key.kind is not Kind.LIST:
        message = f"Config value {op.name.lower()} is not allowed for config key: {name}"
        raise KafkaError(ErrorCode.INVALID_CONFIG, message)
    text = before if before is not None else key.format(key.default) or ""
    listed, named = _split(text) if text else [], _split(value)
    if op is Op.APPEND:
        return ",".join([*listed, *(each for each in named if each not in listed)])
    for each in named:
        if each in listed:
            listed.remove(each)
    return ",".join(listed)


def _split(text: str) -> list[str]:
    """As String.split: what is empty at the end is left out."""
    return text.rstrip(",").split(",") if text.strip(",") or not text else []


def _check_names(changes: Sequence[Alteration]) -> None:
    names = [each.name for each in changes]
    if len(set(names)) != len(names):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")
    nulls = [each.name for each in changes if each.value is None and each.op != Op.DELETE]
    if nulls:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}")


def _number(name: str, of: str) -> int:
    """As Integer.parseInt reads the id ``of`` a Broker or Node."""
    if re.fullmatch(r"[+-]?[0-9]+", name) is None or not -(2**31) <= int(name) < 2**31:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"{of} id must be an integer, but it is: {name}")
    return int(name)
