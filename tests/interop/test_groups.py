"""Groups on Apache Kafka 3.9 and on our broker: Apache's tool and kops see and do the same on both."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from kazoo.client import KazooClient

from kops.cli import main
from kops.cluster.metadata import snapshot
from kops.contexts import Context
from kops.session import Session
from tests.cluster.processes import Process
from tests.interop.apache import Cluster, accepts, collect_what_clients_left, until
from tests.interop.tools import Tools
from tests.ports import free_port

Kops = Callable[..., str]
Tool = Callable[..., list[str]]
COMMAND = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """ZooKeeper and a broker of ours; the addresses of the broker and of ZooKeeper."""
    folder = tmp_path_factory.mktemp("ours")
    keeper, port = free_port(), free_port()
    zookeeper = Process(
        "zookeeper",
        "broker.zookeeper",
        {"dataDir": str(folder / "zk"), "clientPort": str(keeper), "clientPortAddress": "127.0.0.1"},
        folder,
    )
    settings = {
        "broker.id": "1",
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "zookeeper.connect": f"127.0.0.1:{keeper}",
        "log.dirs": str(folder / "logs"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "3",
        "group.initial.rebalance.delay.ms": "0",
    }
    broker = Process("broker", "broker", settings, folder)
    zookeeper.start()
    try:
        until(lambda: accepts(keeper), "ZooKeeper does not listen", zookeeper.log)
        broker.start()
        until(lambda: accepts(port), "the broker does not listen", broker.log)
        with Session(Context(bootstrap_servers=f"127.0.0.1:{port}")) as session:
            until(lambda: snapshot(session, []).controller >= 0, "nobody is elected controller", broker.log)
        yield f"127.0.0.1:{port}", f"127.0.0.1:{keeper}"
    finally:
        broker.kill()
        zookeeper.kill()


@pytest.fixture(params=["apache", "ours"])
def servers(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The addresses of a broker and of ZooKeeper."""
    found = request.getfixturevalue(request.param)
    return (found.bootstrap, found.zookeeper) if isinstance(found, Cluster) else found


@pytest.fixture
def address(servers: tuple[str, str]) -> str:
    return servers[0]


@pytest.fixture
def tool(tools39: Tools, address: str) -> Tool:
    """Apache's own command on the same cluster; its lines that say something, blanks as one."""

    def run(*words: str) -> list[str]:
        return [line for line in lines(tools39(COMMAND, "--bootstrap-server", address, *words)) if " WARN " not in line]

    return run


@pytest.fixture
def kops(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Kops]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", address)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> str:
        capfd.readouterr()
        ended = main(words)
        said = capfd.readouterr()
        assert ended == code, f"kops {' '.join(words)} ended with {ended}: {said.err}"
        return said.out + (said.err if code else "")

    yield run
    collect_what_clients_left()


@pytest.fixture
def topic(address: str, request: pytest.FixtureRequest) -> str:
    """Two partitions with 30 records each, written 10 at a time, 200 ms apart."""
    name = f"t-{request.node.originalname}"[:60]
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(30)
    producer = Producer({"bootstrap.servers": address, "linger.ms": 0})
    for _ in range(3):
        for partition in (0, 1):
            for number in range(10):
                producer.produce(name, b"%d" % number, partition=partition)
        assert producer.flush(30) == 0
        time.sleep(0.2)
    return name


@contextmanager
def member(address: str, group: str, topic: str, count: int) -> Iterator[Callable[[], None]]:
    """Somebody who has read and committed ``count`` records, and stays in the group until what is yielded is called."""
    settings = {
        "bootstrap.servers": address,
        "group.id": group,
        "client.id": "reader",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "partition.assignment.strategy": "range",
    }
    consumer, done, ended = Consumer(settings), threading.Event(), threading.Event()

    def work() -> None:
        consumer.subscribe([topic])
        read = 0
        while not ended.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                read += 1
                if read == count:
                    consumer.commit(asynchronous=False)
                    done.set()
        consumer.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert done.wait(40), "it did not read what is there"
        yield ended.set
    finally:
        ended.set()
        thread.join(20)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_apaches_tool_and_kops_tell_the_same_of_a_group(
    address: str, kops: Kops, tool: Tool, topic: str, request: pytest.FixtureRequest
) -> None:
    kops("group", "reset", "idle", "--topic", topic, "--to-earliest", "--yes")
    with member(address, "readers", topic, 60):
        for words in (
            ("--describe", "--group", "readers"),
            ("--describe", "--group", "readers", "--members"),
            ("--describe", "--group", "readers", "--members", "--verbose"),
            ("--describe", "--group", "readers", "--state"),
            ("--describe", "--group", "readers", "--group", "idle", "--state"),
            ("--describe", "--group", "readers", "--group", "idle", "--members"),
            ("--describe", "--all-groups"),
            ("--list",),
            ("--list", "--type"),
            ("--list", "--type", "classic"),
            ("--list", "--state"),
            ("--list", "--state", "Stable"),
        ):
            assert sorted(lines(kops("group", *words))) == sorted(tool(*words)), words
        said = json.loads(kops("group", "describe", "readers", "-o", "json"))["items"][0]
        assert (said["state"], said["lag"], said["memberCount"]) == ("Stable", 0, 1)
        assert {p["clientId"] for p in said["partitions"]} == {"reader"}
        refused = kops("group", "reset", "readers", "--to-earliest", "--yes", code=4)
        assert "reader at 127.0.0.1" in refused
        kops("group", "delete", "readers", "--yes", code=4)
        kops("group", "delete-offsets", "readers", "--topic", topic, "--yes", code=4)
    words = ("--describe", "--group", "readers")
    assert sorted(lines(kops("group", *words))) == sorted(tool(*words))
    assert lines(kops("group", "--list", "--state", "Stable")) == tool("--list", "--state", "Stable")


