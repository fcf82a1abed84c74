"""One seed: a cluster, clients, faults; then quiet, in which all must become whole; then the judgement."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import traceback
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from broker.broker import KafkaServer
from broker.storage.log import Log as StoredLog
from broker.wire import batch as batches
from broker.wire.errors import ErrorCode
from broker.wire.records import read_all
from tests.sim.admin import Admin, Topics
from tests.sim.checker import Kind, Log, Seen, Violation, check, longest_gap
from tests.sim.cluster import Cluster
from tests.sim.compacted import NAME, Compacted
from tests.sim.disk import SYNC_SECONDS
from tests.sim.hostile import Hostile
from tests.sim.invariants import EVERY_SECONDS, Invariants
from tests.sim.loop import ProcLoop
from tests.sim.members import Member
from tests.sim.nemesis import Fault
from tests.sim.scenario import Scenario
from tests.sim.workload import TOPIC, Workload, acknowledged
from tests.sim.world import Stuck

PARTITIONS = 2
WHOLE_SECONDS = 90.0
PACE = 0.15
LOG_LINES = 300
FLUSH_SYNC_SECONDS = 0.006
"""Where durability hangs on syncs they take their time, or nothing would ever happen during one."""


@dataclass
class Verdict:
    """How a seed went. ``trace`` is the hash of the run, ``simulated`` and ``took`` are seconds."""

    seed: int
    violations: list[Violation]
    stuck: str = ""
    errors: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    scenario: str = ""
    summary: str = ""
    trace: int = 0
    simulated: float = 0.0
    took: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.violations or self.stuck or self.errors)


class Lines(logging.Handler):
    """Keeps the last lines that the simulated processes logged, and every error with a traceback."""

    def __init__(self, cluster: Cluster, echo: bool) -> None:
        super().__init__()
        self.cluster, self.echo = cluster, echo
        self.last: deque[str] = deque(maxlen=LOG_LINES)
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        loop = asyncio._get_running_loop()
        name = loop.process.name if isinstance(loop, ProcLoop) else "world"
        line = f"{self.cluster.world.now:8.3f}  {name:<10} {record.levelname[0]} {record.getMessage()}"
        if record.exc_info:
            line += "\n" + logging.Formatter().formatException(record.exc_info)
            self.errors.append(line)
        self.last.append(line)
        if self.echo:
            print(line)


@contextmanager
def listening(handler: Lines) -> Iterator[None]:
    """All loggers write to ``handler`` only, and the collector rests: it would run finalisers at odd moments."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    unraisable, sys.unraisablehook = sys.unraisablehook, _buried
    gc.disable()
    gc.freeze()  # what was there before is not looked at afterwards: that would take a sixth of the time
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        gc.collect()
        gc.unfreeze()
        sys.unraisablehook = unraisable
        gc.enable()


def _buried(what: object) -> None:
    """A coroutine of a dead process was collected, and its ``finally`` met shut doors."""


