"""Describing and changing settings, by the tables of facts H.3, H.6 and H.7."""

from __future__ import annotations

import logging

import pytest

from broker.admin.configs import Alteration, Described, Op, Source
from broker.wire.errors import ErrorCode, KafkaError
from broker.zk.znodes import decode_config
from tests.admin.conftest import World

TOPIC, BROKER, LOGGER = 2, 4, 8


@pytest.fixture
def ours(world: World) -> World:
    world.given("t", [[1]], b"")
    world.zk.make("/config/topics/t")
    world.zk.nodes["/config/topics/t"] = (b'{"version":1,"config":{"cleanup.policy":"delete","retention.ms":"7"}}', 0)
    return world


def by_name(described: list[Described]) -> dict[str, Described]:
    return {each.key.name: each for each in described}


def settings(world: World, entity: str) -> dict[str, str]:
    return decode_config(world.zk.nodes[f"/config/{entity}"][0])


async def test_a_topic_is_described_with_its_sources_strongest_first() -> None:
    world = World(log_segment_bytes=1000)
    world.given("t", [[1]], b"")
    world.zk.make("/config/topics/t")
    world.zk.nodes["/config/topics/t"] = (b'{"version":1,"config":{"segment.bytes":"500"}}', 0)
    world.dynamic.default_settings = {"log.segment.bytes": "2000"}
    world.dynamic.broker_settings = {"log.segment.bytes": "3000"}
    found = by_name(await world.configs.describe(TOPIC, "t"))
    segment = found["segment.bytes"]
    assert (segment.value, segment.source, segment.read_only) == ("500", Source.TOPIC, False)
    assert [tuple(each) for each in segment.synonyms] == [
        ("segment.bytes", "500", Source.TOPIC),
        ("log.segment.bytes", "3000", Source.DYNAMIC_BROKER),
        ("log.segment.bytes", "2000", Source.DYNAMIC_DEFAULT_BROKER),
        ("log.segment.bytes", "1000", Source.STATIC_BROKER),
        ("log.segment.bytes", "1073741824", Source.DEFAULT),
    ]
    assert found["retention.ms"].source is Source.DEFAULT
    assert found["retention.ms"].value == "604800000"
    assert found["retention.ms"].synonyms == (), (
        "as Kafka 3.9: log.retention.ms is not set, its weaker names do not count"
    )


async def test_only_the_settings_asked_for_are_described(ours: World) -> None:
    described = await ours.configs.describe(TOPIC, "t", ["retention.ms", "nonsense"])
    assert [each.key.name for each in described] == ["retention.ms"]


async def test_while_zookeeper_is_away_a_topic_is_described_as_last_heard(ours: World) -> None:
    ours.zk.connected = False
    ours.dynamic.topics["t"] = {"retention.ms": "9"}
    assert by_name(await ours.configs.describe(TOPIC, "t"))["retention.ms"].value == "9"


async def test_this_broker_is_described_static_dynamic_and_read_only() -> None:
    world = World(num_io_threads=9)
    world.dynamic.broker_settings = {"background.threads": "11"}
    found = by_name(await world.configs.describe(BROKER, "1"))
    assert (found["num.io.threads"].value, found["num.io.threads"].source) == ("9", Source.STATIC_BROKER)
    assert found["background.threads"].source is Source.DYNAMIC_BROKER
    assert found["broker.id"].read_only
    assert not found["num.io.threads"].read_only


async def test_what_no_broker_knows_is_shown_without_its_value(world: World) -> None:
    world.dynamic.broker_settings = {"my.plugin": "secret"}
    world.dynamic.default_settings = {"my.plugin": "other", "theirs": "5"}
    found = by_name(await world.configs.describe(BROKER, "1"))
    mine = found["my.plugin"]
    assert (mine.value, mine.source, mine.read_only, mine.key.sensitive) == (None, Source.DYNAMIC_BROKER, True, True)
    assert [each.source for each in mine.synonyms] == [Source.DYNAMIC_BROKER, Source.DYNAMIC_DEFAULT_BROKER]
    assert found["theirs"].source is Source.DYNAMIC_DEFAULT_BROKER
    assert by_name(await world.configs.describe(BROKER, "")).keys() == {"my.plugin", "theirs"}


