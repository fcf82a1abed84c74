"""Partitions: leaders, ISR and offsets now, and every change of them as it happens."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kops.cluster.metadata import NO_LEADER, Partition, Snapshot, Topic, snapshot
from kops.session import Session

if TYPE_CHECKING:
    from queue import SimpleQueue


@dataclass(frozen=True, slots=True)
class Offsets:
    """First offset that is there, and the next one to be written; None where the leader could not be asked."""

    earliest: int | None
    latest: int | None


def offsets(session: Session, partitions: Sequence[Partition]) -> dict[str, Offsets]:
    """Offsets by ``topic-partition``; partitions without a leader are left out."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    led = [TopicPartition(p.topic, p.index) for p in partitions if p.leader != NO_LEADER]
    if not led:
        return {}
    first = session.patiently(lambda: session.admin.list_partition_offsets(dict.fromkeys(led, OffsetSpec.EARLIEST)))
    last = session.patiently(lambda: session.admin.list_partition_offsets(dict.fromkeys(led, OffsetSpec.LATEST)))
    return {f"{tp.topic}-{tp.partition}": Offsets(first[tp].offset, last[tp].offset) for tp in led}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed in a partition at ``at`` (wall milliseconds).

    ``what``: leader, epoch, isr, replicas, created, deleted.
    """

    at: int
    topic: str
    partition: int
    what: str
    old: str
    new: str
    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    resolution_ms: int
    """How late ``at`` may be: the polling interval, or 0 where ZooKeeper pushed it."""


def changes(
    before: Mapping[str, Partition], after: Mapping[str, Partition], at: int, resolution_ms: int
) -> list[Change]:
    """What is different, partition by partition in name order."""
    found: list[Change] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        one = new or old
        if one is None:
            continue
        found.extend(
            Change(at, one.topic, one.index, what, was, now, one.leader, one.leader_epoch, one.isr, resolution_ms)
            for what, was, now in _differences(old, new)
        )
    return found


def _differences(old: Partition | None, new: Partition | None) -> list[tuple[str, str, str]]:
    if old is None and new is not None:
        return [("created", "", f"leader {new.leader} isr {_ids(new.isr)}")]
    if new is None and old is not None:
        return [("deleted", f"leader {old.leader} isr {_ids(old.isr)}", "")]
    if old is None or new is None:
        return []
    found = []
    if old.leader != new.leader:
        found.append(("leader", f"{old.leader} (epoch {old.leader_epoch})", f"{new.leader} (epoch {new.leader_epoch})"))
    elif old.leader_epoch != new.leader_epoch:
        found.append(("epoch", str(old.leader_epoch), str(new.leader_epoch)))
    if set(old.isr) != set(new.isr):
        found.append(("isr", _ids(old.isr), _ids(new.isr)))
    if old.replicas != new.replicas:
        found.append(("replicas", _ids(old.replicas), _ids(new.replicas)))
    return found


def _ids(ids: Sequence[int]) -> str:
    return ",".join(str(one) for one in ids)


def watch_polled(
    session: Session, names: Sequence[str] | None, interval: float, stop: Callable[[], bool] = lambda: False
) -> Iterator[Change]:
    """Changes from now on, seen by asking every ``interval`` seconds any broker that answers, until ``stop``."""
    return _polled(session, names, interval, stop, _by_name(snapshot(session, names)))


def _polled(
    session: Session,
    names: Sequence[str] | None,
    interval: float,
    stop: Callable[[], bool],
    before: Mapping[str, Partition],
) -> Iterator[Change]:
    from kafka.errors import KafkaError

    resolution = int(interval * 1000)
    while not stop():
        time.sleep(interval)
        try:
            seen = snapshot(session, names)
        except KafkaError:
            continue  # the broker that was asked has just gone: the next look goes to another one
        after = _by_name(seen)
        yield from changes(before, after, time.time_ns() // 1_000_000, resolution)
        before = after


def _by_name(seen: Snapshot) -> dict[str, Partition]:
    return {partition.name: partition for partition in seen.partitions if not partition.error or partition.leader < 0}


def watch_zookeeper(
    session: Session, names: Sequence[str] | None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Change]:
    """Changes from now on as ZooKeeper pushes them (watches on every partition's state znode), until ``stop``."""
    from queue import SimpleQueue

    from kops.cluster import legacy

    client = session.zookeeper
    woken: SimpleQueue[None] = SimpleQueue()

    def ring(_event: object) -> None:
        woken.put(None)

    def look() -> dict[str, Partition]:
        return _named(legacy.topics(client, names, watch=ring))

    return _pushed(look, woken, stop, look())


def _pushed(
    look: Callable[[], dict[str, Partition]],
    woken: "SimpleQueue[None]",
    stop: Callable[[], bool],
    before: Mapping[str, Partition],
) -> Iterator[Change]:
    from queue import Empty

    while not stop():
        try:
            woken.get(timeout=0.2)
        except Empty:
            continue
        # Reading sets the watches again first, so that a change in between is either read now or rings again.
        after = look()
        yield from changes(before, after, time.time_ns() // 1_000_000, 0)
        before = after


def _named(topics: Sequence[Topic]) -> dict[str, Partition]:
    return {partition.name: partition for topic in topics for partition in topic.partitions}
