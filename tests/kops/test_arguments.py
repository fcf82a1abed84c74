"""What is typed becomes the right call, in kops' own words and in Apache's."""

from collections.abc import Callable

import pytest

from kops.commands.apache import rewrite
from tests.kops.conftest import FakeSession, Said

Kops = Callable[..., Said]


@pytest.mark.parametrize(
    ("line", "rewritten"),
    [
        ("topic --create --topic t --partitions 1", "topic create --apache-verbs --topic t --partitions 1"),
        ("topics --list --zookeeper h:1", "topics list --apache-verbs --zookeeper h:1"),
        ("-o json topic --topic t --describe", "-o json topic describe --apache-verbs --topic t"),
        ("topic create t --config a=--delete", "topic create t --config a=--delete"),
        ("topic --create --delete", "topic --create --delete"),
        ("broker --list", "broker --list"),
        ("topic", "topic"),
        ("", ""),
        ("-v --version", "-v version"),
    ],
)
def test_apaches_verbs_move_to_the_place_of_the_verb(line: str, rewritten: str) -> None:
    assert rewrite(line.split()) == rewritten.split()


def created(cluster: type[FakeSession]) -> object:
    return next(what for call, what in cluster.fake.calls if call == "create")


@pytest.mark.parametrize(
    "line",
    [
        "topic create orders --partitions 3 --replication-factor 2 --config retention.ms=5",
        "topics create orders -p 3 -r 2 --config retention.ms=5",
        "topic --create --topic orders --partitions 3 --replication-factor 2 --config retention.ms=5 -b h:1",
        "topic --partitions 3 --create --replication-factor 2 --topic orders --config retention.ms=5 --broker-list h:1",
    ],
)
def test_creating_a_topic_asks_for_what_was_typed(kops: Kops, cluster: type[FakeSession], line: str) -> None:
    assert kops(*line.split()).code == 0
    assert created(cluster) == {
        "orders": {"num_partitions": 3, "replication_factor": 2, "configs": {"retention.ms": "5"}}
    }


def test_partitions_and_replicas_are_the_brokers_choice_unless_said(kops: Kops, cluster: type[FakeSession]) -> None:
    kops("topic", "create", "orders")
    assert created(cluster) == {"orders": {"num_partitions": -1, "replication_factor": -1, "configs": {}}}


def test_an_assignment_names_brokers_per_partition(kops: Kops, cluster: type[FakeSession]) -> None:
    kops("topic", "create", "orders", "--replica-assignment", "1:2,2:1")
    assert created(cluster) == {"orders": {"assignments": {0: [1, 2], 1: [2, 1]}, "configs": {}}}


def test_what_is_there_already_is_left_alone_with_if_not_exists(kops: Kops, cluster: type[FakeSession]) -> None:
    said = kops("topic", "create", "orders", "--if-not-exists")
    assert (said.code, cluster.fake.calls) == (0, [])


def test_a_regular_expression_is_anchored_and_leaves_internal_topics_out(
    kops: Kops, cluster: type[FakeSession]
) -> None:
    assert kops("topic", "describe", "--regex", ".*", "-o", "name").out == "orders\n"
    assert kops("topic", "describe", "--regex", "rder", "-o", "name").out == ""
