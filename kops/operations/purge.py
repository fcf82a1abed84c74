"""Remove every trace of a topic and prove it: survey, delete through the controller, remove leftovers, look again.

The order is the safe one. The controller deletes first, as only it makes brokers let go of their logs. What brokers
still hold of a topic that has no znode is put into the controller's hands once more. Then znodes that it left behind
go in one multi that checks its epoch, and directories only of brokers that are stopped or have let go of them.
Nothing is remembered between two runs: what is there decides what is done, so that a purge can be resumed.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from kops.cluster import groups, legacy, reassignments, topic_acls, topic_use, topic_znodes, topics
from kops.cluster.metadata import NO_LEADER, Topic
from kops.cluster.topic_use import BrokerRules
from kops.errors import Failed, KopsError, NotFound, Refused, Unreachable, translate
from kops.local import data_dirs
from kops.local.data_dirs import DELETE, FUTURE, STRAY
from kops.operations.purge_survey import Finding, Survey, survey
from kops.session import Session

REMOVED, ABSENT, LEFT, OWED, UNSEEN = (
    "removed",
    "was not there",
    "left",
    "left to the broker",
    "not verifiable from here",
)
TO_REMOVE = "to be removed"
_STUCK_SECONDS = 5.0
_DELAY_MARGIN = 45.0
"""Apache's brokers begin to remove such files only 30 s after their start."""
_STEP = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Item:
    """One place of the proof: what it held before, what it holds now, and what became of it."""

    topic: str
    area: str
    where: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    outcome: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is, who uses it, and what stands in the way."""

    found: Survey
    rules: BrokerRules
    consumers: tuple[str, ...] = ()
    producers: tuple[str, ...] = ()

    @property
    def used_by(self) -> tuple[str, ...]:
        return self.consumers + self.producers

    @property
    def exists(self) -> bool:
        """Whether the controller has something to delete: there is a znode, or, unseen, brokers know the topic.

        A topic that brokers know although it has no znode is nothing to the controller.
        """
        if self.found.sees_zookeeper:
            return topic_path(self.found) in self.found.znodes
        return self.found.known is not None


@dataclass(slots=True)
class Purge:
    """One purge on its way. ``watch``: seconds to look out for somebody creating the topic again."""

    session: Session
    topic: str
    given: Sequence[str] = ()
    force: bool = False
    watch: float = 5.0
    say: Say = lambda line: None
    errors: list[KopsError] = field(default_factory=list)
    stuck: bool = False
    gone: bool = False


def topic_path(found: Survey) -> str:
    return topic_znodes.places(found.topic)[0]


def mark_path(found: Survey) -> str:
    return topic_znodes.places(found.topic)[2]


def plan(session: Session, topic: str, given: Sequence[str] = ()) -> Plan:
    """Everything that exists of the topic and who uses it. Changes nothing. Raises BadUsage for no topic's name."""
    topics.check_name(topic)
    found = survey(session, topic, given)
    settings = topic_use.rules(session, found.alive)
    readers = tuple(topic_use.consumers(session, topic))
    writers = tuple(topic_use.producers(session, found.known)) if found.known else ()
    return Plan(found, settings, readers, writers)


def described(made: Plan, *, force: bool) -> list[str]:
    """The plan in lines: what there is, what that costs, and what will be done in which order."""
    found = made.found
    lines = [f"purge {found.topic}: what there is"]
    for finding in found.findings:
        if finding.held or finding.owed:
            lines += [f"  {finding.area:<9} {finding.where}: {'; '.join((*finding.held, *finding.owed))}"]
        elif finding.unknown:
            lines += [f"  {finding.area:<9} {finding.where}: not verifiable from here: {finding.unknown}"]
    if found.empty:
        lines.append("  nothing was found")
    lines += [f"  in use    {one}" for one in made.used_by]
    if made.rules.auto_creating:
        lines.append(
            f"  note: auto.create.topics.enable is true on broker {_ids(made.rules.auto_creating)}: "
            "a client that asks for the topic brings it back"
        )
    if found.down:
        lines.append(f"  note: broker {_ids(found.down)} is down")
    steps = [f"make {os.path.join(*one)} again, empty, for its broker to delete" for one in found.missing]
    steps += ["delete through the controller"] if made.exists else []
    steps += ["remove what is left in ZooKeeper (one multi, checking /controller_epoch)"] if found.znodes else []
    steps += ["remove directories of brokers that are stopped or have let go of them"] if found.disks else []
    steps += ["forget committed offsets"] if found.committed else []
    steps += ["delete ACLs"] if found.acls.rules else []
    lines += [f"  step: {step}" for step in [*steps, "look everywhere again, and for resurrection"]]
    return lines


