"""kops on Apache Kafka 3.9 and its ZooKeeper: the same commands do the same things there."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from kops.cli import main
from tests.interop.apache import Apache, Cluster, collect_what_clients_left, until

Kops = Callable[..., str]
Feed = Callable[[bytes], None]


@pytest.fixture
def kops(apache3: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Kops:
    """``kops("topic", "list")`` on the three brokers; its stdout. Fails unless it ends with ``code``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", apache3.bootstrap)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        ended = main(words)
        said = capfd.readouterr()
        assert ended == code, f"kops {' '.join(words)} ended with {ended}: {said.err}"
        return said.out

    yield run
    collect_what_clients_left()


def described(kops: Kops, topic: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kops("topic", "describe", topic, "-o", "json"))["items"][0]
    return found


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Feed]:
    """``feed(b"lines")`` makes them the standard input, as ``< file`` does."""
    opened: list[TextIO] = []

    def give(content: bytes) -> None:
        path = tmp_path / f"input-{len(opened)}"
        path.write_bytes(content)
        opened.append(path.open())
        monkeypatch.setattr("sys.stdin", opened[-1])

    yield give
    for file in opened:
        file.close()


def test_a_topic_is_created_described_altered_and_deleted(kops: Kops) -> None:
    kops("topic", "create", "life", "--partitions", "2", "--replication-factor", "3", "--config", "retention.ms=60000")
    assert "life" in kops("topic", "list", "-o", "name").split()
    first = described(kops, "life")
    assert (first["partitionCount"], first["replicationFactor"]) == (2, 3)
    assert first["configs"] == {"retention.ms": "60000"}
    kops("topic", "alter", "life", "--partitions", "3", "--config", "retention.ms=5000")
    second = described(kops, "life")
    assert (second["partitionCount"], second["configs"]) == (3, {"retention.ms": "5000"})
    kops("topic", "delete", "life", code=4)
    kops("topic", "delete", "life", "--yes")
    assert "life" not in kops("topic", "list", "-o", "name").split()


def test_describe_prints_what_apaches_own_tool_prints(kops: Kops, kafka39: Apache, apache3: Cluster) -> None:
    kops("topic", "create", "same", "-p", "2", "-r", "2", "--config", "retention.ms=60000")
    ours = kops("topic", "--describe", "--topic", "same", "--bootstrap-server", apache3.bootstrap)
    theirs = kafka39.run(
        "org.apache.kafka.tools.TopicCommand",
        *("--bootstrap-server", apache3.addresses[0], "--describe", "--topic", "same"),
    )
    assert ours == theirs.replace("\tElr: N/A\tLastKnownElr: N/A", "")


def test_the_older_way_through_zookeeper_does_the_same(kops: Kops, apache3: Cluster, kafka26: Apache) -> None:
    way = ("--zookeeper", apache3.zookeeper)
    kops("topic", "--create", "--topic", "older", "--partitions", "2", "--replication-factor", "2", *way)
    assert "older" in kops("topic", "--list", *way).split()
    ours = kops("topic", "--describe", "--topic", "older", *way)
    theirs = kafka26.run("kafka.admin.TopicCommand", *way, "--describe", "--topic", "older")
    without_id = "\t".join(part for part in ours.splitlines()[0].split("\t") if not part.startswith("TopicId"))
    assert [without_id, *ours.splitlines()[1:]] == theirs.rstrip("\n").split("\n")
    kops("topic", "--alter", "--topic", "older", "--partitions", "4", "--config", "retention.ms=7000", *way)
    until(lambda: described(kops, "older")["configs"] == {"retention.ms": "7000"}, "the brokers were not told")
    assert described(kops, "older")["partitionCount"] == 4
    kops("topic", "--delete", "--topic", "older", *way, "-y")
    until(lambda: "older" not in kops("topic", "list", "-o", "name").split(), "the brokers still know it")


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_records_come_back_as_they_were(kops: Kops, feed: Feed, codec: str) -> None:
    topic = f"records-{codec}"
    kops("topic", "create", topic, "-p", "1", "-r", "3")
    lines = b"".join(b"line %d\n" % number for number in range(2000))
    feed(lines)
    kops("produce", topic, "--compression", codec)
    assert kops("consume", topic, "--from-beginning", "--exit").encode() == lines


