"""A stage for the controller's plays: real ZooKeeper trees in memory, brokers that only listen, a script in words.

Lines at the margin are what happens; the indented lines under one are all that the controllers then did, in order.
Indented lines that begin with ``zk`` look at a node; ``...`` stands for effects that do not matter here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from broker.cluster.ibp import Ibp
from broker.config import KafkaConfig
from broker.controller import events as ev
from broker.controller.conversation import ControllerMoved
from broker.controller.driver import event_of
from broker.controller.machine import ControllerMachine
from broker.controller.state import TopicPartition
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsRequest, AllocateProducerIdsResponse
from broker.wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    RequestPartitionData,
    RequestTopicData,
)
from broker.wire.messages.leader_and_isr import (
    LeaderAndIsrPartitionError,
    LeaderAndIsrRequest,
    LeaderAndIsrResponse,
    LeaderAndIsrTopicError,
)
from broker.wire.messages.stop_replica import StopReplicaPartitionError, StopReplicaRequest, StopReplicaResponse
from broker.wire.messages.update_metadata import UpdateMetadataRequest, UpdateMetadataResponse
from broker.zk import znodes
from broker.zk.operations import (
    Create,
    CreateMode,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Result,
    SetData,
    WatchKind,
    ZkCode,
)
from broker.zk.requests import Requests
from broker.zookeeper.jute import Reader
from broker.zookeeper.processor import Processor, Refused
from broker.zookeeper.tree import Tree
from broker.zookeeper.watches import STANDARD, Watches

IDENTITIES = (("ip", "127.0.0.1"),)
WALL_MS = 1_700_000_000_000
OBSERVER = 99


class MemoryZooKeeper:
    """The server's own tree, processor and watches, without a socket. ``on_event(session, path, kind)``."""

    def __init__(self, on_event: Callable[[int, str, WatchKind], None]) -> None:
        self.processor = Processor(Tree())
        self.watches: Watches[int] = Watches()
        self.requests = Requests("", secure=False)
        self.on_event = on_event
        self.lose_reply_to: Callable[[Operation], bool] | None = None

    def perform(self, session: int, op: Operation) -> Result:
        """One operation. A reply that is lost makes the client ask again: the second answer is what it sees."""
        if self.lose_reply_to is not None and self.lose_reply_to(op):
            self.lose_reply_to = None
            self._once(session, op)
        return self._once(session, op)

    def _once(self, session: int, op: Operation) -> Result:
        opcode, body = self.requests.encode(op)
        if isinstance(op, GetData | GetChildren | Exists):
            return self._read(session, op, opcode)
        outcome = self.processor.write(opcode, body, session, 0, WALL_MS, IDENTITIES)
        self._fire(outcome.changes)
        reader = Reader(outcome.reply.encode())
        return self.requests.decode(op, opcode, outcome.err, reader)

    def _read(self, session: int, op: GetData | GetChildren | Exists, opcode: int) -> Result:
        table = self.watches.child if isinstance(op, GetChildren) else self.watches.data
        try:
            if isinstance(op, GetData):
                payload = self.processor.data(op.path, IDENTITIES).encode()
            elif isinstance(op, GetChildren):
                payload = self.processor.children(op.path, IDENTITIES).encode()
            else:
                payload = self.processor.stat(op.path)
        except Refused as refused:
            if op.watch and isinstance(op, Exists):
                table.add(op.path, session, STANDARD)
            return self.requests.decode(op, opcode, int(refused.code), Reader(b""))
        if op.watch:
            table.add(op.path, session, STANDARD)
        return self.requests.decode(op, opcode, 0, Reader(payload))

    def close_session(self, session: int) -> None:
        self.watches.forget(session)
        self._fire(self.processor.close_session(session, 0, WALL_MS).changes)

    def _fire(self, changes: Iterable[Any]) -> None:
        for change in changes:
            for session in self.watches.fire(change):
                self.on_event(session, change.path, WatchKind(change.type))


