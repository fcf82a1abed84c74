"""Brokers that come, die, bounce, move, stop, or lose a disk (KafkaController.onBrokerStartup, onBrokerFailure)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from broker.controller import deletion, partitions, reassignment, replicas
from broker.controller.conversation import Transition, Turn, ask, delete_nodes
from broker.controller.events import CloseChannel, ControlledShutdown, ControlReply, OpenChannel, Reply
from broker.controller.leader_election import CONTROLLED_SHUTDOWN
from broker.controller.requests import SECURITY_PROTOCOLS, send_metadata
from broker.controller.state import LiveBroker, PartitionState, Replica, ReplicaState, TopicPartition
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.leader_and_isr import LeaderAndIsrResponse
from broker.wire.messages.stop_replica import StopReplicaRequest, StopReplicaResponse
from broker.zk import znodes
from broker.zk.operations import GetChildren, GetData

log = logging.getLogger(__name__)

R = ReplicaState
UNKNOWN_BROKER_EPOCH = -1


def read_brokers(ids: Iterable[str]) -> Transition[dict[int, LiveBroker]]:
    """The registered brokers among ``ids``, each watched for changes of its endpoints."""
    names = [name for name in ids if name.isdigit()]
    results = yield from ask([GetData(znodes.broker_id(int(name)), watch=True) for name in names])
    found: dict[int, LiveBroker] = {}
    for broker, result in sorted(zip(map(int, names), results, strict=True), key=lambda it: it[0]):
        if not result.ok or result.stat is None:
            continue
        try:
            znode = znodes.BrokerZnode.decode(broker, result.data)
        except znodes.MalformedZnode as error:
            log.error("broker %d counts as absent: %s", broker, error)
            continue
        unknown = [end.protocol for end in znode.endpoints if end.protocol not in SECURITY_PROTOCOLS]
        if unknown:
            log.error("broker %d counts as absent: its security protocol %s is not known", broker, unknown[0])
            continue
        found[broker] = LiveBroker(znode, result.stat.czxid)
    return found


def open_channel(turn: Turn, broker: int, *, was_here: bool = False) -> None:
    """Control requests go to the control plane listener if there is one, else to the inter-broker listener."""
    known = turn.context.registered(broker)
    assert known is not None
    listener = turn.config.control_plane_listener_name or turn.config.inter_broker_listener()
    for endpoint in known.znode.endpoints:
        if endpoint.listener == listener.upper():
            turn.effects.append(OpenChannel(broker, endpoint.host, endpoint.port, known.epoch, was_here))
            return
    log.error("broker %d has no listener %s, so nothing can be sent to it", broker, listener)


def on_broker_change(turn: Turn) -> Transition[None]:
    """Children of /brokers/ids: the dead first, so that nobody elects them, then the bounced, then the new."""
    context = turn.context
    children = (yield from ask([GetChildren(znodes.BROKER_IDS, watch=True)]))[0].or_raise().children
    present = yield from read_brokers(children)
    suspects = _settle_suspicions(turn, present)
    dead = [broker for broker in context.live if broker not in present]
    bounced = [it for it, found in present.items() if it in context.live and found.epoch > context.live[it].epoch]
    new = [broker for broker in present if context.registered(broker) is None]
    if dead or bounced or new:
        log.info("controller e%d: new brokers %s, dead %s, bounced %s", context.epoch, new, dead, bounced)
    yield from on_failure(turn, sorted(dead + bounced))
    if suspects:
        yield from partitions.elect_new_and_offline(turn)  # who was waited for will not come back as it was
    for broker in bounced + new:
        context.live[broker] = present[broker]
        open_channel(turn, broker)
    yield from on_startup(turn, sorted(bounced + new))


def _settle_suspicions(turn: Turn, present: Mapping[int, LiveBroker]) -> list[int]:
    """The suspects whose registration is gone, or was made anew: nothing is suspected of them any more."""
    context = turn.context
    settled = [it for it, known in context.suspected.items() if it not in present or present[it].epoch > known.epoch]
    for broker in settled:
        del context.suspected[broker]
        context.shutting_down.discard(broker)
        turn.effects.append(CloseChannel(broker))
    return settled


def on_failure(turn: Turn, dead: Sequence[int]) -> Transition[None]:
    if not dead:
        return
    for broker in dead:
        del turn.context.live[broker]
        turn.context.offline_dirs.pop(broker, None)
        turn.context.shutting_down.discard(broker)
        turn.effects.append(CloseChannel(broker))
    yield from on_replicas_offline(turn, turn.context.replicas_on(set(dead)))


def on_replicas_offline(turn: Turn, lost: Sequence[Replica]) -> Transition[None]:
    """New leaders for what they led, then out of the ISRs; topics that are to be deleted wait for them."""
    context = turn.context
    to_delete = [it for it in lost if context.is_to_be_deleted(it.partition.topic)]
    others = [it for it in lost if not context.is_to_be_deleted(it.partition.topic)]
    partitions.to_state(turn, context.without_live_leader(), PartitionState.OFFLINE)
    any_elected = yield from partitions.elect_new_and_offline(turn)
    yield from replicas.to_offline(turn, others)
    yield from deletion.on_replicas_failed(turn, to_delete)
    if not others and not any_elected:
        send_metadata(turn, context.recipients())


def on_startup(turn: Turn, started: Sequence[int]) -> Transition[None]:
    if not started:
        return
    context = turn.context
    for broker in started:
        context.offline_dirs.pop(broker, None)
    send_metadata(turn, [broker for broker in context.recipients() if broker not in started])
    send_metadata(turn, started, list(context.leadership))
    back = context.replicas_on(set(started))
    replicas.to_online(turn, replicas.in_states(turn, back, R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE))
    yield from partitions.elect_new_and_offline(turn)
    yield from reassignment.resume(turn, started)
    yield from deletion.resume(turn, dict.fromkeys(it.partition.topic for it in back))


def on_broker_modification(turn: Turn, broker: int) -> Transition[None]:
    """A broker's endpoints or rack changed: everybody hears of it. A new registration is on_broker_change's."""
    known = turn.context.registered(broker)
    found = (yield from read_brokers([str(broker)])).get(broker)
    if known is None or found is None or found.epoch != known.epoch or found.znode == known.znode:
        return
    log.info("broker %d changed its endpoints to %s", broker, ", ".join(map(str, found.znode.endpoints)))
    (turn.context.suspected if broker in turn.context.suspected else turn.context.live)[broker] = found
    open_channel(turn, broker)
    send_metadata(turn, turn.context.recipients())


def controlled_shutdown(turn: Turn, event: ControlledShutdown) -> Transition[None]:
    """Move leadership off a broker that wants to stop (KIP-370, KafkaController.doControlledShutdown)."""
    context, broker = turn.context, event.broker
    epoch = context.broker_epoch(broker)
    if epoch is None:
        refused = KafkaError(ErrorCode.BROKER_NOT_AVAILABLE, f"Broker id {broker} does not exist.")
        turn.effects.append(Reply(event.token, refused))
        return
    if event.broker_epoch != UNKNOWN_BROKER_EPOCH and event.broker_epoch < epoch:
        stale = f"Broker epoch {event.broker_epoch} is older than {epoch}, the current one of broker {broker}."
        turn.effects.append(Reply(event.token, KafkaError(ErrorCode.STALE_BROKER_EPOCH, stale)))
        return
    log.info("broker %d is shutting down", broker)
    context.shutting_down.add(broker)
    replicated = [it for it in _replicated_on(turn, broker) if it in context.leadership]
    led = [it for it in replicated if context.leadership[it].leader == broker]
    followed = [it for it in replicated if context.leadership[it].leader != broker]
    yield from partitions.to_online(turn, led, CONTROLLED_SHUTDOWN)
    yield from replicas.to_offline(turn, [Replica(partition, broker) for partition in followed])
    remaining = tuple(it for it in _replicated_on(turn, broker) if _leads(turn, broker, it))
    log.info("broker %d still leads %d partitions that nobody else can", broker, len(remaining))
    turn.effects.append(Reply(event.token, remaining))


def _replicated_on(turn: Turn, broker: int) -> list[TopicPartition]:
    """Partitions with a replica there and one elsewhere, which are not about to be deleted."""
    return [
        replica.partition
        for replica in turn.context.replicas_on({broker})
        if len(turn.context.assignment(replica.partition).replicas) > 1
        and not turn.context.is_to_be_deleted(replica.partition.topic)
    ]


def _leads(turn: Turn, broker: int, partition: TopicPartition) -> bool:
    leadership = turn.context.leadership.get(partition)
    return leadership is not None and leadership.leader == broker


def on_log_dir_event(turn: Turn) -> Transition[None]:
    """A broker lost a log dir: LeaderAndIsr for all its replicas; its answer says which are gone."""
    names = (yield from ask([GetChildren(znodes.LOG_DIR_EVENTS, watch=True)]))[0].or_raise().children
    paths = [znodes.child(znodes.LOG_DIR_EVENTS, name) for name in names]
    brokers: dict[int, None] = {}
    for path, result in zip(paths, (yield from ask([GetData(path) for path in paths])), strict=True):
        try:
            if result.ok:
                brokers[znodes.decode_log_dir_event(result.data)] = None
        except znodes.MalformedZnode as error:
            log.error("%s is dropped: %s", path, error)
    if brokers:
        log.info("log directory failed on brokers %s", sorted(brokers))
        probed = turn.context.replicas_on(brokers)
        replicas.to_online(turn, replicas.in_states(turn, probed, R.NEW, R.ONLINE, R.OFFLINE, R.DELETION_INELIGIBLE))
    yield from delete_nodes(turn, paths)


def on_control_reply(turn: Turn, event: ControlReply) -> Transition[None]:
    """What a broker answered; of another life of it, or with an error for the whole, it says nothing."""
    if turn.context.broker_epoch(event.broker) != event.broker_epoch:
        return
    if event.response.error_code:
        error = ErrorCode(event.response.error_code).name
        log.error("broker %d answered %s with %s", event.broker, type(event.request).__name__, error)
    if isinstance(event.response, LeaderAndIsrResponse):
        if not event.response.error_code:
            yield from _on_leader_and_isr(turn, event.broker, event.response)
    elif isinstance(event.response, StopReplicaResponse):
        yield from _on_stop_replica(turn, event.broker, event.request, event.response)


def _on_leader_and_isr(turn: Turn, broker: int, response: LeaderAndIsrResponse) -> Transition[None]:
    offline = turn.context.offline_dirs.setdefault(broker, set())
    lost: list[Replica] = []
    for partition, error in _leader_and_isr_errors(turn.context.topic_names, response):
        if not turn.context.is_known(partition):
            continue
        if error == ErrorCode.KAFKA_STORAGE_ERROR and partition not in offline:
            offline.add(partition)
            lost.append(Replica(partition, broker))
        elif error == ErrorCode.NONE:
            offline.discard(partition)
    if lost:
        log.warning("broker %d: log dirs of %d replicas are offline", broker, len(lost))
        yield from on_replicas_offline(turn, replicas.in_states(turn, lost, R.NEW, R.ONLINE, R.OFFLINE))


def _leader_and_isr_errors(
    names: Mapping[UUID, str], response: LeaderAndIsrResponse
) -> Iterable[tuple[TopicPartition, int]]:
    for item in response.partition_errors:
        yield TopicPartition(item.topic_name, item.partition_index), item.error_code
    for topic in response.topics:
        if topic.topic_id in names:
            for item in topic.partition_errors:
                yield TopicPartition(names[topic.topic_id], item.partition_index), item.error_code


def _on_stop_replica(
    turn: Turn, broker: int, request: StopReplicaRequest, response: StopReplicaResponse
) -> Transition[None]:
    """Only deletions matter: those that succeeded, and those that did not."""
    errors = {TopicPartition(it.topic_name, it.partition_index): it.error_code for it in response.partition_errors}
    asked = [
        Replica(TopicPartition(topic.topic_name, state.partition_index), broker)
        for topic in request.topic_states
        for state in topic.partition_states
        if state.delete_partition
    ]
    mine = replicas.in_states(turn, asked, R.DELETION_STARTED)
    failed = [it for it in mine if response.error_code or errors.get(it.partition, 0)]
    yield from deletion.on_replicas_failed(turn, failed)
    yield from deletion.on_replicas_deleted(turn, _without(mine, failed))


def _without(all_of: Iterable[Replica], some: Collection[Replica]) -> list[Replica]:
    excluded = set(some)
    return [replica for replica in all_of if replica not in excluded]
