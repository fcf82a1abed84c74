"""A leader whose disk lost acknowledged records finds them missing, and the controller lets a whole replica lead."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from broker.replication.role_changes import RoleChanges
from broker.wire.errors import ErrorCode
from broker.wire.keys import ApiKey
from broker.wire.messages.create_topics import CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequest
from tests.sim.cluster import Client, Cluster
from tests.sim.test_failover import controller_of, leader_of

RECORDS = [b"%d" % number for number in range(20)]
CHECKPOINT_SECONDS = 6.0
DIRECTORY, LOG = "/kafka-logs/orders-0", "00000000000000000000.log"


class Drama:
    """The leader and the controller are killed; the leader is back without some of its log, before a new one."""

    def __init__(self) -> None:
        self.cluster = Cluster(5, min_insync_replicas=1, kops_controller_fast_failover_enable=False)
        self.cluster.start()
        self.client = Client(self.cluster)
        self.controller = controller_of(self.cluster)
        self.victim, self.whole = [each for each in self.cluster.ids if each != self.controller]

    async def create(self) -> int:
        placed = CreatableReplicaAssignment(partition_index=0, broker_ids=[self.victim, self.whole, self.controller])
        topic = CreatableTopic(name="orders", num_partitions=-1, replication_factor=-1, assignments=[placed])
        request = CreateTopicsRequest(topics=[topic], timeout_ms=5000)
        reply = await self.client.line(self.controller).send(ApiKey.CREATE_TOPICS, 4, request, 10)
        error: int = reply.topics[0].error_code
        return error

    def lose(self, what: str) -> None:
        names = self.cluster.disks[f"broker-{self.victim}"].names
        if what == "its directory":
            for name in [name for name in names if name.startswith(DIRECTORY)]:
                del names[name]
            return
        inode = names[f"{DIRECTORY}/{'partition.metadata' if what == 'its topic id' else LOG}"]
        assert inode is not None
        if what == "its topic id":
            text = inode.data.decode()
            at = text.index("topic_id: ") + 12
            inode.data[at : at + 1] = b"A" if text[at] != "A" else b"B"
        else:
            del inode.data[len(inode.data) // 2 :]

    def play(self, what: str) -> list[bytes]:
        """What a consumer reads in the end."""
        cluster = self.cluster
        assert cluster.call(self.create()) == ErrorCode.NONE
        assert leader_of(cluster, "orders") == self.victim
        for value in RECORDS:
            assert cluster.call(self.client.produce("orders", value, to=self.victim)) == ErrorCode.NONE
        cluster.world.run(CHECKPOINT_SECONDS)
        cluster.kill(self.victim)
        cluster.kill(self.controller)
        self.lose(what)
        cluster.start_broker(self.victim)
        cluster.until(self.is_controlled, 30, "another controller")
        cluster.world.run(2)
        cluster.start_broker(self.controller)
        cluster.until(self.are_alike, 60, "all replicas are in sync, and alike")
        return cluster.call(self.client.read("orders", of=leader_of(cluster, "orders")))

    def is_controlled(self) -> bool:
        found = [getattr(server, "controller", None) for server in self.cluster.alive()]
        return any(each is not None and each.is_active for each in found)

    def are_alike(self) -> bool:
        if not self.cluster.is_whole():
            return False
        servers = self.cluster.alive()
        states = [server.metadata.partition("orders", 0) for server in servers]
        logs = [server.logdirs.get("orders", 0) for server in servers]
        ends = {-1 if log is None else log.log_end_offset for log in logs}
        return len(ends) == 1 and all(state is not None and len(state.isr) == 3 for state in states)


@pytest.mark.parametrize(
    ("what", "looks"),
    [("half of its log", True), ("its directory", True), ("its topic id", True), ("its directory", False)],
)
def test_a_leader_that_has_lost_records_gives_way_to_one_that_has_them(what: str, looks: bool) -> None:
    drama = Drama()
    try:
        if looks:
            assert drama.play(what) == RECORDS
        else:
            with patch.object(RoleChanges, "_check_complete", lambda *_: None):
                assert len(drama.play(what)) < len(RECORDS)
    finally:
        drama.cluster.close()
