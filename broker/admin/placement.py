"""Which brokers hold the replicas of new partitions (kafka.admin.AdminUtils.assignReplicasToBrokers; facts H.5).

Pure. Partition p's first replica goes round the brokers, the others follow at a shift that grows each time round; with
racks, brokers are taken in an order that alternates racks, and a rack is used twice only when all are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from random import Random

Assignment = dict[int, tuple[int, ...]]
Racks = Mapping[int, str | None]


class PlacementError(ValueError):
    """Some brokers have a rack and others do not: no placement can be aware of racks."""


def assign(
    racks: Racks,
    partitions: int,
    replication_factor: int,
    *,
    random: Random | None = None,
    start: int = 0,
    first_partition: int = 0,
) -> Assignment:
    """Replicas of ``partitions`` new partitions, numbered from ``first_partition``, preferred leader first.

    ``racks``: the live brokers and the rack of each, at least ``replication_factor`` of them. With ``random`` the first
    broker and the shift are drawn from it, without they are both ``start``. Raises PlacementError.
    """
    brokers = sorted(racks)
    if all(rack is None for rack in racks.values()):
        ring, number_of_racks = brokers, 0
    elif any(rack is None for rack in racks.values()):
        raise PlacementError("Not all brokers have rack information for replica rack aware assignment.")
    else:
        ring, number_of_racks = alternate_racks(racks), len(set(racks.values()))
    start_index, shift = (random.randrange(len(ring)), random.randrange(len(ring))) if random else (start, start)
    assignment: Assignment = {}
    for partition in range(first_partition, first_partition + partitions):
        if partition > 0 and partition % len(ring) == 0:
            shift += 1
        first = (partition + start_index) % len(ring)
        if number_of_racks:
            assignment[partition] = _across_racks(ring, racks, number_of_racks, first, shift, replication_factor)
        else:
            others = (_follower(first, shift, index, len(ring)) for index in range(replication_factor - 1))
            assignment[partition] = (ring[first], *(ring[index] for index in others))
    return assignment


def extend(racks: Racks, existing: Mapping[int, Sequence[int]], total: int) -> Assignment:
    """Replicas of the partitions that a topic lacks to have ``total``; they go on where partition 0 began.

    Raises PlacementError.
    """
    replicas = existing[0]
    ordered = sorted(racks)
    start = next((index for index, broker in enumerate(ordered) if broker >= replicas[0]), 0)
    return assign(racks, total - len(existing), len(replicas), start=start, first_partition=len(existing))


def alternate_racks(racks: Racks) -> list[int]:
    """Brokers so that neighbours are in different racks: the lowest of each rack, then the next of each."""
    by_rack: dict[str, list[int]] = {}
    for broker in sorted(racks):
        by_rack.setdefault(racks[broker] or "", []).append(broker)
    rounds: Iterable[tuple[int | None, ...]] = zip_longest(*(by_rack[rack] for rack in sorted(by_rack)))
    return [broker for taken in rounds for broker in taken if broker is not None]


def _follower(first: int, shift: int, index: int, brokers: int) -> int:
    if brokers == 1:
        return first
    return (first + 1 + (shift + index) % (brokers - 1)) % brokers


def _across_racks(
    ring: Sequence[int], racks: Racks, number_of_racks: int, first: int, shift: int, replication_factor: int
) -> tuple[int, ...]:
    replicas = [ring[first]]
    used = {racks[ring[first]]}
    index = 0
    while len(replicas) < replication_factor:
        broker = ring[_follower(first, shift * number_of_racks, index, len(ring))]
        index += 1
        rack_fits = racks[broker] not in used or len(used) == number_of_racks
        if rack_fits and (broker not in replicas or len(replicas) >= len(ring)):
            replicas.append(broker)
            used.add(racks[broker])
    return tuple(replicas)
