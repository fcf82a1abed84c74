"""Validation and writing of topics, by the tables of facts H.2 and H.3."""

from __future__ import annotations

import json

import pytest

from broker.admin.topics import NewTopic
from broker.wire.errors import ErrorCode, KafkaError
from broker.zk.znodes import ReplicaAssignment, TopicZnode
from tests.admin.conftest import World

LONG = "x" * 250
NAME = "Topic name is invalid: "
CREATE_REFUSALS = [
    (NewTopic("there", 1, 1), 36, "Topic 'there' already exists."),
    (NewTopic("hidden", 1, 1), 36, "Topic 'hidden' already exists."),
    (NewTopic("going", 1, 1), 36, "Topic 'going' is marked for deletion."),
    (NewTopic("", 1, 1), 17, NAME + "the empty string is not allowed"),
    (NewTopic("..", 1, 1), 17, NAME + "'..' is not allowed"),
    (NewTopic(LONG, 1, 1), 17, NAME + f"the length of '{LONG}' is longer than the max allowed length 249"),
    (
        NewTopic("a b", 1, 1),
        17,
        NAME + "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
    ),
    (NewTopic("hid.den_2", 1, 1), 17, "Topic 'hid.den_2' collides with existing topics: hid_den.2"),
    (NewTopic("t", 0, 1), 37, "Number of partitions must be larger than 0."),
    (NewTopic("t", 2**31 - 1, 1), 44, "2147483647 partitions are more than the 10000 that may be created at once."),
    (NewTopic("t", 1, 0), 38, "Replication factor must be larger than 0."),
    (NewTopic("t", 1, 4), 38, "Replication factor: 4 larger than available brokers: 3."),
    (
        NewTopic("t", 1, -1, {0: (1,)}),
        42,
        (
            "Both numPartitions or replicationFactor and replicasAssignments were set. "
            "Both cannot be used at the same time."
        ),
    ),
    (NewTopic("t", assignments={0: (1,), 1: (1, 2)}), 39, "All partitions should have the same number of replicas"),
    (NewTopic("t", assignments={0: (1, 1)}), 39, "Duplicate replica assignment found: HashMap(0 -> ArrayBuffer(1, 1))"),
    (
        NewTopic("t", assignments={0: (1,), 2: (1,)}),
        39,
        "partitions should be a consecutive 0-based integer sequence",
    ),
    (NewTopic("t", 1, 1, settings={"a": None, "b": None}), 40, "Null value not supported for topic configs: a,b"),
    (NewTopic("t", 1, 1, settings={"nonsense": "1"}), 40, "Unknown topic config name: nonsense"),
    (
        NewTopic("t", 1, 1, settings={"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "1"}),
        40,
        "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (1)",
    ),
]


@pytest.mark.parametrize(("topic", "code", "message"), CREATE_REFUSALS, ids=[row[2][:40] for row in CREATE_REFUSALS])
async def test_creation_is_refused_with_kafkas_code_and_words(
    world: World, topic: NewTopic, code: int, message: str
) -> None:
    world.given("there", [[1]], b"")
    world.zk.make("/brokers/topics/hidden", "/brokers/topics/hid_den.2", "/admin/delete_topics/going")
    with pytest.raises(KafkaError) as refused:
        await world.topics.create(topic)
    assert (refused.value.code, refused.value.message) == (code, message)
    assert world.zk.writes == []


async def test_a_bad_value_names_value_and_setting(world: World) -> None:
    with pytest.raises(KafkaError, match="Invalid value many for configuration retention.ms") as refused:
        await world.topics.create(NewTopic("t", 1, 1, settings={"retention.ms": "many"}))
    assert refused.value.code == ErrorCode.INVALID_CONFIG


async def test_settings_are_written_before_the_topic(world: World) -> None:
    created = await world.topics.create(NewTopic("t", 2, 3, settings={"retention.ms": "5"}))
    assert world.zk.writes == ["create /config/topics/t", "create /brokers/topics/t"]
    assert world.zk.nodes["/config/topics/t"][0] == b'{"version":1,"config":{"retention.ms":"5"}}'
    znode = TopicZnode.decode("t", world.zk.nodes["/brokers/topics/t"][0])
    assert znode.topic_id == created.topic_id
    assert {index: part.replicas for index, part in znode.partitions.items()} == created.assignment
    assert [sorted(replicas) for replicas in created.assignment.values()] == [[1, 2, 3], [1, 2, 3]]
    assert created.config.retention_ms == 5


async def test_settings_that_an_earlier_topic_left_are_replaced(world: World) -> None:
    world.zk.make("/config/topics/t")
    await world.topics.create(NewTopic("t", 1, 1))
    assert world.zk.nodes["/config/topics/t"][0] == b'{"version":1,"config":{}}'


async def test_minus_one_means_the_brokers_defaults() -> None:
    world = World(num_partitions=4, default_replication_factor=2)
    created = await world.topics.create(NewTopic("t"))
    assert [len(replicas) for replicas in created.assignment.values()] == [2, 2, 2, 2]


async def test_validate_only_writes_nothing(world: World) -> None:
    created = await world.topics.create(NewTopic("t", 1, 1), validate_only=True)
    assert len(created.assignment) == 1
    assert world.zk.writes == []


async def test_an_assignment_is_taken_as_given_unknown_brokers_too(world: World) -> None:
    created = await world.topics.create(NewTopic("t", assignments={1: (9, 1), 0: (2, 9)}))
    assert created.assignment == {0: (2, 9), 1: (9, 1)}


async def test_a_creation_whose_answer_was_lost_is_known_as_ours(world: World) -> None:
    world.zk.lose_answer_to = "/brokers/topics/t"
    created = await world.topics.create(NewTopic("t", 1, 1))
    assert json.loads(world.zk.nodes["/brokers/topics/t"][0] or b"")["topic_id"]
    assert created.name == "t"


async def test_without_zookeeper_the_answer_is_a_time_out(world: World) -> None:
    world.zk.connected = False
    with pytest.raises(KafkaError) as refused:
        await world.topics.create(NewTopic("t", 1, 1), timeout=0.05)
    assert refused.value.code == ErrorCode.REQUEST_TIMED_OUT


async def test_deletion_marks_the_topic_and_a_second_one_is_no_error(world: World) -> None:
    world.given("t", [[1]], b"")
    await world.topics.delete("t")
    await world.topics.delete("t")
    assert world.zk.writes == ["create /admin/delete_topics/t"]


async def test_deletion_of_what_is_not_there_marks_nothing(world: World) -> None:
    with pytest.raises(KafkaError) as refused:
        await world.topics.delete("t")
    assert refused.value.code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert world.zk.writes == []


TWO = TopicZnode({0: ReplicaAssignment((1, 2)), 1: ReplicaAssignment((2, 3))}).encode()
EXTENSION_REFUSALS = [
    ("unknown", 3, None, 3, "The topic 'unknown' does not exist."),
    ("t", 1, None, 37, "Topic currently has 2 partitions, which is higher than the requested 1."),
    ("t", 2, None, 37, "Topic already has 2 partitions."),
    ("t", 2**31 - 1, None, 44, "2147483645 partitions are more than the 10000 that may be created at once."),
    ("t", 3, [[9, 1]], 39, "Unknown broker(s) in replica assignment: 9."),
    ("t", 4, [[1, 2]], 39, "Increasing the number of partitions by 2 but 1 assignments provided."),
    ("t", 3, [[1, 1]], 39, "Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 2."),
    ("t", 3, [[]], 39, "Cannot have replication factor of 0 for partition id 2."),
    (
        "t",
        3,
        [[1]],
        39,
        (
            "Inconsistent replication factor between partitions, partition 0 has 2 while partitions [2] have "
            "replication factors [1], respectively."
        ),
    ),
    ("moving", 3, None, 60, "A partition reassignment is in progress for the topic 'moving'."),
]


@pytest.mark.parametrize(
    ("name", "total", "given", "code", "message"), EXTENSION_REFUSALS, ids=[row[4][:40] for row in EXTENSION_REFUSALS]
)
async def test_extension_is_refused_with_kafkas_code_and_words(
    world: World, name: str, total: int, given: list[list[int]] | None, code: int, message: str
) -> None:
    world.given("t", [[1, 2], [2, 3]], TWO)
    world.given("moving", [[1, 2]], TopicZnode({0: ReplicaAssignment((1, 2), (2,), ())}).encode())
    with pytest.raises(KafkaError) as refused:
        await world.topics.add_partitions(name, total, given)
    assert (refused.value.code, refused.value.message) == (code, message)
    assert world.zk.writes == []


async def test_extension_keeps_what_is_there_and_adds_the_rest(world: World) -> None:
    world.given("t", [[1, 2], [2, 3]], TWO)
    added = await world.topics.add_partitions("t", 4)
    assert sorted(added) == [2, 3]
    znode = TopicZnode.decode("t", world.zk.nodes["/brokers/topics/t"][0])
    assert [part.replicas for part in znode.partitions.values()][:2] == [(1, 2), (2, 3)]
    assert len(znode.partitions) == 4


async def test_extension_by_given_replicas(world: World) -> None:
    world.given("t", [[1, 2], [2, 3]], TWO)
    assert await world.topics.add_partitions("t", 3, [[3, 1]]) == {2: (3, 1)}


async def test_an_extension_whose_answer_was_lost_is_known_as_ours(world: World) -> None:
    world.given("t", [[1, 2], [2, 3]], TWO)
    world.zk.lose_answer_to = "/brokers/topics/t"
    assert await world.topics.add_partitions("t", 3, [[3, 1]]) == {2: (3, 1)}
    assert world.zk.nodes["/brokers/topics/t"][1] == 1


async def test_extension_only_validated_writes_nothing(world: World) -> None:
    world.given("t", [[1, 2], [2, 3]], TWO)
    assert sorted(await world.topics.add_partitions("t", 3, validate_only=True)) == [2]
    assert world.zk.writes == []