def check(made: Plan, *, force: bool) -> None:
    """Raises Refused when the topic is in use (unless forced), or when brokers forbid deletion."""
    if (made.exists or made.found.known) and made.rules.not_deleting:
        raise Refused(
            f"topic {made.found.topic} cannot be purged: delete.topic.enable is false on broker "
            f"{_ids(made.rules.not_deleting)}; a mark made in ZooKeeper would change nothing and be taken away",
            "Set delete.topic.enable=true on every broker, restart them, and try again.",
            subject=made.found.topic,
        )
    if made.used_by and not force:
        raise Refused(
            f"topic {made.found.topic} is in use: {'; '.join(made.used_by)}",
            "Stop its producers and consumers first, or say --force.",
            subject=made.found.topic,
            code="TopicInUse",
        )


def planned(made: Plan) -> list[Item]:
    """The proof as it would begin: for a dry run."""
    return [
        Item(
            made.found.topic,
            finding.area,
            finding.where,
            finding.held + finding.owed,
            finding.held + finding.owed,
            TO_REMOVE if finding.held else OWED if finding.owed else UNSEEN if finding.unknown else ABSENT,
            finding.unknown,
        )
        for finding in made.found.findings
    ]


def carry_out(purge: Purge, made: Plan) -> list[Item]:
    """Do it, watch, and compare with what was there before; what failed is in ``purge.errors``."""
    now = made.found
    if made.exists:
        _restore_directories(purge, now)
        _cancel_reassignments(purge, now)
        _forget_offsets(purge, now)
        _delete(purge, now)
        now = survey(purge.session, purge.topic, purge.given)
    if not purge.stuck and _held_without_znode(purge, now):
        _adopt(purge, now)
        now = survey(purge.session, purge.topic, purge.given)
    if topic_path(now) not in now.znodes and now.known is None:
        purge.gone = True
    if not _back(purge):
        now = _await_files(purge, made, now)
        _remove_directories(purge, now)
        _remove_znodes(purge, now)
        _delete_acls(purge, now)
    _watch(purge, made)
    after = survey(purge.session, purge.topic, purge.given)
    return proof(made.found, after)


def proof(before: Survey, after: Survey) -> list[Item]:
    """Place by place: removed, was not there, left, left to the broker, or not verifiable from here."""
    was = {finding.key: finding for finding in before.findings}
    now = {finding.key: finding for finding in after.findings}
    new = [key for key, one in now.items() if key not in was and (one.held or one.owed or one.unknown)]
    return [_compared(after.topic, key, was.get(key), now.get(key)) for key in [*was, *new]]


def _compared(topic: str, key: tuple[str, str], was: Finding | None, now: Finding | None) -> Item:
    before = was.held + was.owed if was else ()
    held, owed, unknown = (now.held, now.owed, now.unknown) if now else ((), (), "")
    if held:
        outcome = LEFT
    elif unknown:
        outcome = UNSEEN
    elif owed:
        outcome, unknown = OWED, "lines that the broker drops with its next checkpoint"
    else:
        outcome = REMOVED if before else ABSENT
    return Item(topic, key[0], key[1], before, held + owed, outcome, unknown)


def verdict(purge: Purge, items: Sequence[Item]) -> None:
    """Add to ``purge.errors`` what is left although nothing failed."""
    left = [item for item in items if item.outcome == LEFT]
    if left and not purge.errors:
        told = "; ".join(f"{item.area} of {item.where}: {_some(item.after)}" for item in left)
        purge.errors.append(Failed(f"left of topic {purge.topic}: {told}", _advice(left), subject=purge.topic))


def _some(held: Sequence[str]) -> str:
    """At most three of them."""
    return ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")


def _advice(left: Sequence[Item]) -> str:
    holders = sorted({item.where.split()[1] for item in left if item.area in ("disk", "replicas")})
    if holders:
        return f"Stop broker {', '.join(holders)} and purge again: then nobody holds the directories."
    return "Purge again: it goes on with what is left."


def _restore_directories(purge: Purge, now: Survey) -> None:
    """Where somebody removed directories under a running broker: Apache's takes the whole disk offline when it cannot
    rename one in order to delete it, and ends when that was its last disk. Raises Refused before anything is done."""
    for path, name in now.missing:
        purge.say(f"making {os.path.join(path, name)} again, empty: its broker must be able to delete it")
        data_dirs.restore(path, name)


