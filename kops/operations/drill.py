"""A failover, caused and measured: harm one broker of a local cluster while a probe writes, then read all back.

Every time is taken on this machine by one clock, from the moment before the signal is sent. What ZooKeeper knows is
pushed (watches) where its address is known, and polled otherwise; each moment says which.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise

from kops.cluster import topics
from kops.cluster.drills import Drill, Moment, Report
from kops.cluster.metadata import Partition, Snapshot, snapshot, topics_of, wait_until
from kops.cluster.probe import REQUEST_SECONDS, Acknowledged, Probe, Tally
from kops.cluster.probe_reader import Reader
from kops.cluster.topics import NewTopic
from kops.cluster.watching import Controlled, Fact, Registered, StateOf, Watching, wall_ms
from kops.contexts import Context
from kops.errors import BadUsage, KopsError, NotFound, Refused, Unreachable
from kops.local import processes, servers, state
from kops.local.state import BROKER, Server
from kops.session import Session
from kops.words import counted

Tell = Callable[[Moment], None]
POLL_SECONDS = 0.1
RECOVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A drill with its victim chosen. ``partition`` None: of a topic that is made for it."""

    drill: Drill
    victim: Server
    controller: bool
    partition: Partition | None
    replicas: int

    @property
    def lines(self) -> list[str]:
        """In words, what is going to happen and what it costs."""
        drill, where = self.drill, f"{self.drill.topic}-{self.drill.partition}"
        doing = {
            "kill": "SIGKILL",
            "pause": "SIGSTOP, later SIGCONT",
            "stop": "SIGTERM",
            "restart": "SIGTERM, then started",
        }[drill.action]
        role = " (the controller)" if self.controller else ""
        made = "a topic made for it and removed afterwards" if drill.topic is None else f"{where}, where they stay"
        lines = [
            f"{drill.action} broker {self.victim.id}{role}, process {self.victim.pid}: {doing}",
            f"the probe writes {drill.rate:g} records/s with acks={drill.acks_name} to {made}",
        ]
        if drill.topic is None:
            lines.append(f"that topic has {counted(self.replicas, 'replica')}, the first on broker {self.victim.id}")
        lines.append(f"an answer that takes longer than {REQUEST_SECONDS:g} s counts as a failed write")
        lines.append("then the broker is brought back" if drill.restore else "the broker stays away")
        return lines


def plan(session: Session, drill: Drill) -> Plan:
    """Choose the broker. Raises Refused for a cluster that kops did not start, NotFound, BadUsage."""
    context = session.context
    if context.cluster is None:
        raise Refused(
            "a drill harms a broker, and kops did not start this cluster", "`kops up` starts one that can be harmed."
        )
    seen = snapshot(session)
    partition = _partition(session, drill) if drill.topic is not None else None
    if drill.target == "leader":
        wanted = partition.leader if partition else seen.brokers[0].id
    elif drill.target == "controller":
        wanted = seen.controller
    else:
        wanted = _id(drill.target)
    known = [one for one in state.servers(context.cluster) if one.kind == BROKER]
    victim = next((one for one in known if one.id == wanted), None)
    if victim is None:
        raise NotFound(f"kops did not start a broker {wanted} here", f"There are: {_ids(known)}.")
    if processes.state(victim) != processes.RUNNING:
        raise Refused(f"{victim.name} is {processes.state(victim)} already", "`kops up` starts what is missing.")
    if len(seen.brokers) < 2:
        raise Refused("with one broker there is nobody to take over", "`kops up -n 3` adds brokers.")
    return Plan(drill, victim, seen.controller == victim.id, partition, min(3, len(seen.brokers)))


def run(context: Context, chosen: Plan, tell: Tell, watch: Callable[[Tally], None] = lambda tally: None) -> Report:
    """Do it all. ``tell`` gets each moment as it happens, from several threads. Raises KopsError, kafka.errors.

    ``watch`` gets the probe's tally once, when it begins to write; it grows while the drill lasts.
    The broker is brought back and the topic removed also when something fails on the way.
    """
    with ExitStack() as stack:
        session = stack.enter_context(Session(context, 15.0))
        topic, index = _topic(session, chosen, stack)
        stage = _Stage(context, session, chosen, topic, index, tell, watch)
        stack.callback(stage.bring_back_quietly)
        return stage.play()