def test_every_form_of_reset_goes_where_apaches_goes(
    address: str, kops: Kops, tool: Tool, topic: str, tmp_path: Path
) -> None:
    written = json.loads(kops("group", "reset", "mover", "--topic", topic, "--to-offset", "10", "--yes", "-o", "json"))
    between = written["items"][0]["timestampAtTarget"]
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between / 1000)) + f".{between % 1000:03d}"
    file = tmp_path / "plan.csv"
    file.write_text(f"{topic},0,7\n{topic},1,99\n")
    forms = (
        ("--to-earliest",),
        ("--to-latest",),
        ("--to-current",),
        ("--to-offset", "25"),
        ("--shift-by", "-3"),
        ("--shift-by", "100"),
        ("--to-datetime", moment),
        ("--by-duration", "PT1H"),
        ("--from-file", str(file)),
    )
    for form in forms:
        scope = () if form[0] == "--from-file" else ("--all-topics",)
        words = ("--reset-offsets", "--group", "mover", *scope, *form, "--dry-run")
        exported = [line.replace('"', "") for line in tool(*words, "--export")]  # it quotes what is longer than 24
        assert sorted(lines(kops("group", *words, "--export"))) == sorted(exported), form
    words = ("--reset-offsets", "--group", "mover", "--topic", f"{topic}:1", "--to-latest")
    assert " ".join(lines(kops("group", *words))) == " ".join(tool(*words, "--dry-run"))  # 3.9 forgets its line ends
    assert lines(kops("group", *words, "--execute")) == ["GROUP TOPIC PARTITION NEW-OFFSET", f"mover {topic} 1 30"]
    tool("--reset-offsets", "--group", "mover", "--topic", f"{topic}:0", "--to-offset", "4", "--execute")
    found = json.loads(kops("group", "describe", "mover", "--offsets", "-o", "json"))["items"]
    assert [one["committed"] for one in found] == [4, 30]


def test_several_groups_and_single_partitions_are_reset_at_once_and_by_file(
    address: str, kops: Kops, tool: Tool, topic: str, tmp_path: Path
) -> None:
    names = ("--group", "one", "--group", "two")
    tool("--reset-offsets", *names, "--topic", f"{topic}:0,1", "--to-offset", "20", "--execute")
    words = ("--reset-offsets", *names, "--all-topics", "--shift-by", "-5", "--export", "--dry-run")
    exported = kops("group", *words)
    assert sorted(lines(exported)) == sorted(line.replace('"', "") for line in tool(*words))
    file = tmp_path / "several.csv"
    file.write_text(exported.replace("two,", "other,"))
    kops("group", "reset", "one", "other", "--from-file", str(file), "--yes")
    kops("group", "reset", "one", "two", "--topic", f"{topic}:1", "--to-latest", "--yes")
    for group, expected in (("one", [15, 30]), ("two", [20, 30]), ("other", [15, 15])):
        found = json.loads(kops("group", "describe", group, "--offsets", "-o", "json"))["items"]
        assert [one["committed"] for one in found] == expected
    tool("--reset-offsets", "--group", "one", "--topic", f"{topic}:0", "--to-earliest", "--execute")
    tool("--reset-offsets", *names, "--from-file", str(tmp_path / "none.csv"), "--dry-run")  # it says so, and ends well
    refused = kops("group", "reset", "one", "--from-file", str(tmp_path / "none.csv"), "--yes", code=2)
    assert "no such file" in refused
    said = kops("group", "reset", "one", "--from-group", "two", "--yes", "-o", "json")
    assert [one["target"] for one in json.loads(said)["items"]] == [20, 30]


def test_a_reset_waits_for_the_members_to_leave(address: str, kops: Kops, topic: str) -> None:
    with member(address, "busy", topic, 60) as leave:
        words = ("group", "reset", "busy", "--to-offset", "7", "--yes")
        assert "reader at 127.0.0.1" in kops(*words, "--wait-empty", "300ms", code=4)
        later = threading.Timer(0.5, leave)
        later.start()
        kops(*words, "--wait-empty", "60s")
        later.join()
    found = json.loads(kops("group", "describe", "busy", "--offsets", "-o", "json"))["items"]
    assert [one["committed"] for one in found] == [7, 7]