def _cancel_reassignments(purge: Purge, now: Survey) -> None:
    """A topic that is being moved is not deleted: its moves are taken back first."""
    moving = [one for one in reassignments.under_way(purge.session) if one.topic == purge.topic]
    if moving:
        purge.say(f"cancelling the reassignment of {', '.join(one.name for one in moving)}")
        reassignments.cancel(purge.session, moving)


def _forget_offsets(purge: Purge, now: Survey) -> None:
    """While the topic is still known: brokers refuse to forget offsets of a topic that they do not know."""
    for name, positions in sorted(now.committed.items()):
        purge.say(f"forgetting the offsets of group {name}")
        with _told(purge):
            purge.errors += groups.delete_offsets(purge.session, name, positions).values()


def _delete(purge: Purge, now: Survey) -> None:
    """Through the controller; ``stuck`` when it waits for a broker that is down."""
    purge.say(f"deleting topic {purge.topic} through the controller")
    known = now.known or Topic(purge.topic)
    marked = topic_path(now) in now.znodes or mark_path(now) in now.znodes
    # Read before: a producer may have created it again by the time that the deletion is over.
    old = topic_znodes.identity(purge.session.zookeeper, purge.topic) if marked else None
    try:
        topics.delete_topic(purge.session, known)
    except NotFound:
        _mark(purge, now)
    except Unreachable as error:
        if not now.down:
            raise
        purge.stuck = True
        purge.say(error.what)
    if not marked:
        purge.gone = not purge.stuck
        return
    patience = _STUCK_SECONDS if now.down else purge.session.timeout
    purge.stuck = not _until(lambda: not _pending(purge, old), patience)
    purge.gone = not purge.stuck


def _mark(purge: Purge, now: Survey) -> None:
    """No broker knows it, but it has a znode: ask the controller by the mark that brokers would have made."""
    if topic_path(now) not in now.znodes:
        return
    from kazoo.exceptions import NodeExistsError

    try:
        purge.session.zookeeper.create(mark_path(now), b"")
    except NodeExistsError:
        return


def _pending(purge: Purge, old: str | None) -> bool:
    """Whether the controller still has to delete: the mark is there, or the znode that was there before."""
    client = purge.session.zookeeper
    if client.exists(topic_znodes.places(purge.topic)[2]):
        return True
    return topic_znodes.exists(client, purge.topic) and topic_znodes.identity(client, purge.topic) == old


def _held_without_znode(purge: Purge, now: Survey) -> bool:
    """Live brokers that have logs, or know a topic, that no controller will ever tell them to drop."""
    if _back(purge) or (now.znodes and topic_path(now) in now.znodes):
        return False
    return now.known is not None or bool(now.held_partitions)


def _adopt(purge: Purge, now: Survey) -> None:
    """Put the topic back under its old id, so that the controller takes charge of it, and delete it properly."""
    known = now.known.partitions if now.known else ()
    count = max([*now.held_partitions, *(partition.index for partition in known)]) + 1
    whole = {index: tuple(now.holders(index) or now.alive[:1]) for index in range(count)}
    purge.say(f"brokers still hold {purge.topic} though it has no znode: giving it to a new controller, to be deleted")
    with _told(purge):
        if purge.session.context.zookeeper:
            topic_znodes.put_back(purge.session.zookeeper, purge.topic, whole, _old_id(now))
            _until(lambda: _led(purge), min(10.0, purge.session.timeout))
        else:
            topics.create_topic(purge.session, topics.NewTopic(purge.topic, assignment=tuple(whole.values())))
        purge.gone = False
        _delete(purge, survey(purge.session, purge.topic, purge.given))


def _led(purge: Purge) -> bool:
    """Whether the controller took it up: every partition has a leader in ZooKeeper.

    Marked earlier, the controller would never tell the brokers of it, nor of its end.
    """
    (found,) = legacy.topics(purge.session.zookeeper, [purge.topic]) or (Topic(purge.topic),)
    return bool(found.partitions) and all(partition.leader != NO_LEADER for partition in found.partitions)


def _old_id(now: Survey) -> str | None:
    """The id that the logs or the metadata have: with another one brokers would refuse to take the logs up."""
    ids = {found.topic_id for _, found in now.disks if found.topic_id}
    if len(ids) == 1:
        return ids.pop()
    if not ids and now.known and now.known.id:
        from uuid import UUID

        from broker.zk.znodes import uuid_text

        return uuid_text(UUID(now.known.id))
    return None


def _back(purge: Purge) -> bool:
    """Whether somebody created the topic again after it was gone."""
    if not purge.gone:
        return False
    if purge.session.context.zookeeper:
        return topic_znodes.exists(purge.session.zookeeper, purge.topic)
    return topics.is_known(purge.session, purge.topic)