def _topic(session: Session, chosen: Plan, stack: ExitStack) -> tuple[str, int]:
    """The topic of the drill, made when none is named: its leader is the broker that will be harmed."""
    if chosen.drill.topic is not None:
        return chosen.drill.topic, chosen.drill.partition
    others = [one.id for one in snapshot(session, []).brokers if one.id != chosen.victim.id]
    replicas = (chosen.victim.id, *others[: chosen.replicas - 1])
    name = f"kops-drill-{wall_ms()}"
    configs = {"min.insync.replicas": str(max(1, len(replicas) - 1))}
    topics.create_topic(session, NewTopic(name, assignment=(replicas,), configs=configs))
    stack.callback(_remove, session, name)
    return name, 0


def _remove(session: Session, name: str) -> None:
    """Raises Unreachable when it cannot be removed now: the error names it."""
    try:
        topics.delete_topic(session, topics_of(session, [name])[1][0])
    except NotFound:
        return


@dataclass(slots=True)
class _Stage:
    """One drill under way. What it learns of the partition arrives on other threads, hence the condition."""

    context: Context
    session: Session
    plan: Plan
    topic: str
    index: int
    tell: Tell
    watch: Callable[[Tally], None]
    moments: list[Moment] = field(default_factory=list)
    began: float = 0.0
    changed: threading.Condition = field(default_factory=threading.Condition)
    now: Partition | None = None
    registered: tuple[int, ...] = ()
    controller: int = -1
    away: bool = False
    leader_ms: float | None = None
    isr_ms: float | None = None
    whole_ms: float | None = None

    @property
    def victim(self) -> Server:
        """As it is remembered now: a broker that was started again has another process."""
        return next(
            (one for one in state.servers(self.context.cluster) if one.key == self.plan.victim.key), self.plan.victim
        )

    def play(self) -> Report:
        drill = self.plan.drill
        wait_until(self.session, self._not_whole, drill.limit)
        harmed_before = _bad(self.session)
        probe = Probe(self.context, self.topic, self.index, drill.acks, drill.rate)
        reader = Reader(self.context, self.topic, self.index)
        with _listening(self):
            self._wait("the state of the partition is known", lambda: self.now is not None and bool(self.registered))
            probe.failed, probe.recovered = self._failed, self._recovered
            reader.start()
            probe.start()
            self.watch(probe.tally)
            try:
                time.sleep(drill.before)
                self._harm()
                self._until_moved(probe)
                time.sleep(drill.hold)
                if drill.restore:
                    self._bring_back()
                    self._wait("the ISR is whole again", lambda: self.whole_ms is not None)
                    time.sleep(min(1.0, drill.hold))
            finally:
                probe.stop()
                reader.stop()
        return self._report(probe, reader, self._still_harmed(harmed_before) if drill.restore else ())

    def _still_harmed(self, before: list[str]) -> tuple[str, ...]:
        """Partitions of anybody that did not recover within ``RECOVERY_SECONDS`` of this drill's own."""
        deadline = time.monotonic() + RECOVERY_SECONDS
        while still := [name for name in _bad(self.session) if name not in before]:
            if time.monotonic() > deadline:
                return tuple(still)
            time.sleep(POLL_SECONDS)
        return ()

    def _not_whole(self) -> str | None:
        topic = snapshot(self.session, [self.topic]).topic(self.topic)
        found = [one for one in topic.partitions if one.index == self.index] if topic else []
        if not found:
            return f"{self.topic}-{self.index} is not there"
        return f"{found[0].name} is {found[0].state}" if found[0].state != "ok" else None

    # harm and repair

    def _harm(self) -> None:
        action, victim = self.plan.drill.action, self.victim
        with self.changed:
            self.began = time.time_ns() / 1e6
        number = {"kill": "SIGKILL", "pause": "SIGSTOP"}.get(action, "SIGTERM")
        self._note(f"{number} sent to broker {victim.id} (process {victim.pid})", "here")
        self.away = True
        if action == "kill":
            servers.kill(victim)
            self._note(f"process {victim.pid} has ended", "here")
        elif action == "pause":
            servers.pause(victim)
        else:
            servers.stop(victim, self.plan.drill.limit)
            self._note(f"process {victim.pid} has ended by itself", "here")
            if action == "restart":
                self._bring_back()

    def _bring_back(self) -> None:
        victim = self.victim
        condition = processes.state(victim)
        if condition == processes.PAUSED:
            self._note(f"SIGCONT sent to broker {victim.id}", "here")
            servers.resume(victim)
        elif condition == processes.STOPPED:
            self._note(f"broker {victim.id} is started again", "here")
            servers.start(victim, self.plan.drill.limit)
        self.away = False

    def bring_back_quietly(self) -> None:
        """At the end of a drill that failed half-way, too."""
        if self.away and self.plan.drill.restore:
            self._bring_back()

    def _until_moved(self, probe: Probe) -> None:
        """Until the broker is out of the ISR and records are acknowledged again; a restart may be done with already."""
        victim = self.plan.victim.id

        def moved() -> bool:
            out = self.now is not None and victim not in self.now.isr and self.now.leader not in (victim, -1)
            return out or self.whole_ms is not None

        self._wait(f"broker {victim} has left the ISR", moved)
        since = time.time_ns() / 1e6
        acknowledged = probe.tally.acknowledged
        self._wait("writes are acknowledged again", lambda: bool(acknowledged) and acknowledged[-1].at > since)

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.plan.drill.limit
        while not condition():
            with self.changed:
                self.changed.wait(0.05)
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"not within {self.plan.drill.limit:g} s: {what}", "See `kops broker logs`, or a longer --limit."
                )

    # what happens meanwhile, told by the probe and by ZooKeeper or the brokers

    def _note(self, what: str, source: str, at: float | None = None) -> float:
        since = (time.time_ns() / 1e6 if at is None else at) - self.began
        moment = Moment(round(since, 1), what, source)
        with self.changed:
            self.moments.append(moment)
            self.changed.notify_all()
        self.tell(moment)
        return moment.ms

    def _failed(self, error: str) -> None:
        if self.began:
            self._note(f"a write failed: {error}", "probe")

    def _recovered(self, one: Acknowledged) -> None:
        if self.began:
            self._note(f"writes are acknowledged again (record {one.number} took {one.took:.0f} ms)", "probe", one.at)

    def learn(self, fact: Fact, source: str) -> None:
        """One fact of the cluster; before the signal it is only remembered."""
        match fact:
            case Registered(at, brokers):
                for broker in sorted(set(self.registered) ^ set(brokers)) if self.began else ():
                    words = "is registered" if broker in brokers else "is not registered any more"
                    self._note(f"broker {broker} {words}", source, at)
                self.registered = brokers
            case Controlled(at, controller):
                if self.began and controller not in (self.controller, -1):
                    self._note(f"controller {self.controller} → {controller}", source, at)
                self.controller = controller if controller >= 0 else self.controller
            case StateOf():
                self._learn_state(fact, source)
        with self.changed:
            self.changed.notify_all()

    def _learn_state(self, fact: StateOf, source: str) -> None:
        if (fact.topic, fact.index) != (self.topic, self.index):
            return
        old = self.now
        replicas = old.replicas if old else tuple(sorted(fact.isr))
        new = Partition(fact.topic, fact.index, fact.leader, fact.leader_epoch, replicas, fact.isr)
        if old is not None and self.began:
            self._tell_difference(old, new, source, fact.at)
        self.now = new

    def _tell_difference(self, old: Partition, new: Partition, source: str, at: int) -> None:
        victim = self.plan.victim.id
        if old.leader != new.leader:
            words = f"leader {old.leader} → {new.leader} (epoch {old.leader_epoch} → {new.leader_epoch})"
            ms = self._note(words, source, at)
            self.leader_ms = ms if self.leader_ms is None and new.leader >= 0 else self.leader_ms
        if set(old.isr) != set(new.isr):
            ms = self._note(f"ISR {_brokers(old.isr)} → {_brokers(new.isr)}", source, at)
            if victim not in new.isr and self.isr_ms is None:
                self.isr_ms = ms
            if set(new.isr) >= set(new.replicas) and self.isr_ms is not None:
                self.whole_ms = ms

    def _report(self, probe: Probe, reader: Reader, not_whole: tuple[str, ...]) -> Report:
        tally, drill = probe.tally, self.plan.drill
        gap, *_ = tally.gap(self.began)
        unread = reader.gap(self.began)
        times = [one.at for one in tally.acknowledged if one.at < self.began]
        usual = max((after - before for before, after in pairwise(times)), default=0.0)
        return Report(
            action=drill.action,
            broker=self.plan.victim.id,
            topic=self.topic,
            partition=self.index,
            acks=drill.acks_name,
            timeline=tuple(sorted(self.moments, key=lambda moment: moment.ms)),
            sent=tally.sent,
            acknowledged=len(tally.acknowledged),
            errors=dict(tally.errors),
            write_gap_ms=round(gap, 1),
            slowest_usual_ms=round(usual, 1),
            leader_ms=self.leader_ms,
            isr_ms=self.isr_ms,
            whole_ms=self.whole_ms,
            comparison=probe.read_back(),
            read_gap_ms=None if unread is None else round(unread, 1),
            not_whole=not_whole,
        )


