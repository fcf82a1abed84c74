"""What tutorials say to type, with kops on our own servers: a topic, durability, ZooKeeper's data by hand (W2, W8, W9).

Starting, three brokers and failover (W1, W3, W4) are the quickstart's story; Apache's own tools are in tests/interop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kops.cli import main
from kops.local import clusters, processes, state
from tests.kops.conftest import Said
from tests.ports import free_ports

Kops = Callable[..., Said]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two brokers, ended whatever happens."""
    folder = tmp_path_factory.mktemp("walkthroughs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.delenv("KOPS_CONTEXT", raising=False)
        first = free_ports(4)
        patch.setattr(clusters, "FIRST_PORTS", {state.ZOOKEEPER: first, state.BROKER: first + 1})
        try:
            assert main(["up", "-n", "2", "-q"]) == 0
            yield folder
        finally:
            for server in state.servers():
                if processes.state(server) != processes.STOPPED:
                    psutil.Process(server.pid).kill()
                    processes.wait_gone(server, 10)


@pytest.fixture
def kops(kops: Kops, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``kops("topic list")`` on that cluster: its stdout. Fails unless it ends with ``code``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))

    def run(line: str, *more: str, code: int = 0) -> str:
        said = kops(*line.split(), *more)
        assert said.code == code, f"kops {line} ended with {said.code}: {said.err}"
        return said.out if code == 0 else said.err

    return run


Run = Callable[..., str]


def zookeeper() -> str:
    return next(one.address for one in state.servers() if one.kind == state.ZOOKEEPER)


def partition(kops: Run, topic: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kops(f"topic describe {topic} -o json"))["items"][0]["partitions"][0]
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.mark.parametrize("way", ["brokers", "zookeeper"])
def test_w2_one_topic(kops: Run, way: str) -> None:
    addresses = ",".join(one.address for one in state.servers() if one.kind == state.BROKER)
    to = f"--zookeeper {zookeeper()}" if way == "zookeeper" else f"--bootstrap-server {addresses}"
    made = kops(f"topic --create {to} --replication-factor 1 --partitions 1 --topic test")
    assert made == "Created topic test.\n"
    assert kops(f"topic --list {to}").split() == ["test"]
    first, second = kops(f"topic --describe {to} --topic test").splitlines()
    assert first.startswith("Topic: test\t")
    assert "\tPartitionCount: 1\tReplicationFactor: 1\t" in first
    assert second.startswith("\tTopic: test\tPartition: 0\tLeader: ")
    assert "PartitionCount: 2" in kops(f"topic --alter {to} --topic test --partitions 2")
    assert "Say --yes" in kops(f"topic --delete {to} --topic test", code=4)
    assert kops(f"topic --delete {to} --topic test -y") == "Deleted topic test.\n"
    assert kops(f"topic --list {to}") == ""


def test_w2_lines_to_a_topic_that_is_not_there_create_it(kops: Run, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("This is a message\nThis is another message\n")
    kops("produce --topic unasked --file", str(tmp_path / "lines"))
    assert kops("consume --topic unasked --from-beginning --max-messages 2").count("message\n") == 2
    assert partition(kops, "unasked")["replicas"]
    kops("topic delete unasked -y")


def test_w8_what_acknowledged_means(kops: Run, tmp_path: Path) -> None:
    (tmp_path / "line").write_text("x\n")
    one = f"produce durable --file {tmp_path / 'line'}"
    read = "consume durable --from-beginning --exit"
    kops("topic create durable --replica-assignment 1:2 --config min.insync.replicas=2")
    for acks in ("0", "1", "all", "-1"):
        kops(f"{one} --acks={acks}")
    until(lambda: kops(read) == "x\n" * 4, "four records")
    kops("broker kill 2")
    until(lambda: partition(kops, "durable")["isr"] == [1], "broker 2 is out of the ISR")
    refused = kops(f"{one} --timeout 2", code=1)
    assert "1 record was not written: durable-0 has 1 of 2 replicas in sync, min.insync.replicas=2" in refused
    kops("broker start 2")
    until(lambda: set(partition(kops, "durable")["isr"]) == {1, 2}, "broker 2 is back")
    kops(one)
    assert kops(read) == "x\n" * 5


def test_w8_without_zookeeper_records_go_on_and_topics_do_not(kops: Run, tmp_path: Path) -> None:
    (tmp_path / "line").write_text("x\n")
    kops("topic create lasting -r 2")
    keeper = next(one for one in state.servers() if one.kind == state.ZOOKEEPER)
    kops("zookeeper kill")
    try:
        kops(f"produce lasting --file {tmp_path / 'line'}")
        assert kops("consume lasting --from-beginning --exit") == "x\n"
        kops("topic create never --timeout 2", code=5)
    finally:
        kops(f"zookeeper start {keeper.file} --daemon")
    kops("topic create afterwards")


def test_w9_marks_in_zookeeper_are_obeyed(kops: Run) -> None:
    kops("topic create ours --replica-assignment 1:2")
    kops("broker stop 1")
    until(lambda: partition(kops, "ours")["leader"] == 2, "broker 2 leads")
    kops("broker start 1")
    until(lambda: set(partition(kops, "ours")["isr"]) == {1, 2}, "broker 1 is back")
    at = f"zookeeper shell {zookeeper()}"
    wanted = json.dumps({"version": 1, "partitions": [{"topic": "ours", "partition": 0}]})
    assert (
        kops(f"{at} create /admin/preferred_replica_election", wanted) == "Created /admin/preferred_replica_election\n"
    )
    until(lambda: partition(kops, "ours")["leader"] == 1, "the preferred replica leads")
    assert json.loads(kops(f"{at} get /brokers/topics/ours/partitions/0/state"))["leader"] == 1
    assert json.loads(kops(f"{at} get /brokers/ids/1"))["host"] == "127.0.0.1"
    assert kops(f"{at} ls /brokers/ids") == "[1, 2]\n"
    kops(f"{at} create /admin/delete_topics/ours", "")
    until(lambda: "ours" not in kops("topic list -o name").split(), "the topic is gone")
    until(lambda: kops(f"{at} ls /admin/delete_topics") == "[]\n", "its mark is gone")
