"""Every exit code, by a command line that earns it; errors in two lines, and in JSON as one document."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kops.conftest import FakeSession, Said

Kops = Callable[..., Said]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("topic list", 0),
        ("--help", 0),
        ("version", 0),
        ("nonsense", 2),
        ("topic", 2),
        ("topic nonsense", 2),
        ("topic list --nonsense", 2),
        ("topic create", 2),
        ("topic create a/b", 2),
        ("topic create t --config novalue", 2),
        ("topic create t --replica-assignment 1:x", 2),
        ("topic alter orders", 2),
        ("topic list -o nonsense", 2),
        ("consume", 2),
        ("produce orders --acks 7", 2),
        ("produce orders --compression rar", 2),
        ("consume orders --offset 5", 2),
        ("consume orders --since yesterday-ish", 2),
        ("topic describe nothere", 3),
        ("topic delete nothere -y", 3),
        ("context use nothere", 3),
        ("broker describe 9", 3),
        ("broker kill 1", 3),
        ("broker start nothere.properties --daemon", 3),
        ("down --name nothere", 3),
        ("topic delete orders", 4),
        ("topic create t --read-only", 4),
        ("topic --delete --topic orders", 4),
    ],
)
@pytest.mark.usefixtures("cluster")
def test_a_line_ends_with_its_exit_code(kops: Kops, line: str, code: int) -> None:
    assert kops(*line.split()).code == code


def test_nobody_answering_is_5_and_says_so_at_once(kops: Kops) -> None:
    said = kops("topic", "list", "-b", "127.0.0.1:1")
    assert said.code == 5
    assert said.err.splitlines()[0] == "kops: no broker answers (127.0.0.1:1: connection refused)"
    assert "kops up" in said.err.splitlines()[1]


def test_no_zookeeper_answering_is_5(kops: Kops) -> None:
    assert kops("zookeeper", "ls", "/", "--zookeeper", "127.0.0.1:1").code == 5
    assert kops("zookeeper", "status", "127.0.0.1:1").code == 5


@pytest.mark.parametrize(("error", "code"), [(36, 1), (7, 5), (29, 6)])
def test_a_refusal_of_the_broker_becomes_an_exit_code(
    kops: Kops, cluster: type[FakeSession], error: int, code: int
) -> None:
    cluster.fake.created_error = error
    assert kops("topic", "create", "orders").code == code


def test_forbidden_deletion_is_refused_with_the_way_out(kops: Kops, cluster: type[FakeSession]) -> None:
    cluster.fake.deleted_error = 73
    said = kops("topic", "delete", "orders", "-y")
    assert said.code == 4
    assert "delete.topic.enable" in said.err


def test_a_name_that_is_not_there_proposes_the_nearest(kops: Kops, cluster: type[FakeSession]) -> None:
    said = kops("topic", "describe", "ordrs")
    assert said.err.splitlines() == ["kops: topic 'ordrs' does not exist", "      Did you mean 'orders'?"]
    assert kops("topc").err.splitlines()[0] == "kops: No such command 'topc'. Did you mean 'topic'?"


@pytest.mark.parametrize(
    ("line", "kind", "code"),
    [
        ("topic describe nothere", "TopicDescription", 3),
        ("topic create", "TopicCreation", 2),
        ("topic delete orders", "TopicDeletion", 4),
        ("nonsense", "Error", 2),
    ],
)
def test_errors_are_one_json_document_too(
    kops: Kops, cluster: type[FakeSession], line: str, kind: str, code: int
) -> None:
    said = kops(*line.split(), "-o", "json")
    document = json.loads(said.out)
    assert (document["kind"], document["items"]) == (kind, [])
    assert document["errors"][0]["exit"] == said.code == code


def test_a_failure_of_one_item_is_in_the_same_document_as_the_others(kops: Kops, cluster: type[FakeSession]) -> None:
    said = kops("topic", "create", "orders", "b/c", "-o", "json")
    document = json.loads(said.out)
    assert [one["name"] for one in document["items"]] == ["orders"]
    assert [one["exit"] for one in document["errors"]] == [2]
    assert said.code == 2


def test_a_bug_is_told_without_a_traceback(
    kops: Kops, cluster: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("kops.cluster.topics.select", broken)
    said = kops("topic", "list")
    assert (said.code, said.err.splitlines()[0]) == (1, "kops: ZeroDivisionError: oops")
    with pytest.raises(ZeroDivisionError):
        kops("topic", "list", "-v")


def test_a_protected_context_is_not_changed_without_a_terminal(kops: Kops, cluster: type[FakeSession]) -> None:
    kops("context", "add", "prod", "-b", "h:1", "--protected", "--use")
    said = kops("topic", "delete", "orders", "--yes")
    assert said.code == 4
    assert "protected" in said.err


def test_a_project_file_chooses_the_context(kops: Kops, home: Path) -> None:
    kops("context", "add", "one", "-b", "127.0.0.1:1", "--use")
    kops("context", "add", "two", "-b", "127.0.0.1:2")
    (home / ".kops.toml").write_text('context = "two"\n')
    assert "127.0.0.1:2:" in kops("topic", "list").err
    assert "127.0.0.1:1:" in kops("topic", "list", "-c", "one").err