class Run:
    """One seed's scenario, or what is ``given``; ``faults`` instead of those that the scenario plans."""

    def __init__(
        self,
        seed: int,
        *,
        faults: list[Fault] | None = None,
        verbose: bool = False,
        short: bool = False,
        given: Scenario | None = None,
    ) -> None:
        self.scenario = given or Scenario.of(seed, short=short)
        self.seed = seed
        self.cluster = Cluster(seed, **self.scenario.settings())
        self.cluster.sync_seconds = FLUSH_SYNC_SECONDS if self.scenario.flush else SYNC_SECONDS
        for broker_id, skew in zip(self.cluster.ids, self.scenario.skewed_ms, strict=False):
            self.cluster.clock_offsets[f"broker-{broker_id}"] = skew
        self.world = self.cluster.world
        self.lines = Lines(self.cluster, verbose)
        self.workload = Workload(self.cluster, seed, PARTITIONS, self.scenario.pace)
        self.given = faults
        self.nemesis = Hostile(self.cluster, [], self.leader, self.in_sync)
        self.admin = self.nemesis.admin = Admin(self.workload)
        self.compacted = Compacted(self.admin)
        self.invariants = Invariants(self.cluster, self.workload.history, careless=self.scenario.careful)
        self._looked: dict[tuple[KafkaServer, int], int] = {}

    def judge(self) -> Verdict:
        """Run it all. Never raises for what the brokers do wrong."""
        began = time.perf_counter()
        verdict = Verdict(self.seed, [])
        with listening(self.lines), self.invariants.watching_truncations():
            try:
                self.play()
            except Stuck as stuck:
                verdict.stuck = str(stuck)
            except Exception:  # noqa: BLE001 - a seed that breaks the simulation itself must not end the campaign
                verdict.stuck = traceback.format_exc()
            verdict.violations = check(self.workload.history)
            verdict.errors = [*self.lines.errors, *self.world.errors]
            verdict.trace, verdict.simulated = self.world.trace, self.world.now
            self.cluster.close()
        verdict.scenario = str(self.scenario)
        verdict.faults, verdict.told = self.nemesis.faults, self.nemesis.told
        verdict.lines, verdict.summary = (
            list(self.lines.last),
            f"{self.workload.history}, {self.longest_gap():.1f} s gap",
        )
        verdict.took = time.perf_counter() - began
        return verdict

    def play(self) -> None:
        """Safety, liveness, and the last look at every replica."""
        cluster, world = self.cluster, self.world
        cluster.start()
        self.create_topic()
        self.workload.start()
        self.start_actors()
        self.world.observe(EVERY_SECONDS, self.invariants.look)
        begin = world.now + 1
        faults = self.scenario.plan(begin) if self.given is None else self.given
        self.nemesis.faults[:] = faults
        self.nemesis.start()
        self.look_again()
        world.run(begin + self.scenario.seconds - world.now)
        self.nemesis.end()
        self.nurse()
        self.become_whole()
        self.workload.stop()
        self.wait(self.settled, 60, "all replicas end alike, and the consumers are there")
        self.read_replicas()

    def start_actors(self) -> None:
        actors = self.scenario.actors
        if "topics" in actors:
            topics = Topics(self.admin, self.scenario.ibp == "3.9", self.scenario.churn_replicas)
            self.workload.spawn(topics.run(), "topics")
        if "members" in actors:
            for who in "ABC":
                self.workload.spawn(Member(self.workload, who).run(), f"member {who}")
        if "compacted" in actors:
            self.workload.spawn(self.compacted.run(), "compacted")

    def longest_gap(self) -> float:
        """The longest time without an acknowledgement, in the partition that fared worst."""
        return max(longest_gap(self.workload.history, partition) for partition in range(PARTITIONS))

    def create_topic(self) -> None:
        """Once somebody is controller."""
        client = self.workload.client

        async def create() -> None:
            for broker_id in self.cluster.ids * 20:
                try:
                    code = await client.create(TOPIC, via=broker_id, partitions=PARTITIONS)
                except OSError:
                    continue
                if code in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                    return
                await client.host.clock.sleep(0.2)
            raise AssertionError("the topic cannot be created")

        self.cluster.call(create())
        self.cluster.until(self.in_sync, 60, "the topic has its replicas")

    # -- liveness --------------------------------------------------------------------------------------------------
    def nurse(self) -> None:
        """Start what is dead, again and again: a broker may end itself while ZooKeeper is not there yet."""
        self.nemesis.revive()
        self.world.at(self.world.now + 2, self.nurse)

    def become_whole(self) -> None:
        since = self.world.now
        fresh = acknowledged(self.workload.history, since)
        took = self.wait(
            lambda: self.in_sync() and all(fresh(p) for p in range(PARTITIONS)),
            WHOLE_SECONDS,
            "whole again after the faults",
        )
        self.nemesis.told.append(f"{self.world.now:8.3f}  whole again after {took:.3f} s")

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Let time pass until it holds; looks five times a simulated second. Raises Stuck."""
        began = self.world.now
        while not condition():
            if self.world.now - began > seconds:
                raise Stuck(f"not within {seconds:g} simulated seconds: {what}")
            self.world.run(0.2)
        return self.world.now - began

    def in_sync(self) -> bool:
        """Every broker is there, and says of every partition that all replicas are in sync."""
        if not self.cluster.is_whole():
            return False
        for server in self.cluster.alive():
            for partition in range(PARTITIONS):
                state = server.metadata.partition(TOPIC, partition)
                if state is None or state.leader < 0 or len(state.isr) < len(self.cluster.ids):
                    return False
        return True

    def leader(self) -> int:
        """Who leads partition 0, as most recently told to any broker; 0 for nobody."""
        states = [s.metadata.partition(TOPIC, 0) for s in self.cluster.alive()]
        known = [(state.leader_epoch, state.leader) for state in states if state is not None]
        return max(max(known, default=(0, 0))[1], 0)

    def settled(self) -> bool:
        history, ends = self.workload.history, self.ends()
        if any(len(set(each.values())) != 1 for each in ends.values()):
            return False
        if self.workload.pending() or not self.workload.has_asked_again():
            return False
        read = {seen.partition: seen.offset + 1 for seen in history.seen if seen.reader.startswith("consumer")}
        if "compacted" in self.scenario.actors and not self.are_alike(NAME):
            return False
        return all(read.get(partition, 0) == next(iter(ends[partition].values())) for partition in ends)

    def are_alike(self, topic: str) -> bool:
        logs = [server.logdirs.get(topic, 0) for server in self.cluster.alive()]
        return len({-1 if log is None else log.log_end_offset for log in logs}) == 1

    def ends(self) -> dict[int, dict[int, int]]:
        found: dict[int, dict[int, int]] = {}
        for server in self.cluster.alive():
            for partition in range(PARTITIONS):
                log = server.logdirs.get(TOPIC, partition)
                found.setdefault(partition, {})[server.config.broker_id] = -1 if log is None else log.log_end_offset
        return found

    # -- what the replicas hold ------------------------------------------------------------------------------------
    def look_again(self) -> None:
        """Every second or so: what lies below the high watermarks of the living, as far as not looked at yet."""
        for server in self.cluster.alive():
            replicas = getattr(server, "replicas", None)
            broker_id = server.config.broker_id
            if replicas is None or self.cluster.process(broker_id).paused:
                continue
            if self.cluster.disks[f"broker-{broker_id}"].read_error is not None:
                continue
            for partition in range(PARTITIONS):
                hosted = replicas.get(TOPIC, partition)
                if hosted is not None and not hosted.log.dir.is_offline:
                    self.look_at(server, partition, hosted.log.high_watermark)
        self.world.at(self.world.now + 0.7, self.look_again)

    def look_at(self, server: KafkaServer, partition: int, high_watermark: int) -> None:
        key = (server, partition)
        begin = self._looked.get(key, 0)
        if high_watermark <= begin:
            return
        who = f"broker-{server.config.broker_id}"
        with self.cluster.process(server.config.broker_id).observed():
            found = self.stored(server, partition, begin, high_watermark)
        for offset, value in found:
            self.workload.history.seen.append(Seen(who, partition, offset, value, self.world.now))
        self._looked[key] = high_watermark

    def stored(self, server: KafkaServer, partition: int, begin: int, end: int) -> Log:
        log = server.logdirs.get(TOPIC, partition)
        found: Log = []
        while log is not None and begin < end:
            records = log.read(begin, 1 << 20, end).records
            batch = [(r.offset, r.value or b"") for r in read_all(records) if begin <= r.offset < end]
            if not batch:
                break
            found += batch
            begin = batch[-1][0] + 1
        return found

    def read_replicas(self) -> None:
        if "compacted" in self.scenario.actors:
            self.compacted.note()
        for server in self.cluster.alive():
            for partition in range(PARTITIONS):
                log = server.logdirs.get(TOPIC, partition)
                if log is None:
                    what = f"broker-{server.config.broker_id} has no replica of partition {partition}"
                    self.workload.history.trouble.append(Violation(Kind.LOST, what))
                    continue
                held = self.stored(server, partition, log.log_start_offset, log.log_end_offset)
                digests = self.workload.history.digests.setdefault(partition, {})
                digests[f"broker-{server.config.broker_id}"] = _digest(log)
                logs = self.workload.history.final.setdefault(partition, {})
                logs[f"broker-{server.config.broker_id}"] = held


def _digest(log: StoredLog) -> int:
    """Of all bytes: followers append verbatim, so that the headers of batches are alike, too."""
    offset, digest = log.log_start_offset, 0
    while offset < log.log_end_offset:
        records = log.read(offset, 1 << 20, log.log_end_offset).records
        digest = zlib.crc32(records, digest)
        offset = max(head.next_offset for _, head in batches.headers(records))
    return digest
