"""Clusters without ZooKeeper: who is controller there, and that nobody is told to name a ZooKeeper."""

from types import SimpleNamespace
from typing import Any, cast

from kafka.errors import KafkaTimeoutError
from kafka.protocol.admin import DescribeQuorumRequest

from kops.cluster.metadata import NO_LEADER, snapshot
from kops.contexts import Context
from kops.operations import doctor
from kops.session import Session


class Kraft:
    """Brokers 1 to 3 with the quorum's leader elsewhere: 103. The one that answers names itself as the controller."""

    kraft = True
    context = Context()
    error = 0

    def send(self, request: Any, broker: int | None = None) -> Any:
        if isinstance(request, DescribeQuorumRequest):
            if self.error == 7:
                raise KafkaTimeoutError
            leading = SimpleNamespace(partitions=[SimpleNamespace(leader_id=103)])
            return SimpleNamespace(error_code=self.error, topics=[leading])
        brokers = [SimpleNamespace(node_id=n, host="h", port=n, rack=None) for n in (1, 2, 3)]
        return SimpleNamespace(cluster_id="c", controller_id=broker or 2, brokers=brokers, topics=[])


def test_the_controller_is_the_leader_of_the_quorum() -> None:
    session = cast(Session, Kraft())
    assert snapshot(session, []).controller == 103
    assert snapshot(session, [], broker=3).controller == 103, "the dashboard names the broker that it asks"


def test_while_the_quorum_does_not_answer_nobody_is_the_controller() -> None:
    silent = Kraft()
    silent.error = 7
    assert snapshot(cast(Session, silent), [], broker=3).controller == NO_LEADER


def test_where_the_quorum_may_not_be_asked_the_brokers_word_counts() -> None:
    forbidden = Kraft()
    forbidden.error = 31
    assert snapshot(cast(Session, forbidden), []).controller == 2


def test_the_doctor_misses_no_zookeeper_where_there_is_none() -> None:
    assert doctor._zookeeper(cast(Session, Kraft()))[-1] == ""