def test_ndjson_is_loss_less_from_topic_to_topic(kops: Kops, feed: Feed) -> None:
    for topic in ("from", "to"):
        kops("topic", "create", topic, "-p", "1", "-r", "1")
    originals = [
        {"key": None, "value": "", "headers": [], "timestamp": 1_700_000_000_000},
        {"key": "", "value": None, "headers": [{"key": "h", "value": None}], "timestamp": 1_700_000_000_001},
        {
            "key": {"base64": "/w=="},
            "value": {"base64": "AP8="},
            "headers": [{"key": "h", "value": "x"}],
            "timestamp": 5,
        },
    ]
    feed("\n".join(map(json.dumps, originals)).encode())
    kops("produce", "from", "--from", "ndjson")
    first = kops("consume", "from", "--from-beginning", "--exit", "-o", "ndjson")
    feed(first.encode())
    kops("produce", "to", "--from", "ndjson")
    second = kops("consume", "to", "--from-beginning", "--exit", "-o", "ndjson")
    kept = [{name: json.loads(line)[name] for name in originals[0]} for line in second.splitlines()]
    assert kept == originals
    assert second == first.replace('"topic":"from"', '"topic":"to"')


def test_consume_starts_where_it_is_told_and_stops_where_it_is_told(kops: Kops, feed: Feed) -> None:
    kops("topic", "create", "where", "-p", "2", "-r", "1")
    feed(b"a:1\nb:2\nc:3\n")
    kops("produce", "where", "--partition", "1", "--key-separator", ":")
    assert kops("consume", "where", "--partition", "1", "--offset", "1", "-n", "1", "--print-key") == "b\t2\n"
    assert kops("consume", "where", "--partition", "0", "--from-beginning", "--timeout-ms", "500") == ""
    assert kops("consume", "where", "--since", "-1h", "-n", "3", "--print-partition").count("Partition:1") == 3
    kops("consume", "where", "--partition", "7", "--from-beginning", code=3)
    kops("consume", "nowhere", "--from-beginning", code=3)
    assert "nowhere" not in kops("topic", "list", "-o", "name").split()


def test_looking_joins_no_group(kops: Kops, kafka39: Apache, apache3: Cluster) -> None:
    groups = kafka39.run(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        *("--bootstrap-server", apache3.addresses[0], "--list"),
    )
    assert groups.split() == []


def test_zookeepers_tree_is_read_and_changed(kops: Kops, apache3: Cluster) -> None:
    way = ("--zookeeper", apache3.zookeeper)
    assert kops("zookeeper", "ls", "/brokers/ids", *way).split() == ["1", "2", "3"]
    assert json.loads(kops("zookeeper", "get", "/brokers/ids/1", *way))["version"] == 5
    assert "dataVersion = 1" in kops("zookeeper", "stat", "/brokers/ids/1", *way)
    assert kops("zookeeper", "shell", apache3.zookeeper, "ls", "/brokers/ids") == "[1, 2, 3]\n"
    kops("zookeeper", "create", "/mine/below", "one", "--parents", *way)
    kops("zookeeper", "set", "/mine/below", "two", *way)
    assert kops("zookeeper", "get", "/mine/below", *way) == "two\n"
    kops("zookeeper", "delete", "/mine", "--recursive", *way, code=4)
    kops("zookeeper", "delete", "/mine", "--recursive", "--yes", *way)
    kops("zookeeper", "get", "/mine", *way, code=3)


def test_a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost(kops: Kops, apache3: Cluster, feed: Feed) -> None:
    kops("topic", "create", "failover", "-p", "1", "-r", "3")
    lines = b"".join(b"%d\n" % number for number in range(500))
    feed(lines)
    kops("produce", "failover")
    leader = described(kops, "failover")["partitions"][0]["leader"]
    apache3.kill(leader)
    try:
        until(lambda: described(kops, "failover")["partitions"][0]["leader"] not in (leader, -1), "nobody took over")
        until(lambda: leader not in described(kops, "failover")["partitions"][0]["isr"], "the dead one is in the ISR")
        assert kops("consume", "failover", "--from-beginning", "--exit").encode() == lines
        down = [one for one in json.loads(kops("broker", "list", "-o", "json"))["items"] if not one["alive"]]
        assert [one["id"] for one in down] == [leader]
    finally:
        apache3.restart(leader)
    until(lambda: len(described(kops, "failover")["partitions"][0]["isr"]) == 3, "it is not back in the ISR")