async def test_a_pool_may_be_halved_in_whole_numbers_and_the_cleaner_has_words_of_its_own(world: World) -> None:
    await world.configs.alter(BROKER, "1", [Alteration("num.network.threads", "1")], True)
    with pytest.raises(
        KafkaError, match="Log cleaner threads cannot be increased to more than double the current value 1"
    ):
        await world.configs.alter(BROKER, "1", [Alteration("log.cleaner.threads", "3")], True)


async def test_the_clusters_defaults_are_only_what_was_set(world: World) -> None:
    world.dynamic.default_settings = {"background.threads": "12"}
    [described] = await world.configs.describe(BROKER, "")
    assert (described.key.name, described.value) == ("background.threads", "12")
    assert described.source is Source.DYNAMIC_DEFAULT_BROKER


DESCRIBE_REFUSALS = [
    (TOPIC, "unknown", 3, ""),
    (BROKER, "2", 42, "Unexpected broker id, expected 1 or empty string, but received 2"),
    (BROKER, "one", 42, "Broker id must be an integer, but it is: one"),
    (BROKER, " 1", 42, "Broker id must be an integer, but it is:  1"),
    (BROKER, "99999999999", 42, "Broker id must be an integer, but it is: 99999999999"),
    (TOPIC, "", 17, "Topic name is invalid: the empty string is not allowed"),
    (LOGGER, "", 42, "Broker id must not be empty"),
    (LOGGER, "2", 42, "Unexpected broker id, expected 1 but received 2"),
    (16, "x", 42, "Config type client-metrics is only supported on KRaft clusters"),
]


@pytest.mark.parametrize(("kind", "name", "code", "message"), DESCRIBE_REFUSALS)
async def test_description_is_refused(world: World, kind: int, name: str, code: int, message: str | None) -> None:
    with pytest.raises(KafkaError) as refused:
        await world.configs.describe(kind, name)
    assert (refused.value.code, refused.value.message) == (code, message)


async def test_incremental_changes_leave_the_others_alone_and_notify(ours: World) -> None:
    changes = [
        Alteration("retention.ms", None, Op.DELETE),
        Alteration("segment.bytes", "100", Op.SET),
        Alteration("cleanup.policy", "compact", Op.APPEND),
    ]
    await ours.configs.alter(TOPIC, "t", changes, False)
    assert settings(ours, "topics/t") == {"cleanup.policy": "delete,compact", "segment.bytes": "100"}
    assert ours.zk.writes == ["set /config/topics/t", "create /config/changes/config_change_0000000000"]
    notice = ours.zk.nodes["/config/changes/config_change_0000000000"][0]
    assert notice == b'{"version":2,"entity_path":"topics/t"}'
    await ours.configs.alter(TOPIC, "t", [Alteration("cleanup.policy", "delete", Op.SUBTRACT)], False)
    assert settings(ours, "topics/t")["cleanup.policy"] == "compact"
    await ours.configs.alter(TOPIC, "t", [Alteration("cleanup.policy", "compact", Op.SUBTRACT)], False)
    assert settings(ours, "topics/t")["cleanup.policy"] == ""


async def test_appending_twice_adds_once_and_to_the_default_where_nothing_is_set(ours: World) -> None:
    for _ in range(2):
        await ours.configs.alter(TOPIC, "t", [Alteration("cleanup.policy", "compact", Op.APPEND)], False)
    assert settings(ours, "topics/t")["cleanup.policy"] == "delete,compact"
    await ours.configs.alter(BROKER, "1", [Alteration("log.cleanup.policy", "compact", Op.APPEND)], False)
    assert settings(ours, "brokers/1") == {"log.cleanup.policy": "delete,compact"}


async def test_replacing_forgets_what_is_not_named(ours: World) -> None:
    await ours.configs.replace(TOPIC, "t", [Alteration("segment.bytes", "100")], False)
    assert settings(ours, "topics/t") == {"segment.bytes": "100"}


async def test_validate_only_checks_and_writes_nothing(ours: World) -> None:
    await ours.configs.alter(TOPIC, "t", [Alteration("segment.bytes", "100")], True)
    with pytest.raises(KafkaError):
        await ours.configs.alter(TOPIC, "t", [Alteration("segment.bytes", "few")], True)
    assert ours.zk.writes == []


