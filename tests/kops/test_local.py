"""Clusters on this machine, for real: started, killed, paused, started again, stopped, and nothing left."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kops.local import clusters, processes, servers, state
from tests.kops.conftest import Said
from tests.ports import free_port, free_ports

Kops = Callable[..., Said]


@pytest.fixture(autouse=True)
def own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the usual ones: somebody may use them, or run the same test."""
    first = free_ports(8)
    monkeypatch.setattr(clusters, "FIRST_PORTS", {state.ZOOKEEPER: first, state.BROKER: first + 1})


@pytest.fixture(autouse=True)
def nothing_left(home: Path) -> Iterator[None]:
    """Whatever a test did, its servers end with it."""
    yield
    left = [server for server in state.servers() if processes.state(server) != processes.STOPPED]
    for server in left:
        psutil.Process(server.pid).kill()
        processes.wait_gone(server, 10)


def items(said: Said) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)["items"]
    return found


def test_up_starts_a_whole_cluster_and_down_stops_it(kops: Kops, home: Path) -> None:
    said = kops("up", "-n", "2", "-o", "json")
    assert said.code == 0, said.err
    assert [(one["kind"], one["state"]) for one in items(said)] == [
        ("zookeeper", "running"),
        ("broker", "running"),
        ("broker", "running"),
    ]
    assert "running already" in kops("up").err
    assert [one["id"] for one in items(kops("broker", "list", "-o", "json"))] == [1, 2]
    assert kops("status").code == 0
    down = kops("down", "-o", "json")
    assert {one["state"] for one in items(down)} == {"stopped"}
    assert kops("up", "-q").code == 0
    assert kops("down", "--wipe", "--yes").code == 0
    assert not clusters.folder("dev").exists()
    assert state.servers() == []
    assert kops("down").code == 3


def test_a_killed_broker_is_missed_and_comes_back_by_its_id(kops: Kops) -> None:
    assert kops("up", "-n", "2", "-q").code == 0
    assert kops("broker", "kill", "2").out.startswith("killed broker 2 (pid ")
    said = kops("status", "-o", "json")
    assert said.code == 10
    assert json.loads(said.out)["errors"][0]["message"] == "cluster dev: broker 2 is stopped"
    assert kops("broker", "kill", "2").code == 4
    back = kops("broker", "start", "2", "-o", "json")
    assert (back.code, items(back)[0]["state"]) == (0, "running")
    assert kops("broker", "start", "2").code == 4
    assert kops("down").code == 0


def test_a_paused_broker_is_shown_as_paused_until_it_is_resumed(kops: Kops) -> None:
    assert kops("up", "-n", "1", "-q").code == 0
    assert kops("broker", "pause").code == 0
    assert [one["state"] for one in items(kops("status", "-o", "json"))] == ["running", "paused"]
    assert kops("broker", "resume", "1").code == 0
    assert kops("status").code == 0
    assert kops("broker", "logs", "-n", "100").out.count("started") >= 1
    assert kops("down", "--wipe", "-y").code == 0


def test_servers_are_started_one_by_one_by_their_files(kops: Kops, home: Path) -> None:
    keeper, port = free_port(), free_port()
    assert kops("config", "init").code == 0
    way = ("--override", f"clientPort={keeper}", "--override", f"dataDir={home}/zk")
    said = kops("zookeeper", "start", "-daemon", "config/zookeeper.properties", *way)
    assert said.code == 0, said.err
    overrides = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": f"{home}/logs",
        "zookeeper.connect": f"127.0.0.1:{keeper}",
    }
    words = [word for key, value in overrides.items() for word in ("--override", f"{key}={value}")]
    said = kops("broker", "start", "config/server.properties", "--daemon", *words, "-o", "json")
    assert said.code == 0, said.err
    (broker,) = items(said)
    assert any(word.endswith("config/server.properties") for word in psutil.Process(broker["pid"]).cmdline())
    for again in (["--daemon"], []):  # in the foreground, too: it would be taken for the one that runs
        said = kops("broker", "start", "config/server.properties", *again, *words)
        assert (said.code, f"running already (pid {broker['pid']})" in said.err) == (4, True)
    listed = kops("zookeeper", "shell", f"127.0.0.1:{keeper}", "ls", "/brokers/ids")
    assert listed.out == "[0]\n"
    assert kops("broker", "stop", "--all").out == f"stopped broker 0 (pid {broker['pid']})\n"
    assert kops("status").code == 0
    assert kops("zookeeper", "kill", "config/zookeeper.properties").code == 0
    said = kops("status")
    assert (said.code, "nobody stopped it" in said.err) == (10, True)