class Actor:
    """One broker: its session, its controller machine, the events that wait for it."""

    def __init__(self, broker: int, stage: Stage) -> None:
        self.broker = broker
        self.session = 0
        self.machine = ControllerMachine(stage.config_of(broker), stage.ibp, stage.new_uuid)
        self.events: deque[Any] = deque()
        self.is_paused = False
        self.is_silent = False
        self.bad_disk: set[TopicPartition] = set()
        self.kept: list[ev.ControlReply] = []


class Stage:
    """``Stage("1 2 3").play(script)``."""

    def __init__(self, brokers: str = "1 2 3", *, ibp: str = "3.9", **settings: Any) -> None:
        self.ibp = Ibp.of(ibp)
        self.settings = settings
        self.zk = MemoryZooKeeper(self._on_watch)
        self.sessions = 100
        self.uuids = 0
        self.lines: list[str] = []
        self.sent: list[ev.Send] = []
        self.actors: dict[int, Actor] = {}
        for path in znodes.PERSISTENT_PATHS:
            for step in [*znodes.parents(path), path]:
                self.zk.perform(OBSERVER, Create(step))
        self.zk.perform(OBSERVER, Create("/admin"))
        for broker in map(int, brokers.split()):
            self.actors[broker] = Actor(broker, self)
            self.register(broker)

    def config_of(self, broker: int) -> KafkaConfig:
        return KafkaConfig.of(broker_id=broker, **self.settings)

    def new_uuid(self) -> UUID:
        self.uuids += 1
        return UUID(int=self.uuids)

    def register(self, broker: int) -> None:
        actor = self.actors[broker]
        self.sessions += 1
        actor.session = self.sessions
        endpoint = znodes.Endpoint("PLAINTEXT", f"host{broker}", 9090 + broker, "PLAINTEXT")
        path = znodes.broker_id(broker)
        data = znodes.BrokerZnode(broker, (endpoint,), WALL_MS, features={}).encode()
        self.zk.perform(actor.session, Multi((Create(path, None, CreateMode.EPHEMERAL), SetData(path, data, 0))))

    def _on_watch(self, session: int, path: str, kind: WatchKind) -> None:
        for actor in self.actors.values():
            if actor.session == session:
                event = ev.Elect(WALL_MS, session) if path == znodes.CONTROLLER else event_of(path, kind)
                if event is not None and (actor.machine.is_active or isinstance(event, ev.Elect)):
                    actor.events.append(event)

    # --- running ---

    def play(self, script: str) -> Stage:
        for number, (line, expected) in enumerate(_scenes(script), 1):
            self.lines = []
            self._happen(line)
            self.settle()
            looks = [it for it in expected if it.startswith("zk ")]
            wanted = [it for it in expected if not it.startswith("zk ")]
            done = _grouped(self.lines)
            if wanted != ["..."]:
                assert done == wanted, _difference(number, line, wanted, done)
            for look in looks:
                name = look.split()[1]
                assert f"zk {name} {self.look(name)}" == look, f"scene {number} ({line})"
        return self

    def settle(self) -> None:
        """Everybody who is not paused handles what waits, until nobody has anything left."""
        while True:
            actor = next((it for it in self.actors.values() if it.events and not it.is_paused), None)
            if actor is None:
                return
            self._handle(actor, actor.events.popleft())

    def _handle(self, actor: Actor, event: Any) -> None:
        transition = actor.machine.handle(event)
        try:
            batch = next(transition)
            while True:
                batch = transition.send([self.zk.perform(actor.session, op) for op in batch.ops])
        except StopIteration as done:
            for effect in done.value:
                self._effect(actor, effect)
        except ControllerMoved:
            self.lines.append(f"{actor.broker} resigns")
            actor.machine.resign()
            actor.events.clear()
            actor.events.append(ev.Elect(WALL_MS, actor.session))

    def _effect(self, actor: Actor, effect: Any) -> None:
        self.lines.append(_words(effect))
        if isinstance(effect, ev.Send):
            self.sent.append(effect)
            reply = self._answer(effect)
            if reply is not None:
                target = self.actors[effect.broker]
                if target.is_silent:
                    target.kept.append(reply)
                else:
                    actor.events.append(reply)

    def _answer(self, send: ev.Send) -> ev.ControlReply | None:
        bad = self.actors[send.broker].bad_disk
        request = send.request
        if isinstance(request, UpdateMetadataRequest):
            return None
        named = {
            topic.topic_name: [
                (it.partition_index, _error(bad, topic.topic_name, it.partition_index)) for it in topic.partition_states
            ]
            for topic in request.topic_states
        }
        if isinstance(request, StopReplicaRequest):
            errors = [
                StopReplicaPartitionError(topic_name=name, partition_index=index, error_code=code)
                for name, codes in named.items()
                for index, code in codes
            ]
            return ev.ControlReply(
                send.broker, request.broker_epoch, request, StopReplicaResponse(partition_errors=errors)
            )
        response = LeaderAndIsrResponse()
        for topic in request.topic_states:
            items = [
                LeaderAndIsrPartitionError(topic_name=topic.topic_name, partition_index=index, error_code=code)
                for index, code in named[topic.topic_name]
            ]
            if self.ibp.topic_ids:
                response.topics.append(LeaderAndIsrTopicError(topic_id=topic.topic_id, partition_errors=items))
            else:
                response.partition_errors.extend(items)
        return ev.ControlReply(send.broker, request.broker_epoch, request, response)

    # --- what can happen ---

    def _happen(self, line: str) -> None:
        for pattern, act in _VERBS:
            match = re.fullmatch(pattern, line)
            if match:
                act(self, *match.groups())
                return
        raise AssertionError(f"nobody knows how this happens: {line}")

    @property
    def controller(self) -> Actor:
        """The newest epoch's; a zombie may hold an older one."""
        return max(self.actors.values(), key=lambda it: it.machine.context.epoch)

    def epoch_of(self, broker: int) -> int:
        stat = self.zk.perform(OBSERVER, Exists(znodes.broker_id(broker))).stat
        return -1 if stat is None else stat.czxid

    def put(self, path: str, data: bytes | None = None) -> None:
        if self.zk.perform(OBSERVER, Create(path, data)).code is ZkCode.NODE_EXISTS:
            self.zk.perform(OBSERVER, SetData(path, data))

    def look(self, name: str) -> str:
        """A partition's state, or whether a path is there."""
        if name.startswith("assignment:"):
            topic, index = _partition(name.removeprefix("assignment:"))
            found = self.zk.perform(OBSERVER, GetData(znodes.topic(topic)))
            return _outcome(znodes.TopicZnode.decode(topic, found.data).partitions[index])
        if name.startswith("/"):
            found = self.zk.perform(OBSERVER, GetData(name))
            return f"is {found.data.decode() if found.data else ''}".strip() if found.ok else "is absent"
        found = self.zk.perform(OBSERVER, GetData(znodes.partition_state(*_partition(name))))
        if not found.ok:
            return "is absent"
        state = znodes.PartitionState.decode(found.data)
        words = f"leader {state.leader} epoch {state.leader_epoch} isr {_ids(state.isr)} by e{state.controller_epoch}"
        return f"{words} version {found.version}" + (" recovering" if state.leader_recovery_state else "")


