"""Every API, in every version, can say that a whole request failed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from broker.api.error_replies import error_reply
from broker.wire import codec
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey, newest_version
from broker.wire.messages.alter_replica_log_dirs import (
    AlterReplicaLogDir,
    AlterReplicaLogDirsRequest,
    AlterReplicaLogDirTopic,
)
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from broker.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from broker.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from broker.wire.schema import shape_of
from tests.wire.random_messages import random_message


def codes(message: Any) -> list[int]:
    """Every error code anywhere in ``message``."""
    found = []
    for field in shape_of(type(message)).fields:
        value = getattr(message, field.name)
        if field.name in ("error_code", "partition_error_code"):
            found.append(value)
        elif isinstance(value, list) and value and hasattr(value[0], "SHAPE"):
            found += [code for each in value for code in codes(each)]
    return found


@pytest.mark.parametrize("key", list(ApiKey), ids=lambda key: key.name)
def test_an_error_reply_can_be_sent_and_says_the_error(key: ApiKey) -> None:
    for version in range(newest_version(key) + 1):
        for seed in range(6):
            request = random_message(codec.request_class(key), version, Random(seed))
            reply = error_reply(key, version, request, ErrorCode.NOT_CONTROLLER, "because")
            frame = codec.encode_response(key, version, 1, reply)
            sent = codec.decode_response(key, version, frame[4:])[1]
            assert set(codes(sent)) <= {ErrorCode.NOT_CONTROLLER, 0}
        said = [
            codes(error_reply(key, version, random_message(codec.request_class(key), version, Random(seed)), 41))
            for seed in range(30)
        ]
        # DescribeLogDirs had no place for an error of the whole before version 3: Kafka answers with no directory
        assert any(41 in each for each in said) or (key, version < 3) == (ApiKey.DESCRIBE_LOG_DIRS, True)


def test_a_topic_that_was_asked_for_by_id_has_no_name_in_the_error() -> None:
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=None)])
    (topic,) = error_reply(ApiKey.DELETE_TOPICS, 6, request, ErrorCode.NOT_CONTROLLER).responses
    assert (topic.name, topic.error_code) == (None, ErrorCode.NOT_CONTROLLER)


def test_errors_stand_with_the_partition_that_was_asked_for() -> None:
    data = [PartitionProduceData(index=4), PartitionProduceData(index=2)]
    reply = error_reply(
        ApiKey.PRODUCE, 9, ProduceRequest(topic_data=[TopicProduceData(name="t", partition_data=data)]), 7
    )
    (topic,) = reply.responses
    assert (topic.name, [(each.index, each.error_code) for each in topic.partition_responses]) == (
        "t",
        [(4, 7), (2, 7)],
    )


def test_a_fetch_with_sessions_says_it_once_and_an_older_one_by_partition() -> None:
    request = FetchRequest(topics=[FetchTopic(topic="t", partitions=[FetchPartition(partition=3)])])
    assert codes(error_reply(ApiKey.FETCH, 6, request, 56)) == [0, 56]
    assert error_reply(ApiKey.FETCH, 7, request, 56).responses == []
    assert codes(error_reply(ApiKey.FETCH, 7, request, 56)) == [56]


def test_directories_of_a_request_become_topics_of_its_reply() -> None:
    topics = [AlterReplicaLogDirTopic(name="a", partitions=[1, 2]), AlterReplicaLogDirTopic(name="b", partitions=[0])]
    request = AlterReplicaLogDirsRequest(dirs=[AlterReplicaLogDir(path="/x", topics=topics)])
    reply = error_reply(ApiKey.ALTER_REPLICA_LOG_DIRS, 1, request, 57)
    found = [(t.topic_name, p.partition_index, p.error_code) for t in reply.results for p in t.partitions]
    assert found == [("a", 1, 57), ("a", 2, 57), ("b", 0, 57)]