async def test_the_clusters_defaults_have_their_own_node(world: World) -> None:
    await world.configs.alter(BROKER, "", [Alteration("background.threads", "12")], False)
    assert settings(world, "brokers/<default>") == {"background.threads": "12"}
    assert world.zk.nodes["/config/changes/config_change_0000000000"][0] == (
        b'{"version":2,"entity_path":"brokers/<default>"}'
    )


async def test_a_change_at_the_same_time_is_not_undone(ours: World) -> None:
    """Somebody writes between the read and the write: the change is made again on top of theirs."""
    real = ours.zk.request
    meddled = False

    async def request(ops, timeout=None):
        nonlocal meddled
        results = await real(ops, timeout)
        if not meddled and type(ops[0]).__name__ == "GetData":
            meddled = True
            data = b'{"version":1,"config":{"flush.ms":"3"}}'
            ours.zk.nodes["/config/topics/t"] = (data, ours.zk.nodes["/config/topics/t"][1] + 1)
        return results

    ours.zk.request = request
    await ours.configs.alter(TOPIC, "t", [Alteration("segment.bytes", "100")], False)
    assert settings(ours, "topics/t") == {"flush.ms": "3", "segment.bytes": "100"}


RESOURCE = "Invalid config value for resource ConfigResource(type=TOPIC, name='t'): "
READ_ONLY = "Cannot update these configs dynamically: Set(broker.id, log.dirs)"
PER_BROKER = (
    "Cannot update these configs at default cluster level, broker id must be specified: Set(ssl.keystore.location)"
)
APPEND = "Config value append is not allowed for config key: retention.ms"
SUBTRACT = "Config value subtract is not allowed for config key: retention.ms"
SECRET = "Cannot update these passwords dynamically, write them into the broker's own file: Set(sasl.jaas.config)"
THREADS = (
    "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for "
    "num.io.threads={} for configuration Invalid dynamic configuration"
)
THROTTLED = (
    "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
)
OFFSET_MAP = "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
TIERED = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
TIERED_ONLY = "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode."
ALTER_REFUSALS = [
    (TOPIC, "unknown", [], 3, "The topic 'unknown' does not exist."),
    (TOPIC, "", [], 42, "Default topic resources are not allowed."),
    (TOPIC, "t", [("a", "1", 0), ("a", "2", 0)], 42, "Error due to duplicate config keys"),
    (TOPIC, "t", [("a", None, 0), ("b", None, 2)], 42, "Null value not supported for : a, b"),
    (TOPIC, "t", [("retention.ms", "1", 2)], 40, APPEND),
    (TOPIC, "t", [("retention.ms", "1", 3)], 40, SUBTRACT),
    (TOPIC, "t", [("retention.ms", "1", 9)], 42, "Unknown operations type 9"),
    (TOPIC, "t", [("nonsense", "1", 0)], 40, "Unknown topic config name: nonsense"),
    *(
        (TOPIC, "t", [(name, text, 0)], 40, f"{RESOURCE}Invalid value {shown} for configuration {name}: {complaint}")
        for name, text, shown, complaint in (
            ("retention.ms", "x", "x", "Not a number of type LONG"),
            ("retention.ms", "-5", "-5", "Value must be at least -1"),
            ("cleanup.policy", "compact,foo", "foo", "String must be one of: compact, delete"),
            ("min.cleanable.dirty.ratio", "2", "2.0", "Value must be no more than 1"),
            ("preallocate", "maybe", "maybe", "Expected value to be either true or false"),
            ("cleanup.policy", "delete,", "", "String must be one of: compact, delete"),
            ("message.format.version", "9.9", "9.9", "Version 9.9 is not a valid version"),
            ("leader.replication.throttled.replicas", "0:1,x", "[0:1, x]", THROTTLED),
        )
    ),
    (BROKER, "2", [], 42, "Unexpected broker id, expected 1, but received 2"),
    (BROKER, "1", [("broker.id", "2", 0), ("log.dirs", "/x", 0)], 42, READ_ONLY),
    (BROKER, "", [("ssl.keystore.location", "/k", 0)], 42, PER_BROKER),
    (
        BROKER,
        "1",
        [("num.io.threads", "17", 0)],
        42,
        THREADS.format("17, value should not be greater than double the current value 8"),
    ),
    *(
        (BROKER, "1", [("advertised.listeners", text, 0)], 42, complaint)
        for text, complaint in (
            (
                "nonsense",
                "Error creating broker listeners from 'nonsense': Unable to parse nonsense to a broker endpoint",
            ),
            (
                "PLAINTEXT://h:1,SSL://h:2",
                "Advertised listeners 'PLAINTEXT://h:1,SSL://h:2' must be a subset of listeners 'PLAINTEXT://:9092'",
            ),
            (
                "PLAINTEXT://0.0.0.0:1",
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.",
            ),
            (",", "Advertised listener must be specified for inter-broker listener PLAINTEXT"),
        )
    ),
    (
        BROKER,
        "1",
        [("num.io.threads", "3", 0)],
        42,
        THREADS.format("3, value should be at least half the current value 8"),
    ),
    (BROKER, "", [("log.cleaner.dedupe.buffer.size", "5", 0)], 42, OFFSET_MAP),
    (BROKER, "one", [], 42, "Node id must be an integer, but it is: one"),
    (16, "x", [], 42, "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS"),
    (32, "x", [], 42, "Unknown resource type 32"),
    (TOPIC, "t", [("remote.storage.enable", "true", 0)], 40, RESOURCE + TIERED),
    (TOPIC, "t", [("remote.log.copy.disable", "true", 0)], 40, TIERED_ONLY),
]