def _error(bad: set[TopicPartition], topic: str, index: int) -> int:
    return ErrorCode.KAFKA_STORAGE_ERROR if TopicPartition(topic, index) in bad else ErrorCode.NONE


def _scenes(script: str) -> Iterator[tuple[str, list[str]]]:
    scene: tuple[str, list[str]] | None = None
    lines = [line for line in script.splitlines() if line.strip() and not line.strip().startswith("#")]
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    for line in lines:
        if line[margin] != " ":
            if scene is not None:
                yield scene
            scene = (line.strip(), [])
        else:
            assert scene is not None
            scene[1].append(" ".join(line.split()))
    if scene is not None:
        yield scene


def _difference(number: int, line: str, wanted: list[str], done: list[str]) -> str:
    shown = "\n".join(["expected:", *(f"    {it}" for it in wanted), "happened:", *(f"    {it}" for it in done)])
    return f"scene {number} ({line})\n{shown}"


def _grouped(lines: list[str]) -> list[str]:
    """``1 < x``, ``2 < x`` becomes ``1,2 < x``."""
    grouped: list[str] = []
    for line in lines:
        who, sign, what = line.partition(" < ")
        if sign and grouped and grouped[-1].partition(" < ")[2] == what:
            grouped[-1] = f"{grouped[-1].partition(' < ')[0]},{who} < {what}"
        else:
            grouped.append(line)
    return grouped


