"""CreateTopics, DeleteTopics, CreatePartitions, the configs APIs and ElectLeaders, over a dict for ZooKeeper.

The controller's part is played by the test: it shows topics in the metadata, or does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest

from broker.admin.configs import Source
from broker.api.configs import alter_configs, describe_configs, incremental_alter_configs
from broker.api.context import Context
from broker.api.partitions import elect_leaders
from broker.api.services import Services
from broker.api.table import Table
from broker.api.topics import create_partitions, create_topics, delete_topics
from broker.host import real_host
from broker.wire import codec
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages import incremental_alter_configs as incremental
from broker.wire.messages.alter_configs import AlterableConfig, AlterConfigsRequest, AlterConfigsResource
from broker.wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from broker.wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.wire.messages.describe_configs import DescribeConfigsRequest, DescribeConfigsResource
from broker.wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from broker.zk.znodes import TopicZnode
from tests.admin.conftest import World

NONE, NOT_CONTROLLER, TIMED_OUT = ErrorCode.NONE, ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT


class FakeController:
    def __init__(self) -> None:
        self.is_active = True
        self.deleting: list[str] = []
        self.outcomes: dict[tuple[str, int], tuple[ErrorCode, str | None]] = {}

    def is_marked_for_deletion(self, topic: str) -> bool:
        return topic in self.deleting

    async def elect_leaders(self, partitions, election_type):
        if not self.is_active:
            raise KafkaError(NOT_CONTROLLER)
        return self.outcomes


class FakeConnection:
    name, listener, client_host, principal = "c", "PLAINTEXT", "127.0.0.1", "User:ANONYMOUS"


class Broker(World):
    """Handlers over a :class:`World`; ``appears`` plays the controller."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.controller = FakeController()
        self.services = Services(config=self.config, host=real_host(), table=Table(()))
        self.services.metadata, self.services.controller = self.metadata, self.controller
        self.services.admin, self.services.config_admin = self.topics, self.configs

    def ask(self, key: int, version: int) -> Context:
        now = self.services.host.clock.monotonic()
        return Context(FakeConnection(), self.services, key, version, 1, "test", now)  # type: ignore[arg-type]

    def appears(self) -> None:
        """Every topic of ZooKeeper shows in the metadata, with its own id and leaders."""
        found = {
            path.rpartition("/")[2]: TopicZnode.decode(path, data)
            for path, (data, _) in self.zk.nodes.items()
            if path.startswith("/brokers/topics/")
        }
        for name, znode in found.items():
            self.known[name] = [list(each.replicas) for each in znode.partitions.values()]
        self.show()
        for name, znode in found.items():
            self.metadata._set_topic_id(name, znode.topic_id or UUID(int=0))
        self.metadata._wake()

    async def soon(self, work: Callable[[], None]) -> None:
        await asyncio.sleep(0.01)
        work()


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def create(broker: Broker, *topics: CreatableTopic, version: int = 7, timeout: int = 1000, **more: bool):
    request = CreateTopicsRequest(topics=list(topics), timeout_ms=timeout, **more)
    reply = await create_topics(broker.ask(19, version), request)
    codec.encode_response(19, version, 1, reply)
    return {topic.name: topic for topic in reply.topics}


def topic(name: str, partitions: int = 1, factor: int = 1, **settings: str) -> CreatableTopic:
    configs = [CreatableTopicConfig(name=key.replace("_", "."), value=value) for key, value in settings.items()]
    return CreatableTopic(name=name, num_partitions=partitions, replication_factor=factor, configs=configs)


async def test_creation_is_answered_when_every_partition_has_a_leader(broker: Broker) -> None:
    creating = asyncio.ensure_future(create(broker, topic("a", 2, 3, retention_ms="5"), topic("b")))
    await broker.soon(lambda: None)
    assert not creating.done()
    broker.appears()
    results = await creating
    assert [each.error_code for each in results.values()] == [NONE, NONE]
    assert (results["a"].num_partitions, results["a"].replication_factor) == (2, 3)
    assert results["a"].topic_id == broker.metadata.topic_id("a") != UUID(int=0)
    configs = {each.name: each for each in results["a"].configs or []}
    assert (configs["retention.ms"].value, configs["retention.ms"].config_source) == ("5", Source.TOPIC)
    assert configs["segment.bytes"].config_source == Source.DEFAULT


