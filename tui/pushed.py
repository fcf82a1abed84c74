"""What ZooKeeper pushes, laid over what the brokers say: it is newer. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from kops.cluster.metadata import Broker, Partition
from kops.cluster.watching import Connected, Controlled, Fact, Listed, Registered, StateOf
from tui.snapshots import View


class Pushed:
    """The last of every kind of fact. None and empty while ZooKeeper is away: polling is all there is then."""

    def __init__(self) -> None:
        self.brokers: tuple[int, ...] | None = None
        self.controller: int | None = None
        self._states: dict[str, StateOf] = {}

    def remember(self, fact: Fact) -> None:
        match fact:
            case Registered():
                self.brokers = fact.brokers
            case Controlled():
                self.controller = fact.controller
            case StateOf():
                self._states[fact.name] = fact
            case Listed():
                there = set(fact.topics)
                self._states = {name: one for name, one in self._states.items() if one.topic in there}
            case Connected(up=False):
                self.brokers, self.controller, self._states = None, None, {}

    def over(self, partition: Partition) -> Partition:
        fact = self._states.get(partition.name)
        if fact is None or fact.leader_epoch < partition.leader_epoch:
            return partition
        if (fact.leader, fact.leader_epoch, fact.isr) == (partition.leader, partition.leader_epoch, partition.isr):
            return partition
        return replace(partition, leader=fact.leader, leader_epoch=fact.leader_epoch, isr=fact.isr)

    def onto(self, view: View, facts: Sequence[Fact], hosts: Mapping[int, Broker]) -> View:
        """The view with facts that belong together, at the time of the last; the same one where they change nothing."""
        last = facts[-1]
        moment = replace(view, at=last.at, resolution_ms=0)
        match last:
            case Registered():
                return replace(moment, brokers=named(last.brokers, hosts), pushed=True)
            case Controlled():
                return replace(moment, controller=last.controller)
            case StateOf():
                known = [view.partitions[name] for fact in facts if (name := _state_of(fact)) in view.partitions]
                newer = [now for one in known if (now := self.over(one)) != one]
                return replace(moment, partitions=view.partitions.but(newer)) if newer else view
            case Connected(up=False):
                return replace(view, pushed=False)
        return view


def is_news(view: View, fact: Fact) -> bool:
    """Whether it tells of a topic or partition that the brokers have not told of yet, or of one that is gone."""
    if isinstance(fact, Listed):
        return set(fact.topics) != {topic.name for topic in view.topics}
    return isinstance(fact, StateOf) and fact.name not in view.partitions


def together(facts: Iterable[Fact]) -> list[list[Fact]]:
    """States of different partitions that came one after the other belong together; each other fact is alone.

    When a broker dies there are thousands, and each view costs a walk over all partitions.
    """
    found: list[list[Fact]] = []
    names: set[str] = set()
    for fact in facts:
        name = _state_of(fact)
        if name and names and name not in names:
            found[-1].append(fact)
        else:
            found.append([fact])
            names = set()
        names |= {name} if name else set()
    return found


def named(brokers: Collection[int], hosts: Mapping[int, Broker]) -> tuple[Broker, ...]:
    """The brokers of these ids, whose addresses may not be known yet."""
    return tuple(hosts.get(broker, Broker(broker, "?", -1)) for broker in sorted(brokers))


def _state_of(fact: Fact) -> str:
    """The partition of which it tells."""
    return fact.name if isinstance(fact, StateOf) else ""