# --- effects in words ---


def _words(effect: Any) -> str:
    match effect:
        case ev.Send(broker, request):
            return f"{broker} < {_request(request)}"
        case ev.OpenChannel(broker, host, port):
            return f"open {broker} at {host}:{port}"
        case ev.CloseChannel(broker):
            return f"close {broker}"
        case ev.SetTimer(seconds, event):
            return f"in {seconds:g} s: {type(event).__name__}"
        case ev.Reply(_, value):
            return f"reply {_reply(value)}"
    raise AssertionError(effect)


def _ids(brokers: Iterable[int]) -> str:
    return ",".join(map(str, brokers)) or "-"


def _request(request: Any) -> str:
    parts: list[str] = []
    for topic in request.topic_states:
        for it in topic.partition_states:
            name = f"{topic.topic_name}-{it.partition_index}"
            if isinstance(request, StopReplicaRequest):
                parts.append(f"{name} {'delete' if it.delete_partition else 'stop'} epoch {it.leader_epoch}")
                continue
            text = f"{name} leader {it.leader} epoch {it.leader_epoch} isr {_ids(it.isr)}"
            if isinstance(request, LeaderAndIsrRequest):
                text += " new" if it.is_new else ""
                text += " recovering" if it.leader_recovery_state else ""
            elif it.offline_replicas:
                text += f" offline {_ids(it.offline_replicas)}"
            parts.append(text)
    if isinstance(request, UpdateMetadataRequest):
        parts.append(f"alive {_ids(it.id for it in request.live_brokers)}")
    kind = type(request).__name__.removesuffix("Request")
    return f"{kind} e{request.controller_epoch} {'; '.join(parts)}"


def _reply(value: Any) -> str:
    if isinstance(value, KafkaError):
        return ErrorCode(value.code).name
    if isinstance(value, AlterPartitionResponse):
        if value.error_code:
            return ErrorCode(value.error_code).name
        return "; ".join(
            f"{ErrorCode(it.error_code).name}"
            + ("" if it.error_code else f" isr {_ids(it.isr)} epoch {it.leader_epoch} version {it.partition_epoch}")
            for topic in value.topics
            for it in topic.partitions
        )
    if isinstance(value, AllocateProducerIdsResponse):
        return ErrorCode(value.error_code).name + f" {value.producer_id_start}+{value.producer_id_len}"
    if isinstance(value, dict):
        return "; ".join(f"{partition} {_outcome(it)}" for partition, it in value.items()) or "nothing"
    return f"still leads {_ids(value)}"


def _outcome(it: Any) -> str:
    if isinstance(it, znodes.ReplicaAssignment):
        return f"{_ids(it.replicas)} adding {_ids(it.adding)} removing {_ids(it.removing)}"
    return str(it[0].name)


def _partition(name: str) -> TopicPartition:
    topic, _, index = name.rpartition("-")
    return TopicPartition(topic, int(index))


def _replicas(text: str) -> tuple[int, ...]:
    return tuple(int(it) for it in text.split(",") if it != "-")


# --- verbs ---


def _stands(stage: Stage, broker: str) -> None:
    actor = stage.actors[int(broker)]
    actor.events.append(ev.Elect(WALL_MS, actor.session))


def _create_topic(stage: Stage, topic: str, layout: str, with_id: bool = True) -> None:
    assignments = {index: znodes.ReplicaAssignment(_replicas(it)) for index, it in enumerate(layout.split("; "))}
    topic_id = stage.new_uuid() if with_id and stage.ibp.topic_ids else None
    stage.put(znodes.config_entity("topics", topic), znodes.encode_config({}))
    stage.put(znodes.topic(topic), znodes.TopicZnode(assignments, topic_id).encode())


def _create_without_id(stage: Stage, topic: str, layout: str) -> None:
    _create_topic(stage, topic, layout, with_id=False)


