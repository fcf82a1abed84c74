"""What is wrong with a cluster: ZooKeeper, the metadata of every broker and the disks compared, and how to mend it.

Looks only. Each check is a function from what was seen to findings; what could not be seen is a finding of its own.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kops.cluster import legacy, logdirs, reassignments, replicas, topic_use, topic_znodes
from kops.cluster.logdirs import LogDirectory
from kops.cluster.metadata import NO_LEADER, Partition, Snapshot, Topic, on_every_broker, snapshot
from kops.cluster.reassignments import Move
from kops.errors import translate
from kops.local import data_dirs
from kops.local.data_dirs import DELETE, FUTURE, REPLICA, DataDir, PartitionDir
from kops.session import Session
from kops.words import counted

PROBLEM, NOTE = "problem", "note"


@dataclass(frozen=True, slots=True)
class Ailment:
    """``level``: a problem makes the cluster unhealthy, a note does not. ``mend``: a command line, or what to do."""

    level: str
    check: str
    subject: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that was seen. ``zookeeper``: topics by their znodes, None where there is none or it was not asked."""

    seen: Snapshot
    views: Mapping[int, Snapshot | None]
    folders: Mapping[int, list[LogDirectory] | None]
    disks: Sequence[tuple[DataDir, PartitionDir]]
    foreign: Sequence[DataDir]
    zookeeper: Mapping[str, Topic] | None
    marked: frozenset[str]
    configured: frozenset[str]
    changed: Mapping[str, float]
    moves: Sequence[Move]
    needed: Mapping[str, int]
    not_deleting: Sequence[int]
    unseen: str = ""
    """Why ZooKeeper was not looked at."""
    named: bool = False
    """A ZooKeeper is named: that it is away is what is wrong."""

    @property
    def alive(self) -> set[int]:
        return {broker.id for broker in self.seen.brokers}

    @property
    def known(self) -> dict[str, Topic]:
        return {topic.name: topic for topic in self.seen.topics if not topic.error}


def chart(session: Session, given: Sequence[str] = ()) -> Chart:
    """Look at everything. Raises Unreachable when no broker answers."""
    seen = snapshot(session)
    names = [topic.name for topic in seen.topics]
    brokers = [broker.id for broker in seen.brokers]
    views = on_every_broker(session, names) if names else dict.fromkeys(brokers, seen)
    own, foreign = _disks(seen, session.context.cluster, given)
    found, marked, configured, changed, unseen = _zookeeper(session)
    return Chart(
        seen=seen,
        views=views,
        folders=logdirs.directories(session, brokers),
        disks=[(folder, one) for folder in own for one in data_dirs.partition_dirs(folder.path)],
        foreign=foreign,
        zookeeper=found,
        marked=marked,
        configured=configured,
        changed=changed,
        moves=reassignments.under_way(session),
        needed=replicas.min_insync(session, names),
        not_deleting=topic_use.rules(session, brokers).not_deleting if marked else (),
        unseen=unseen,
        named=bool(session.context.zookeeper),
    )


def _disks(seen: Snapshot, cluster: str | None, given: Sequence[str]) -> tuple[list[DataDir], list[DataDir]]:
    """(directories of this cluster, those that should be but name another cluster)."""
    mine = data_dirs.of_cluster(seen.cluster_id)
    meant = [data_dirs.opened(path) for path in given] + data_dirs.of_servers(cluster)
    foreign = [one for one in meant if one.cluster_id is not None and one.cluster_id != seen.cluster_id]
    more = [one for one in meant if one not in mine and one not in foreign]
    return [*mine, *more], foreign


def _zookeeper(
    session: Session,
) -> tuple[dict[str, Topic] | None, frozenset[str], frozenset[str], dict[str, float], str]:
    """(topics, marks, topics with settings, epoch seconds of each partition's last change, why nothing was seen)."""
    if not session.context.zookeeper:
        why = "" if session.kraft else "no ZooKeeper is given (--zookeeper HOST:PORT)"
        return None, frozenset(), frozenset(), {}, why
    try:
        client = session.zookeeper
    except Exception as error:
        known = translate(error)
        if known is None:
            raise
        return None, frozenset(), frozenset(), {}, known.what
    found = {topic.name: topic for topic in legacy.topics(client)}
    away = [p for topic in found.values() for p in topic.partitions if p.under_replicated]
    changed = topic_znodes.state_changes(client, [(p.topic, p.index) for p in away])
    marked = frozenset(legacy.marked_for_deletion(client))
    return found, marked, frozenset(topic_znodes.configured(client)), changed, ""