@pytest.mark.parametrize("version", range(8))
async def test_every_version_of_creation_is_served(broker: Broker, version: int) -> None:
    creating = asyncio.ensure_future(create(broker, topic("a"), version=version))
    await broker.soon(broker.appears)
    assert (await creating)["a"].error_code == NONE


async def test_creation_that_does_not_show_in_time_is_a_time_out_and_goes_on(broker: Broker) -> None:
    results = await create(broker, topic("a"), timeout=30)
    assert results["a"].error_code == TIMED_OUT
    assert "/brokers/topics/a" in broker.zk.nodes


async def test_a_time_out_of_zero_creates_and_answers_at_once(broker: Broker) -> None:
    results = await create(broker, topic("a"), timeout=0)
    assert results["a"].error_code == TIMED_OUT
    assert "/brokers/topics/a" in broker.zk.nodes


async def test_a_namesake_that_is_still_shown_does_not_count(broker: Broker) -> None:
    """The metadata still has leaders of a deleted topic of that name: its id differs."""
    creating = asyncio.ensure_future(create(broker, topic("a"), timeout=100))
    await asyncio.sleep(0)
    broker.known["a"] = [[1]]
    broker.show()
    assert (await creating)["a"].error_code == TIMED_OUT


async def test_a_refused_topic_does_not_hold_up_the_others(broker: Broker) -> None:
    creating = asyncio.ensure_future(create(broker, topic("bad name"), topic("good"), topic("big", 1, 9)))
    await broker.soon(broker.appears)
    results = await creating
    assert [each.error_code for each in results.values()] == [17, 0, 38]
    assert results["big"].error_message == "Replication factor: 9 larger than available brokers: 3."


async def test_a_name_that_comes_twice_is_refused_both_times(broker: Broker) -> None:
    request = CreateTopicsRequest(topics=[topic("a"), topic("a")], timeout_ms=10)
    reply = await create_topics(broker.ask(19, 7), request)
    assert [(each.name, each.error_code, each.error_message) for each in reply.topics] == [
        ("a", 42, "Found multiple entries for this topic.")
    ] * 2
    assert broker.zk.writes == []


async def test_validation_only_reports_the_shape_and_creates_nothing(broker: Broker) -> None:
    results = await create(broker, topic("a", -1, -1), validate_only=True)
    assert (results["a"].error_code, results["a"].num_partitions, results["a"].topic_id.int) == (NONE, 1, 0)
    assert broker.zk.writes == []


async def test_controller_bound_requests_are_refused_elsewhere(broker: Broker) -> None:
    broker.controller.is_active = False
    with pytest.raises(KafkaError, match="NOT_CONTROLLER"):
        await create(broker, topic("a"))
    with pytest.raises(KafkaError, match="NOT_CONTROLLER"):
        await delete(broker, "a")
    with pytest.raises(KafkaError, match="NOT_CONTROLLER"):
        await extend(broker, "a", 2)


# --- deletion ------------------------------------------------------------------------------------------------------


async def delete(broker: Broker, *names: str, version: int = 6, timeout: int = 1000, ids: tuple[UUID, ...] = ()):
    states = [*(DeleteTopicState(name=name) for name in names), *(DeleteTopicState(topic_id=each) for each in ids)]
    request = DeleteTopicsRequest(topics=states, topic_names=list(names), timeout_ms=timeout)
    reply = await delete_topics(broker.ask(20, version), request)
    codec.encode_response(20, version, 1, reply)
    return [(each.name, each.error_code) for each in reply.responses]


def vanish(broker: Broker, name: str) -> Callable[[], None]:
    def gone() -> None:
        del broker.known[name]
        broker.metadata._topics.pop(name)
        broker.show()

    return gone


@pytest.mark.parametrize("version", range(7))
async def test_deletion_is_answered_when_the_topic_left_the_metadata(broker: Broker, version: int) -> None:
    broker.given("a", [[1]], b"")
    deleting = asyncio.ensure_future(delete(broker, "a", version=version))
    await broker.soon(lambda: None)
    assert not deleting.done()
    vanish(broker, "a")()
    assert await deleting == [("a", NONE)]
    assert broker.zk.writes == ["create /admin/delete_topics/a"]