def _half_create(stage: Stage, topic: str, layout: str) -> None:
    """As a controller leaves it that dies between the nodes of the partitions and their states."""
    _create_topic(stage, topic, layout)
    stage.put(znodes.partitions(topic))
    stage.put(znodes.partition(topic, 0))


def _dies(stage: Stage, brokers: str) -> None:
    for broker in _replicas(brokers.replace(" and ", ",")):
        actor = stage.actors[broker]
        stage.zk.close_session(actor.session)
        actor.session = 0
        actor.machine = ControllerMachine(stage.config_of(broker), stage.ibp, stage.new_uuid)
        actor.events.clear()


def _returns(stage: Stage, broker: str) -> None:
    stage.register(int(broker))
    _stands(stage, broker)


def _bounces(stage: Stage, broker: str) -> None:
    _dies(stage, broker)
    _returns(stage, broker)


def _expires(stage: Stage, broker: str) -> None:
    """The session is gone in ZooKeeper; its broker does not know."""
    stage.zk.close_session(stage.actors[int(broker)].session)


def _refuses(stage: Stage, broker: str) -> None:
    stage.controller.events.append(ev.BrokerUnreachable(int(broker), stage.epoch_of(int(broker))))


def _refused_before(stage: Stage, broker: str) -> None:
    """It was observed, and has registered anew since."""
    stage.controller.events.append(ev.BrokerUnreachable(int(broker), stage.epoch_of(int(broker)) - 1))


def _answers(stage: Stage, broker: str, error: str | None) -> None:
    """To the UpdateMetadata that it was sent last."""
    request = next(it.request for it in reversed(stage.sent) if it.broker == int(broker))
    assert isinstance(request, UpdateMetadataRequest)
    response = UpdateMetadataResponse(error_code=ErrorCode[error] if error else ErrorCode.NONE)
    stage.controller.events.append(ev.ControlReply(int(broker), request.broker_epoch, request, response))


def _finds_the_controller_gone(stage: Stage, brokers: str) -> None:
    """Each of them by its own observation, before any of them heard of the others'."""
    for broker in _replicas(brokers.replace(" and ", ",")):
        actor = stage.actors[broker]
        assert actor.machine.seen is not None
        actor.events.append(ev.ControllerUnreachable(actor.machine.seen))
        actor.events.append(ev.Elect(WALL_MS, actor.session))


def _freezes(stage: Stage, broker: str) -> None:
    """The process is gone; its session is not."""
    stage.actors[int(broker)].is_paused = True


def _asks_to_stop(stage: Stage, broker: str) -> None:
    stage.controller.events.append(ev.ControlledShutdown(1, int(broker), stage.epoch_of(int(broker))))


def _asks_to_stop_stale(stage: Stage, broker: str) -> None:
    stage.controller.events.append(ev.ControlledShutdown(1, int(broker), stage.epoch_of(int(broker)) - 1))


def _silent(stage: Stage, broker: str) -> None:
    stage.actors[int(broker)].is_silent = True


def _speaks(stage: Stage, broker: str) -> None:
    actor = stage.actors[int(broker)]
    actor.is_silent = False
    epoch = stage.controller.machine.context.epoch  # the lines of an older controller are closed
    stage.controller.events.extend(it for it in actor.kept if it.request.controller_epoch == epoch)
    actor.kept.clear()


def _pauses(stage: Stage, broker: str) -> None:
    stage.actors[int(broker)].is_paused = True


def _resumes(stage: Stage, broker: str) -> None:
    stage.actors[int(broker)].is_paused = False


def _bad_disk(stage: Stage, broker: str, name: str) -> None:
    stage.actors[int(broker)].bad_disk.add(_partition(name))


def _log_dir_event(stage: Stage, broker: str) -> None:
    op = Create(znodes.LOG_DIR_EVENT_PREFIX, znodes.encode_log_dir_event(int(broker)), CreateMode.SEQUENTIAL)
    stage.zk.perform(OBSERVER, op)


def _mark(stage: Stage, topic: str) -> None:
    stage.put(znodes.delete_topic(topic))


def _remove(stage: Stage, path: str) -> None:
    stage.zk.perform(OBSERVER, Delete(path))