def examine(seen: Chart) -> list[Ailment]:
    """Every finding, the worst first."""
    checks = (_controller, _brokers, _partitions, _deletions, _views, _znodes, _replicas, _leftovers, _moves, _leaders)
    found = [ailment for check in checks for ailment in check(seen)]
    if seen.unseen and seen.named:
        what = f"{seen.unseen}: nothing can be created, deleted, altered or elected"
        found.append(Ailment(PROBLEM, "zookeeper", "ZooKeeper", what, "kops zookeeper start FILE, or kops up"))
    elif seen.unseen:
        what = f"not looked at: {seen.unseen}"
        found.append(Ailment(NOTE, "zookeeper", "ZooKeeper", what, "Name it, and ask again."))
    return sorted(found, key=lambda ailment: ailment.level != PROBLEM)


def _controller(seen: Chart) -> Iterator[Ailment]:
    if seen.seen.controller < 0:
        yield Ailment(PROBLEM, "controller", "cluster", "no controller is elected", "kops zookeeper get /controller")
    for folder in seen.foreign:
        what = f"it belongs to cluster {folder.cluster_id}, this is {seen.seen.cluster_id}"
        mend = "Name its own directory in log.dirs, or the ZooKeeper that it belongs to in zookeeper.connect."
        yield Ailment(PROBLEM, "cluster id", folder.path, what, mend)


def _brokers(seen: Chart) -> Iterator[Ailment]:
    for broker in sorted(
        {b for topic in seen.known.values() for p in topic.partitions for b in p.replicas} - seen.alive
    ):
        held = [p for topic in seen.known.values() for p in topic.partitions if broker in p.replicas]
        since = _gone(seen, broker, held)
        what = f"gone{since}; {counted(len(held), 'replica', 'is', 'are')} on it"
        yield Ailment(PROBLEM, "broker", f"broker {broker}", what, f"kops broker start {broker}")
    for broker, view in seen.views.items():
        if view is None:
            what = "registered, but does not answer"
            yield Ailment(PROBLEM, "broker", f"broker {broker}", what, f"kops broker logs {broker}")
    for broker, folders in seen.folders.items():
        for folder in folders or ():
            if folder.error:
                mend = "Mend or replace the disk, then start the broker again."
                yield Ailment(PROBLEM, "log dir", f"broker {broker} {folder.path}", f"offline: {folder.error}", mend)


def _gone(seen: Chart, broker: int, held: Sequence[Partition]) -> str:
    """Since when: the oldest last change among the partitions that it is out of sync in."""
    times = [seen.changed[p.name] for p in held if broker not in p.isr and p.name in seen.changed]
    return f" for {max(0, time.time() - min(times)):.0f} s" if times else ""


def _partitions(seen: Chart) -> Iterator[Ailment]:
    for topic in seen.known.values():
        for one in topic.partitions:
            away = sorted(set(one.replicas) - set(one.isr))
            down = [broker for broker in away if broker not in seen.alive]
            if one.leader == NO_LEADER:
                mend = f"kops broker start {one.isr[0]}" if one.isr else f"kops partition elect {topic.name} --unclean"
                what = f"nobody leads it; in sync when it went: {_ids(one.isr)}"
                yield Ailment(PROBLEM, "offline", one.name, what, mend)
            elif away:
                why = f"broker {_ids(down)} is down" if down else f"broker {_ids(away)} is behind"
                mend = f"kops broker start {down[0]}" if down else f"kops broker logs {away[0]}"
                needed = seen.needed.get(topic.name, 1)
                what = f"{len(one.isr)} of {len(one.replicas)} in sync: {why}"
                if len(one.isr) < needed:
                    what += f"; min.insync.replicas={needed}: writes with acks=all are refused"
                yield Ailment(PROBLEM, "under-replicated", one.name, what, mend)


def _deletions(seen: Chart) -> Iterator[Ailment]:
    for name in sorted(seen.marked):
        topic = (seen.zookeeper or {}).get(name)
        holders = {broker for p in topic.partitions for broker in p.replicas} if topic else set()
        down = sorted(holders - seen.alive)
        why = f"broker {_ids(down)} is down" if down else "the controller has not finished"
        if seen.not_deleting:
            why = f"delete.topic.enable is false on broker {_ids(seen.not_deleting)}"
        if topic is None:
            why = "there is no such topic"
        mend = f"kops broker start {down[0]}, or kops topic purge {name}" if down else f"kops topic purge {name}"
        yield Ailment(PROBLEM, "deletion", name, f"marked for deletion, not deleted: {why}", mend)


