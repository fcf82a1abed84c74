"""Metadata as each version and listener shows it, and when asking creates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from broker.admin.auto_creation import AutoTopicCreation
from broker.api.context import Context
from broker.api.metadata import ReplyCache, metadata
from broker.api.services import Services
from broker.api.table import Table
from broker.cluster.metadata_cache import MetadataCache
from broker.config import KafkaConfig
from broker.host import real_host
from broker.wire import codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.keys import ApiKey
from broker.wire.messages.metadata import MetadataRequest, MetadataRequestTopic, MetadataResponse
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)

ORDERS = UUID(int=7)


class Connection:
    name, listener, client_host, principal = "c", "PLAINTEXT", "127.0.0.1", "User:ANONYMOUS"

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}


class Broker:
    """A broker's metadata alone: three brokers, the third of which has no INSIDE listener; topic orders."""

    def __init__(self, **settings: Any) -> None:
        self.cache = MetadataCache()
        self.created: list[tuple[str, int, int]] = []
        config = KafkaConfig.of(**settings)
        self.services = Services(config=config, host=real_host(), table=Table([]), cluster_id="abc")
        self.services.metadata = self.cache
        self.services.metadata_replies = ReplyCache(self.cache)
        self.services.auto_creation = AutoTopicCreation(config, self.cache, self._create)
        self.update(leaders=(1, 3, -1))

    async def _create(self, topic: str, partitions: int, factor: int, settings: Mapping[str, str]) -> None:
        self.created.append((topic, partitions, factor))

    def update(self, leaders: tuple[int, ...], alive: tuple[int, ...] = (1, 2, 3)) -> None:
        states = [
            UpdateMetadataPartitionState(
                partition_index=index, leader=leader, leader_epoch=5, isr=[1, 2], replicas=[1, 2, 3], zk_version=1
            )
            for index, leader in enumerate(leaders)
        ]
        brokers = []
        for broker_id in alive:
            ends = [UpdateMetadataEndpoint(port=9000 + broker_id, host="h", listener="PLAINTEXT", security_protocol=0)]
            if broker_id != 3:
                ends.append(UpdateMetadataEndpoint(port=1, host="i", listener="INSIDE", security_protocol=0))
            brokers.append(UpdateMetadataBroker(id=broker_id, endpoints=ends, rack=f"r{broker_id}"))
        topic = UpdateMetadataTopicState(topic_name="orders", topic_id=ORDERS, partition_states=states)
        self.cache.update(UpdateMetadataRequest(controller_id=2, topic_states=[topic], live_brokers=brokers))

    def ask(self, version: int, request: MetadataRequest, listener: str = "PLAINTEXT") -> MetadataResponse:
        connection = Connection()
        connection.listener = listener
        answer = metadata(Context(connection, self.services, 3, version, 99, "c", 0.0), request)
        if isinstance(answer, bytes):
            assert int.from_bytes(answer[:4], "big") == len(answer) - 4
            correlation_id, answer = codec.decode_response(ApiKey.METADATA, version, answer[4:])
            assert correlation_id == 99
        assert isinstance(answer, MetadataResponse)
        return answer


def named(*names: str | None, **rest: Any) -> MetadataRequest:
    return MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in names], **rest)


@pytest.mark.parametrize("version", range(13))
async def test_every_version_lists_brokers_and_all_topics(version: int) -> None:
    reply = Broker().ask(version, MetadataRequest(topics=None if version else []))
    assert [(each.node_id, each.port) for each in reply.brokers] == [(1, 9001), (2, 9002), (3, 9003)]
    assert [topic.name for topic in reply.topics] == ["orders"]
    assert [part.leader_id for part in reply.topics[0].partitions] == [1, 3, -1]
    assert [part.error_code for part in reply.topics[0].partitions] == [0, 0, ErrorCode.LEADER_NOT_AVAILABLE]
    if version:
        assert (reply.controller_id, reply.brokers[0].rack) == (2, "r1")
    if version >= 10:
        assert reply.topics[0].topic_id == ORDERS


async def test_an_empty_list_means_none_from_version_1_on() -> None:
    assert Broker().ask(1, MetadataRequest(topics=[])).topics == []


