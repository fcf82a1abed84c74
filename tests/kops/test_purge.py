"""Purges on our own brokers, compared with the disks, with all of ZooKeeper and with the metadata of every broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import psutil
import pytest

from kops.cli import main
from kops.cluster.topic_use import BrokerRules
from kops.errors import Refused
from kops.local import clusters, data_dirs, processes, state
from kops.operations import purge
from kops.operations.purge_survey import Finding, Survey
from tests.kops import doctoring, purging
from tests.kops.purging import Ground
from tests.ports import free_ports


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three brokers that keep deleted files for half a second. The folder of their state."""
    home = tmp_path_factory.mktemp("purge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.delenv("KOPS_CONTEXT", raising=False)
        first = free_ports(8)
        patch.setattr(clusters, "FIRST_PORTS", {state.ZOOKEEPER: first, state.BROKER: first + 1})
        usual = clusters._broker_values

        def quick(*of: Any) -> dict[str, str]:
            more = {"log.segment.delete.delay.ms": "500", "offsets.topic.num.partitions": "3"}
            return usual(*of) | more | {"zookeeper.session.timeout.ms": "3000"}

        patch.setattr(clusters, "_broker_values", quick)
        try:
            assert main(["up", "-n", "3", "--name", "purge", "-q"]) == 0
            yield home
        finally:
            for server in state.servers():
                if processes.state(server) != processes.STOPPED:
                    psutil.Process(server.pid).kill()
                    processes.wait_gone(server, 10)


@pytest.fixture
def ground(ours: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ground:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(ours / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(ours / "state"))
    monkeypatch.chdir(ours)
    for name in ("KOPS_CONTEXT", "KOPS_BOOTSTRAP_SERVERS", "KOPS_ZOOKEEPER", "KOPS_OUTPUT"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, code: int | None = 0) -> str:
        capfd.readouterr()
        ended = main(words)
        said = capfd.readouterr()
        assert code in (None, ended), f"kops {' '.join(words)} ended with {ended}: {said.out[-700:]} {said.err}"
        return said.out

    known = clusters.cluster("purge")
    folders = {broker: clusters.folder("purge") / "data" / f"broker-{broker}" for broker in (1, 2, 3)}
    return Ground(
        run,
        known.bootstrap_servers,
        known.zookeeper,
        folders,
        lambda broker: run("broker", "kill", str(broker)) and None,
        lambda broker: run("broker", "start", str(broker)) and None,
    )


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


def stopped(ground: Ground) -> Callable[[int], None]:
    return lambda broker: ground.kops("broker", "stop", str(broker)) and None


def test_one_leftover_of_each_kind_is_found_and_removed(ground: Ground) -> None:
    purging.one_leftover_of_each_kind(ground, stopped(ground))


def test_a_topic_in_full_life_goes_without_a_trace(ground: Ground, feed: Callable[[bytes], None]) -> None:
    purging.a_topic_in_full_life(ground, feed)


def test_znodes_wiped_by_hand(ground: Ground) -> None:
    purging.znodes_wiped_by_hand(ground)


def test_directories_removed_under_running_brokers(ground: Ground) -> None:
    purging.directories_removed_under_running_brokers(ground)


def test_the_same_name_created_again(ground: Ground, feed: Callable[[bytes], None]) -> None:
    purging.the_same_name_created_again(ground, feed)


def test_directories_left_on_one_of_three_brokers(ground: Ground) -> None:
    purging.directories_left_on_one_broker(ground, stopped(ground))


def test_a_broker_that_is_down(ground: Ground) -> None:
    purging.a_broker_that_is_down(ground, stopped(ground), unseen=())


def test_a_producer_that_brings_it_back_is_told_of(ground: Ground) -> None:
    purging.a_producer_that_brings_it_back(ground)


def test_the_doctor_finds_what_only_one_side_has_and_names_what_mends_it(ground: Ground, tmp_path: Path) -> None:
    doctoring.leftovers_of_each_side(ground, tmp_path)


def test_the_doctor_says_what_a_broker_that_is_away_leaves_undone(ground: Ground) -> None:
    doctoring.a_broker_that_is_away(ground)


def test_forbidden_deletion_is_said_before_anything_is_tried() -> None:
    found = Survey("t", (Finding("zookeeper", "/brokers/topics/t", ("/brokers/topics/t",)),), (1,), ())
    made = purge.Plan(found, BrokerRules(not_deleting=(1,)))
    assert made.exists is False
    found.views[1] = purge.Topic("t")
    with pytest.raises(Refused, match="delete.topic.enable is false on broker 1"):
        purge.check(made, force=True)


def test_a_directory_is_not_made_again_where_its_broker_cannot_be_seen(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="t-0 was removed under a running broker"):
        data_dirs.restore(str(tmp_path), "t-0")
    assert list(tmp_path.iterdir()) == []
