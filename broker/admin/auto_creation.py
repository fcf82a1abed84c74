"""Creating a topic because somebody asked about it (kafka.server.AutoTopicCreationManager)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from broker.admin.topic_names import check_name
from broker.cluster.metadata_cache import MetadataCache
from broker.config import KafkaConfig
from broker.wire.errors import ErrorCode, KafkaError

log = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"
TRANSACTION_TOPIC = "__transaction_state"

Create = Callable[[str, int, int, Mapping[str, str]], Awaitable[object]]
"""``create(topic, partitions, replication factor, settings)``; raises KafkaError."""


class AutoTopicCreation:
    """One creation at a time of each topic; who asks meanwhile is told to ask again."""

    def __init__(self, config: KafkaConfig, metadata: MetadataCache, create: Create) -> None:
        self._config = config
        self._metadata = metadata
        self._create = create
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def refuse(self, topic: str) -> ErrorCode:
        """What is wrong with a topic that is not there and is not to be created: its name, or that it is unknown."""
        try:
            check_name(topic)
        except KafkaError as error:
            return error.code
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def ask(self, topic: str) -> ErrorCode:
        """Begin to create it if that is allowed and not under way; LEADER_NOT_AVAILABLE: ask again soon."""
        refused = self.refuse(topic)
        if refused != ErrorCode.UNKNOWN_TOPIC_OR_PARTITION or not self._config.auto_create_topics_enable:
            return refused
        return self.begin(topic)

    def begin(self, topic: str) -> ErrorCode:
        """As :meth:`ask`, for topics that the broker itself needs, whatever auto.create.topics.enable says."""
        if topic in self._under_way:
            return ErrorCode.LEADER_NOT_AVAILABLE
        partitions, factor, settings = self._shape(topic)
        if len(self._metadata.brokers()) < factor:
            return ErrorCode.INVALID_REPLICATION_FACTOR
        task = asyncio.ensure_future(self._perform(topic, partitions, factor, settings))
        self._under_way[topic] = task
        task.add_done_callback(lambda _: self._under_way.pop(topic, None))
        return ErrorCode.LEADER_NOT_AVAILABLE

    def _shape(self, topic: str) -> tuple[int, int, Mapping[str, str]]:
        """Partitions, replicas and settings; internal topics have their own (facts F.8, G.5)."""
        config = self._config
        if topic == OFFSETS_TOPIC:
            settings = {
                "cleanup.policy": "compact",
                "segment.bytes": str(config.offsets_topic_segment_bytes),
                "compression.type": "producer",
            }
            return config.offsets_topic_num_partitions, config.offsets_topic_replication_factor, settings
        if topic == TRANSACTION_TOPIC:
            settings = {
                "unclean.leader.election.enable": "false",
                "compression.type": "uncompressed",
                "cleanup.policy": "compact",
                "min.insync.replicas": str(config.transaction_state_log_min_isr),
                "segment.bytes": str(config.transaction_state_log_segment_bytes),
            }
            return (
                config.transaction_state_log_num_partitions,
                config.transaction_state_log_replication_factor,
                settings,
            )
        return config.num_partitions, config.default_replication_factor, {}

    async def _perform(self, topic: str, partitions: int, factor: int, settings: Mapping[str, str]) -> None:
        try:
            await self._create(topic, partitions, factor, settings)
        except KafkaError as error:
            if error.code != ErrorCode.TOPIC_ALREADY_EXISTS:
                log.warning("%s: automatic creation failed: %s %s", topic, error.code.name, error)
            return
        log.info("%s: created automatically, %d partitions, replication factor %d", topic, partitions, factor)

    def close(self) -> None:
        """Give up what is under way."""
        for task in list(self._under_way.values()):
            task.cancel()
