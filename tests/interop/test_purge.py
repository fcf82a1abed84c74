"""Purges on Apache Kafka 3.9 and its ZooKeeper: the same plays as on our own brokers, with the disks given."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from kops.cli import main
from kops.contexts import Context
from kops.session import Session
from tests.interop.apache import Apache, Cluster, collect_what_clients_left, until
from tests.kops import purging
from tests.kops.purging import Ground


@dataclass
class Quick(Cluster):
    """Brokers that keep the files of deleted logs for half a second, also right after their start."""

    def broker_lines(self, broker: int, port: int, brokers: int) -> list[str]:
        lines = super().broker_lines(broker, port, brokers)
        return [*lines, "log.segment.delete.delay.ms=500", "log.initial.task.delay.ms=500"]


@pytest.fixture(scope="module")
def brokers(kafka39: Apache, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quick]:
    cluster = Quick(kafka39, tmp_path_factory.mktemp("purge"))
    try:
        cluster.start(3)
        collect_what_clients_left()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def ground(
    brokers: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Ground]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KOPS_BOOTSTRAP_SERVERS", brokers.bootstrap)
    monkeypatch.setenv("KOPS_ZOOKEEPER", brokers.zookeeper)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int | None = 0) -> str:
        capfd.readouterr()
        ended = main(words)
        said = capfd.readouterr()
        assert code in (None, ended), f"kops {' '.join(words)} ended with {ended}: {said.out[-700:]} {said.err}"
        return said.out

    def start(broker: int) -> None:
        brokers.restart(broker)
        until(lambda: brokers.whole(3), "the broker is not back", brokers.log(f"broker-{broker}"))

    folders = {broker: brokers.folder / f"broker-{broker}" for broker in (1, 2, 3)}
    way = tuple(word for folder in folders.values() for word in ("--data-dir", str(folder)))
    yield Ground(run, brokers.bootstrap, brokers.zookeeper, folders, brokers.kill, start, way)
    collect_what_clients_left()


@pytest.fixture
def stop(brokers: Quick) -> Callable[[int], None]:
    """As its operator would: SIGTERM, and wait until nobody counts on it any more."""

    def gracefully(broker: int) -> None:
        process = brokers.processes.pop(f"broker-{broker}")
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        until(lambda: broker not in alive(brokers), "it is still in the metadata")

    return gracefully


def alive(brokers: Quick) -> set[int]:
    from kops.cluster.metadata import snapshot

    with Session(Context(bootstrap_servers=brokers.bootstrap), 5.0) as session:
        return {one.id for one in snapshot(session, []).brokers}


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


def test_a_topic_in_full_life_goes_without_a_trace(ground: Ground, feed: Callable[[bytes], None]) -> None:
    purging.a_topic_in_full_life(ground, feed)


def test_one_leftover_of_each_kind_is_found_and_removed(ground: Ground, stop: Callable[[int], None]) -> None:
    purging.one_leftover_of_each_kind(ground, stop)


def test_znodes_wiped_by_hand(ground: Ground) -> None:
    purging.znodes_wiped_by_hand(ground)


def test_directories_removed_under_running_brokers(ground: Ground) -> None:
    purging.directories_removed_under_running_brokers(ground)


def test_the_same_name_created_again(ground: Ground, feed: Callable[[bytes], None]) -> None:
    purging.the_same_name_created_again(ground, feed)


def test_directories_left_on_one_of_three_brokers(ground: Ground, stop: Callable[[int], None]) -> None:
    purging.directories_left_on_one_broker(ground, stop)


def test_a_broker_that_is_down(ground: Ground, stop: Callable[[int], None]) -> None:
    purging.a_broker_that_is_down(ground, stop, unseen=ground.way[:4])


def test_a_producer_that_brings_it_back_is_told_of(ground: Ground) -> None:
    purging.a_producer_that_brings_it_back(ground)