@pytest.mark.parametrize(
    ("kind", "name", "changes", "code", "message"), ALTER_REFUSALS, ids=[row[4][:50] for row in ALTER_REFUSALS]
)
async def test_alteration_is_refused_with_kafkas_code_and_words(
    ours: World, kind: int, name: str, changes: list[tuple[str, str | None, int]], code: int, message: str
) -> None:
    with pytest.raises(KafkaError) as refused:
        await ours.configs.alter(kind, name, [Alteration(*change) for change in changes], False)
    assert (refused.value.code, refused.value.message) == (code, message)
    assert ours.zk.writes == []


async def test_a_bad_value_has_the_code_of_its_kind_of_resource(ours: World) -> None:
    with pytest.raises(KafkaError, match="Invalid value few for configuration segment.bytes") as topic:
        await ours.configs.alter(TOPIC, "t", [Alteration("segment.bytes", "few")], False)
    assert topic.value.code == ErrorCode.INVALID_CONFIG
    with pytest.raises(KafkaError, match="Invalid value few for configuration num.io.threads") as broker:
        await ours.configs.alter(BROKER, "1", [Alteration("num.io.threads", "few")], False)
    assert broker.value.code == ErrorCode.INVALID_REQUEST


async def test_levels_of_loggers_are_described_and_changed(world: World) -> None:
    logger = logging.getLogger("broker.admin.configs")
    try:
        await world.configs.alter(LOGGER, "1", [Alteration("broker.admin.configs", "DEBUG")], False)
        assert logger.level == logging.DEBUG
        found = by_name(await world.configs.describe(LOGGER, "1"))
        assert (found["broker.admin.configs"].value, found["root"].value) == ("DEBUG", "WARN")
        assert found["root"].source is Source.DYNAMIC_BROKER_LOGGER
        await world.configs.alter(LOGGER, "1", [Alteration("broker.admin.configs", None, Op.DELETE)], False)
        assert logger.level == logging.NOTSET
    finally:
        logger.setLevel(logging.NOTSET)


LOGGER_REFUSALS = [
    ("", [], 42, "Node id must be an integer, but it is: "),
    ("2", [], 42, "Unexpected node id. Expected 1, but received 2"),
    ("1", [("no.such", "INFO", 0)], 40, "Logger no.such does not exist!"),
    ("1", [("root", None, 1)], 42, "Removing the log level of the root logger is not allowed"),
    ("1", [("root", "INFO", 2)], 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
]


@pytest.mark.parametrize(("name", "changes", "code", "message"), LOGGER_REFUSALS)
async def test_changes_of_loggers_are_refused_with_kafkas_code_and_words(
    world: World, name: str, changes: list[tuple[str, str | None, int]], code: int, message: str
) -> None:
    with pytest.raises(KafkaError) as refused:
        await world.configs.alter(LOGGER, name, [Alteration(*change) for change in changes], False)
    assert (refused.value.code, refused.value.message) == (code, message)
