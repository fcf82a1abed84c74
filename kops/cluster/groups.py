"""Consumer groups: who is in them, what they have committed, and changing that (ConsumerGroupCommand, by protocol).

Looking has no side effect: groups are asked of the brokers that list them, so nothing creates ``__consumer_offsets``,
and nothing ever joins a group. Offsets are changed as somebody who is no member (generation -1).
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kops.cluster.metadata import Broker, snapshot
from kops.cluster.offsets import Position, by_topic
from kops.errors import Failed, KopsError, Refused, not_found
from kops.session import Session

EMPTY, DEAD, STABLE = "Empty", "Dead", "Stable"
CLASSIC, CONSUMER = "classic", "consumer"
_LOADING, _NOT_AVAILABLE, _NOT_COORDINATOR = 14, 15, 16
_MOVING = (_LOADING, _NOT_AVAILABLE, _NOT_COORDINATOR)
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A group as its coordinator lists it. ``kind``: classic; since Kafka 4 also consumer, share, streams."""

    id: str
    protocol_type: str
    state: str
    coordinator: Broker
    kind: str = CLASSIC

    @property
    def describable(self) -> bool:
        """Whether kops knows how to ask for its members."""
        return self.kind in (CLASSIC, CONSUMER)


@dataclass(frozen=True, slots=True)
class Member:
    """``subscribed`` and ``assigned`` are empty where the member's blobs are not those of consumers."""

    id: str
    instance_id: str | None
    client_id: str
    host: str
    subscribed: tuple[str, ...] = ()
    assigned: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """``protocol``: the assignment strategy that the members agreed on."""

    id: str
    state: str
    protocol_type: str
    protocol: str
    coordinator: Broker
    members: tuple[Member, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether nobody is in it, so that its offsets may be changed."""
        return self.state in (EMPTY, DEAD)

    @property
    def owners(self) -> dict[Position, Member]:
        return {position: member for member in self.members for position in member.assigned}


@dataclass(frozen=True, slots=True)
class Committed:
    """A committed offset with what was committed along with it."""

    offset: int
    leader_epoch: int = -1
    metadata: str = ""


Offsets = dict[Position, Committed]


def listed(session: Session) -> list[Listed]:
    """Every group of every broker that answers, by name. Raises kafka.errors when a broker refuses."""
    from kafka.errors import KafkaConnectionError
    from kafka.protocol.admin import ListGroupsRequest

    found: dict[str, Listed] = {}
    for broker in snapshot(session, []).brokers:
        try:
            response = _patiently(session, lambda one=broker: session.send(ListGroupsRequest(), one.id))
        except KafkaConnectionError:
            continue  # it is down: its groups have other coordinators, or none
        for one in response.groups:
            found[one.group_id] = _listed(one, broker)
    return _with_states(session, [found[name] for name in sorted(found)])


def _listed(one: Any, broker: Broker) -> Listed:
    """Brokers tell states since Kafka 2.6 (v4), kinds since 3.7 (v5)."""
    state, kind = getattr(one, "group_state", None) or "", getattr(one, "group_type", None) or CLASSIC
    return Listed(one.group_id, one.protocol_type, state, broker, kind.lower())


def _with_states(session: Session, groups: list[Listed]) -> list[Listed]:
    """ListGroups tells states since Kafka 2.6; older brokers are asked to describe."""
    if all(one.state for one in groups):
        return groups
    states = {one.id: one.state for one in describe(session, groups)}
    return [replace(one, state=states.get(one.id, "")) for one in groups]


def select(session: Session, names: Sequence[str], pattern: str | None = None) -> list[Listed]:
    """Groups by name, or by an anchored regular expression; all when neither is given. Raises NotFound."""
    import re

    there = {one.id: one for one in listed(session)}
    for name in names:
        if name not in there:
            raise not_found("group", name, there, "`kops group list` shows the groups there are.")
    if names:
        return [there[name] for name in dict.fromkeys(names)]
    return [one for one in there.values() if pattern is None or re.fullmatch(pattern, one.id)]


def describe(session: Session, groups: Iterable[Listed]) -> list[Group]:
    """Members and state of each group, in the order asked for; without those that are not ``describable``."""
    groups = list(groups)
    found: dict[str, Group] = {}
    for kind, ask in ((CLASSIC, _classic), (CONSUMER, _consumer)):
        for broker, names in _by_coordinator(one for one in groups if one.kind == kind):
            found |= {one.id: one for one in ask(session, broker, names)}
    return [found[one.id] for one in groups if one.id in found]


def _classic(session: Session, broker: Broker, names: list[str]) -> Iterator[Group]:
    from kafka.protocol.admin import DescribeGroupsRequest

    request = DescribeGroupsRequest(groups=names, include_authorized_operations=False, max_version=5)
    for one in session.send(request, broker.id).groups:
        _raise_for(one.error_code, f"group {one.group_id}")
        members = tuple(sorted((_member(each) for each in one.members), key=lambda m: m.id))
        yield Group(one.group_id, one.group_state, one.protocol_type, one.protocol_data, broker, members)


def _consumer(session: Session, broker: Broker, names: list[str]) -> Iterator[Group]:
    """The protocol whose assignments brokers make (KIP-848): to DescribeGroups its groups are dead."""
    from kops.cluster.messages import ConsumerGroupDescribeRequest

    request = ConsumerGroupDescribeRequest(group_ids=names, include_authorized_operations=False)
    for one in session.send(request, broker.id).groups:
        _raise_for(one.error_code, f"group {one.group_id}")
        members = tuple(sorted((_assigned_member(each) for each in one.members), key=lambda m: m.id))
        yield Group(one.group_id, one.group_state, "consumer", one.assignor_name, broker, members)


def _assigned_member(one: Any) -> Member:
    assigned = [Position(each.topic_name, p) for each in one.assignment.topic_partitions for p in each.partitions]
    subscribed = [*one.subscribed_topic_names, *([one.subscribed_topic_regex] if one.subscribed_topic_regex else [])]
    return Member(
        one.member_id,
        one.instance_id,
        one.client_id,
        one.client_host,
        tuple(sorted(subscribed)),
        tuple(sorted(assigned)),
    )


def _member(one: Any) -> Member:
    return Member(
        one.member_id,
        getattr(one, "group_instance_id", None),
        one.client_id,
        one.client_host,
        tuple(sorted(_subscribed(bytes(one.member_metadata or b"")))),
        tuple(sorted(_assigned(bytes(one.member_assignment or b"")))),
    )


def _subscribed(data: bytes) -> list[str]:
    from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription

    try:
        return list(ConsumerProtocolSubscription.decode(data).topics) if data else []
    except Exception:  # noqa: BLE001 - members of other protocol types carry what they like
        return []


def _assigned(data: bytes) -> list[Position]:
    from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

    try:
        parts = ConsumerProtocolAssignment.decode(data).assigned_partitions if data else []
        return [Position(part.topic, index) for part in parts for index in part.partitions]
    except Exception:  # noqa: BLE001 - members of other protocol types carry what they like
        return []


def committed(session: Session, groups: Iterable[Listed]) -> dict[str, Offsets]:
    """All that each group has committed; partitions of topics that are gone included. Share groups commit nothing."""
    groups = list(groups)
    found: dict[str, Offsets] = {one.id: {} for one in groups}
    for broker, names in _by_coordinator(one for one in groups if one.describable):
        for one in _fetched(session, broker.id, names):
            group_id, error, topics = one
            _raise_for(error, f"group {group_id}")
            found[group_id] = {
                Position(topic.name, p.partition_index): Committed(p.committed_offset, _epoch(p), p.metadata or "")
                for topic in topics
                for p in topic.partitions
                if p.committed_offset >= 0 and not p.error_code
            }
    return found


def _fetched(session: Session, broker: int, names: list[str]) -> Iterator[tuple[str, int, Any]]:
    """(group, error code, topics) of each, many groups in one request where the broker can (KIP-709)."""
    from kafka.protocol.consumer import OffsetFetchRequest as Request

    batched = session.admin._manager.broker_version_data.api_version(Request) >= 8
    if not batched:
        for name in names:
            response = session.send(Request(group_id=name, topics=None, min_version=2, max_version=7), broker)
            yield name, response.error_code, response.topics
        return
    for at in range(0, len(names), _CHUNK):
        groups = [Request.OffsetFetchRequestGroup(group_id=name, topics=None) for name in names[at : at + _CHUNK]]
        response = session.send(Request(groups=groups, min_version=8, max_version=8), broker)
        yield from ((one.group_id, one.error_code, one.topics) for one in response.groups)


def _epoch(partition: Any) -> int:
    found = getattr(partition, "committed_leader_epoch", None)
    return -1 if found is None else int(found)


def commit(session: Session, group: str, values: Mapping[Position, Committed]) -> dict[Position, KopsError]:
    """Commit as nobody's member; the partitions that failed, with why. The group has to be empty."""
    from kafka.protocol.consumer import OffsetCommitRequest as Request

    topics = [
        Request.OffsetCommitRequestTopic(
            name=topic,
            partitions=[
                Request.OffsetCommitRequestTopic.OffsetCommitRequestPartition(
                    partition_index=p.partition,
                    committed_offset=values[p].offset,
                    committed_leader_epoch=values[p].leader_epoch,
                    committed_metadata=values[p].metadata,
                )
                for p in positions
            ],
        )
        for topic, positions in by_topic(values)
    ]
    request = Request(
        group_id=group,
        generation_id_or_member_epoch=-1,
        member_id="",
        group_instance_id=None,
        retention_time_ms=-1,
        topics=topics,
        min_version=2,
        max_version=8,
    )
    response = _to_coordinator(session, group, request)
    return _errors(group, response.topics)


def delete_offsets(session: Session, group: str, positions: Collection[Position]) -> dict[Position, KopsError]:
    """Forget what is committed for ``positions`` (KIP-496); the partitions that failed, with why."""
    from kafka.protocol.consumer import OffsetDeleteRequest as Request

    topics = [
        Request.OffsetDeleteRequestTopic(
            name=topic,
            partitions=[
                Request.OffsetDeleteRequestTopic.OffsetDeleteRequestPartition(partition_index=p.partition) for p in mine
            ],
        )
        for topic, mine in by_topic(positions)
    ]
    response = _to_coordinator(session, group, Request(group_id=group, topics=topics))
    _raise_for(response.error_code, f"group {group}")
    return _errors(group, response.topics)


def delete(session: Session, group: Listed) -> Listed:
    """Remove an empty group and all that it has committed. Raises Refused while it has members."""
    from kafka.protocol.admin import DeleteGroupsRequest

    response = _to_coordinator(session, group.id, DeleteGroupsRequest(groups_names=[group.id]))
    for one in response.results:
        _raise_for(one.error_code, f"group {group.id}")
    return group


def wait_empty(session: Session, groups: Sequence[str], seconds: float) -> None:
    """Until none of the groups has members. Raises Refused with those that still have, when the time is up."""
    deadline = time.monotonic() + seconds
    while busy := [one for one in describe(session, _present(session, groups)) if not one.idle]:
        if time.monotonic() >= deadline:
            raise in_use(busy)
        time.sleep(0.25)


def _present(session: Session, names: Sequence[str]) -> list[Listed]:
    return [one for one in listed(session) if one.id in names]


def in_use(busy: Sequence[Group]) -> Refused:
    """Why offsets of these groups cannot be changed, with the names of the members."""
    told = "; ".join(f"group {one.id} is {one.state}: {_members(one)}" for one in busy)
    return Refused(
        told, "Stop them first, or wait for it with --wait-empty 60s.", subject=busy[0].id, code="GroupNotEmpty"
    )


def _members(group: Group) -> str:
    named = [f"{m.instance_id or m.id} ({m.client_id} at {m.host.lstrip('/')})" for m in group.members]
    return ", ".join(named[:10]) + (f" and {len(named) - 10} more" if len(named) > 10 else "") or "members are joining"


def _to_coordinator(session: Session, group: str, request: Any) -> Any:
    """Send to the group's coordinator, again while that is changing or loading. Raises kafka.errors after 15 s."""
    deadline = time.monotonic() + min(session.timeout, 15.0)
    while True:
        response = session.send(request, _coordinator(session, group, deadline))
        if not any(code in _MOVING for code in _codes(response)) or time.monotonic() > deadline:
            return response
        time.sleep(0.1)


def _coordinator(session: Session, group: str, deadline: float) -> int:
    """Found anew each time: the answers that kafka-python remembers may be out of date."""
    from kafka.protocol.metadata import FindCoordinatorRequest

    while True:
        response = session.send(FindCoordinatorRequest(key=group, key_type=0, max_version=3))
        if not response.error_code:
            return int(response.node_id)
        if response.error_code not in _MOVING or time.monotonic() > deadline:
            _raise_for(response.error_code, f"group {group}")
        time.sleep(0.1)


def _codes(response: Any) -> Iterator[int]:
    yield getattr(response, "error_code", 0) or 0
    for result in getattr(response, "results", ()):
        yield result.error_code
    for topic in getattr(response, "topics", ()):
        yield from (p.error_code for p in topic.partitions)


def _patiently(session: Session, ask: Any) -> Any:
    """Ask a coordinator that may still be loading. Its partial answer counts when it does not finish in time."""
    deadline = time.monotonic() + min(session.timeout, 15.0)
    while True:
        response = session.patiently(ask)
        if response.error_code not in (_LOADING, _NOT_AVAILABLE) or time.monotonic() > deadline:
            return response
        time.sleep(0.1)


def _by_coordinator(groups: Iterable[Listed]) -> Iterator[tuple[Broker, list[str]]]:
    brokers: dict[int, tuple[Broker, list[str]]] = {}
    for one in groups:
        brokers.setdefault(one.coordinator.id, (one.coordinator, []))[1].append(one.id)
    yield from brokers.values()


def _errors(group: str, topics: Any) -> dict[Position, KopsError]:
    return {
        Position(topic.name, p.partition_index): _error(
            p.error_code, f"group {group}: {topic.name}-{p.partition_index}"
        )
        for topic in topics
        for p in topic.partitions
        if p.error_code
    }


_ADVICE: dict[int, tuple[type[KopsError], str]] = {
    25: (Refused, "It has members: stop them first, or wait for it with --wait-empty 60s."),
    68: (Refused, "It has members: stop them first, or wait for it with --wait-empty 60s."),
    86: (Refused, "A member subscribes to the topic: stop it first."),
}


def _raise_for(code: int, subject: str) -> None:
    if code:
        raise _error(code, subject)


def _error(code: int, subject: str) -> KopsError:
    from kafka.errors import for_code

    kind, advice = _ADVICE.get(code, (Failed, "See `kops group describe`, or again in a moment."))
    name = for_code(code).__name__
    return kind(f"{subject}: {name.removesuffix('Error')} (error {code})", advice, subject=subject, code=name)
