"""A follower that hears late of two changes of leaders goes on fetching from who led before, and leads again now.

Below IBP 2.7 a fetch does not name the epoch of the follower's last record: but for the leader epoch that it does
name, the leader would count records that it has given up itself.
"""

from __future__ import annotations

import pytest

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from broker.wire.messages.elect_leaders import ElectLeadersRequest
from tests.sim.cluster import Client, Cluster
from tests.sim.plants import planted
from tests.sim.test_failover import controller_of

LATE_SECONDS = 60.0


class Drama:
    """``leader``, the controller, and the follower that is told late; the leader alone is preferred."""

    def __init__(self) -> None:
        self.cluster = Cluster(
            3,
            min_insync_replicas=1,
            inter_broker_protocol_version="2.6",
            replica_lag_time_max_ms=60_000,
            auto_leader_rebalance_enable=False,
        )
        self.cluster.start()
        self.client = Client(self.cluster)
        self.controller = controller_of(self.cluster)
        self.leader, self.late = [each for each in self.cluster.ids if each != self.controller]

    async def ask(self, api: ApiKey, version: int, request: object) -> object:
        return await self.client.line(self.controller).send(api, version, request, 10)

    def create(self) -> None:
        placed = CreatableReplicaAssignment(partition_index=0, broker_ids=[self.leader, self.controller, self.late])
        topic = CreatableTopic(name="orders", num_partitions=-1, replication_factor=-1, assignments=[placed])
        request = CreateTopicsRequest(topics=[topic], timeout_ms=5000)
        self.cluster.call(self.ask(ApiKey.CREATE_TOPICS, 4, request))

    def elect_preferred(self) -> None:
        self.cluster.call(
            self.ask(ApiKey.ELECT_LEADERS, 2, ElectLeadersRequest(topic_partitions=None, timeout_ms=5000))
        )

    def produce(self, to: int, value: bytes, acks: int = -1) -> int:
        return self.cluster.call(self.client.produce("orders", value, to=to, acks=acks, timeout_ms=1000))

    def end(self, broker: int) -> int:
        log = self.cluster.servers[broker].logdirs.get("orders", 0)
        return -1 if log is None else log.log_end_offset

    def leads(self, broker: int) -> bool:
        hosted = self.cluster.servers[broker].replicas.get("orders", 0)
        return hosted is not None and hosted.is_leader

    def play(self) -> int:
        """What is told of a write that the late follower has something else in the place of."""
        cluster, leader, successor, late = self.cluster, self.leader, self.controller, self.late
        names = {each: f"broker-{each}" for each in cluster.ids}
        self.create()
        cluster.until(lambda: self.leads(leader), 20, "its preferred replica leads")
        assert self.produce(leader, b"committed") == ErrorCode.NONE
        cluster.network.cut(names[leader], names[successor])
        assert self.produce(leader, b"given up", acks=1) == ErrorCode.NONE
        cluster.until(lambda: self.end(late) == 2, 5, "the follower has what will be given up")
        cluster.network.lag[names[successor], names[late]] = LATE_SECONDS
        told_late_until = cluster.world.now + LATE_SECONDS
        cluster.kill(leader)
        cluster.network.join(names[leader], names[successor])
        cluster.until(lambda: self.leads(successor), 20, "another leads")
        assert self.produce(successor, b"instead", acks=1) == ErrorCode.NONE
        cluster.start_broker(leader)
        cluster.until(lambda: cluster.is_whole() and self.end(leader) == 2, 20, "it has given it up")

        while not self.leads(leader):  # once the controller knows that it is in sync
            self.elect_preferred()
            cluster.world.run(1)
        code = self.produce(leader, b"more")
        assert cluster.world.now < told_late_until, "the follower has not heard of it yet"
        return code


@pytest.mark.parametrize("plant", ["", pytest.param("leader-epoch-unchecked", marks=pytest.mark.interpreted)])
def test_what_a_follower_of_another_epoch_fetches_does_not_count(plant: str) -> None:
    drama = Drama()
    try:
        if not plant:
            assert drama.play() == ErrorCode.REQUEST_TIMED_OUT
        else:
            with planted(plant):
                assert drama.play() == ErrorCode.NONE
    finally:
        drama.cluster.close()