def test_a_watch_says_how_fast_a_group_reads_until_it_is_interrupted(address: str, kops: Kops, topic: str) -> None:
    kops("group", "reset", "slow", "--topic", topic, "--to-earliest", "--yes")
    words = ["group", "describe", "slow", "--watch", "--interval", "0.3", "-o", "ndjson"]
    watching = subprocess.Popen(
        [sys.executable, "-m", "kops", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        assert (first["lag"], first["consumedPerSecond"], first["secondsToCatchUp"]) == (60, 0, None)
        kops("group", "reset", "slow", "--to-offset", "25", "--yes")
        told = first
        while told["lag"] == 60:
            told = json.loads(watching.stdout.readline())
        assert told["lag"] == 10
        assert told["consumedPerSecond"] > 0
        assert told["secondsToCatchUp"] > 0
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    finally:
        watching.kill()
        watching.communicate()


def test_what_was_changed_is_put_back(address: str, kops: Kops, tool: Tool, topic: str) -> None:
    def committed() -> list[int]:
        found = json.loads(kops("group", "describe", "mind", "--offsets", "-o", "json"))["items"]
        return [one["committed"] for one in found]

    kops("group", "reset", "mind", "--topic", topic, "--to-offset", "12", "--yes")
    kops("group", "reset", "mind", "--to-earliest", "--yes")
    assert committed() == [0, 0]
    kops("undo", "--yes")
    assert committed() == [12, 12]
    kops("group", "delete-offsets", "mind", "--topic", f"{topic}:1", "--yes")
    assert committed() == [12]
    kops("undo", "--yes")
    assert committed() == [12, 12]
    kops("group", "delete", "mind", "--yes")
    assert "mind" not in kops("group", "list", "-o", "name").split()
    kops("undo", "--yes")
    assert committed() == [12, 12]
    kops("group", "reset", "mind", "--to-latest", "--yes")
    tool("--reset-offsets", "--group", "mind", "--all-topics", "--to-offset", "1", "--execute")
    assert "somebody committed since" in kops("undo", "--yes", code=4)
    kops("undo", "--yes", "--force")
    assert committed() == [12, 12]
    states = [one["state"] for one in json.loads(kops("history", "-o", "json"))["items"]]
    assert states == ["undone", "undone", "undone", "undone", "done"]
    said = tool("--delete-offsets", "--group", "mind", "--topic", f"{topic}:0")
    assert any("Successful" in line for line in said)
    assert committed() == [12]
    said = tool("--delete", "--group", "mind")
    assert said == ["Deletion of requested consumer groups ('mind') was successful."]
    kops("group", "describe", "mind", code=3)


def test_a_deleted_topic_is_told_and_stands_in_nobodys_way(address: str, kops: Kops, topic: str) -> None:
    kops("topic", "create", "doomed", "--partitions", "1", "--replication-factor", "1")
    kops("group", "reset", "both", "--topic", topic, "--topic", "doomed", "--to-earliest", "--yes")
    kops("topic", "delete", "doomed", "--yes")
    kops("group", "describe", "both")
    kops("group", "reset", "both", "--to-latest", "--yes")
    found = json.loads(kops("group", "describe", "both", "--offsets", "-o", "json"))["items"]
    assert [one["committed"] for one in found if one["topic"] == topic] == [30, 30]
    kops("group", "lag", "both", "--fail-above", "0")
    kops("group", "reset", "both", "--shift-by", "-1", "--yes")
    kops("group", "lag", "both", "--fail-above", "1", code=10)


def test_groups_from_before_0_9_are_looked_at_moved_and_deleted_in_zookeeper(
    servers: tuple[str, str], kops: Kops, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOPS_BOOTSTRAP_SERVERS")
    way = ("--zookeeper", servers[1])
    client = KazooClient(servers[1])
    client.start()
    try:
        for partition, offset in ((0, b"5"), (1, b"12")):
            client.create(f"/consumers/old/offsets/{topic}/{partition}", offset, makepath=True)
        client.create(f"/consumers/old/owners/{topic}/0", b"host-1-0", makepath=True)
        client.create("/consumers/old/ids/host-1", b"{}", ephemeral=True, makepath=True)

        def committed() -> list[int]:
            return [
                one["committed"] for one in json.loads(kops("group", "describe", "old", *way, "-o", "json"))["items"]
            ]

        assert kops("group", "list", *way, "-o", "name").split() == ["old"]
        first = json.loads(kops("group", "describe", "old", *way, "-o", "json"))["items"][0]
        assert (first["committed"], first["end"], first["lag"], first["owner"]) == (5, 30, 25, "host-1-0")
        assert "in use by host-1" in kops("group", "reset", "old", "--to-latest", "--yes", *way, code=4)
        kops("group", "delete", "old", "--yes", *way, code=4)
        client.delete("/consumers/old/ids/host-1")
        kops("group", "reset", "old", "--shift-by", "-3", "--yes", *way)
        assert committed() == [2, 9]
        kops("undo", "--yes", "--bootstrap-server", servers[0])
        assert committed() == [5, 12]
        kops("group", "delete", "old", *way, code=4)  # nobody is there to be asked
        kops("group", "delete", "old", "--legacy", "--yes", *way, "--bootstrap-server", servers[0])
        assert client.exists("/consumers/old") is None
    finally:
        client.stop()
        client.close()