def _await_files(purge: Purge, made: Plan, now: Survey) -> Survey:
    """Until running brokers have removed the directories that they renamed to ``-delete``."""
    waiting = _being_deleted(now)
    if not waiting:
        return now
    delay = max([*made.rules.delete_delay.values(), 60.0 if not made.rules.delete_delay else 0.0])
    purge.say(f"waiting for brokers to remove {_some(waiting)} ({delay:g} s after the deletion)")
    _until(lambda: not _being_deleted(survey(purge.session, purge.topic, purge.given)), delay + _DELAY_MARGIN, 0.5)
    return survey(purge.session, purge.topic, purge.given)


def _being_deleted(now: Survey) -> list[str]:
    return [found.name for folder, found in now.disks if found.kind == DELETE and folder.running]


def _remove_directories(purge: Purge, now: Survey) -> None:
    for folder, found in now.disks:
        if _back(purge):
            return
        running = folder.running
        if running and not _let_go(now, folder.broker, found.partition, found.kind):
            continue
        purge.say(f"removing {found.path}")
        try:
            data_dirs.remove(found, let_go=running)
        except KopsError as error:
            purge.errors.append(error)


def _let_go(now: Survey, broker: int, partition: int, kind: str) -> bool:
    """Whether a running broker has no log open there: it told all that it has, and this is not among it."""
    told = now.replicas.get(broker)
    if told is None or kind == DELETE:
        return False
    mine = [r for folder in told for r in folder.of_topic(now.topic) if r.partition == partition]
    if kind == STRAY:
        return True
    return not any(replica.future == (kind == FUTURE) for replica in mine) and now.views.get(broker) is None


def _remove_znodes(purge: Purge, now: Survey) -> None:
    """What the controller left behind. A deletion that waits for a broker is cut short only when that loses nothing."""
    if not now.znodes or _back(purge):
        return
    keep = {place for place in topic_znodes.places(purge.topic) if now.acls.authorizer and "/kafka-acl" in place}
    cut = purge.stuck and _cut_short(purge, now)
    if purge.stuck and not cut:
        keep |= set(topic_znodes.places(purge.topic)[:3])
    purge.say("removing what is left in ZooKeeper")
    with _told(purge):
        topic_znodes.remove(purge.session.zookeeper, purge.topic, frozenset(keep), reelect=cut, gone=purge.gone)


def _cut_short(purge: Purge, now: Survey) -> bool:
    """Whether the controller's waiting may be ended: everything of the brokers that are down was removed, or forced."""
    here = {folder.broker for folder in data_dirs.of_cluster(now.cluster_id, purge.given)}
    if purge.force or (now.down and set(now.down) <= here):
        purge.say("the controller waits for a broker that is down: its work is ended, and a controller elected anew")
        return True
    purge.errors.append(
        Unreachable(
            f"topic {purge.topic} is marked for deletion, but "
            + (f"broker {_ids(now.down)} is down" if now.down else "the controller has not finished"),
            "It is finished when that is back; --data-dir PATH names its disks if they are here, --force ends it now.",
            subject=purge.topic,
        )
    )
    return False


def _delete_acls(purge: Purge, now: Survey) -> None:
    if now.acls.rules and not _back(purge):
        purge.say("deleting ACLs")
        with _told(purge):
            topic_acls.delete(purge.session, purge.topic)


def _watch(purge: Purge, made: Plan) -> None:
    """Look out for whoever creates it again, for ``watch`` seconds."""
    if purge.stuck:
        return
    purge.gone = True
    began = time.monotonic()
    if purge.watch > 0:
        purge.say(f"watching for {purge.watch:g} s whether somebody creates it again")
    if _until(lambda: _back(purge), purge.watch):
        after = time.monotonic() - began
        how = f" (auto.create.topics.enable is true on broker {_ids(made.rules.auto_creating)})"
        purge.errors.append(
            Failed(
                f"topic {purge.topic} was created again {after:.1f} s after it was gone"
                + (how if made.rules.auto_creating else ""),
                "Stop the clients that use it, or set auto.create.topics.enable=false, and purge again.",
                subject=purge.topic,
                code="TopicResurrected",
            )
        )


@contextmanager
def _told(purge: Purge) -> Iterator[None]:
    """What fails inside is told in the end, and the other steps are taken all the same."""
    try:
        yield
    except Exception as error:
        known = translate(error)
        if known is None:
            raise
        purge.errors.append(known)


def _until(holds: Callable[[], bool], seconds: float, step: float = _STEP) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step)
    return True


def _ids(brokers: Sequence[int]) -> str:
    return ",".join(str(broker) for broker in brokers)
