"""Makes changed settings act, on the logs and on this broker (kafka.server.TopicConfigHandler, BrokerConfigHandler)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from broker.cluster.dynamic_config import DynamicConfig
from broker.config import KafkaConfig, LogConfig
from broker.controller.driver import Controller
from broker.host import Clock
from broker.storage.logdirs import LogDirs
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import ZkError

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 5.0
UNCLEAN_ELECTION: Final = "unclean.leader.election.enable"

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Settings:
    """``dynamic`` knows what ZooKeeper says; ``controller`` is told of unclean elections once it runs.

    ``on_advertised()`` when advertised.listeners changed: the registration is to say so. ``on_fetchers()`` when
    num.replica.fetchers did.
    """

    def __init__(self, config: KafkaConfig, zk: ZooKeeperClient, clock: Clock, logdirs: LogDirs, spawn: Spawn) -> None:
        self._config = config
        self._clock = clock
        self._logdirs = logdirs
        self._spawn = spawn
        self.controller: Controller | None = None
        self.on_advertised: Callable[[], None] = lambda: None
        self.on_fetchers: Callable[[], None] = lambda: None
        self.dynamic = DynamicConfig(zk, clock, config.broker_id, self._topic_changed, self._broker_changed)

    def log_config(self, topic: str) -> LogConfig:
        """The broker's defaults with the topic's own settings, as far as they are known."""
        return self.dynamic.log_config(topic, self._config.topic_defaults())

    async def load_topics(self, topics: Iterable[str]) -> None:
        """Before logs of new topics are made: nobody is notified of the settings that a topic is created with.

        Raises nothing: a broker that is cut off from ZooKeeper leads with defaults, and reads the settings later.
        """
        wanted = list(dict.fromkeys(topics))
        if not wanted:
            return
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await self.dynamic.load_topics(wanted)
        except (ZkError, TimeoutError) as error:
            log.warning("settings of %s are not known yet: %s", ", ".join(wanted), error)
            self._spawn(self._load_late(wanted), "settings of topics")

    async def _load_late(self, topics: list[str]) -> None:
        while True:
            await self._clock.sleep(LOAD_SECONDS)
            try:
                await self.dynamic.load_topics(topics)
                break
            except ZkError as error:
                log.warning("settings of %s: %s; trying again", ", ".join(topics), error)
        for topic in topics:
            self._topic_changed(topic, self.dynamic.topic_settings(topic))

    def forget_topics(self, topics: Iterable[str]) -> None:
        """They were deleted; one of the same name may come with other settings."""
        for topic in topics:
            self.dynamic.forget_topic(topic)

    def _topic_changed(self, topic: str, settings: Mapping[str, str]) -> None:
        self._logdirs.update_config(topic, self.log_config(topic))
        if self.controller is not None and settings.get(UNCLEAN_ELECTION, "").strip().lower() == "true":
            self.controller.unclean_election_enabled(topic)

    def _broker_changed(self, default: Mapping[str, str], own: Mapping[str, str]) -> None:
        changed = self._config.reconfigure({**default, **own})
        if not changed:
            return
        log.info("settings changed: %s", ", ".join(sorted(changed)))
        if "advertised.listeners" in changed:
            self.on_advertised()
        if "num.replica.fetchers" in changed:
            self.on_fetchers()
        if self.controller is not None and self._config.unclean_leader_election_enable:
            self.controller.unclean_election_enabled(None)
        self._logdirs.update_configs(self.log_config)
