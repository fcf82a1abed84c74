"""What there is of a topic, everywhere: metadata of every broker, their replicas, disks, ZooKeeper, offsets, ACLs.

A survey changes nothing and never raises for what cannot be seen: that is said, place by place. A purge is the
difference between two surveys.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kops.cluster import groups, logdirs, topic_acls, topic_znodes
from kops.cluster.logdirs import LogDirectory
from kops.cluster.metadata import Snapshot, Topic, on_every_broker, snapshot
from kops.cluster.offsets import Position
from kops.cluster.topic_acls import TopicAcls
from kops.cluster.topic_znodes import ZnodeTrace
from kops.errors import KopsError, Unreachable
from kops.local import data_dirs
from kops.local.data_dirs import DataDir, PartitionDir
from kops.session import Session
from kops.words import counted

METADATA, REPLICAS, DISK, ZOOKEEPER, OFFSETS, ACLS = "metadata", "replicas", "disk", "zookeeper", "offsets", "acls"
_NOT_KNOWN = (3, 17)


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that was looked at: what it ``held`` of the topic, in words, or why it could not be seen.

    ``owed``: what only the broker may drop, and does by itself.
    """

    area: str
    where: str
    held: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.area, self.where


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything at one moment. ``folders``: log directories that were opened; ``disks``: what they hold of it."""

    topic: str
    findings: tuple[Finding, ...]
    alive: tuple[int, ...]
    down: tuple[int, ...]
    views: dict[int, Topic | None] = field(default_factory=dict)
    replicas: dict[int, list[LogDirectory] | None] = field(default_factory=dict)
    folders: tuple[DataDir, ...] = ()
    disks: tuple[tuple[DataDir, PartitionDir], ...] = ()
    znodes: dict[str, ZnodeTrace] = field(default_factory=dict)
    committed: dict[str, list[Position]] = field(default_factory=dict)
    acls: TopicAcls = field(default_factory=TopicAcls)
    cluster_id: str | None = None
    sees_zookeeper: bool = True

    @property
    def empty(self) -> bool:
        return not any(finding.held for finding in self.findings)

    @property
    def known(self) -> Topic | None:
        """The topic as any broker knows it."""
        return next((view for view in self.views.values() if view is not None), None)

    def holders(self, partition: int) -> list[int]:
        """Live brokers that have the partition's log in their hands."""
        return [
            broker
            for broker, folders in self.replicas.items()
            if any(r.partition == partition for folder in folders or () for r in folder.of_topic(self.topic))
        ]

    @property
    def missing(self) -> list[tuple[str, str]]:
        """(log directory, name) of logs that live brokers hold, and that are not on the disk where they should be."""
        seen = {os.path.realpath(folder.path) for folder in self.folders}
        there = {(os.path.realpath(folder.path), found.name) for folder, found in self.disks}
        return [
            (os.path.realpath(folder.path), one.name)
            for folders in self.replicas.values()
            for folder in folders or ()
            for one in folder.of_topic(self.topic)
            if not one.future
            and os.path.realpath(folder.path) in seen
            and (os.path.realpath(folder.path), one.name) not in there
        ]

    @property
    def held_partitions(self) -> list[int]:
        return sorted(
            {r.partition for folders in self.replicas.values() for f in folders or () for r in f.of_topic(self.topic)}
        )


def survey(session: Session, topic: str, given: Sequence[str] = ()) -> Survey:
    """Look everywhere. ``given``: log directories named by the user. Raises Unreachable when no broker answers."""
    seen = snapshot(session, [topic])
    views = {broker: _view(one, topic) for broker, one in on_every_broker(session, [topic]).items() if one}
    silent = [broker.id for broker in seen.brokers if broker.id not in views]
    folders = data_dirs.of_cluster(seen.cluster_id, given)
    trace, why_no_zookeeper = _zookeeper(session, topic)
    kraft = session.kraft and not session.context.zookeeper
    disks = [(folder, found) for folder in folders for found in data_dirs.partition_dirs(folder.path, topic)]
    down = sorted(_expected(views, folders, session, topic, why_no_zookeeper) - set(views) | set(silent))
    replicas = logdirs.directories(session, sorted(views))
    committed, why_no_offsets = _committed(session, topic)
    acls = topic_acls.of_topic(session, topic)
    findings = [
        *_metadata(views, down),
        *_replicas(replicas, down, topic),
        *_disk(folders, disks, replicas, down, topic),
        *(() if kraft else _znodes(topic, trace, why_no_zookeeper)),
        *_offsets(committed, why_no_offsets),
        Finding(ACLS, f"rules for topic {topic}", acls.rules, unknown=acls.unknown),
    ]
    return Survey(
        topic=topic,
        findings=tuple(findings),
        alive=tuple(sorted(views)),
        down=tuple(down),
        views=views,
        replicas=replicas,
        folders=tuple(folders),
        disks=tuple(disks),
        znodes=trace,
        committed=committed,
        acls=acls,
        cluster_id=seen.cluster_id,
        sees_zookeeper=not why_no_zookeeper,
    )


