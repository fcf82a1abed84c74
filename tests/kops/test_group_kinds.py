"""Groups of Kafka 4: those of the consumer protocol (KIP-848) are asked in their own way, share groups not at all."""

from types import SimpleNamespace
from typing import Any, cast

from kafka.protocol.admin import DescribeGroupsRequest

from kops.cluster import groups
from kops.cluster.groups import Listed
from kops.cluster.messages import ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse
from kops.cluster.metadata import Broker
from kops.cluster.offsets import Position
from kops.session import Session

BROKER = Broker(1, "localhost", 9092)


class Answering:
    """A session in which the group ``new`` has a member, and ``old`` none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def send(self, request: Any, broker: int) -> Any:
        if isinstance(request, DescribeGroupsRequest):
            self.asked.append(("classic", request.groups))
            named = {"group_id": "old", "group_state": "Empty", "protocol_type": "consumer", "protocol_data": ""}
            return SimpleNamespace(groups=[SimpleNamespace(error_code=0, members=[], **named)])
        assert isinstance(request, ConsumerGroupDescribeRequest)
        self.asked.append(("consumer", request.group_ids))
        return ConsumerGroupDescribeResponse.decode(new_group().encode(version=1), version=1)


def new_group() -> Any:
    group = ConsumerGroupDescribeResponse.DescribedGroup
    member = group.Member
    assigned = member.Assignment(
        topic_partitions=[
            member.Assignment.TopicPartitions(
                topic_id="00000000-0000-0000-0000-000000000007", topic_name="t", partitions=[0, 2]
            )
        ]
    )
    one = member(
        member_id="m", client_id="c", client_host="/h", subscribed_topic_names=["t"], subscribed_topic_regex="t.*",
        assignment=assigned, target_assignment=assigned,
    )  # fmt: skip
    described = group(group_id="new", group_state="Stable", assignor_name="uniform", members=[one])
    return ConsumerGroupDescribeResponse(groups=[described])


def test_each_kind_is_asked_in_its_own_way_and_share_groups_are_left_out() -> None:
    listed = [
        Listed("new", "consumer", "Stable", BROKER, "consumer"),
        Listed("old", "consumer", "Empty", BROKER),
        Listed("shared", "share", "Stable", BROKER, "share"),
    ]
    session = Answering()
    new, old = groups.describe(cast(Session, session), listed)
    assert session.asked == [("classic", ["old"]), ("consumer", ["new"])]
    assert (old.id, old.idle) == ("old", True)
    assert (new.id, new.state, new.protocol, new.idle) == ("new", "Stable", "uniform", False)
    [member] = new.members
    assert (member.id, member.subscribed) == ("m", ("t", "t.*"))
    assert new.owners.keys() == {Position("t", 0), Position("t", 2)}
    assert [one.describable for one in listed] == [True, True, False]


def test_share_groups_are_not_asked_what_they_committed() -> None:
    shared = Listed("shared", "share", "Stable", BROKER, "share")
    assert groups.committed(cast(Session, Answering()), [shared]) == {"shared": {}}
