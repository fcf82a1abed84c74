"""Where replicas should be: evenly on the brokers wanted, with as little moving as possible. Pure.

Replicas stay where they are wanted; those that must go are put on the emptiest brokers; then the fullest brokers give
to the emptiest, smallest partitions first, until they differ by one at most. Racks are kept apart where they are known:
nothing is moved to a rack that the partition is on already while another rack is free. At last the order within each
partition is changed (which moves nothing) so that every broker is the preferred leader of about as many.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Key = tuple[str, int]
Racks = Mapping[int, str | None]


@dataclass(slots=True)
class Layout:
    """Replicas by partition while they are being planned; ``bytes``: the size of one replica."""

    racks: Racks
    now: Mapping[Key, tuple[int, ...]]
    bytes: Mapping[Key, int]
    replicas: dict[Key, list[int]] = field(default_factory=dict)

    def load(self) -> dict[int, int]:
        """How many replicas each broker has."""
        counts = dict.fromkeys(sorted(self.racks), 0)
        for replicas in self.replicas.values():
            for broker in replicas:
                counts[broker] += 1
        return counts

    def spreads(self, replicas: Sequence[int], leaving: int | None, joining: int) -> bool:
        """Whether the racks of a partition stay as many as they were when one broker replaces another."""
        before = {self.racks.get(broker) for broker in replicas}
        after = {self.racks.get(broker) for broker in replicas if broker != leaving} | {self.racks.get(joining)}
        return len(after) >= len(before)


def spread(
    now: Mapping[Key, tuple[int, ...]],
    racks: Racks,
    sizes: Mapping[Key, int],
    replication_factor: int | None = None,
) -> dict[Key, tuple[int, ...]]:
    """The replicas that each partition should have, preferred leader first.

    ``racks``: the brokers that may be used, and the rack of each. Raises ValueError when they are too few.
    """
    layout = Layout(racks, now, sizes)
    for key in sorted(now):
        wanted = replication_factor or len(now[key])
        if wanted > len(racks):
            raise ValueError(f"{wanted} replicas need {wanted} brokers, there are {len(racks)}")
        layout.replicas[key] = [broker for broker in now[key] if broker in racks]
        while len(layout.replicas[key]) > wanted:
            _drop(layout, key)
    for key in sorted(now, key=lambda one: (-sizes.get(one, 0), one)):
        while len(layout.replicas[key]) < (replication_factor or len(now[key])):
            _fill(layout, key)
    _even_out(layout)
    _even_out_leaders(layout)
    return {key: tuple(replicas) for key, replicas in sorted(layout.replicas.items())}


def _drop(layout: Layout, key: Key) -> None:
    """One replica fewer: the last one whose going loses no rack, or the last."""
    replicas = layout.replicas[key]
    racks = [layout.racks.get(broker) for broker in replicas]
    doubled = [at for at in range(len(replicas) - 1, 0, -1) if racks.count(racks[at]) > 1]
    replicas.pop(doubled[0] if doubled else -1)


def _fill(layout: Layout, key: Key) -> None:
    """One replica more: on a rack that the partition is not on where there is one, and on the emptiest broker."""
    load, replicas = layout.load(), layout.replicas[key]
    used = {layout.racks.get(broker) for broker in replicas}
    free = [broker for broker in load if broker not in replicas]
    replicas.append(min(free, key=lambda broker: (layout.racks.get(broker) in used, load[broker], broker)))


def _even_out(layout: Layout) -> None:
    """Replicas from the fullest to the emptiest brokers until no move makes it more even."""
    while move := next(_moves(layout), None):
        key, leaving, joining = move
        replicas = layout.replicas[key]
        replicas[replicas.index(leaving)] = joining


def _moves(layout: Layout) -> Iterator[tuple[Key, int, int]]:
    """(partition, leaving, joining), the best first: from full to empty, what moves anyway before what stays, small."""
    load = layout.load()
    for fullest in sorted(load, key=lambda broker: (-load[broker], broker)):
        mine = [key for key, replicas in layout.replicas.items() if fullest in replicas]
        mine.sort(key=lambda key: (fullest in layout.now[key], layout.bytes.get(key, 0), key))
        for emptiest in sorted(load, key=lambda broker: (load[broker], broker)):
            if load[fullest] - load[emptiest] < 2:
                break
            for key in mine:
                replicas = layout.replicas[key]
                if emptiest not in replicas and layout.spreads(replicas, fullest, emptiest):
                    yield key, fullest, emptiest


def _even_out_leaders(layout: Layout) -> None:
    """Preferred leaders from brokers with many to brokers with few, over others where it does not go directly."""
    while True:
        leads = dict.fromkeys(sorted(layout.racks), 0)
        for replicas in layout.replicas.values():
            leads[replicas[0]] += 1
        path = _path(layout, leads)
        if path is None:
            return
        for key, successor in path:
            replicas = layout.replicas[key]
            at = replicas.index(successor)
            replicas[0], replicas[at] = replicas[at], replicas[0]


def _path(layout: Layout, leads: Mapping[int, int]) -> list[tuple[Key, int]] | None:
    """The shortest way to hand one leadership from the broker with the most to one with at least two fewer."""
    start = max(leads, key=lambda broker: (leads[broker], -broker))
    reached: dict[int, list[tuple[Key, int]]] = {start: []}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        if leads[start] - leads[here] >= 2:
            return reached[here]
        for key, replicas in sorted(layout.replicas.items()):
            if replicas[0] == here:
                for other in replicas[1:]:
                    if other not in reached:
                        reached[other] = [*reached[here], (key, other)]
                        queue.append(other)
    return None
