"""Words of those who were replaced, that arrive when all has changed: they must change nothing."""

from __future__ import annotations

import pytest

from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from broker.wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from tests.sim.cluster import Client, Cluster
from tests.sim.plants import planted
from tests.sim.test_failover import controller_of

LATE_SECONDS = 30.0


class Zombie:
    """A controller is stopped; what it said to one of two replicas of a topic is still on its way."""

    def __init__(self) -> None:
        self.cluster = Cluster(5, min_insync_replicas=1)
        self.cluster.start()
        self.client = Client(self.cluster)
        self.zombie = controller_of(self.cluster)
        self.late, self.other = [broker for broker in self.cluster.ids if broker != self.zombie]

    def create(self, via: int) -> int:
        placed = CreatableReplicaAssignment(partition_index=0, broker_ids=[self.late, self.other])
        topic = CreatableTopic(name="orders", num_partitions=-1, replication_factor=-1, assignments=[placed])
        request = CreateTopicsRequest(topics=[topic], timeout_ms=5000)
        reply = self.cluster.call(self._ask(via, ApiKey.CREATE_TOPICS, 4, request))
        error: int = reply.topics[0].error_code
        return error

    def delete(self, via: int) -> None:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name="orders")], timeout_ms=0)
        self.client.process.spawn(self._ask(via, ApiKey.DELETE_TOPICS, 6, request), "delete")

    async def _ask(self, to: int, api: ApiKey, version: int, request: object) -> object:
        return await self.client.line(to).send(api, version, request, 10)

    def play(self) -> list[bytes]:
        """A topic is deleted and made again; what a consumer reads of it in the end."""
        cluster = self.cluster
        assert self.create(self.zombie) == ErrorCode.NONE
        cluster.until(lambda: self.leads(self.late), 20, "its preferred replica leads")
        self.delete(self.zombie)
        cluster.until(lambda: not self.leads(self.late), 5, "it is told to stop, and next to delete")
        cluster.network.lag[f"broker-{self.zombie}", f"broker-{self.late}"] = LATE_SECONDS
        cluster.world.run(0.2)
        assert cluster.servers[self.late].logdirs.get("orders", 0) is not None, "that comes late"
        cluster.process(self.zombie).pause()

        def successor() -> int:
            active = [s.config.broker_id for s in cluster.alive() if s.controller.is_active]
            return next((broker for broker in active if broker != self.zombie), 0)

        cluster.until(successor, 20, "another controller")
        cluster.until(lambda: cluster.servers[self.late].logdirs.get("orders", 0) is None, 20, "the topic is deleted")
        cluster.until(lambda: self.create(successor()) == ErrorCode.NONE, 20, "the topic is made again")
        cluster.until(lambda: self.leads(self.late), 20, "its preferred replica leads")
        assert cluster.call(self.client.produce("orders", b"new", to=self.late)) == ErrorCode.NONE
        assert cluster.world.now < LATE_SECONDS, "the old word has not come yet"
        cluster.world.run(LATE_SECONDS)
        return cluster.call(self.client.read("orders", of=self.late)) if self.leads(self.late) else []

    def leads(self, broker: int) -> bool:
        hosted = self.cluster.servers[broker].replicas.get("orders", 0)
        return hosted is not None and hosted.is_leader


@pytest.mark.parametrize("plant", ["", "controller-epoch-unchecked"])
def test_a_deposed_controllers_deletion_does_not_hit_the_topic_that_was_made_since(plant: str) -> None:
    zombie = Zombie()
    try:
        if not plant:
            assert zombie.play() == [b"new"]
        else:
            with planted(plant):
                assert zombie.play() == []
    finally:
        zombie.cluster.close()
