"""One story told to Apache Kafka 3.9 and to us leaves the same ZooKeeper tree: paths, fields, owners, epochs (W9)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from tests.interop.apache import Apache, Cluster, accepts, until
from tests.interop.ours import both, stopped_after
from tests.ports import free_port

pytestmark = pytest.mark.timeout(240)

TOOLS = "org.apache.kafka.tools"
ACCIDENTAL = {"timestamp", "port", "endpoints", "topic_id", "id", "broker", "block_start", "block_end"}
"""Fields that are never the same twice, or that hang on which broker a producer asks; their types are compared."""


@contextmanager
def looking(cluster: Cluster) -> Iterator[KazooClient]:
    client = KazooClient(cluster.zookeeper)
    client.start(20)
    try:
        yield client
    finally:
        client.stop()
        client.close()


def start_zookeeper(cluster: Cluster) -> None:
    port = free_port()
    cluster.zookeeper = f"127.0.0.1:{port}"
    lines = [f"dataDir={cluster.folder}/zookeeper", f"clientPort={port}", "clientPortAddress=127.0.0.1"]
    cluster.spawn(
        "zookeeper",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        [*lines, "tickTime=1000", "maxClientCnxns=0", "admin.enableServer=false"],
    )
    until(lambda: accepts(port), "ZooKeeper does not listen", cluster.log("zookeeper"))


def start_brokers_in_turn(cluster: Cluster, brokers: int, zk: KazooClient) -> None:
    """The first is the controller of both stories."""
    for broker in range(1, brokers + 1):
        port = free_port()
        cluster.addresses.append(f"127.0.0.1:{port}")
        cluster.spawn(f"broker-{broker}", "kafka.Kafka", cluster.broker_lines(broker, port, brokers))
        log = cluster.log(f"broker-{broker}")
        until(lambda at=broker: zk.exists(f"/brokers/ids/{at}") and zk.exists("/controller"), "it is not there", log)


def state(zk: KazooClient, topic: str, partition: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zk.get(f"/brokers/topics/{topic}/partitions/{partition}/state")[0])
    return found


def tell(cluster: Cluster, zk: KazooClient) -> dict[str, str]:
    """Topics, settings, a deletion, a killed leader that comes back, an election by hand. The tree at its end."""
    run, at = cluster.apache.run, ("--bootstrap-server", cluster.addresses[0])

    def topics(*words: str) -> str:
        return run(f"{TOOLS}.TopicCommand", *at, *words)

    topics("--create", "--topic", "orders", "--replica-assignment", "2:1,1:2", "--config", "retention.ms=60000")
    topics("--create", "--topic", "plain.one", "--replica-assignment", "1")
    topics("--create", "--topic", "gone", "--replica-assignment", "2:1")
    topics("--alter", "--topic", "orders", "--partitions", "3", "--replica-assignment", "2:1,1:2,2:1")
    run("kafka.admin.ConfigCommand", *at, "--alter", "--topic", "orders", "--add-config", "cleanup.policy=delete")
    dynamic = ("--entity-type", "brokers", "--entity-name", "1", "--add-config", "num.io.threads=9")
    run("kafka.admin.ConfigCommand", *at, "--alter", *dynamic)
    default = ("--entity-type", "brokers", "--entity-default", "--add-config", "log.cleaner.threads=2")
    run("kafka.admin.ConfigCommand", *at, "--alter", *default)
    topics("--delete", "--topic", "gone")
    until(lambda: not zk.exists("/brokers/topics/gone"), "the topic is not deleted")
    until(lambda: not zk.get_children("/admin/delete_topics"), "its mark stays")
    typed = "".join(f"{index}\n" for index in range(10))
    made = ("--topic", "orders", "--producer-property", "enable.idempotence=true", "--request-required-acks", "all")
    run("kafka.tools.ConsoleProducer", *at, *made, stdin=typed)

    cluster.kill(2)
    until(lambda: state(zk, "orders", 0)["leader"] == 1, "nobody took over")
    until(lambda: state(zk, "orders", 1)["isr"] == [1], "the dead one stays in the ISR")
    cluster.restart(2)
    until(lambda: all(len(state(zk, "orders", each)["isr"]) == 2 for each in range(3)), "the ISR is not whole")

    elect = {"version": 1, "partitions": [{"topic": "orders", "partition": 0}, {"topic": "orders", "partition": 2}]}
    zk.create("/admin/preferred_replica_election", json.dumps(elect).encode())
    until(lambda: not zk.exists("/admin/preferred_replica_election"), "the election is not done")
    until(lambda: state(zk, "orders", 0)["leader"] == 2, "the preferred replica does not lead")
    until(lambda: not zk.get_children("/isr_change_notification"), "notifications stay")
    return {path: seen for path, seen in walk(zk, "/") if not path.startswith("/zookeeper")}


def walk(zk: KazooClient, path: str) -> Iterator[tuple[str, str]]:
    data, stat = zk.get(path)
    owned = "ephemeral " if stat.ephemeralOwner else ""
    acl = " ".join(f"{each.id.scheme}:{each.id.id}:{each.perms}" for each in zk.get_acls(path)[0])
    yield path, f"{owned}{acl} {shown(data)}"
    for child in sorted(zk.get_children(path)):
        yield from walk(zk, f"{path.rstrip('/')}/{child}")


def shown(data: bytes | None) -> str:
    """Data with its accidents replaced by their types."""
    if not data:
        return "nothing" if data is None else "empty"
    try:
        fields = json.loads(data)
    except ValueError:
        return repr(data)
    if not isinstance(fields, dict):
        return data.decode()
    return json.dumps({name: hidden(name, value) for name, value in fields.items()}, sort_keys=True)


def hidden(name: str, value: Any) -> Any:
    if name in ACCIDENTAL and not isinstance(value, dict):
        return type(value).__name__
    return value


def test_the_tree_after_the_same_story_is_the_same(kafka39: Apache, tmp_path: Path) -> None:
    trees: list[dict[str, str]] = []
    for cluster in both(kafka39, tmp_path):
        with stopped_after(cluster):
            start_zookeeper(cluster)
            with looking(cluster) as zk:
                start_brokers_in_turn(cluster, 2, zk)
                trees.append(tell(cluster, zk))
    theirs, ours = trees
    differences = {path: (theirs.get(path), ours.get(path)) for path in sorted(theirs | ours)}
    assert {path: seen for path, seen in differences.items() if seen[0] != seen[1]} == {}
