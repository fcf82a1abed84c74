"""Purges on real clusters, whoever's: what is planted, and what must be nowhere afterwards. Run by two test modules."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kazoo.client import KazooClient

from kops.cluster.metadata import on_every_broker
from kops.contexts import Context
from kops.session import Session

HEX = "0123456789abcdef0123456789abcdef"
Items = dict[tuple[str, str], dict[str, Any]]


@dataclass
class Ground:
    """A cluster of three brokers with ids 1 to 3, and kops on it. ``way``: options that name its disks."""

    kops: Callable[..., str]
    bootstrap: str
    zookeeper: str
    folders: dict[int, Path]
    kill: Callable[[int], None]
    start: Callable[[int], None]
    way: tuple[str, ...] = ()

    def purge(self, topic: str, *words: str, code: int = 0) -> tuple[Items, list[dict[str, Any]]]:
        """The proof by place, and the errors."""
        out = self.kops("topic", "purge", topic, "-o", "json", *self.way, *words, code=code)
        document = json.loads(out)
        return {(item["area"], item["where"]): item for item in document["items"]}, document["errors"]

    @contextmanager
    def client(self) -> Iterator[KazooClient]:
        client = KazooClient(hosts=self.zookeeper)
        client.start(10)
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def offer(self, path: str, data: bytes = b"", **options: Any) -> None:
        with self.client() as client:
            client.create(path, data, makepath=True, **options)

    def nowhere(self, topic: str) -> None:
        """Compare with the world itself: find on every disk, a dump of ZooKeeper, the metadata of every broker."""
        named = [str(path) for folder in self.folders.values() for path in folder.rglob("*") if topic in path.name]
        assert named == []
        with self.client() as client:
            dump = list(dumped(client, "/"))
        assert [path for path, data in dump if topic in path or topic.encode() in data] == []
        with Session(Context(bootstrap_servers=self.bootstrap), 10.0) as session:
            views = on_every_broker(session, [topic])
        assert [view.topics[0].error for view in views.values() if view] == [3] * len(views)


def dumped(client: KazooClient, path: str) -> Iterator[tuple[str, bytes]]:
    """Every znode with its data."""
    yield path, client.get(path)[0] or b""
    for name in client.get_children(path):
        yield from dumped(client, path.rstrip("/") + "/" + name)


def outcomes(items: Items) -> dict[tuple[str, str], str]:
    return {key: item["outcome"] for key, item in items.items()}


def one_leftover_of_each_kind(ground: Ground, stop: Callable[[int], None]) -> None:
    """Planted on disks of a running and of a stopped broker and all over ZooKeeper: each is found, and goes."""
    topic = "doomed-leftovers"
    stop(3)
    running, stopped = ground.folders[1], ground.folders[3]
    for folder, name in [
        *((running, f"{topic}-0.{HEX}-stray"), (running, f"{topic}-0.{HEX}-future"), (running, f"{topic}-4")),
        *((stopped, f"{topic}-0"), (stopped, f"{topic}-1.{HEX}-delete"), (stopped, f"{topic}-2.{HEX}-stray")),
    ]:
        (folder / name).mkdir()
        (folder / name / "00000000000000000000.log").write_bytes(b"old")
    with (stopped / "replication-offset-checkpoint").open("r+") as file:
        lines = file.read().splitlines()
        lines[1] = str(int(lines[1]) + 1)
        file.seek(0)
        file.write("\n".join([*lines, f"{topic} 0 7"]) + "\n")
    change = json.dumps({"version": 2, "entity_path": f"topics/{topic}"}).encode()
    ground.offer("/config/changes/config_change_", change, sequence=True)
    ground.offer(f"/config/topics/{topic}", b'{"version":1,"config":{}}')
    ground.offer(f"/consumers/old/offsets/{topic}/0", b"5")
    ground.offer(f"/consumers/old/owners/{topic}/0", b"old_1")
    ground.offer(f"/kafka-acl/Topic/{topic}", b'{"version":1,"acls":[]}')
    ground.offer("/kafka-acl-changes/acl_changes_", f"Topic:{topic}".encode(), sequence=True)
    planted = {
        ("disk", f"broker 1 {running}"): [f"{topic}-0.{HEX}-future", f"{topic}-0.{HEX}-stray", f"{topic}-4"],
        ("disk", f"broker 3 {stopped}"): [f"{topic}-0", f"{topic}-1.{HEX}-delete", f"{topic}-2.{HEX}-stray"],
        ("zookeeper", f"/config/topics/{topic}"): [f"/config/topics/{topic}"],
    }
    items, errors = ground.purge(topic, "--dry-run")
    assert errors == []
    for key, names in planted.items():
        assert items[key]["before"][: len(names)] == names
    items, errors = ground.purge(topic, "--yes", "--watch", "0.5")
    assert errors == []
    expected = dict.fromkeys(planted, "removed") | {
        ("zookeeper", "/config/changes"): "removed",
        ("zookeeper", f"/consumers/*/offsets/{topic}"): "removed",
        ("zookeeper", f"/consumers/*/owners/{topic}"): "removed",
        ("zookeeper", f"/kafka-acl/Topic/{topic}"): "removed",
        ("zookeeper", "/kafka-acl-changes"): "removed",
        ("zookeeper", f"/brokers/topics/{topic}"): "was not there",
        ("disk", f"broker 2 {ground.folders[2]}"): "was not there",
        ("disk", f"broker 3 {stopped}"): "left to the broker",
        ("metadata", "broker 1"): "was not there",
        ("metadata", "broker 3"): "not verifiable from here",
    }
    found = outcomes(items)
    assert {key: found[key] for key in expected} == expected
    assert items["disk", f"broker 3 {stopped}"]["after"] == [f"replication-offset-checkpoint: {topic} 0 7"]
    ground.nowhere(topic)
    ground.start(3)


def a_topic_in_full_life(ground: Ground, feed: Callable[[bytes], None]) -> None:
    """Created, written to, with offsets of a group: all of it goes, and a second purge finds nothing."""
    topic = "doomed-alive"
    ground.kops("topic", "create", topic, "-p", "2", "-r", "3", "--config", "retention.ms=86400000")
    feed(b"1\n2\n3\n")
    ground.kops("produce", topic)
    with Session(Context(bootstrap_servers=ground.bootstrap), 20.0) as session:
        from kops.cluster import groups
        from kops.cluster.offsets import Position

        assert groups.commit(session, "readers", {Position(topic, 0): groups.Committed(1)}) == {}
    items, errors = ground.purge(topic, "--yes", "--force", "--watch", "0.5")
    assert errors == []
    found = outcomes(items)
    for broker, folder in ground.folders.items():
        assert found["metadata", f"broker {broker}"] == "removed"
        assert found["replicas", f"broker {broker}"] == "removed"
        assert found["disk", f"broker {broker} {folder}"] in ("removed", "left to the broker")
        assert [line for line in items["disk", f"broker {broker} {folder}"]["after"] if "checkpoint" not in line] == []
    assert found["zookeeper", f"/brokers/topics/{topic}"] == "removed"
    assert found["offsets", "group readers"] == "removed"
    ground.nowhere(topic)
    again, errors = ground.purge(topic, "--yes", "--watch", "0")
    assert errors == []
    assert {item["outcome"] for item in again.values()} <= {"was not there", "left to the broker", "removed"}
    assert [item for item in again.values() if item["area"] != "disk" and item["outcome"] != "was not there"] == []


def znodes_wiped_by_hand(ground: Ground) -> None:
    """The old recipe in the wrong order: brokers still know the topic and hold its logs."""
    topic = "doomed-ghost"
    ground.kops("topic", "create", topic, "-p", "2", "-r", "2")
    with ground.client() as client:
        client.delete(f"/brokers/topics/{topic}", recursive=True)
    items, errors = ground.purge(topic, "--yes", "--watch", "0.5")
    assert errors == []
    assert set(outcomes(items).values()) <= {"removed", "was not there", "left to the broker"}
    ground.nowhere(topic)


def directories_removed_under_running_brokers(ground: Ground) -> None:
    """The old recipe in another wrong order: the disks first. No broker loses its disk over it."""
    topic = "doomed-hollow"
    ground.kops("topic", "create", topic, "-p", "1", "-r", "3")
    for broker in (1, 2):
        shutil.rmtree(ground.folders[broker] / f"{topic}-0")
    items, errors = ground.purge(topic, "--yes", "--watch", "0.5")
    assert errors == []
    assert set(outcomes(items).values()) <= {"removed", "was not there", "left to the broker"}
    ground.nowhere(topic)
    folders = json.loads(ground.kops("logdir", "list", "-o", "json"))["items"]
    assert [(one["broker"], one["error"]) for one in folders] == [(broker, None) for broker in (1, 2, 3)]


def the_same_name_created_again(ground: Ground, feed: Callable[[bytes], None]) -> None:
    """Made anew while the directories of the old one still lie there: it is empty, whole, and can be purged in turn."""
    topic = "doomed-again"
    ground.kops("topic", "create", topic, "-p", "1", "-r", "3")
    feed(b"old\n")
    ground.kops("produce", topic)
    ground.kops("topic", "delete", topic, "-y")
    ground.kops("topic", "create", topic, "-p", "1", "-r", "3")
    feed(b"new\n")
    ground.kops("produce", topic)
    assert ground.kops("consume", topic, "--from-beginning", "--exit") == "new\n"
    _, errors = ground.purge(topic, "--yes", "--force", "--watch", "0.5")
    assert errors == []
    ground.nowhere(topic)


def directories_left_on_one_broker(ground: Ground, stop: Callable[[int], None]) -> None:
    """A broker was away while the topic was purged elsewhere, and comes back with its directories."""
    topic = "doomed-orphan"
    ground.kops("topic", "create", topic, "-p", "2", "-r", "3")
    stop(3)
    for index in (0, 1):
        (ground.folders[3] / f"{topic}-{index}").rename(ground.folders[3].parent / f"{topic}-{index}.kept")
    _, errors = ground.purge(topic, "--yes", "--force", "--watch", "0")
    assert errors == []
    for index in (0, 1):
        (ground.folders[3].parent / f"{topic}-{index}.kept").rename(ground.folders[3] / f"{topic}-{index}")
    ground.start(3)
    items, errors = ground.purge(topic, "--yes", "--watch", "0.5")
    assert errors == []
    assert items["replicas", "broker 3"]["outcome"] == "removed"
    assert len(items["replicas", "broker 3"]["before"]) == 2
    ground.nowhere(topic)


def a_broker_that_is_down(ground: Ground, stop: Callable[[int], None], *, unseen: tuple[str, ...]) -> None:
    """Without its disks the deletion stays marked and says for whom; with them it is finished at once.

    ``unseen``: options in place of ``way`` under which the disks of broker 3 are not known.
    """
    topic = "doomed-down"
    ground.kops("topic", "create", topic, "-p", "2", "-r", "3")
    stop(3)
    if unseen:
        known, ground.way = ground.way, unseen
        items, errors = ground.purge(topic, "--yes", "--watch", "0", code=5)
        ground.way = known
        assert "broker 3 is down" in errors[0]["message"]
        assert items["zookeeper", f"/admin/delete_topics/{topic}"]["outcome"] == "left"
        assert items["disk", "broker 3"]["outcome"] == "not verifiable from here"
    items, errors = ground.purge(topic, "--yes", "--watch", "0.5")
    assert errors == []
    assert items["disk", f"broker 3 {ground.folders[3]}"]["outcome"] in ("removed", "left to the broker")
    assert outcomes(items)["zookeeper", f"/brokers/topics/{topic}"] == "removed"
    ground.nowhere(topic)
    ground.start(3)
    ground.kops("topic", "create", topic, "-p", "1", "-r", "3")
    ground.purge(topic, "--yes", "--watch", "0")
    ground.nowhere(topic)


def a_producer_that_brings_it_back(ground: Ground) -> None:
    """In use: refused. Forced: deleted, created again by the producer, and said so."""
    topic = "doomed-busy"
    ground.kops("topic", "create", topic, "-p", "1", "-r", "3")
    enough = threading.Event()
    with producing(ground.bootstrap, topic, enough):
        written_to(ground.bootstrap, topic)
        _, errors = ground.purge(topic, "--yes", code=4)
        assert errors[0]["code"] == "TopicInUse"
        items, errors = ground.purge(topic, "--dry-run", code=4)
        assert (errors[0]["code"], items["metadata", "broker 1"]["outcome"]) == ("TopicInUse", "to be removed")
        _, errors = ground.purge(topic, "--yes", "--force", "--watch", "10", code=1)
        assert [error["code"] for error in errors] == ["TopicResurrected"], errors
        assert "auto.create.topics.enable" in errors[0]["message"]
    _, errors = ground.purge(topic, "--yes", "--force", "--watch", "0.5")
    assert errors == []
    ground.nowhere(topic)


def written_to(bootstrap: str, topic: str) -> None:
    """Wait until there are records."""
    from kops.cluster.metadata import snapshot, wait_until
    from kops.cluster.partitions import offsets

    with Session(Context(bootstrap_servers=bootstrap), 20.0) as session:

        def empty() -> str | None:
            found = offsets(session, snapshot(session, [topic]).partitions)
            return None if any(one.latest for one in found.values()) else "nothing is written yet"

        wait_until(session, empty, 20.0)


@contextmanager
def producing(bootstrap: str, topic: str, enough: threading.Event) -> Iterator[None]:
    """A client that writes ten records a second, whatever becomes of the topic."""
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    def write() -> None:
        producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), max_block_ms=1000, metadata_max_age_ms=500)
        while not enough.wait(0.1):
            try:
                producer.send(topic, b"x")
                producer.flush(0.5)
            except KafkaError:
                continue
        producer.close(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join(10)