class _listening:  # noqa: N801 - reads as what it is where it is used
    """While it is open, facts reach the stage: pushed by ZooKeeper, or polled from the brokers."""

    def __init__(self, stage: _Stage) -> None:
        self.stage = stage
        self.ending = threading.Event()
        self.thread: threading.Thread | None = None
        self.watching: Watching | None = None
        self.session = Session(stage.context, 2.0, client_id="kops-drill")

    def __enter__(self) -> None:
        if self.stage.context.zookeeper:
            self.watching = Watching(self.session.zookeeper, self._pushed, [self.stage.topic])
            self.watching.start()
        else:
            self.thread = threading.Thread(target=self._poll, name="kops-drill", daemon=True)
            self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        if self.watching is not None:
            self.watching.close()
        if self.thread is not None:
            self.thread.join(10.0)
        self.session.close()

    def _pushed(self, fact: Fact) -> None:
        self.stage.learn(fact, "pushed")

    def _poll(self) -> None:
        from kafka.errors import KafkaError

        while not self.ending.wait(POLL_SECONDS):
            try:
                self._tell(snapshot(self.session, [self.stage.topic]))
            except (KafkaError, KopsError):
                continue  # the broker that was asked has just gone: the next look goes to another one

    def _tell(self, seen: Snapshot) -> None:
        at, source = wall_ms(), f"±{POLL_SECONDS * 1000:.0f} ms"
        self.stage.learn(Registered(at, tuple(broker.id for broker in seen.brokers)), source)
        self.stage.learn(Controlled(at, seen.controller), source)
        for one in seen.partitions:
            if one.leader >= 0 or one.error == 5:
                self.stage.learn(StateOf(at, one.topic, one.index, one.leader, one.leader_epoch, one.isr), source)


def _partition(session: Session, drill: Drill) -> Partition:
    topic = topics_of(session, [drill.topic or ""])[1][0]
    found = [one for one in topic.partitions if one.index == drill.partition]
    if not found:
        raise NotFound(f"topic {topic.name} has no partition {drill.partition}", f"It has {len(topic.partitions)}.")
    if len(found[0].replicas) < 2:
        raise Refused(f"{found[0].name} has one replica: nobody can take over", "Choose another, or leave out --topic.")
    return found[0]


def _bad(session: Session) -> list[str]:
    """Partitions that are not whole now."""
    return [one.name for one in snapshot(session).partitions if one.state != "ok"]


def _id(target: str) -> int:
    if not target.isdigit():
        raise BadUsage(
            f"'{target}' is neither leader, controller nor a broker's id", "For example `kops drill leader`."
        )
    return int(target)


def _brokers(ids: tuple[int, ...]) -> str:
    return ",".join(str(one) for one in sorted(ids)) or "none"


def _ids(known: list[Server]) -> str:
    return ", ".join(str(one.id) for one in known) or "none"