def _propose(stage: Stage, broker: str, name: str, isr: str, epoch: str, version: str, api: str | None) -> None:
    topic, index = _partition(name)
    number = int(api or 3)
    data = RequestPartitionData(
        partition_index=index, leader_epoch=int(epoch), partition_epoch=int(version), new_isr=list(_replicas(isr))
    )
    data.new_isr_with_epochs = [BrokerState(broker_id=it, broker_epoch=stage.epoch_of(it)) for it in _replicas(isr)]
    topic_id = stage.controller.machine.context.topic_ids.get(topic, UUID(int=999))
    topics = [RequestTopicData(topic_name=topic, topic_id=topic_id, partitions=[data])]
    request = AlterPartitionRequest(broker_id=int(broker), broker_epoch=stage.epoch_of(int(broker)), topics=topics)
    stage.controller.events.append(ev.AlterPartition(1, request, number))


def _leader_writes_isr(stage: Stage, name: str, isr: str) -> None:
    """As leaders did before IBP 2.7: conditionally, then a notification."""
    path = znodes.partition_state(*_partition(name))
    found = stage.zk.perform(OBSERVER, GetData(path))
    old = znodes.PartitionState.decode(found.data)
    new = znodes.PartitionState(old.leader, old.leader_epoch, _replicas(isr), old.controller_epoch)
    stage.zk.perform(OBSERVER, SetData(path, new.encode(), found.version))
    notice = znodes.encode_partition_set([_partition(name)])
    stage.zk.perform(OBSERVER, Create(znodes.ISR_CHANGE_PREFIX, notice, CreateMode.SEQUENTIAL))


def _leader_writes_quietly(stage: Stage, name: str, isr: str) -> None:
    path = znodes.partition_state(*_partition(name))
    found = stage.zk.perform(OBSERVER, GetData(path))
    old = znodes.PartitionState.decode(found.data)
    new = znodes.PartitionState(old.leader, old.leader_epoch, _replicas(isr), old.controller_epoch)
    stage.zk.perform(OBSERVER, SetData(path, new.encode()))


def _grows(stage: Stage, topic: str, layout: str) -> None:
    found = znodes.TopicZnode.decode(topic, stage.zk.perform(OBSERVER, GetData(znodes.topic(topic))).data)
    added = [znodes.ReplicaAssignment(_replicas(it)) for it in layout.split("; ")]
    everything = dict(enumerate([*found.partitions.values(), *added]))
    stage.put(znodes.topic(topic), znodes.TopicZnode(everything, found.topic_id).encode())


def _elect(stage: Stage, kind: str, names: str) -> None:
    asked = None if names == "everything" else tuple(map(_partition, names.split(",")))
    stage.controller.events.append(ev.ElectLeaders(1, asked, 0 if kind == "preferred" else 1))


def _elect_by_znode(stage: Stage, names: str) -> None:
    stage.put(znodes.PREFERRED_REPLICA_ELECTION, znodes.encode_partition_set(map(_partition, names.split(","))))


def _reassign(stage: Stage, name: str, target: str) -> None:
    stage.controller.events.append(ev.ReassignPartitions(1, {_partition(name): _replicas(target)}))


def _cancel_reassignment(stage: Stage, name: str) -> None:
    stage.controller.events.append(ev.ReassignPartitions(1, {_partition(name): None}))


def _list_reassignments(stage: Stage) -> None:
    stage.controller.events.append(ev.ListReassignments(1, None))


def _reassign_by_znode(stage: Stage, plan: str) -> None:
    moves = dict(re.fullmatch(r"(\S+) to ([\d,]+)", it).groups() for it in plan.split("; "))  # type: ignore[union-attr]
    targets = {tuple(_partition(name)): _replicas(target) for name, target in moves.items()}
    stage.put(znodes.REASSIGN_PARTITIONS, znodes.encode_reassignment(targets))  # type: ignore[arg-type]


def _rebalance(stage: Stage) -> None:
    stage.controller.events.append(ev.AutoRebalance())


