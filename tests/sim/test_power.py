"""All machines lose power in the moment in which a write is acknowledged: with flush.messages=1 it is there again."""

from __future__ import annotations

import errno

import pytest

from broker.wire.errors import ErrorCode
from tests.sim.cluster import Client, Cluster
from tests.sim.test_failover import controller_of, leader_of


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_acknowledged_with_flush_survives_the_loss_of_all_power(seed: int) -> None:
    cluster = Cluster(seed, min_insync_replicas=2, log_flush_interval_messages=1)
    cluster.sync_seconds = 0.03
    cluster.start()
    client = Client(cluster)
    assert cluster.call(client.create("orders", via=controller_of(cluster))) == ErrorCode.NONE
    acknowledged = [b"%d" % number for number in range(4)]
    leader = leader_of(cluster, "orders")
    for value in acknowledged:
        assert cluster.call(client.produce("orders", value, to=leader)) == ErrorCode.NONE

    for name in ("zookeeper", "broker-1", "broker-2", "broker-3"):
        cluster.lose_power(name)
    cluster.start_zookeeper()
    for broker_id in cluster.ids:
        cluster.start_broker(broker_id)
    cluster.until(cluster.is_whole, 60, "all are back")

    def in_sync() -> bool:
        states = [server.metadata.partition("orders", 0) for server in cluster.alive()]
        return all(state is not None and len(state.isr) == 3 for state in states)

    cluster.until(in_sync, 60, "all are in sync again")
    leader = leader_of(cluster, "orders")
    assert cluster.call(client.produce("orders", b"after", to=leader)) == ErrorCode.NONE
    assert cluster.call(client.read("orders", of=leader)) == [*acknowledged, b"after"]
    cluster.close()


def test_zookeeper_does_not_go_on_from_a_log_whose_sync_failed() -> None:
    """Its pages read well and count as clean, so that no later sync writes them: they are gone with the power."""
    cluster = Cluster(4)
    cluster.start()
    client = Client(cluster)
    disk = cluster.disks["zookeeper"]
    disk.sync_error = errno.EIO
    client.process.spawn(client.create("lost", via=controller_of(cluster)), "create")
    cluster.until(lambda: cluster.world.processes["zookeeper"].dead, 30, "ZooKeeper ends when its disk fails")
    disk.sync_error = None
    cluster.start_zookeeper()
    cluster.until(cluster.tree, 10, "ZooKeeper is back")
    cluster.world.run(10)
    assert cluster.call(client.create("orders", via=controller_of(cluster))) == ErrorCode.NONE
    cluster.lose_power("zookeeper")
    cluster.start_zookeeper()
    cluster.until(cluster.tree, 10, "ZooKeeper can be started")
    tree = cluster.tree()
    assert tree is not None
    assert "/brokers/topics/orders" in tree.nodes
    cluster.close()
