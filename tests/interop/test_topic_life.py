"""Settings, emptying, moves and elections by kops, on brokers of Apache Kafka 3.9 and on ours; Apache's tools judge."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from kops.cli import main
from kops.errors import Exit
from tests.interop.apache import Cluster, collect_what_clients_left, until
from tests.interop.ours import Ours
from tests.interop.tools import CONFIGS, OFFSETS, REASSIGN, Tools

Kops = Callable[..., str]


@pytest.fixture(params=["apache3", "ours3"])
def brokers(request: pytest.FixtureRequest) -> Cluster:
    """Three brokers, with ids 1 to 3."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def kops(
    brokers: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Kops]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", brokers.bootstrap)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        ended = main(words)
        if ended == Exit.UNREACHABLE and words[:2] == ("config", "set") and not isinstance(brokers, Ours):
            ended = main(words)  # Apache's brokers miss such a word now and then, and do not hear it later
        said = capfd.readouterr()
        assert ended == code, f"kops {' '.join(words)} ended with {ended}: {said.out} {said.err}"
        return said.out

    yield run
    collect_what_clients_left()


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    opened: list[TextIO] = []

    def give(content: bytes) -> None:
        path = tmp_path / f"input-{len(opened)}"
        path.write_bytes(content)
        opened.append(path.open())
        monkeypatch.setattr("sys.stdin", opened[-1])

    yield give
    for file in opened:
        file.close()


def items(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)["items"]
    return found


def test_settings_are_set_told_and_taken_away(kops: Kops, tools39: Tools, brokers: Cluster) -> None:
    kops("topic", "create", "settings", "-p", "1", "-r", "1")
    kops("config", "set", "topic", "settings", "segment.ms=70000", "cleanup.policy=compact,delete")
    ours = kops("config", "--describe", "--entity-type", "topics", "--entity-name", "settings")
    theirs = tools39(
        CONFIGS,
        *("--bootstrap-server", brokers.addresses[0], "--describe", "--entity-type", "topics"),
        *("--entity-name", "settings"),
    )
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines())
    kops("config", "unset", "topic", "settings", "segment.ms")
    (left,) = items(kops("topic", "config", "settings", "-o", "json"))
    assert (left["name"], left["value"], left["source"]) == ("cleanup.policy", "compact,delete", "topic")
    kops("config", "set", "broker", "1", "log.cleaner.threads=2")
    (own,) = items(kops("config", "describe", "broker", "1", "-o", "json"))
    assert [one["source"] for one in own["synonyms"]] == ["broker", "default"]
    kops("config", "unset", "broker", "1", "log.cleaner.threads")
    assert items(kops("config", "describe", "broker", "1", "-o", "json")) == []
    kops("config", "set", "topic", "settings", "nonsense=1", code=3)
    kops("config", "set", "topic", "settigns", "retention.ms=1", code=3)


def test_a_topic_is_emptied_and_begins_where_it_ended(
    kops: Kops, tools39: Tools, brokers: Cluster, feed: Callable[[bytes], None]
) -> None:
    kops("topic", "create", "emptied", "-p", "2", "-r", "3")
    feed(b"".join(b"%d\n" % number for number in range(200)))
    kops("produce", "emptied")
    kops("topic", "empty", "emptied", code=4)
    (first,) = items(kops("topic", "empty", "emptied", "--partition", "0", "--before", "3", "-y", "-o", "json"))
    assert (first["earliest"], first["records"]) == (3, 3)
    both = items(kops("topic", "empty", "emptied", "-y", "-o", "json"))
    assert [one["earliest"] for one in both] == [one["latest"] for one in both]
    told = tools39(
        OFFSETS,
        *("--bootstrap-server", brokers.addresses[0], "--topic", "emptied", "--time", "earliest"),
    )
    assert [int(line.rpartition(":")[2]) for line in told.split()] == [one["latest"] for one in both]
    kops("topic", "config", "emptied", "cleanup.policy=compact")
    feed(b"k:1\n")
    kops("produce", "emptied", "--key-separator", ":")
    kops("topic", "empty", "emptied", "-y", code=4)


def test_directories_and_replicas_are_listed(kops: Kops, brokers: Cluster) -> None:
    kops("topic", "create", "placed", "-p", "1", "-r", "3")
    folders = items(kops("logdir", "list", "-o", "json"))
    assert [(one["broker"], one["logDir"], one["error"]) for one in folders] == [
        (broker, f"{brokers.folder}/broker-{broker}", None) for broker in (1, 2, 3)
    ]
    rows = items(kops("logdir", "list", "--topic", "placed", "-o", "json"))
    assert sorted(one["broker"] for one in rows) == [1, 2, 3]
    kops("logdir", "list", "9", code=3)


def test_partitions_with_few_in_sync_are_picked_out(kops: Kops) -> None:
    kops("topic", "create", "few", "-p", "1", "-r", "2", "--config", "min.insync.replicas=2")
    kops("topic", "create", "many", "-p", "1", "-r", "3")
    at = items(kops("topic", "describe", "few", "many", "--at-min-isr-partitions", "-o", "json"))
    assert [one["topic"] for one in at] == ["few"]
    kops("topic", "config", "few", "min.insync.replicas=3")
    until(
        lambda: (
            [one["topic"] for one in items(kops("topic", "describe", "--under-min-isr-partitions", "-o", "json"))]
            == ["few"]
        ),
        "it is not under its minimum",
    )
    overridden = items(kops("topic", "describe", "few", "many", "--topics-with-overrides", "-o", "json"))
    assert [one["name"] for one in overridden] == ["few"]