async def test_deletion_by_id_names_the_topic_and_an_unknown_id_is_said(broker: Broker) -> None:
    broker.given("a", [[1]], b"")
    deleting = asyncio.ensure_future(delete(broker, ids=(UUID(int=1), UUID(int=99))))
    await broker.soon(vanish(broker, "a"))
    assert await deleting == [("a", NONE), (None, ErrorCode.UNKNOWN_TOPIC_ID)]


async def test_deletion_of_an_unknown_topic_and_of_a_slow_one(broker: Broker) -> None:
    broker.given("slow", [[1]], b"")
    assert await delete(broker, "unknown", "slow", timeout=30) == [("unknown", 3), ("slow", TIMED_OUT)]


async def test_deletion_wants_a_name_or_an_id_and_names_twice_what_is_named_twice(broker: Broker) -> None:
    assert await delete(broker, "b", "b", ids=(UUID(int=0),)) == [("b", 3), ("b", 3), (None, 29)]
    both = DeleteTopicsRequest(topics=[DeleteTopicState(name="a", topic_id=UUID(int=1))], timeout_ms=1000)
    with pytest.raises(KafkaError, match="INVALID_REQUEST"):
        await delete_topics(broker.ask(20, 6), both)


@pytest.mark.parametrize(("version", "code"), [(2, 42), (3, 73), (6, 73)])
async def test_deletion_can_be_disabled(version: int, code: int) -> None:
    broker = Broker(delete_topic_enable=False)
    broker.given("a", [[1]], b"")
    with pytest.raises(KafkaError) as refused:
        await delete(broker, "a", version=version)
    assert refused.value.code == code
    assert broker.zk.writes == []


# --- more partitions -----------------------------------------------------------------------------------------------


async def extend(broker: Broker, name: str, total: int, version: int = 3, timeout: int = 1000, times: int = 1):
    topics = [CreatePartitionsTopic(name=name, count=total, assignments=None) for _ in range(times)]
    request = CreatePartitionsRequest(topics=topics, timeout_ms=timeout)
    reply = await create_partitions(broker.ask(37, version), request)
    codec.encode_response(37, version, 1, reply)
    return [(each.name, each.error_code, each.error_message) for each in reply.results]


@pytest.mark.parametrize("version", range(4))
async def test_extension_is_answered_when_the_new_partitions_have_leaders(broker: Broker, version: int) -> None:
    await create(broker, topic("a"), timeout=0)
    broker.appears()
    extending = asyncio.ensure_future(extend(broker, "a", 3, version))
    await broker.soon(broker.appears)
    assert await extending == [("a", NONE, None)]
    assert len(broker.metadata.partitions("a")) == 3


async def test_extension_is_refused(broker: Broker) -> None:
    await create(broker, topic("a"), timeout=0)
    broker.appears()
    assert await extend(broker, "a", 1) == [("a", 37, "Topic already has 1 partitions.")]
    assert await extend(broker, "a", 2, times=2) == [("a", 42, "Duplicate topic in request.")]
    broker.controller.deleting.append("a")
    assert await extend(broker, "a", 2) == [("a", 17, "The topic is queued for deletion.")]


async def test_extension_that_does_not_show_in_time_is_a_time_out(broker: Broker) -> None:
    await create(broker, topic("a"), timeout=0)
    broker.appears()
    assert await extend(broker, "a", 2, timeout=30) == [("a", TIMED_OUT, None)]


# --- configs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(5))
async def test_every_version_describes_topic_and_broker(broker: Broker, version: int) -> None:
    broker.given("a", [[1]], b"")
    resources = [DescribeConfigsResource(resource_type=2, resource_name="a", configuration_keys=None)]
    resources += [DescribeConfigsResource(resource_type=4, resource_name=name) for name in ("1", "7")]
    request = DescribeConfigsRequest(resources=resources, include_synonyms=True, include_documentation=True)
    reply = await describe_configs(broker.ask(32, version), request)
    codec.encode_response(32, version, 1, reply)
    of_topic, of_broker, of_other = reply.results
    segment = next(each for each in of_topic.configs if each.name == "segment.bytes")
    assert (segment.value, segment.is_default, segment.config_type) == ("1073741824", True, 3)
    assert segment.synonyms[0].name == "log.segment.bytes"
    assert segment.documentation
    assert any(each.name == "broker.id" and each.read_only for each in of_broker.configs)
    assert of_other.error_code == 42


