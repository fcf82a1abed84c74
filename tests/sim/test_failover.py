"""ZooKeeper and three brokers in one process, on virtual time: a leader is cut off, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.wire.errors import ErrorCode
from tests.sim.cluster import SESSION_MS, Client, Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(min_insync_replicas=2, replica_lag_time_max_ms=5000)
    made.start()
    yield made
    made.close()


def leader_of(cluster: Cluster, topic: str, besides: int = 0) -> int:
    """The leader of partition 0 as the living brokers know it, once they agree on one that is not ``besides``."""
    found: list[int] = []

    def agreed() -> bool:
        states = [s.metadata.partition(topic, 0) for s in cluster.alive() if s.config.broker_id != besides]
        leaders = {-1 if state is None else state.leader for state in states}
        found[:] = sorted(leaders)
        return len(leaders) == 1 and found[0] >= 0 and found[0] != besides

    cluster.until(agreed, 60, f"a leader of {topic} besides {besides}")
    return found[0]


def controller_of(cluster: Cluster) -> int:
    cluster.until(lambda: any(s.controller.is_active for s in cluster.alive()), 60, "a controller")
    return next(s.config.broker_id for s in cluster.alive() if s.controller.is_active)


def test_a_leader_that_is_cut_off_is_replaced_and_what_it_acknowledged_is_there(cluster: Cluster) -> None:
    client = Client(cluster)
    assert cluster.call(client.create("orders", via=controller_of(cluster))) == ErrorCode.NONE
    leader = leader_of(cluster, "orders")
    acknowledged = [b"%d" % number for number in range(20)]
    for value in acknowledged:
        assert cluster.call(client.produce("orders", value, to=leader)) == ErrorCode.NONE

    cluster.cut_off(leader)
    successor = leader_of(cluster, "orders", besides=leader)
    assert cluster.call(client.produce("orders", b"after", to=successor)) == ErrorCode.NONE
    assert cluster.call(client.read("orders", of=successor)) == [*acknowledged, b"after"]
    assert cluster.world.now < 4 * SESSION_MS / 1000, "the failover takes about one session"

    cluster.network.heal()
    servers = cluster.servers

    def in_sync() -> bool:
        state = servers[successor].metadata.partition("orders", 0)
        return state is not None and sorted(state.isr) == [1, 2, 3]

    cluster.until(in_sync, 120, "the old leader is back in sync")
    logs = [servers[n].logdirs.get("orders", 0) for n in cluster.ids]
    assert {log.log_end_offset for log in logs if log is not None} == {21}


def test_what_a_cut_off_leader_alone_holds_is_never_acknowledged_and_never_read(cluster: Cluster) -> None:
    client = Client(cluster)
    assert cluster.call(client.create("orders", via=controller_of(cluster))) == ErrorCode.NONE
    leader = leader_of(cluster, "orders")
    assert cluster.call(client.produce("orders", b"safe", to=leader)) == ErrorCode.NONE
    cluster.cut_off(leader, clients_too=False)
    error = cluster.call(client.produce("orders", b"alone", to=leader, timeout_ms=2000))
    assert error in (ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS)
    successor = leader_of(cluster, "orders", besides=leader)
    assert cluster.call(client.produce("orders", b"next", to=successor)) == ErrorCode.NONE
    cluster.network.heal()
    log = cluster.servers[leader].logdirs.get("orders", 0)
    assert log is not None
    cluster.until(lambda: log.log_end_offset == 2 and log.leader_epochs.latest > 0, 120, "the old leader follows")
    assert cluster.call(client.read("orders", of=successor)) == [b"safe", b"next"]


def test_a_killed_leader_comes_back_with_its_log(cluster: Cluster) -> None:
    client = Client(cluster)
    assert cluster.call(client.create("orders", via=controller_of(cluster))) == ErrorCode.NONE
    leader = leader_of(cluster, "orders")
    for number in range(5):
        assert cluster.call(client.produce("orders", b"%d" % number, to=leader)) == ErrorCode.NONE
    cluster.kill(leader)
    successor = leader_of(cluster, "orders", besides=leader)
    cluster.start_broker(leader)

    def whole() -> bool:
        state = cluster.servers[successor].metadata.partition("orders", 0)
        hosted = cluster.servers[successor].replicas.get("orders", 0)
        in_sync = state is not None and sorted(state.isr) == [1, 2, 3]
        return in_sync and hosted is not None and hosted.log.high_watermark == 5

    cluster.until(whole, 120, "the killed broker is in sync again, and the third one has told its end")
    assert cluster.call(client.read("orders", of=successor)) == [b"%d" % number for number in range(5)]


def test_the_same_seed_gives_the_same_run() -> None:
    def trace(seed: int) -> tuple[int, float]:
        made = Cluster(seed)
        made.start()
        client = Client(made)
        assert made.call(client.create("orders", via=controller_of(made))) == ErrorCode.NONE
        leader_of(made, "orders")
        result = made.world.trace, made.world.now
        made.close()
        return result

    first = trace(11)
    trace(12)
    assert trace(11) == first
