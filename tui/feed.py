"""The only one that asks the cluster: looks at intervals, listens to ZooKeeper's watches, and carries out intents.

Every blocking question runs on a thread; what comes back is put together here, on the event loop. A tick that comes
while a look is under way is dropped, a failed look is tried again after longer and longer waits, and the last good view
stays with its age and the reason.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Concatenate, ParamSpec, TypeVar

from kops.cluster import metadata, replicas
from kops.cluster.drills import Drill, Moment, Report
from kops.cluster.metadata import Broker, Snapshot, Topic
from kops.cluster.probe import Tally
from kops.cluster.records import Record
from kops.cluster.watching import Connected, Fact, StateOf, Watching, wall_ms
from kops.contexts import Context
from kops.errors import KopsError, Refused, translate
from kops.local import processes, state
from kops.local.state import BROKER, Server
from kops.operations import drill
from kops.session import LastAnswer, Session, open_zookeeper
from tui import actions
from tui.history import PROCESSES_MS, Event, History
from tui.pushed import Pushed, is_news, named, together
from tui.rates import Rates
from tui.recorder import Recorder
from tui.snapshots import Condition, Gauges, Partitions, Process, View, held

T = TypeVar("T")
P = ParamSpec("P")
TIMEOUT = 3.0
LONGEST_WAIT = 10.0
TAIL = 20
"""Records of each partition that are shown at once when a topic is followed."""
KRAFT = "the cluster has no ZooKeeper"
REASONS = {
    "NodeNotReadyError": "no broker answers",
    "KafkaConnectionError": "the broker that was asked broke off the connection",
}
"""What kafka-python has no words for."""
INTERVALS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
MEASURED = 2000
"""Partitions whose replicas are measured at each look."""


class Feed:
    """The picture of one cluster, kept fresh. ``changed`` is called on the event loop when there is something new."""

    lives = True
    """Whether what is shown has an age: a recording has none."""

    def __init__(self, context: Context, interval: float = 1.0) -> None:
        self.context = context
        self.interval = interval
        self.paused = False
        self.view: View | None = None
        self.gauges = Gauges()
        self.history = History()
        self.rates = Rates()
        self.reason = ""
        """Why the last look failed; empty when it did not."""
        self.watching = "no ZooKeeper is known" if not context.zookeeper else "connecting"
        """``pushed``, or why nothing is pushed: ``KRAFT`` where nothing ever is."""
        self._watch: Watching | None = None
        self.changed: Callable[[], None] = lambda: None
        self.drilling = False
        self.report: Report | None = None
        """Of the last drill."""
        self.tally: Tally | None = None
        """Of the drill that is under way."""
        self.needs: Collection[str] = ()
        self.recorder: Recorder | None = None
        self._seen_at = 0.0
        self._session = Session(context, TIMEOUT, client_id="kops-tui")
        self._threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="kops-tui")
        self._tasks: list[asyncio.Task[None]] = []
        self._kick = asyncio.Event()
        self._facts: list[Fact] = []
        self._pushed = Pushed()
        self._last = LastAnswer()
        self._topics: tuple[Topic, ...] = ()
        """Of which the view tells, with what ZooKeeper pushed since."""
        self._hosts: dict[int, Broker] = {}
        self._silent_until: dict[int, float] = {}
        self._failures = 0
        self._processes: dict[int, Process] = {}

    # what screens ask of it

    @property
    def condition(self) -> Condition:
        if self.view is None:
            return Condition.STALE if self.reason else Condition.LOADING
        if self.paused:
            return Condition.PAUSED
        late = self.age_ms > max(3 * self.interval, TIMEOUT + 1) * 1000
        return Condition.STALE if self.reason or late else Condition.LIVE

    @property
    def age_ms(self) -> float:
        """Since the last view was confirmed."""
        return (self.now() - self._seen_at) * 1000 if self._seen_at else 0.0

    @property
    def source(self) -> str:
        """Where changes are learned from. Of very many partitions only the first are watched."""
        if self.watching != "pushed":
            return f"polled, ±{self.interval * 1000:.0f} ms ({self.watching})"
        watched, there = len(self._watch.watched) if self._watch else 0, len(self.view.partitions) if self.view else 0
        some = f" ({watched} of {there} partitions, ±{self.interval * 1000:.0f} ms)" if 0 < watched < there else ""
        return f"pushed by ZooKeeper{some}"

    @property
    def pace(self) -> str:
        """How often it looks, for the header."""
        return f"every {self.interval:g}s"

    def hasten(self, by: int) -> None:
        """Look less often (1) or more often (-1)."""
        near = min(range(len(INTERVALS)), key=lambda index: abs(INTERVALS[index] - self.interval))
        self.interval = INTERVALS[max(0, min(len(INTERVALS) - 1, near + by))]
        self.changed()

    def seek(self, position: float) -> None:
        """Only a replay can be moved in time."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> int:
        return wall_ms()

    def servers(self) -> list[Server]:
        """The brokers of this cluster that kops started on this machine."""
        if self.context.cluster is None:
            return []
        return [server for server in state.servers(self.context.cluster) if server.kind == BROKER]

    def start(self) -> None:
        self._tasks = [asyncio.ensure_future(self._look_forever()), asyncio.ensure_future(self._measure_forever())]
        if self.context.cluster:
            self._tasks.append(asyncio.ensure_future(self._look_at_processes_forever()))
        if self.context.zookeeper:
            self._tasks.append(asyncio.ensure_future(self._watch_forever()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        closing = asyncio.get_running_loop().run_in_executor(None, self._session.close)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(closing), 1.0)

    def refresh(self) -> None:
        """Look now."""
        self._kick.set()

    def pause(self, paused: bool) -> None:
        self.paused = paused
        self.refresh()
        self.changed()

    async def ask(self, question: Callable[Concatenate[Session, P], T], *given: P.args, **named: P.kwargs) -> T:
        """The answer to a question of ``tui.questions`` or ``kops.cluster``, asked on a thread. Raises KopsError."""
        return await self.work(lambda: question(self._session, *given, **named))

    async def change(self, deed: Callable[[Session], T]) -> T:
        """Something that changes the cluster and may take its time. Raises KopsError."""

        def do() -> T:
            with self.session() as session:
                return deed(session)

        try:
            return await self.work(do)
        finally:
            self.refresh()

    async def work(self, job: Callable[[], T]) -> T:
        """Something that blocks, on a thread. Raises KopsError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        except Exception as error:
            known = translate(error)
            if known is None:
                raise
            raise known from error

    def session(self) -> Session:
        """Another session of the same context, for what takes long. To be closed by who asked."""
        return Session(self.context, 30.0, client_id="kops-tui")

    async def tail(self, topic: str, *, from_start: bool = False) -> AsyncIterator[list[Record]]:
        """Records of a topic as they arrive, from the last ``TAIL`` on or from the beginning. Raises KopsError."""
        from kops.cluster.records import EARLIEST, LATEST, ConsumeOptions, consume

        options = ConsumeOptions(start=EARLIEST if from_start else LATEST, last=TAIL)
        with self.session() as session:
            try:
                async for batch in consume(session, topic, options):
                    yield batch
            except Exception as error:
                known = translate(error)
                if known is None:
                    raise
                raise known from error

    # drills

    async def plan_drill(self, wanted: Drill) -> drill.Plan:
        """Whom it would harm, and how. Raises KopsError."""
        return await self.ask(drill.plan, wanted)

    async def drill(self, chosen: drill.Plan) -> Report:
        """Do it; its moments become events of the timeline. Raises KopsError."""
        loop = asyncio.get_running_loop()
        self.drilling, self.report, self.tally = True, None, None

        def tell(moment: Moment) -> None:
            loop.call_soon_threadsafe(self._drilled, moment, wall_ms())

        def watch(tally: Tally) -> None:
            self.tally = tally

        try:
            self.report = await self.work(lambda: drill.run(self.context, chosen, tell, watch))
            if self.recorder is not None:
                self.recorder.report(self.wall(), self.report)
            return self.report
        finally:
            self.drilling = False
            self.changed()

    def _drilled(self, moment: Moment, at: int) -> None:
        """What the feed does not see for itself: signals and what the probe met. The first one starts the clock."""
        if moment.source in ("here", "probe"):
            first = moment.ms < 5 and moment.source == "here"
            self._note(Event(at, "trigger" if first else "drill", "drill", moment.what))

    def _note(self, event: Event) -> None:
        self.history.note(event)
        if self.recorder is not None:
            self.recorder.event(event)
        self.changed()

    # looking

    async def _look_forever(self) -> None:
        wait = 0.0
        while True:
            self._kick.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), wait)
            if self.paused:
                wait = self.interval
                continue
            began = self.now()
            try:
                seen = await self.work(self._look)
            except KopsError as error:
                self._look_failed(error)
                wait = min(self.interval * 2 ** min(self._failures, 6), LONGEST_WAIT)
                continue
            self._failures, self.reason = 0, ""
            self._looked(seen)
            wait = max(0.05, self.interval - (self.now() - began))

    def _look(self) -> Snapshot:
        return metadata.snapshot(self._session, None, self._whom(), self._last)

    async def _look_at_processes_forever(self) -> None:
        """Apart from the brokers' answers: a paused broker holds those up, and is to be seen as paused at once."""
        while True:
            found = await self.work(lambda: {server.id: _process(server) for server in self.servers()})
            before, self._processes = self._processes, found
            states = {broker: process.state for broker, process in found.items()}
            if self.view is not None and states != {broker: process.state for broker, process in before.items()}:
                self._publish(replace(self.view, at=self.wall(), processes=found), confirmed=False)
            await asyncio.sleep(PROCESSES_MS / 1000)

    def _whom(self) -> int | None:
        """The broker that answered last, or after a failure the next that is not known to be silent."""
        if self.view is None:
            return None
        able = [one for one in sorted(self.view.alive) if self._silent_until.get(one, 0) < self.now()]
        stopped = {broker for broker, process in self.view.processes.items() if process.state != processes.RUNNING}
        able = [one for one in able if one not in stopped] or able
        if self.view.asked in able and not self._failures:
            return self.view.asked
        return able[self._failures % len(able)] if able else None

    def _look_failed(self, error: KopsError) -> None:
        self._failures += 1
        self.reason = REASONS.get(error.code, error.what)
        if self.view is not None and self._failures % 3 == 0:
            # What the client knows may be out of date altogether: begin again from the bootstrap servers.
            stale, self._session = self._session, Session(self.context, TIMEOUT, client_id="kops-tui")
            self._threads.submit(stale.close)
        self.changed()

    def _looked(self, seen: Snapshot) -> None:
        pushed = self._pushed
        if seen.kraft and not self.context.zookeeper:
            self.watching = KRAFT
        self._hosts.update({broker.id: broker for broker in seen.brokers})
        partitions = self.view.partitions if self.view else Partitions()
        if seen.topics is not self._topics:
            self._topics = seen.topics
            partitions = Partitions.of(map(pushed.over, seen.partitions)).alike(partitions)
        self._publish(
            View(
                at=self.wall(),
                cluster_id=seen.cluster_id,
                controller=seen.controller if pushed.controller is None else pushed.controller,
                brokers=seen.brokers if pushed.brokers is None else named(pushed.brokers, self._hosts),
                topics=seen.topics,
                partitions=partitions,
                resolution_ms=int(self.interval * 1000),
                pushed=pushed.brokers is not None,
                processes=self._processes,
                asked=self._whom() or -1,
            )
        )

    def _publish(self, view: View, *, confirmed: bool = True, times: Mapping[str, int] | None = None) -> None:
        """``times``: when partitions changed, where that was not when the view was taken."""
        self.view = view
        if confirmed:
            self._seen_at = self.now()
        self.history.observe(view, times)
        if self.recorder is not None:
            self.recorder.view(view, times)
        self.changed()

    def _measured(self, gauges: Gauges) -> None:
        self.gauges = gauges
        if self.recorder is not None:
            self.recorder.gauges(gauges.ends_at or self.wall(), gauges)
        self.changed()

    # measuring

    async def _measure_forever(self) -> None:
        floor_at = sizes_at = -1e9
        while True:
            await asyncio.sleep(self.interval if self.view else 0.05)
            view = self.view
            if view is None or self.paused:
                continue
            with suppress(KopsError):
                if self._new_topics(view) or self.now() - floor_at > 30:
                    names = [topic.name for topic in view.topics]
                    floor = await self.ask(replicas.min_insync, names)
                    self._measured(replace(self.gauges, min_isr=floor))
                    floor_at = self.now()
                await self._measure_ends(view)
                if "sizes" in self.needs and self.now() - sizes_at > 10:
                    await self._measure_sizes(view)
                    sizes_at = self.now()
            self.changed()

    def _new_topics(self, view: View) -> bool:
        known = self.gauges.min_isr
        return known is None or any(topic.name not in known for topic in view.topics)

    async def _measure_ends(self, view: View) -> None:
        partitions = list(islice(view.partitions.values(), MEASURED))
        able = self._able(view)

        def measure() -> tuple[replicas.Measured, dict[str, int]]:
            measured = replicas.log_ends(self._session, partitions, able)
            heads = ((name, measured.ends.get(name, {}).get(one.leader)) for one in partitions if (name := one.name))
            return measured, {name: head for name, head in heads if head is not None}

        measured, heads = await self.work(measure)
        at = self.wall()
        for broker in measured.silent:
            self._silent_until[broker] = self.now() + 5
        silent = tuple(sorted(set(measured.silent) | (view.alive - set(able))))
        self._measured(replace(self.gauges, ends=measured.ends, ends_at=at, silent=silent))
        self.rates.add(at, heads)

    async def _measure_sizes(self, view: View) -> None:
        able, everyone = self._able(view), view.everyone

        def measure() -> tuple[dict[int, dict[str, int] | None], dict[str, int] | None]:
            found = replicas.log_sizes(self._session, able)
            sizes = {broker: found.get(broker) for broker in everyone}
            return sizes, held(sizes)

        sizes, total = await self.work(measure)
        self.gauges = replace(self.gauges, sizes=sizes, held=total)

    def _able(self, view: View) -> list[int]:
        halted = {broker for broker, process in view.processes.items() if process.state != processes.RUNNING}
        return [one for one in sorted(view.alive - halted) if self._silent_until.get(one, 0) < self.now()]

    # listening

    async def _watch_forever(self) -> None:
        loop = asyncio.get_running_loop()

        def tell(fact: Fact) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(self._told, fact)

        while True:
            try:
                client = await self.work(lambda: open_zookeeper(self.context.zookeeper, TIMEOUT))
            except KopsError as error:
                self.watching = error.what
                self.changed()
                await asyncio.sleep(LONGEST_WAIT)
                continue
            self._watch = watch = Watching(client, tell)
            try:
                self.watching = "pushed"
                watch.start()
                await asyncio.Event().wait()
            finally:
                watch.close()
                self._threads.submit(_end, client) if not self._threads._shutdown else _end(client)

    def _told(self, fact: Fact) -> None:
        """Facts that arrive together are shown together."""
        if not self._facts:
            asyncio.get_running_loop().call_later(0.01, self._apply)
        self._facts.append(fact)

    def _apply(self) -> None:
        facts, self._facts = self._facts, []
        for some in together(facts):
            for fact in some:
                self._pushed.remember(fact)
                if isinstance(fact, Connected):
                    self.watching, self._topics = ("pushed" if fact.up else "ZooKeeper does not answer"), ()
            if self.view is None:
                continue
            if any(is_news(self.view, fact) for fact in some):
                self.refresh()
            view = self._pushed.onto(self.view, some, self._hosts)
            if view is not self.view:
                times = {fact.name: fact.at for fact in some if isinstance(fact, StateOf)}
                self._publish(view, confirmed=False, times=times)
        self.changed()

    # acting

    async def act(self, verb: str, server: Server) -> str:
        """Kill, pause, resume, stop, start or restart a broker of this machine. What was done. Raises KopsError."""
        if self.context.read_only:
            raise Refused(f"{verb} {server.name}: this context is read-only", "Use another context.")

        # The clock of the timeline starts when the signal is sent: what is pushed until then belongs to it, too.
        self._note(Event(self.wall(), "trigger", server.name, f"{verb} (by you)"))
        began = self.wall()
        await self.work(lambda: actions.carry_out(verb, server, self.servers))
        self.refresh()
        return f"{verb} {server.name}: done in {(self.wall() - began) / 1000:.1f} s"


def _process(server: Server) -> Process:
    return Process(processes.state(server), server.pid, server.started, processes.memory(server))


def _end(client: object) -> None:
    """Stop a kazoo client; the session ends with it."""
    client.stop()  # type: ignore[attr-defined]
    client.close()  # type: ignore[attr-defined]
