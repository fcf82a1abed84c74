"""Notifications of changed settings, against real ZooKeeper servers."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from broker.cluster.dynamic_config import DynamicConfig, with_valid
from broker.config import LogConfig
from broker.host import real_host
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import Create, CreateMode, GetChildren, GetData, Operation, Result, SetData
from tests.zk.conftest import MakeClient, eventually
from tests.zk.servers import ZkServer
from tests.zk.test_registration import cluster


class Heard:
    """What the callbacks were told."""

    def __init__(self) -> None:
        self.topics: list[tuple[str, dict[str, str]]] = []
        self.brokers: list[tuple[dict[str, str], dict[str, str]]] = []

    def follow(self, client: ZooKeeperClient) -> DynamicConfig:
        return DynamicConfig(client, real_host().clock, 1, self.on_topic, self.on_broker)

    def of(self, topics: int) -> bool:
        return len(self.topics) == topics

    def on_topic(self, topic: str, settings: Mapping[str, str]) -> None:
        self.topics.append((topic, dict(settings)))

    def on_broker(self, default: Mapping[str, str], own: Mapping[str, str]) -> None:
        self.brokers.append((dict(default), dict(own)))


async def change(client: ZooKeeperClient, entity: str, settings: dict[str, str], notice: bytes | None = None) -> None:
    path = znodes.config_path(entity)
    await client.request([Create(path)])
    await client.request(
        [
            SetData(path, znodes.encode_config(settings)),
            Create(znodes.CONFIG_CHANGE_PREFIX, notice or znodes.encode_config_change(entity), CreateMode.SEQUENTIAL),
        ]
    )


async def test_changes_are_heard_in_order_those_before_the_start_too(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = await cluster(make_client, shared_server, "dyn1")
    heard = Heard()
    await change(client, "topics/early", {"retention.ms": "1"})
    await change(client, "brokers/1", {"background.threads": "5"})
    dynamic = heard.follow(client)
    await dynamic.start()
    assert heard.topics == [("early", {"retention.ms": "1"})]
    assert heard.brokers[0] == ({}, {"background.threads": "5"})
    heard.brokers.clear()
    await change(client, "topics/a", {"retention.ms": "2"})
    await change(client, "topics/b", {}, b'{"version":1,"entity_type":"topics","entity_name":"b"}')
    await change(client, "brokers/<default>", {"background.threads": "7"})
    await change(client, "brokers/2", {"background.threads": "9"})
    await change(client, "topics/last", {})
    await eventually(lambda: ("last", {}) in heard.topics)
    assert heard.topics[1:] == [("a", {"retention.ms": "2"}), ("b", {}), ("last", {})]
    assert heard.brokers == [({"background.threads": "7"}, {"background.threads": "5"})]
    assert dynamic.topic_settings("a") == {"retention.ms": "2"}
    await dynamic.stop()


async def test_each_notification_is_read_once_however_many_stay(
    shared_server: ZkServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await cluster(make_client, shared_server, "dyn5")
    other = await cluster(make_client, shared_server, "dyn5")
    for number in range(5):
        await change(other, f"topics/before-{number}", {})
    reads: list[str] = []
    request = client.request

    async def counted(ops: Sequence[Operation], *rest: Any) -> list[Result]:
        reads.extend(op.path for op in ops if isinstance(op, GetData) and op.path.startswith(znodes.CONFIG_CHANGES))
        return await request(ops, *rest)

    monkeypatch.setattr(client, "request", counted)
    heard = Heard()
    dynamic = heard.follow(client)
    await dynamic.start()
    for number in range(5):
        await change(other, f"topics/after-{number}", {})
        expected = 6 + number
        await eventually(functools.partial(heard.of, expected))
    assert len(reads) == len(set(reads)) == 10
    await dynamic.stop()


async def test_an_unreadable_notification_is_left_alone_and_the_next_one_heard(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = await cluster(make_client, shared_server, "dyn2")
    heard = Heard()
    dynamic = heard.follow(client)
    await dynamic.start()
    await change(client, "topics/x", {}, b"garbage")
    await change(client, "topics/y", {})
    await eventually(lambda: heard.topics)
    assert heard.topics == [("y", {})]
    await dynamic.stop()


async def test_after_a_new_session_what_was_missed_is_caught_up(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    client = await cluster(make_client, shared_server, "dyn3")
    other = await cluster(make_client, shared_server, "dyn3")
    heard = Heard()
    dynamic = heard.follow(client)
    await dynamic.start()
    client._on_watch.clear()  # as if the watch had gone with its session
    await change(other, "topics/missed", {"retention.ms": "3"})
    dynamic.rescan()
    await eventually(lambda: heard.topics)
    assert heard.topics == [("missed", {"retention.ms": "3"})]
    await dynamic.stop()


async def test_notifications_older_than_fifteen_minutes_are_deleted(
    shared_server: ZkServer, make_client: MakeClient
) -> None:
    class Later:
        """The same clock, an hour ahead."""

        def __init__(self) -> None:
            self.clock = real_host().clock

        def __getattr__(self, name: str) -> object:
            return getattr(self.clock, name)

        def wall_ms(self) -> int:
            return self.clock.wall_ms() + 3_600_000

    client = await cluster(make_client, shared_server, "dyn4")
    heard = Heard()
    await change(client, "topics/old", {})
    dynamic = DynamicConfig(client, Later(), 1, heard.on_topic, heard.on_broker)  # type: ignore[arg-type]
    await dynamic.start()
    [left] = await client.request([GetChildren(znodes.CONFIG_CHANGES)])
    assert heard.topics == [("old", {})]
    assert left.children == ()
    await dynamic.stop()


def test_settings_that_are_not_valid_are_left_out_and_the_others_act() -> None:
    config = with_valid("t", LogConfig.of(), {"retention.ms": "5", "segment.bytes": "many", "nonsense": "1"})
    assert config.retention_ms == 5
    assert config.segment_bytes == LogConfig.of().segment_bytes