async def test_a_leader_without_the_listener_is_said_to_be_missing() -> None:
    broker = Broker()
    reply = broker.ask(6, named("orders"), listener="INSIDE")
    assert [each.node_id for each in reply.brokers] == [1, 2]
    assert reply.topics[0].partitions[1].error_code == ErrorCode.LISTENER_NOT_FOUND
    assert broker.ask(5, named("orders"), "INSIDE").topics[0].partitions[1].error_code == 5


async def test_version_0_leaves_out_replicas_that_are_not_alive() -> None:
    broker = Broker()
    broker.update((1,), alive=(1, 2))
    partition = broker.ask(0, named("orders")).topics[0].partitions[0]
    assert (partition.replica_nodes, partition.error_code) == ([1, 2], ErrorCode.REPLICA_NOT_AVAILABLE)
    assert broker.ask(1, named("orders")).topics[0].partitions[0].replica_nodes == [1, 2, 3]


async def test_topics_are_found_by_id_from_version_12_on() -> None:
    broker = Broker()
    by_id = MetadataRequest(topics=[MetadataRequestTopic(name=None, topic_id=ORDERS)])
    assert broker.ask(12, by_id).topics[0].name == "orders"
    unknown = MetadataRequest(topics=[MetadataRequestTopic(name=None, topic_id=UUID(int=8))])
    found = broker.ask(12, unknown).topics[0]
    assert (found.error_code, found.name, found.topic_id) == (ErrorCode.UNKNOWN_TOPIC_ID, None, UUID(int=8))
    with pytest.raises(KafkaError, match="INVALID_REQUEST"):
        broker.ask(11, by_id)


@pytest.mark.parametrize(
    ("settings", "version", "request_", "error", "created"),
    [
        ({}, 12, named("new"), ErrorCode.LEADER_NOT_AVAILABLE, [("new", 1, 1)]),
        ({"num_partitions": 4}, 3, named("new"), ErrorCode.LEADER_NOT_AVAILABLE, [("new", 4, 1)]),
        ({}, 4, named("new", allow_auto_topic_creation=False), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []),
        ({}, 3, named("new", allow_auto_topic_creation=False), ErrorCode.LEADER_NOT_AVAILABLE, [("new", 1, 1)]),
        ({"auto_create_topics_enable": False}, 12, named("new"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, []),
        ({}, 12, named("a b"), ErrorCode.INVALID_TOPIC_EXCEPTION, []),
        ({}, 12, named("a b", allow_auto_topic_creation=False), ErrorCode.INVALID_TOPIC_EXCEPTION, []),
        ({"default_replication_factor": 4}, 12, named("new"), ErrorCode.INVALID_REPLICATION_FACTOR, []),
        ({}, 12, named("__consumer_offsets"), ErrorCode.LEADER_NOT_AVAILABLE, [("__consumer_offsets", 50, 3)]),
    ],
)
async def test_asking_for_an_unknown_topic(
    settings: dict[str, Any],
    version: int,
    request_: MetadataRequest,
    error: ErrorCode,
    created: list[tuple[str, int, int]],
) -> None:
    broker = Broker(**settings)
    for _ in range(2):
        assert broker.ask(version, request_).topics[0].error_code == error
    await broker.cache.wait_for(lambda cache: False, 0.01)
    assert broker.created == created


async def test_a_reply_is_kept_until_the_metadata_changes() -> None:
    broker = Broker()
    before = broker.ask(12, named("orders"))
    assert broker.ask(12, named("orders")) == before
    broker.update((2,))
    assert broker.ask(12, named("orders")).topics[0].partitions[0].leader_id == 2


async def test_operations_are_told_when_they_are_asked_for() -> None:
    broker = Broker()
    asked = broker.ask(
        8, named("orders", include_cluster_authorized_operations=True, include_topic_authorized_operations=True)
    )
    assert (asked.cluster_authorized_operations, asked.topics[0].topic_authorized_operations) == (8096, 3576)
    silent = broker.ask(8, named("orders"))
    assert silent.topics[0].topic_authorized_operations == -(2**31)
    unknown = broker.ask(8, named("nowhere", include_topic_authorized_operations=True))
    assert unknown.topics[0].topic_authorized_operations == 3576