def test_partitions_are_moved_elected_and_diagnosed(
    kops: Kops, tools39: Tools, brokers: Cluster, feed: Callable[[bytes], None], tmp_path: Path
) -> None:
    kops("topic", "create", "moved", "--replica-assignment", "1,1,1,1,1,1")
    feed(b"".join(b"%d\n" % number for number in range(500)))
    kops("produce", "moved")
    kops("partition", "reassign", "moved", code=4)
    moved = items(kops("partition", "reassign", "moved", "-y", "-o", "json"))
    assert [one["state"] for one in moved] == ["done"] * 4
    assert sum(one["bytes"] for one in moved) > 0
    grown = items(kops("partition", "reassign", "moved", "-r", "3", "-y", "-o", "json"))
    assert {len(one["to"]) for one in grown} == {3}
    kept = sorted((tmp_path / "state" / "kops" / "reassignments").iterdir())
    verdict = tools39(
        REASSIGN,
        *("--bootstrap-server", brokers.addresses[0], "--verify", "--reassignment-json-file", str(kept[-1])),
        code=None,
    )
    assert "moved-0" in verdict
    back = items(kops("partition", "reassign", "--reassignment-json-file", str(kept[-1]), "-y", "-o", "json"))
    assert {one["state"] for one in back} == {"done"}
    assert items(kops("partition", "reassign", "--list", "-o", "json")) == []
    assert len(kops("consume", "moved", "--from-beginning", "--exit").split()) == 500
    kops("topic", "create", "led", "--replica-assignment", "1:2:3")
    swapped = tmp_path / "swap.json"
    swapped.write_text('{"version":1,"partitions":[{"topic":"led","partition":0,"replicas":[2,1,3]}]}')
    kops("partition", "reassign", "--file", str(swapped), "-y")
    (elected,) = items(kops("partition", "elect", "led", "-o", "json"))
    assert (elected["before"], elected["leader"]) == (1, 2)
    assert items(kops("partition", "elect", "led", "-o", "json")) == []


def test_a_throttled_move_is_listed_and_taken_back_with_its_throttle(
    kops: Kops, tools39: Tools, brokers: Cluster, feed: Callable[[bytes], None], tmp_path: Path
) -> None:
    kops("topic", "create", "slow", "--replica-assignment", "1")
    feed(b"".join(b"%01000d\n" % number for number in range(3000)))
    kops("produce", "slow")
    plan = tmp_path / "plan.json"
    plan.write_text('{"version":1,"partitions":[{"topic":"slow","partition":0,"replicas":[2]}]}')
    way = ("--file", str(plan), "-o", "json")

    def told(kind: str, name: str) -> str:
        words = ("--describe", "--entity-type", kind, "--entity-name", name)
        return "".join(tools39(CONFIGS, "--bootstrap-server", brokers.addresses[0], *words).splitlines(True)[1:])

    kops("partition", "reassign", *way, "--throttle", "0", "-y", code=2)
    (moving,) = items(kops("partition", "reassign", *way, "--throttle", "100000", "--no-wait", "-y"))
    assert (moving["state"], moving["adding"], moving["removing"]) == ("moving", [2], [1])
    assert moving["bytes"] > 3_000_000
    (listed,) = items(kops("partition", "reassign", "--list", "-o", "json"))
    assert (listed["topic"], listed["adding"], listed["removing"]) == ("slow", [2], [1])
    (verified,) = items(kops("partition", "reassign", "--verify", *way))
    assert verified["state"] == "moving"
    assert "leader.replication.throttled.replicas=0:1 " in told("topics", "slow")
    assert "follower.replication.throttled.replicas=0:2 " in told("topics", "slow")
    assert "follower.replication.throttled.rate=100000 " in told("brokers", "2")
    (back,) = items(kops("partition", "reassign", "slow", "--cancel", "-y", "-o", "json"))
    assert back["topic"] == "slow"
    assert items(kops("partition", "reassign", "--list", "-o", "json")) == []
    assert (told("topics", "slow"), told("brokers", "1"), told("brokers", "2")) == ("", "", "")
    kops("partition", "reassign", "--verify", *way, code=1)
    assert len(kops("consume", "slow", "--from-beginning", "--exit").split()) == 3000


def test_the_doctor_finds_what_is_wrong_and_the_files_are_sound(kops: Kops, brokers: Cluster) -> None:
    way = ("--zookeeper", brokers.zookeeper, "-b", brokers.bootstrap, "-o", "json")
    kops("topic", "delete", "few", "-y")
    assert [one for one in items(kops("doctor", *way)) if one["level"] == "problem"] == []
    kops("zookeeper", "create", "/config/topics/forgotten", '{"version":1,"config":{}}', *way[:2])
    (found,) = [one for one in items(kops("doctor", *way, code=10)) if one["level"] == "problem"]
    assert (found["subject"], found["mend"]) == ("forgotten", "kops topic purge forgotten")
    kops("topic", "purge", "forgotten", "-y", "--watch", "0", *way[:4])
    kops("doctor", *way)
    kops("log", "verify", f"{brokers.folder}/broker-1")
