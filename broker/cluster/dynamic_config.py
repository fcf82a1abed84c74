"""Settings that change while the broker runs, of topics and brokers, in ZooKeeper (kafka.server.DynamicConfigManager).

A writer puts ``/config/<type>/<entity>``, then adds a sequential node under ``/config/changes`` that names the entity.
Every broker watches that directory, works through the notifications it has not seen, in order, and reads the entity.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from broker.config import InvalidTopicConfig, LogConfig
from broker.host import Clock
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import ConnectionLost, Delete, GetChildren, GetData, Result, SessionExpired, WatchKind, ZkCode
from broker.zk.znodes import DEFAULT_ENTITY, MalformedZnode

log = logging.getLogger(__name__)

KEEP_CHANGES_MS = 15 * 60 * 1000
TRY_AGAIN_SECONDS = 1.0

Settings = Mapping[str, str]


class DynamicConfig:
    """What ZooKeeper says of this broker, of all brokers, and of topics.

    ``on_topic(topic, settings)``: a topic's own settings changed (empty: none, or the topic is gone).
    ``on_broker(default, own)``: settings of all brokers and those of this one; both are given when either changed.
    """

    def __init__(
        self,
        zk: ZooKeeperClient,
        clock: Clock,
        broker_id: int,
        on_topic: Callable[[str, Settings], None],
        on_broker: Callable[[Settings, Settings], None],
    ) -> None:
        self._zk = zk
        self._clock = clock
        self._broker_id = broker_id
        self._on_topic = on_topic
        self._on_broker = on_broker
        self._topics: dict[str, Settings] = {}
        self._default: Settings = {}
        self._own: Settings = {}
        self._last_change = -1
        self._created: dict[str, int] = {}
        """When each notification that is there was made, wall milliseconds."""
        self._task: asyncio.Task[None] | None = None
        self._again = False
        zk.subscribe(watch=self._on_watch)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def load_topics(self, topics: Sequence[str]) -> None:
        """Read the settings of ``topics``, so that :meth:`topic_settings` knows them (a new topic has no notification).

        Raises SessionExpired, ConnectionLost.
        """
        paths = [GetData(znodes.config_entity("topics", topic)) for topic in topics]
        for topic, found in zip(topics, await self._zk.request(paths), strict=True):
            self._topics[topic] = _settings(found)

    async def load_all_topics(self) -> None:
        """At start: the settings of every topic that has any."""
        [children] = await self._zk.request([GetChildren(f"{znodes.CONFIG}/topics")])
        await self.load_topics(children.children)

    def topic_settings(self, topic: str) -> Settings:
        """The topic's own settings as last read; empty if it has none."""
        return self._topics.get(topic, {})

    def log_config(self, topic: str, defaults: LogConfig) -> LogConfig:
        """``defaults`` with the topic's own settings; what is not valid (ZooKeeper may hold anything) is left out."""
        return with_valid(topic, defaults, self.topic_settings(topic))

    @property
    def default_settings(self) -> Settings:
        """Dynamic settings of all brokers (``<default>``), as last read."""
        return self._default

    @property
    def broker_settings(self) -> Settings:
        """Dynamic settings of this broker alone, as last read."""
        return self._own

    def forget_topic(self, topic: str) -> None:
        """The topic was deleted."""
        self._topics.pop(topic, None)

    # --- following -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the brokers' settings, watch for changes and work through the notifications that are there."""
        await self._load_broker()
        await self._scan()

    def rescan(self) -> None:
        """After a new session: watch again and catch up on what was missed."""
        self._schedule()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _on_watch(self, path: str, kind: WatchKind) -> None:
        if path == znodes.CONFIG_CHANGES and kind is WatchKind.CHILDREN_CHANGED:
            self._schedule()

    def _schedule(self) -> None:
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._scan()
            except SessionExpired:
                return  # the new session scans again
            except ConnectionLost as error:
                log.warning("config changes: %s; trying again", error)
                self._again = True
                await self._clock.sleep(TRY_AGAIN_SECONDS)

    async def _scan(self) -> None:
        """Work through what is new. Kafka reads every notification every time: with each one more of them, until
        they are 15 minutes old, that takes longer."""
        [children] = await self._zk.request([GetChildren(znodes.CONFIG_CHANGES, watch=True)])
        names = sorted(_numbered(children.or_raise().children))
        self._created = {name: self._created[name] for _, name in names if name in self._created}
        fresh = [(number, name) for number, name in names if name not in self._created]
        paths = [znodes.child(znodes.CONFIG_CHANGES, name) for _, name in fresh]
        for (number, name), notice in zip(fresh, await self._zk.request([GetData(p) for p in paths]), strict=True):
            if number > self._last_change:
                if notice.ok:
                    await self._apply(name, notice.data)
                self._last_change = number
            if notice.stat is not None:
                self._created[name] = notice.stat.ctime
        await self._purge()

    async def _apply(self, name: str, data: bytes | None) -> None:
        try:
            entity = znodes.decode_config_change(data)
        except MalformedZnode as error:
            log.warning("config change %s: %s; left alone", name, error)
            return
        entity_type, _, entity_name = entity.partition("/")
        if entity_type == "topics":
            await self.load_topics([entity_name])
            log.info("topic %s: settings are now %s", entity_name, dict(self._topics[entity_name]))
            self._on_topic(entity_name, self._topics[entity_name])
        elif entity_type == "brokers" and entity_name in (DEFAULT_ENTITY, str(self._broker_id)):
            await self._load_broker()

    async def _load_broker(self) -> None:
        names = (DEFAULT_ENTITY, str(self._broker_id))
        found = await self._zk.request([GetData(znodes.config_entity("brokers", name)) for name in names])
        self._default, self._own = (_settings(result) for result in found)
        self._on_broker(self._default, self._own)

    async def _purge(self) -> None:
        """Any broker deletes notifications older than 15 minutes; whoever comes second finds nothing."""
        oldest = self._clock.wall_ms() - KEEP_CHANGES_MS
        old = [name for name, created in self._created.items() if created < oldest]
        await self._zk.request([Delete(znodes.child(znodes.CONFIG_CHANGES, name)) for name in old])


def with_valid(topic: str, defaults: LogConfig, settings: Settings) -> LogConfig:
    """``defaults`` with those of ``settings`` that are valid, each one that is not being logged."""
    try:
        return defaults.with_overrides(settings)
    except InvalidTopicConfig:
        config = defaults
    for name, value in settings.items():
        try:
            config = config.with_overrides({name: value})
        except InvalidTopicConfig as error:
            log.warning("topic %s: %s; ignored", topic, error)
    return config


def _settings(found: Result) -> Settings:
    if found.code == ZkCode.NO_NODE:
        return {}
    try:
        return znodes.decode_config(found.or_raise().data)
    except MalformedZnode as error:
        log.warning("%s: %s; taken as empty", found.path, error)
        return {}


def _numbered(names: Iterable[str]) -> list[tuple[int, str]]:
    numbered = []
    for name in names:
        try:
            numbered.append((znodes.sequence_of(name), name))
        except MalformedZnode:
            log.warning("%s/%s is no config change; left alone", znodes.CONFIG_CHANGES, name)
    return numbered
