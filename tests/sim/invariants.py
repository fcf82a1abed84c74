"""What must hold at every moment, and not only in the end: looked at from outside while the brokers run.

A record that is lost shows itself only when the wrong replica leads. These rules are broken earlier, by whatever would
have lost it, so that a seed needs no second misfortune:

* whoever is in the ISR that ZooKeeper holds has everything that any leader ever said to be committed (a running broker
  whose log is at hand; not where power may be lost without ``flush.messages``, which Kafka's default does not survive);
* nobody cuts off what it knew to be committed;
* a leader epoch has one leader.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from broker.broker import KafkaServer
from broker.storage.log import Log
from broker.zk import znodes
from broker.zookeeper.tree import Tree
from tests.sim.checker import History, Kind, Violation
from tests.sim.cluster import Cluster

EVERY_SECONDS = 0.03
Key = tuple[str, int, object]


class Invariants:
    """``careless``: a machine may come back with less than it had, so its log proves nothing."""

    def __init__(self, cluster: Cluster, history: History, *, careless: bool) -> None:
        self.cluster, self.history, self.careless = cluster, history, careless
        self.committed: dict[Key, int] = {}
        self._leaders: dict[tuple[Key, int], int] = {}
        self._told: dict[tuple[object, ...], None] = {}
        self._ids: dict[bytes, object] = {}
        self._decoded: dict[bytes, znodes.PartitionState] = {}

    def look(self) -> None:
        """At all partitions of all running brokers."""
        for server in self._running():
            for hosted in server.replicas.all():
                partition, key = hosted.partition, (hosted.topic, hosted.index, hosted.log.topic_id)
                if not hosted.is_leader or hosted.log.dir.is_offline:
                    continue
                if partition.high_watermark > self.committed.get(key, 0):
                    self.committed[key] = partition.high_watermark
                leader = self._leaders.setdefault((key, partition.leader_epoch), partition.leader)
                if leader != server.config.broker_id:
                    what = f"{leader} and {server.config.broker_id} lead {hosted} in epoch {partition.leader_epoch}"
                    self._tell(Kind.TWO_LEADERS, what, key, partition.leader_epoch)
        if not self.careless:
            self._look_at_isrs()

    def _look_at_isrs(self) -> None:
        tree = self.cluster.tree()
        if tree is None:
            return
        for key, committed in self.committed.items():
            topic, index, topic_id = key
            if topic_id is not None and self._id_of(topic, tree) != topic_id:
                continue  # another topic of that name
            node = tree.nodes.get(znodes.partition_state(topic, index))
            if node is None or not node.data or znodes.delete_topic(topic) in tree.nodes:
                continue
            state = self._decoded.get(node.data)
            if state is None:
                state = self._decoded[node.data] = znodes.PartitionState.decode(node.data)
            for server in self._running():
                broker_id = server.config.broker_id
                if broker_id not in state.isr or server.logdirs.is_offline(topic, index):
                    continue
                log = server.logdirs.get(topic, index)
                if log is None and server.logdirs.offline_dirs:
                    continue  # it lies there, perhaps
                if log is not None and (log.dir.is_offline or log.topic_id != topic_id):
                    continue
                end = -1 if log is None else log.log_end_offset
                if end < committed:
                    what = f"broker {broker_id} is in the ISR {list(state.isr)} of {topic}-{index} (leader "
                    what += f"{state.leader} in epoch {state.leader_epoch}) and ends at {end}, committed: {committed}"
                    self._tell(Kind.HOLLOW_ISR, what, key, broker_id, state.leader_epoch)

    def _id_of(self, topic: str, tree: Tree) -> object:
        node = tree.nodes.get(znodes.topic(topic))
        if node is None or not node.data:
            return None
        if node.data not in self._ids:
            self._ids[node.data] = znodes.TopicZnode.decode(topic, node.data).topic_id
        return self._ids[node.data]

    def _running(self) -> Iterator[KafkaServer]:
        return (server for server in self.cluster.alive() if server._running)

    def _tell(self, kind: Kind, what: str, *about: object) -> None:
        """Once for each matter."""
        if (kind, *about) not in self._told:
            self._told[kind, *about] = None
            self.history.trouble.append(Violation(kind, f"{what}, at {self.cluster.world.now:.3f}"))

    @contextmanager
    def watching_truncations(self) -> Iterator[None]:
        """As long as this lasts, whoever cuts what it knows to be committed is noticed."""
        truncate = Log.truncate_to

        def watched(log: Log, offset: int) -> bool:
            if offset < log.high_watermark and not self.careless:
                what = f"{log!r} is cut to {offset}, below its high watermark {log.high_watermark}"
                self._tell(Kind.CUT, what, log.directory, offset, self.cluster.world.now)
            return truncate(log, offset)

        with patch.object(Log, "truncate_to", watched):
            yield
