"""Paths and payloads, byte for byte as Kafka 2.6 and 3.9 write them (facts A.3, A.4)."""

from __future__ import annotations

from uuid import UUID

import pytest

from broker.zk import znodes
from broker.zk.operations import CREATOR_ALL, OPEN_ACL, WORLD_READ
from broker.zk.znodes import (
    BrokerZnode,
    ControllerZnode,
    Endpoint,
    FeatureZnode,
    MalformedZnode,
    PartitionState,
    ProducerIdBlock,
    ReplicaAssignment,
    TopicZnode,
)

PLAIN = Endpoint("PLAINTEXT", "a.example", 9092, "PLAINTEXT")
INSIDE = Endpoint("INSIDE", "::1", 9093, "SSL")
TOPIC_ID = UUID("0b8f6a2e-5c1d-4f3a-9e7b-00112233aabb")

GOLDEN = [
    (ControllerZnode(1, 1700, None).encode(), b'{"version":1,"brokerid":1,"timestamp":"1700"}'),
    (ControllerZnode(1, 1700).encode(), b'{"version":2,"brokerid":1,"timestamp":"1700","kraftControllerEpoch":-1}'),
    (znodes.encode_controller_epoch(12), b"12"),
    (znodes.encode_cluster_id("abc"), b'{"version":"1","id":"abc"}'),
    (
        BrokerZnode(1, (PLAIN,), 1700).encode(),
        (
            b'{"version":4,"host":"a.example","port":9092,"jmx_port":-1,"timestamp":"1700",'
            b'"endpoints":["PLAINTEXT://a.example:9092"],"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"}}'
        ),
    ),
    (
        BrokerZnode(1, (INSIDE,), 1700, rack="r1", features={}).encode(),
        (
            b'{"version":5,"host":null,"port":-1,"jmx_port":-1,"timestamp":"1700",'
            b'"endpoints":["INSIDE://[::1]:9093"],"listener_security_protocol_map":{"INSIDE":"SSL"},'
            b'"rack":"r1","features":{}}'
        ),
    ),
    (
        TopicZnode({1: ReplicaAssignment((2, 1)), 0: ReplicaAssignment((1, 2, 3), (3,), (2,))}).encode(),
        b'{"version":2,"partitions":{"0":[1,2,3],"1":[2,1]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[2]}}',
    ),
    (
        TopicZnode({0: ReplicaAssignment((1,))}, TOPIC_ID).encode(),
        (
            b'{"version":3,"partitions":{"0":[1]},"adding_replicas":{},"removing_replicas":{},'
            b'"topic_id":"C49qLlwdTzqeewARIjOquw"}'
        ),
    ),
    (
        PartitionState(1, 4, (1, 2), 9).encode(),
        b'{"controller_epoch":9,"leader":1,"version":1,"leader_epoch":4,"isr":[1,2]}',
    ),
    (
        PartitionState(1, 4, (1,), 9, 1).encode(),
        b'{"controller_epoch":9,"leader":1,"version":1,"leader_epoch":4,"isr":[1],"leader_recovery_state":1}',
    ),
    (znodes.encode_config({"retention.ms": "1"}), b'{"version":1,"config":{"retention.ms":"1"}}'),
    (znodes.encode_config_change("topics/foo"), b'{"version":2,"entity_path":"topics/foo"}'),
    (znodes.encode_partition_set([("t", 0)]), b'{"version":1,"partitions":[{"topic":"t","partition":0}]}'),
    (
        znodes.encode_reassignment({("t", 0): (1, 2)}),
        b'{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2]}]}',
    ),
    (znodes.encode_log_dir_event(3), b'{"version":1,"broker":3,"event":1}'),
    (ProducerIdBlock(1, 0, 999).encode(), b'{"version":1,"broker":1,"block_start":"0","block_end":"999"}'),
    (FeatureZnode(False).encode(), b'{"version":2,"status":0,"features":{}}'),
    (
        FeatureZnode(True, {"f": (1, 2)}, 1).encode(),
        b'{"version":1,"status":1,"features":{"f":{"min_version_level":1,"max_version_level":2}}}',
    ),
]


@pytest.mark.parametrize(("written", "golden"), GOLDEN, ids=[str(index) for index in range(len(GOLDEN))])
def test_payloads_are_kafkas_byte_for_byte(written: bytes, golden: bytes) -> None:
    assert written == golden


