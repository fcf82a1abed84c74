"""Three brokers, a dict for ZooKeeper, and who changes topics and settings there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from broker.admin.configs import ConfigAdmin
from broker.admin.topics import TopicAdmin
from broker.cluster.metadata_cache import MetadataCache
from broker.config import KafkaConfig
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)
from tests.admin.fake_zk import FakeZk

SKELETON = ("/brokers/topics", "/admin/delete_topics", "/config/topics", "/config/brokers", "/config/changes")


class FakeDice:
    def __init__(self) -> None:
        self.random = random.Random(1)

    def uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128))


class FakeDynamic:
    """What DynamicConfig read last."""

    def __init__(self) -> None:
        self.default_settings: dict[str, str] = {}
        self.broker_settings: dict[str, str] = {}
        self.topics: dict[str, Mapping[str, str]] = {}

    def topic_settings(self, topic: str) -> Mapping[str, str]:
        return self.topics.get(topic, {})


def cluster_of(racks: Mapping[int, str | None], topics: Mapping[str, list[list[int]]]) -> UpdateMetadataRequest:
    brokers = [
        UpdateMetadataBroker(
            id=broker,
            rack=rack,
            endpoints=[UpdateMetadataEndpoint(host="localhost", port=9092 + broker, listener="PLAINTEXT")],
        )
        for broker, rack in racks.items()
    ]
    states = [
        UpdateMetadataTopicState(
            topic_name=name,
            topic_id=UUID(int=number),
            partition_states=[
                UpdateMetadataPartitionState(partition_index=index, leader=replicas[0], replicas=replicas, isr=replicas)
                for index, replicas in enumerate(partitions)
            ],
        )
        for number, (name, partitions) in enumerate(topics.items(), 1)
    ]
    return UpdateMetadataRequest(controller_id=1, live_brokers=brokers, topic_states=states)


class World:
    """``given(name, partitions)`` makes a topic that is there, in ZooKeeper and in the metadata."""

    def __init__(self, **settings: Any) -> None:
        self.zk = FakeZk()
        self.zk.make(*SKELETON)
        self.metadata = MetadataCache()
        self.config = KafkaConfig.of(1, **settings)
        self.dynamic = FakeDynamic()
        self.racks: dict[int, str | None] = {1: None, 2: None, 3: None}
        self.known: dict[str, list[list[int]]] = {}
        self.show()
        self.topics = TopicAdmin(self.zk, self.metadata, self.config, FakeDice(), topic_ids=True)  # type: ignore[arg-type]
        self.configs = ConfigAdmin(self.zk, self.metadata, self.config, self.dynamic)  # type: ignore[arg-type]

    def show(self) -> None:
        self.metadata.update(cluster_of(self.racks, self.known))

    def given(self, name: str, partitions: list[list[int]], znode: bytes) -> None:
        self.known[name] = partitions
        self.show()
        self.zk.make(f"/brokers/topics/{name}")
        self.zk.nodes[f"/brokers/topics/{name}"] = (znode, 0)


@pytest.fixture
def world() -> World:
    return World()
