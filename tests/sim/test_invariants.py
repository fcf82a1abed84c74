"""What is looked at from outside is judged as well: a breach of each rule, made by hand, is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.replication.partition import Role
from broker.wire.errors import ErrorCode
from tests.sim.checker import History, Kind
from tests.sim.cluster import Client, Cluster
from tests.sim.invariants import Invariants
from tests.sim.test_failover import controller_of, leader_of


class Watched:
    """A cluster with one topic, some records, and the watcher."""

    def __init__(self) -> None:
        self.cluster, self.history = Cluster(3, min_insync_replicas=2), History()
        self.cluster.start()
        self.invariants = Invariants(self.cluster, self.history, careless=False)
        client = Client(self.cluster)
        assert self.cluster.call(client.create("orders", via=controller_of(self.cluster))) == ErrorCode.NONE
        self.leader = leader_of(self.cluster, "orders")
        for number in range(3):
            assert self.cluster.call(client.produce("orders", b"%d" % number, to=self.leader)) == ErrorCode.NONE
        self.cluster.world.run(1)
        self.follower = next(broker for broker in self.cluster.ids if broker != self.leader)

    def hosted(self, broker: int):  # type: ignore[no-untyped-def]
        return self.cluster.servers[broker].replicas.get("orders", 0)

    def kinds(self) -> list[Kind]:
        self.invariants.look()
        return [violation.kind for violation in self.history.trouble]


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.cluster.close()


def test_a_sound_cluster_breaks_no_rule(watched: Watched) -> None:
    with watched.invariants.watching_truncations():
        assert watched.kinds() == []


def test_an_in_sync_replica_without_what_is_committed_is_found(watched: Watched) -> None:
    watched.hosted(watched.leader).partition.high_watermark += 1
    assert set(watched.kinds()) == {Kind.HOLLOW_ISR}


def test_two_leaders_in_one_epoch_are_found(watched: Watched) -> None:
    assert watched.kinds() == []
    usurper = watched.hosted(watched.follower).partition
    usurper.role, usurper.leader = Role.LEADER, watched.follower
    assert Kind.TWO_LEADERS in watched.kinds()


def test_a_cut_below_the_high_watermark_is_found(watched: Watched) -> None:
    with watched.invariants.watching_truncations():
        watched.hosted(watched.follower).log.truncate_to(1)
    assert [violation.kind for violation in watched.history.trouble] == [Kind.CUT]