def test_what_is_written_reads_back() -> None:
    broker = BrokerZnode(4, (PLAIN, INSIDE), 5, "rack", 99, {"f": (1, 2)})
    topic = TopicZnode({0: ReplicaAssignment((1, 2), (2,)), 10: ReplicaAssignment((2,))}, TOPIC_ID)
    state = PartitionState(-1, 3, (), 2, 1)
    assert BrokerZnode.decode(4, broker.encode()) == broker
    assert TopicZnode.decode("t", topic.encode()) == topic
    assert PartitionState.decode(state.encode()) == state
    assert ControllerZnode.decode(ControllerZnode(1, 2, None).encode()) == ControllerZnode(1, 2, None)
    assert FeatureZnode.decode(FeatureZnode(True, {"f": (None, 2)}).encode()) == FeatureZnode(True, {"f": (None, 2)})
    assert ProducerIdBlock.decode(ProducerIdBlock(1, 1000, 1999).encode()) == ProducerIdBlock(1, 1000, 1999)
    assert znodes.decode_reassignment(znodes.encode_reassignment({("t", 1): [3]})) == {("t", 1): (3,)}
    assert znodes.decode_partition_set(znodes.encode_partition_set([("t", 1)])) == (("t", 1),)


def test_older_forms_are_read() -> None:
    assert BrokerZnode.decode(1, b'{"version":1,"host":"h","port":9092,"jmx_port":-1,"timestamp":"5"}').endpoints == (
        Endpoint("PLAINTEXT", "h", 9092, "PLAINTEXT"),
    )
    second = b'{"version":2,"host":"h","port":9092,"jmx_port":-1,"timestamp":"5","endpoints":["SSL://h:9093"]}'
    assert BrokerZnode.decode(1, second).endpoints == (Endpoint("SSL", "h", 9093, "SSL"),)
    assert TopicZnode.decode("t", b'{"version":1,"partitions":{"0":[1,2]}}').partitions[0].replicas == (1, 2)
    change = b'{"version":1,"entity_type":"topics","entity_name":"foo"}'
    assert znodes.decode_config_change(change) == "topics/foo"


def test_empty_nodes_have_a_meaning() -> None:
    assert ProducerIdBlock.decode(b"") is None
    assert ProducerIdBlock.decode(None) is None
    assert znodes.decode_config(None) == {}
    assert znodes.decode_config(b'{"version":1,"config":{}}') == {}


@pytest.mark.parametrize("data", [None, b"", b"{", b"[1]", b'"x"', b"{}", b'{"version":3}', b"\xff\xfe"])
def test_what_nobody_writes_is_named_and_refused(data: bytes | None) -> None:
    for read in (
        ControllerZnode.decode,
        PartitionState.decode,
        znodes.decode_partition_set,
        znodes.decode_reassignment,
        znodes.decode_config_change,
        znodes.decode_cluster_id,
        znodes.decode_controller_epoch,
        znodes.decode_log_dir_event,
        lambda raw: TopicZnode.decode("t", raw),
        lambda raw: BrokerZnode.decode(1, raw),
    ):
        with pytest.raises(MalformedZnode):
            read(data)


def test_users_and_client_ids_are_sanitised_as_javas_urlencoder_does() -> None:
    assert znodes.sanitize("a b*c~d+e/é._-") == "a%20b%2Ac%7Ed%2Be%2F%C3%A9._-"
    assert znodes.desanitize(znodes.sanitize("a b*c~d+e/é._-")) == "a b*c~d+e/é._-"


def test_paths() -> None:
    assert znodes.partition_state("orders", 3) == "/brokers/topics/orders/partitions/3/state"
    assert znodes.config_entity("topics", "orders") == "/config/topics/orders"
    assert znodes.config_path("users/u/clients/c") == "/config/users/u/clients/c"
    assert znodes.parents("/brokers/ids/1") == ["/brokers", "/brokers/ids"]
    assert znodes.sequence_of("config_change_0000000042") == 42
    with pytest.raises(MalformedZnode):
        znodes.sequence_of("config_change")


def test_access_lists_follow_zookeeper_set_acl() -> None:
    assert znodes.acl_for("/config/users/bob", False) == OPEN_ACL
    assert znodes.acl_for("/config/users/bob", True) == (CREATOR_ALL,)
    assert znodes.acl_for("/brokers/topics/t", True) == (CREATOR_ALL, WORLD_READ)
    assert znodes.acl_for("/consumers/g", True) == OPEN_ACL