def _views(seen: Chart) -> Iterator[Ailment]:
    for broker, view in seen.views.items():
        known = {topic.name for topic in view.topics if not topic.error} if view else set(seen.known)
        for name in sorted(set(seen.known) - known):
            what = f"broker {broker} does not know it, others do"
            yield Ailment(PROBLEM, "metadata", name, what, f"kops broker stop {broker}; kops broker start {broker}")


def _znodes(seen: Chart) -> Iterator[Ailment]:
    if seen.zookeeper is None:
        return
    for name in sorted(set(seen.known) - set(seen.zookeeper)):
        yield Ailment(PROBLEM, "metadata", name, "brokers know it, ZooKeeper does not", f"kops topic purge {name}")
    for name in sorted(set(seen.zookeeper) - set(seen.known) - seen.marked):
        what = "ZooKeeper has it, brokers do not know it"
        yield Ailment(
            PROBLEM, "zookeeper", name, what, f"kops topic purge {name}, or kops zookeeper delete /controller"
        )
    for name in sorted(seen.configured - set(seen.zookeeper)):
        yield Ailment(PROBLEM, "zookeeper", name, "settings of a topic that is not there", f"kops topic purge {name}")


def _replicas(seen: Chart) -> Iterator[Ailment]:
    """What the brokers have against what the metadata assigns to them."""
    moving = {(move.topic, move.partition) for move in seen.moves}
    for broker, folders in seen.folders.items():
        if folders is None or any(folder.error for folder in folders):
            continue
        have = {(one.topic, one.partition) for folder in folders for one in folder.replicas if not one.future}
        assigned = {
            (p.topic, p.index) for topic in seen.known.values() for p in topic.partitions if broker in p.replicas
        }
        for name, index in sorted(assigned - have - moving):
            what = f"broker {broker} is to have it and has no log"
            mend = f"kops broker stop {broker}; kops broker start {broker}"
            yield Ailment(PROBLEM, "replica", f"{name}-{index}", what, mend)
        for name, index in sorted(have - assigned - moving):
            if name in seen.marked:
                continue  # its deletion is told of
            what = f"broker {broker} has a log that nobody assigned to it"
            mend = (
                f"kops broker stop {broker}, remove {name}-{index}, kops broker start {broker}"
                if name in seen.known
                else f"kops topic purge {name}"
            )
            yield Ailment(PROBLEM, "orphan", f"{name}-{index}", what, mend)


def _leftovers(seen: Chart) -> Iterator[Ailment]:
    """Directories that no broker has in its hands: of topics that are gone, set aside, or of an older topic."""
    told = {
        (broker, one.topic, one.partition)
        for broker, folders in seen.folders.items()
        for folder in folders or ()
        for one in folder.replicas
    }
    for folder, one in seen.disks:
        if (one.kind == DELETE and folder.broker in seen.alive) or one.topic in seen.marked:
            continue  # its broker is about to remove it, or will when the deletion goes on
        if one.kind in (REPLICA, FUTURE) and (
            (folder.broker, one.topic, one.partition) in told
            or (folder.broker not in seen.alive and one.topic in seen.known)
        ):
            continue
        what = f"left on the disk of broker {folder.broker}: {one.path}"
        mend = f"kops topic purge {one.topic}" if one.topic not in seen.known else f"remove {one.path}"
        yield Ailment(PROBLEM, "orphan", one.name, what, mend)


def _moves(seen: Chart) -> Iterator[Ailment]:
    for move in seen.moves:
        down = sorted(set(move.adding) - seen.alive)
        if down:
            mend = f"kops broker start {down[0]}, or kops partition reassign {move.topic} --cancel"
            yield Ailment(PROBLEM, "reassignment", move.name, f"waits for broker {_ids(down)}, which is down", mend)
        else:
            what = f"being moved: adding {_ids(move.adding)}, removing {_ids(move.removing)}"
            yield Ailment(NOTE, "reassignment", move.name, what, "kops partition reassign --list")


def _leaders(seen: Chart) -> Iterator[Ailment]:
    every = [p for topic in seen.known.values() for p in topic.partitions if p.leader != NO_LEADER]
    astray = [p for p in every if not p.preferred_leads and p.replicas and p.replicas[0] in p.isr]
    if astray:
        what = f"{len(astray)} of {counted(len(every), 'partition', 'is', 'are')} not led by the preferred replica"
        yield Ailment(NOTE, "leaders", "cluster", what, "kops partition elect --all")


def _ids(brokers: Sequence[int]) -> str:
    return ",".join(str(broker) for broker in brokers) or "none"