async def test_incremental_changes_answer_per_resource(broker: Broker) -> None:
    broker.given("a", [[1]], b"")
    changes = [incremental.AlterableConfig(name="retention.ms", config_operation=0, value="5")]
    resources = [
        incremental.AlterConfigsResource(resource_type=2, resource_name=name, configs=changes)
        for name in ("a", "unknown", "twice", "twice")
    ]
    request = incremental.IncrementalAlterConfigsRequest(resources=resources)
    reply = await incremental_alter_configs(broker.ask(44, 1), request)
    codec.encode_response(44, 1, 1, reply)
    assert [(each.resource_name, each.error_code) for each in reply.responses] == [
        ("a", 0),
        ("unknown", 3),
        ("twice", 42),
        ("twice", 42),
    ]
    assert broker.zk.nodes["/config/topics/a"][0] == b'{"version":1,"config":{"retention.ms":"5"}}'


async def test_alter_configs_replaces(broker: Broker) -> None:
    broker.given("a", [[1]], b"")
    for name in ("retention.ms", "segment.bytes"):
        resource = AlterConfigsResource(
            resource_type=2, resource_name="a", configs=[AlterableConfig(name=name, value="50")]
        )
        reply = await alter_configs(broker.ask(33, 2), AlterConfigsRequest(resources=[resource]))
        codec.encode_response(33, 2, 1, reply)
        assert reply.responses[0].error_code == NONE
    assert broker.zk.nodes["/config/topics/a"][0] == b'{"version":1,"config":{"segment.bytes":"50"}}'


# --- elections -----------------------------------------------------------------------------------------------------


async def elect(broker: Broker, asked: list[int] | None, election: int = 0, version: int = 2, timeout: int = 30):
    topics = None if asked is None else [TopicPartitions(topic="a", partitions=asked)]
    request = ElectLeadersRequest(election_type=election, topic_partitions=topics, timeout_ms=timeout)
    reply = await elect_leaders(broker.ask(43, version), request)
    codec.encode_response(43, version, 1, reply)
    return {
        each.partition_id: (each.error_code, each.error_message)
        for result in reply.replica_election_results
        for each in result.partition_result
    }


@pytest.mark.parametrize("version", range(3))
async def test_an_election_is_answered_when_the_leader_shows(broker: Broker, version: int) -> None:
    broker.given("a", [[1, 2], [2, 1]], b"")
    broker.controller.outcomes = {("a", 0): (NONE, None), ("a", 1): (ErrorCode.ELECTION_NOT_NEEDED, "as is")}
    assert await elect(broker, [0, 1], version=version) == {0: (NONE, None), 1: (84, "as is")}


async def test_of_all_partitions_those_without_need_are_left_out(broker: Broker) -> None:
    broker.given("a", [[1, 2], [2, 1]], b"")
    broker.controller.outcomes = {("a", 0): (NONE, None), ("a", 1): (ErrorCode.ELECTION_NOT_NEEDED, "as is")}
    assert await elect(broker, None) == {0: (NONE, None)}


async def test_a_leader_that_does_not_show_in_time_is_a_time_out(broker: Broker) -> None:
    broker.controller.outcomes = {("a", 0): (NONE, None)}
    assert await elect(broker, [0]) == {0: (TIMED_OUT, None)}


async def test_elections_elsewhere_are_refused_per_partition(broker: Broker) -> None:
    broker.given("a", [[1, 2]], b"")
    broker.controller.is_active = False
    assert await elect(broker, [0, 5]) == {0: (NOT_CONTROLLER, None), 5: (NOT_CONTROLLER, None)}
    assert await elect(broker, None) == {0: (NOT_CONTROLLER, None)}


async def test_an_unknown_kind_of_election_is_refused(broker: Broker) -> None:
    with pytest.raises(KafkaError, match="Unknown election type: 7"):
        await elect(broker, [0], election=7)
