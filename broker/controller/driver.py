"""The controller's shell: event queue, ZooKeeper round trips, effects (KafkaController, ControllerEventManager).

One event is finished, its conversation with ZooKeeper included, before the next begins. The loss of the session alone
overtakes: the running transition is closed, the queue cleared, the controller resigns.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from broker.cluster.ibp import Ibp
from broker.cluster.peers import Peers
from broker.cluster.refusals import RefusalWatch
from broker.config import KafkaConfig
from broker.controller import events as ev
from broker.controller.channels import Channels
from broker.controller.conversation import ControllerMoved, Transition
from broker.controller.events import Effect, Event
from broker.controller.machine import ControllerMachine, refusal
from broker.controller.state import ReplicaAssignment, TopicPartition
from broker.host import Host, Timer
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.wire.messages.alter_partition import AlterPartitionRequest, AlterPartitionResponse
from broker.zk import znodes
from broker.zk.client import ZooKeeperClient
from broker.zk.operations import SessionExpired, WatchKind, ZkError

log = logging.getLogger(__name__)

PAUSE_AFTER_FAILURE_S = 1.0
LEAVE_TIMEOUT_S = 2.0


class Controller:
    """Every broker has one; at most one of them is active.

    It subscribes to the ZooKeeper client itself. ``broker/broker.py`` calls :meth:`start` once this broker is
    registered, and :meth:`on_session_established` each time it has registered itself in a new session.
    """

    def __init__(self, config: KafkaConfig, host: Host, zk: ZooKeeperClient, peers: Peers, ibp: Ibp) -> None:
        self._config = config
        self._host = host
        self._zk = zk
        self._machine = ControllerMachine(config, ibp, host.dice.uuid)
        client_id = str(config.broker_id)
        self._channels = Channels(peers, host.clock, ibp, client_id, self._post, self._on_crash, self._watch_broker)
        self._seen: ev.ControllerSeen | None = None
        self._controller_watch: RefusalWatch | None = None
        self._queue: deque[Event] = deque()
        self._is_filled = asyncio.Event()
        self._generation = 0
        """Grows when the controller resigns: what was begun before is not gone on with."""
        self._running: Transition[Sequence[Effect]] | None = None
        self._waiting: dict[int, tuple[Event, asyncio.Future[Any]]] = {}
        self._tokens = 0
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        zk.subscribe(watch=self.on_watch, expired=self.on_session_expired)

    # --- what others see -------------------------------------------------------------------------------------------

    @property
    def controller_id(self) -> int:
        """Who is controller, as far as this broker read from /controller; -1 nobody, or not known."""
        return self._machine.controller_id

    @property
    def is_active(self) -> bool:
        """This broker is the controller."""
        return self._machine.is_active

    @property
    def epoch(self) -> int:
        """The controller epoch while active, else 0."""
        return self._machine.context.epoch

    def is_marked_for_deletion(self, topic: str) -> bool:
        """Queued for deletion at this controller; False on brokers that are not controller."""
        return self._machine.context.is_to_be_deleted(topic)

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Watch /controller and stand for election. Call after this broker registered itself."""
        self._task = asyncio.ensure_future(self._run())
        self.on_session_established()

    async def stop(self) -> None:
        """Resign, leave /controller to others, and end. ZooKeeper being away does not hold it up for long."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        await self._leave()
        self._resign()

    def on_session_established(self) -> None:
        """This broker is registered in a new session: stand for election."""
        self._stand()

    def on_session_expired(self) -> None:
        """Overtakes everything: resign at once."""
        self._resign()

    # --- requests --------------------------------------------------------------------------------------------------

    async def elect_leaders(
        self, partitions: Sequence[tuple[str, int]] | None, election_type: int
    ) -> dict[TopicPartition, tuple[ErrorCode, str | None]]:
        """ElectLeaders; 0 preferred, 1 unclean; None: all partitions. Raises KafkaError NOT_CONTROLLER."""
        asked = None if partitions is None else tuple(TopicPartition(*pair) for pair in partitions)
        outcome: dict[TopicPartition, tuple[ErrorCode, str | None]]
        outcome = await self._ask(lambda token: ev.ElectLeaders(token, asked, election_type))
        return outcome

    async def reassign_partitions(
        self, targets: Mapping[tuple[str, int], Sequence[int] | None]
    ) -> dict[TopicPartition, tuple[ErrorCode, str | None]]:
        """AlterPartitionReassignments; None cancels. Raises KafkaError NOT_CONTROLLER."""
        asked = {TopicPartition(*pair): None if it is None else tuple(it) for pair, it in targets.items()}
        outcome: dict[TopicPartition, tuple[ErrorCode, str | None]]
        outcome = await self._ask(lambda token: ev.ReassignPartitions(token, asked))
        return outcome

    async def list_reassignments(
        self, partitions: Sequence[tuple[str, int]] | None
    ) -> dict[TopicPartition, ReplicaAssignment]:
        """ListPartitionReassignments; None: all. Raises KafkaError NOT_CONTROLLER."""
        asked = None if partitions is None else tuple(TopicPartition(*pair) for pair in partitions)
        found: dict[TopicPartition, ReplicaAssignment]
        found = await self._ask(lambda token: ev.ListReassignments(token, asked))
        return found

    async def controlled_shutdown(self, broker_id: int, broker_epoch: int) -> tuple[TopicPartition, ...]:
        """Move leadership off a broker; answers what it still leads.

        Raises KafkaError: STALE_BROKER_EPOCH, BROKER_NOT_AVAILABLE, NOT_CONTROLLER.
        """
        remaining: tuple[TopicPartition, ...]
        remaining = await self._ask(lambda token: ev.ControlledShutdown(token, broker_id, broker_epoch))
        return remaining

    async def alter_partition(self, request: AlterPartitionRequest, version: int) -> AlterPartitionResponse:
        """Errors are in the response, NOT_CONTROLLER too."""
        response: AlterPartitionResponse = await self._ask(lambda token: ev.AlterPartition(token, request, version))
        return response

    async def allocate_producer_ids(self, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse:
        """Errors are in the response, NOT_CONTROLLER too."""
        response: AllocateProducerIdsResponse = await self._ask(lambda token: ev.AllocateProducerIds(token, request))
        return response

    async def _ask(self, make: Callable[[int], Event]) -> Any:
        self._tokens += 1
        token, answer = self._tokens, asyncio.get_running_loop().create_future()
        event = make(token)
        self._waiting[token] = event, answer
        if self.is_active:
            self._post(event)
        else:
            self._refuse(token)
        try:
            return await answer
        finally:
            self._waiting.pop(token, None)

    def _answer(self, token: int, value: Any) -> None:
        """Whoever asked may have gone meanwhile."""
        _, answer = self._waiting.pop(token, (None, None))
        if answer is None or answer.done():
            return
        if isinstance(value, KafkaError):
            answer.set_exception(value)
        else:
            answer.set_result(value)

    def _refuse(self, token: int) -> None:
        refused = refusal(self._waiting[token][0])
        assert refused is not None
        self._answer(token, refused.value)

    # --- events ----------------------------------------------------------------------------------------------------

    def on_watch(self, path: str, kind: WatchKind) -> None:
        """Every watch event of the session; those of other paths are ignored."""
        if path == znodes.CONTROLLER:
            self._stand()
        elif self.is_active:
            event = event_of(path, kind)
            if event is not None:
                self._post(event)

    def unclean_election_enabled(self, topic: str | None) -> None:
        """``topic``, or by default every topic, now allows unclean leaders: elect where there is none."""
        if self.is_active:
            self._post(ev.UncleanElectionEnabled(topic))

    def _stand(self) -> None:
        self._post(ev.Elect(self._host.clock.wall_ms(), self._zk.session_id))

    def _post(self, event: Event) -> None:
        if self._task is not None:
            self._queue.append(event)
            self._is_filled.set()

    async def _run(self) -> None:
        while True:
            while not self._queue:
                self._is_filled.clear()
                await self._is_filled.wait()
            event = self._queue.popleft()
            if not self._is_outdated(event):
                await self._finish(event)
                self._watch_controller(self._machine.seen)

    # --- who refuses connections (fast_failover) -------------------------------------------------------------------

    def _watch(self, host: str, port: int, on_refused: Callable[[], None], *, was_here: bool) -> RefusalWatch | None:
        if not self._config.kops_controller_fast_failover_enable:
            return None
        window = self._config.kops_controller_fast_failover_window_ms / 1000
        net, clock = self._host.net, self._host.clock
        return RefusalWatch(net, clock, host, port, window, on_refused, was_here=was_here)

    def _watch_broker(self, channel: ev.OpenChannel) -> RefusalWatch | None:
        if channel.broker == self._config.broker_id:
            return None
        unreachable = ev.BrokerUnreachable(channel.broker, channel.broker_epoch)
        return self._watch(channel.host, channel.port, lambda: self._post(unreachable), was_here=channel.was_here)

    def _watch_controller(self, seen: ev.ControllerSeen | None) -> None:
        """Whoever is controller now; None: this broker, or nobody."""
        if seen == self._seen:
            return
        if self._controller_watch is not None:
            self._controller_watch.close()
        self._seen, self._controller_watch = seen, None
        if seen is not None:
            gone = ev.ControllerUnreachable(seen)
            self._controller_watch = self._watch(
                seen.host, seen.port, lambda: self._on_controller_refuses(gone), was_here=False
            )

    def _on_controller_refuses(self, gone: ev.ControllerUnreachable) -> None:
        """Depose it, and stand at once."""
        self._post(gone)
        self._stand()

    def _is_outdated(self, event: Event) -> bool:
        """Who refused connections accepts them again by the time that this is the next event."""
        if isinstance(event, ev.BrokerUnreachable):
            return self._channels.is_watched_alive(event.broker)
        if isinstance(event, ev.ControllerUnreachable):
            return self._controller_watch is not None and self._controller_watch.is_connected
        return False

    async def _finish(self, event: Event) -> None:
        """Drive one transition to its end and perform its effects."""
        transition = self._running = self._machine.handle(event)
        try:
            for effect in await self._converse(transition):
                self._perform(effect)
        except SessionExpired:
            self._resign()
        except ControllerMoved as moved:
            log.warning("controller e%d: replaced: %s", self.epoch, moved)
            self._resign()
            self._stand()
        except Exception as error:  # noqa: BLE001 - whatever it is, what is known may be wrong: let one start afresh
            await self._start_afresh(f"{type(event).__name__} failed", error)
        finally:
            transition.close()
            if self._running is transition:
                self._running = None

    async def _converse(self, transition: Transition[Sequence[Effect]]) -> Sequence[Effect]:
        """The effects; none if the controller resigned meanwhile."""
        generation = self._generation
        try:
            batch = next(transition)
            while True:
                results = await self._zk.request(batch.ops, timeout=math.inf)
                if generation != self._generation:
                    return ()
                batch = transition.send(results)
        except StopIteration as done:
            effects: Sequence[Effect] = done.value
            return effects

    async def _start_afresh(self, what: str, error: BaseException) -> None:
        log.error("controller e%d: %s; resigning so that one starts afresh", self.epoch, what, exc_info=error)
        await self._leave()
        self._resign()
        await self._host.clock.sleep(PAUSE_AFTER_FAILURE_S)
        self._stand()

    def _on_crash(self, error: BaseException) -> None:
        """A channel died of what nobody foresaw: requests would be lost, so another must tell the brokers anew."""
        log.error("controller e%d: a channel broke; resigning so that one starts afresh", self.epoch, exc_info=error)
        self._resign()
        self._stand()

    async def _leave(self) -> None:
        leaving = self._machine.leave()
        try:
            batch = next(leaving)
            while True:
                batch = leaving.send(await self._zk.request(batch.ops, timeout=LEAVE_TIMEOUT_S))
        except (StopIteration, ControllerMoved):
            pass
        except ZkError as error:
            log.warning("controller e%d: %s stays until the session ends: %s", self.epoch, znodes.CONTROLLER, error)
        finally:
            leaving.close()

    def _resign(self) -> None:
        """At once: what runs is closed, what is queued dropped, who waits is told NOT_CONTROLLER."""
        self._generation += 1
        if self._running is not None:
            self._running.close()
            self._running = None
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._channels.close_all()
        self._machine.resign()
        self._watch_controller(None)
        for token in list(self._waiting):
            self._refuse(token)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case ev.Send():
                self._channels.send(effect.broker, effect.request)
            case ev.OpenChannel():
                timeout = self._config.controller_socket_timeout_ms / 1000
                self._channels.open(effect, timeout)
            case ev.CloseChannel():
                self._channels.close(effect.broker)
            case ev.Reply():
                self._answer(effect.token, effect.value)
            case ev.SetTimer():
                self._timer = self._host.clock.call_later(effect.seconds, self._post, effect.event)


def event_of(path: str, kind: WatchKind) -> Event | None:
    """What a change under ``path`` means to the controller; None: nothing."""
    parent, _, name = path.rpartition("/")
    match path:
        case znodes.BROKER_IDS:
            return ev.BrokerChange()
        case znodes.TOPICS:
            return ev.TopicChange()
        case znodes.DELETE_TOPICS:
            return ev.TopicDeletion()
        case znodes.ISR_CHANGES:
            return ev.IsrChange()
        case znodes.LOG_DIR_EVENTS:
            return ev.LogDirEvent()
        case znodes.PREFERRED_REPLICA_ELECTION:
            return ev.PreferredElectionZnode()
        case znodes.REASSIGN_PARTITIONS:
            return ev.ReassignmentZnode()
    if kind is not WatchKind.DATA_CHANGED:
        return None
    if parent == znodes.BROKER_IDS:
        return ev.BrokerModification(int(name))
    return ev.PartitionModification(name) if parent == znodes.TOPICS else None