def _allow_unclean(stage: Stage, topic: str) -> None:
    config = znodes.encode_config({"unclean.leader.election.enable": "true"})
    stage.put(znodes.config_entity("topics", topic), config)
    stage.controller.events.append(ev.UncleanElectionEnabled(topic))


def _breaks(stage: Stage, broker: str) -> None:
    """It resigns after a failure, while ZooKeeper cannot be reached to leave /controller."""
    stage.actors[int(broker)].machine.resign()
    _stands(stage, broker)


def _producer_ids(stage: Stage, broker: str) -> None:
    request = AllocateProducerIdsRequest(broker_id=int(broker), broker_epoch=stage.epoch_of(int(broker)))
    stage.controller.events.append(ev.AllocateProducerIds(1, request))


def _moves(stage: Stage, broker: str, host: str) -> None:
    endpoint = znodes.Endpoint("PLAINTEXT", host, 9000, "PLAINTEXT")
    stage.put(
        znodes.broker_id(int(broker)), znodes.BrokerZnode(int(broker), (endpoint,), WALL_MS, features={}).encode()
    )


def _lose_reply(stage: Stage, path: str) -> None:
    def concerns(op: Operation) -> bool:
        ops = op.ops if isinstance(op, Multi) else (op,)
        return any(isinstance(it, Create | SetData) and it.path == path for it in ops)

    stage.zk.lose_reply_to = concerns


_VERBS: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"broker (\d+) stands", _stands),
    (r"topic (\S+) is created on ([\d,; ]+)", _create_topic),
    (r"topic (\S+) is created without an id on ([\d,; ]+)", _create_without_id),
    (r"topic (\S+) is half created on ([\d,; ]+)", _half_create),
    (r"topic (\S+) grows by ([\d,; ]+)", _grows),
    (r"topic (\S+) allows unclean elections", _allow_unclean),
    (r"topic (\S+) is marked for deletion", _mark),
    (r"(?:broker|brokers) ([\d, and]+) (?:dies|die)", _dies),
    (r"broker (\d+) returns", _returns),
    (r"broker (\d+) bounces", _bounces),
    (r"controller (\d+) breaks off and cannot leave", _breaks),
    (r"the session of broker (\d+) expires unnoticed", _expires),
    (r"broker (\d+) refuses connections", _refuses),
    (r"broker (\d+) had refused connections in its last life", _refused_before),
    (r"broker (\d+) answers(?: with (\w+))?", _answers),
    (r"(?:broker|brokers) ([\d, and]+) (?:finds|find) the controller gone", _finds_the_controller_gone),
    (r"broker (\d+) is killed and stays registered", _freezes),
    (r"broker (\d+) asks to stop", _asks_to_stop),
    (r"broker (\d+) asks to stop with an old epoch", _asks_to_stop_stale),
    (r"broker (\d+) moves to (\S+)", _moves),
    (r"broker (\d+) falls silent", _silent),
    (r"broker (\d+) speaks again", _speaks),
    (r"controller (\d+) pauses", _pauses),
    (r"controller (\d+) resumes", _resumes),
    (r"the disk of broker (\d+) under (\S+) fails", _bad_disk),
    (r"broker (\d+) reports a failed log dir", _log_dir_event),
    (r"somebody removes (\S+)", _remove),
    (r"leader (\d+) proposes (\S+) isr ([\d,-]+) epoch (\d+) version (\d+)(?: by v(\d))?", _propose),
    (r"the leader of (\S+) writes isr ([\d,]+)", _leader_writes_isr),
    (r"the leader of (\S+) writes isr ([\d,]+) and has not said so yet", _leader_writes_quietly),
    (r"elect (preferred|unclean) (\S+)", _elect),
    (r"the old tool asks for preferred (\S+)", _elect_by_znode),
    (r"reassign (\S+) to ([\d,-]+)", _reassign),
    (r"cancel the reassignment of (\S+)", _cancel_reassignment),
    (r"list the reassignments", _list_reassignments),
    (r"the old tool moves (.+)", _reassign_by_znode),
    (r"it is time to rebalance", _rebalance),
    (r"broker (\d+) wants producer ids", _producer_ids),
    (r"the reply to the next write of (\S+) will be lost", _lose_reply),
)