def test_one_file_may_start_several_brokers(kops: Kops, home: Path) -> None:
    """As in ``kafka-server-start server.properties --override broker.id=2 --override log.dirs=...``."""
    (home / "one.properties").write_text("broker.id=1\nzookeeper.connect=127.0.0.1:1\n")
    first = servers.broker_of("one.properties", ["log.dirs=/a"])
    second = servers.broker_of("one.properties", ["broker.id=2", "log.dirs=/b"])
    state.remember(first)
    state.remember(second)
    assert [one.id for one in state.servers()] == [1, 2]
    assert servers.broker_of("one.properties", ["log.dirs=/a", "log.retention.hours=1"]).key == first.key
    assert servers.find(state.BROKER, ["2"], None)[0].overrides == second.overrides
    assert "Of these: 1, 2. Say which by its id." in kops("broker", "kill", "one.properties").err


def test_a_broker_that_cannot_start_says_why(kops: Kops, home: Path) -> None:
    (home / "bad.properties").write_text("broker.id=x\nzookeeper.connect=127.0.0.1:1\n")
    assert kops("broker", "start", "bad.properties", "--daemon").code == 2
    (home / "bad.properties").write_text("broker.id=1\nzookeeper.connect=127.0.0.1:1\nlog.segment.bytes=many\n")
    said = kops("broker", "start", "bad.properties", "--daemon")
    assert said.code == 1
    assert "log.segment.bytes" in said.err
    assert "Its log: " in said.err


def test_a_pid_that_is_another_process_now_is_not_touched(home: Path) -> None:
    server = state.Server(state.BROKER, "/x", "127.0.0.1:1", "", 1, pid=psutil.Process().pid, started=1.0)
    assert processes.state(server) == processes.STOPPED


def test_fewer_brokers_than_a_cluster_has_are_refused(kops: Kops) -> None:
    assert kops("up", "-n", "1", "-q").code == 0
    assert kops("up", "-n", "2", "-q", "-o", "json").code == 0
    assert kops("up", "-n", "1").code == 4
    assert kops("down", "--wipe", "-y").code == 0


def test_two_brokers_of_one_id_are_told_apart_by_cluster_or_file(kops: Kops) -> None:
    assert kops("up", "-n", "1", "-q", "--name", "one").code == 0
    assert kops("up", "-n", "1", "-q", "--name", "two").code == 0
    killed = items(kops("broker", "kill", "1", "-o", "json"))[0]
    assert killed["cluster"] == "two"
    assert kops("broker", "kill", "1", "-b", "127.0.0.1:1").code == 4
    assert kops("down", "--name", "one", "--wipe", "-y").code == 0
    assert kops("down", "--name", "two", "--wipe", "-y").code == 0


@pytest.mark.parametrize("way", ["pushed", "polled"])
def test_a_watch_tells_when_a_killed_broker_leaves_the_isr(kops: Kops, home: Path, way: str) -> None:
    assert kops("up", "-n", "2", "-q").code == 0
    assert kops("topic", "create", "seen", "-p", "1", "-r", "2").code == 0
    asked = ["--interval", "0.2"] if way == "polled" else []
    words = [sys.executable, "-m", "kops", "partition", "watch", "seen", "-o", "ndjson", *asked]
    told: list[dict[str, Any]] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None and watching.stdout is not None
        said = watching.stderr.readline()
        leader = json.loads(kops("topic", "describe", "seen", "-o", "json").out)["items"][0]["partitions"][0]["leader"]
        assert kops("broker", "kill", str(leader)).code == 0
        # a controller that takes over writes that nobody leads, and elects then: this may be seen, or not
        while not {"leader", "isr"} <= {one["what"] for one in told} or told[-1]["leader"] != 3 - leader:
            told.append(json.loads(watching.stdout.readline()))
        watching.terminate()
    assert ("pushed" in said) == (way == "pushed")
    assert {(one["topic"], one["partition"]) for one in told} == {("seen", 0)}
    assert {one["leader"] for one in told} <= {-1, 3 - leader}
    assert {one["resolutionMs"] for one in told} == {0 if way == "pushed" else 200}
    assert kops("down", "--wipe", "-y").code == 0


def test_a_start_that_fails_shows_the_last_words_of_this_start_alone(kops: Kops, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "zookeeper.properties"
    file.write_text(f"dataDir={tmp_path}/data\nclientPortAddress=127.0.0.1\nclientPort={free_port()}\n")
    assert kops("zookeeper", "start", str(file), "--daemon").code == 0
    assert kops("zookeeper", "stop").code == 0
    (tmp_path / "data" / "version-2" / "log.1").write_text("a file of somebody else")
    said = kops("zookeeper", "start", str(file), "--daemon")
    assert said.code == 1
    assert "log.1: does not begin as a ZooKeeper log" in said.err
    assert "bound to port" not in said.err