def _view(seen: Snapshot, name: str) -> Topic | None:
    found = seen.topic(name)
    return None if found is None or found.error in _NOT_KNOWN else found


def _expected(
    views: dict[int, Topic | None], folders: Sequence[DataDir], session: Session, topic: str, blind: str
) -> set[int]:
    """Brokers that may hold something: replicas as metadata and ZooKeeper tell them, owners of the directories."""
    found = {replica for view in views.values() if view for p in view.partitions for replica in p.replicas}
    found |= {folder.broker for folder in folders if folder.broker >= 0}
    if not blind:
        found |= topic_znodes.replicas(session.zookeeper, topic)
    return found


def _metadata(views: dict[int, Topic | None], down: Sequence[int]) -> Iterator[Finding]:
    for broker, view in sorted(views.items()):
        held = (counted(len(view.partitions), "partition") + (f", id {view.id}" if view.id else ""),) if view else ()
        yield Finding(METADATA, f"broker {broker}", held)
    for broker in down:
        yield Finding(METADATA, f"broker {broker}", unknown="it is down: it asks the controller when it is back")


def _replicas(replicas: dict[int, list[LogDirectory] | None], down: Sequence[int], topic: str) -> Iterator[Finding]:
    """What DescribeLogDirs says: the only way to see the disks of brokers elsewhere."""
    for broker, folders in sorted(replicas.items()):
        if folders is None:
            yield Finding(REPLICAS, f"broker {broker}", unknown="it does not answer")
            continue
        offline = [folder.path for folder in folders if folder.error]
        held = tuple(
            f"{replica.name}{' (future)' if replica.future else ''} in {folder.path}: {replica.size} bytes"
            for folder in folders
            for replica in folder.of_topic(topic)
        )
        yield Finding(REPLICAS, f"broker {broker}", held, unknown=f"offline: {', '.join(offline)}" if offline else "")
    for broker in down:
        yield Finding(REPLICAS, f"broker {broker}", unknown="it is down")


def _disk(
    folders: Sequence[DataDir],
    disks: Sequence[tuple[DataDir, PartitionDir]],
    replicas: dict[int, list[LogDirectory] | None],
    down: Sequence[int],
    topic: str,
) -> Iterator[Finding]:
    for folder in folders:
        held = tuple(found.name for owner, found in disks if owner == folder)
        try:
            lines = data_dirs.checkpoint_lines(folder.path, topic)
        except KopsError as error:
            yield Finding(DISK, f"broker {folder.broker} {folder.path}", held, unknown=error.what)
            continue
        owed = tuple(f"{line.file}: {topic} {line.partition} {line.offset}" for line in lines)
        yield Finding(DISK, f"broker {folder.broker} {folder.path}", held, owed)
    seen = {os.path.realpath(folder.path) for folder in folders}
    for broker, told in sorted(replicas.items()):
        for path in (folder.path for folder in told or ()):
            if os.path.realpath(path) not in seen:
                yield Finding(DISK, f"broker {broker} {path}", unknown="kops does not run it (--data-dir PATH)")
    for broker in down:
        if broker not in {folder.broker for folder in folders}:
            yield Finding(DISK, f"broker {broker}", unknown="it is down, and its disks are not here (--data-dir PATH)")


def _zookeeper(session: Session, topic: str) -> tuple[dict[str, ZnodeTrace], str]:
    """(traces by place, why there are none to see)."""
    if not session.context.zookeeper:
        return {}, "no ZooKeeper is given (--zookeeper HOST:PORT)"
    try:
        return topic_znodes.traces(session.zookeeper, topic), ""
    except Unreachable as error:
        return {}, error.what


def _znodes(topic: str, trace: dict[str, ZnodeTrace], unknown: str) -> Iterator[Finding]:
    for place in topic_znodes.places(topic):
        held = trace[place].held if place in trace else ()
        yield Finding(ZOOKEEPER, place, held, unknown=unknown)


def _committed(session: Session, topic: str) -> tuple[dict[str, list[Position]], str]:
    from kafka.errors import KafkaError

    try:
        every = groups.committed(session, groups.listed(session))
    except (KafkaError, KopsError) as error:
        return {}, str(error)
    mine = {name: sorted(p for p in offsets if p.topic == topic) for name, offsets in every.items()}
    return {name: positions for name, positions in mine.items() if positions}, ""


def _offsets(committed: dict[str, list[Position]], unknown: str) -> Iterator[Finding]:
    for name, positions in sorted(committed.items()):
        yield Finding(OFFSETS, f"group {name}", tuple(f"partition {p.partition}" for p in positions))
    if not committed:
        yield Finding(OFFSETS, "every group", unknown=unknown)
