"""The parts of one broker that handlers use. Apart from them, for these are compiled and know what a class has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.admin.auto_creation import AutoTopicCreation
    from broker.admin.configs import ConfigAdmin
    from broker.admin.topics import TopicAdmin
    from broker.api.metadata import ReplyCache
    from broker.api.table import Table
    from broker.cluster.metadata_cache import MetadataCache
    from broker.config import KafkaConfig
    from broker.controller.driver import Controller
    from broker.coordinator.groups import GroupCoordinator
    from broker.coordinator.producer_ids import ProducerIds
    from broker.host import Host
    from broker.replication.replicas import Replicas
    from broker.replication.role_changes import RoleChanges
    from broker.storage.logdirs import LogDirs


async def _load_nothing(topics: Iterable[str]) -> None:
    """Where there is no ZooKeeper to read from."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Services:
    """The parts of one broker, filled in by ``broker.broker`` as it starts; what a family needs it takes from here."""

    config: KafkaConfig
    host: Host
    table: Table
    cluster_id: str = ""
    load_topic_settings: Callable[[Iterable[str]], Awaitable[None]] = _load_nothing
    logdirs: LogDirs = field(init=False)
    replicas: Replicas = field(init=False)
    role_changes: RoleChanges = field(init=False)
    producer_ids: ProducerIds = field(init=False)
    metadata: MetadataCache = field(init=False)
    metadata_replies: ReplyCache = field(init=False)
    auto_creation: AutoTopicCreation = field(init=False)
    controller: Controller = field(init=False)
    admin: TopicAdmin = field(init=False)
    config_admin: ConfigAdmin = field(init=False)
    coordinator: GroupCoordinator = field(init=False)
