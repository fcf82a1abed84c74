"""The controller as a machine: events in, a talk with ZooKeeper, effects out (kafka.controller.KafkaController).

At most one broker's machine is active. It becomes so by one multi that creates /controller and raises the number in
/controller_epoch, and every later write is made on condition that the epoch is still its own; so whatever a replaced
controller believes, it can no longer change anything. Brokers in turn refuse requests of older epochs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from broker.cluster.ibp import Ibp
from broker.config import KafkaConfig
from broker.controller import (
    brokers,
    deletion,
    elections,
    failover,
    fast_failover,
    isr_changes,
    partitions,
    producer_ids,
    reassignment,
    topics,
)
from broker.controller import events as ev
from broker.controller.conversation import ControllerMoved, Transition, Turn, ask, delete_nodes
from broker.controller.events import Effect, Event, Reply
from broker.controller.state import ControllerContext
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.allocate_producer_ids import AllocateProducerIdsResponse
from broker.wire.messages.alter_partition import AlterPartitionResponse
from broker.zk import znodes
from broker.zk.operations import Check, Create, CreateMode, Delete, Exists, GetData, Multi, Result, SetData, ZkCode

log = logging.getLogger(__name__)

NOBODY = -1


class ControllerMachine:
    """``handle`` is a generator to be driven to its end before the next; ``resign`` may come at any time instead."""

    def __init__(self, config: KafkaConfig, ibp: Ibp, new_uuid: Callable[[], UUID]) -> None:
        self.config = config
        self.ibp = ibp
        self.context = ControllerContext()
        self.controller_id = NOBODY
        self.seen: ev.ControllerSeen | None = None
        """The controller, where it is another broker that can be watched."""
        self._deposed: ev.ControllerSeen | None = None
        """Whom this broker found gone, until it sees another controller."""
        self._new_uuid = new_uuid

    @property
    def is_active(self) -> bool:
        return self.context.epoch > 0

    def resign(self) -> None:
        """Forget everything; the caller drops channels, timers and queued events."""
        if self.is_active:
            log.info("controller e%d: resigned", self.context.epoch)
        self.context = ControllerContext()
        self.controller_id = NOBODY
        self.seen = None

    def handle(self, event: Event) -> Transition[Sequence[Effect]]:
        """Raises ControllerMoved when another controller was elected: resign, and stand again."""
        turn = Turn(self.config, self.ibp, self.context, self._new_uuid)
        if isinstance(event, ev.Elect):
            yield from self._elect(turn, event)
        elif isinstance(event, ev.ControllerUnreachable):
            if event.seen == self.seen:
                self._deposed = event.seen
                yield from fast_failover.depose(event.seen)
        elif self.is_active:
            yield from _handle(turn, event)
        else:
            refused = refusal(event)
            turn.effects.extend([] if refused is None else [refused])
        return turn.effects

    def leave(self) -> Transition[None]:
        """Give /controller up, so that another is elected at once; refused harmlessly if that has happened already."""
        if self.is_active:
            turn = Turn(self.config, self.ibp, self.context, self._new_uuid)
            yield from delete_nodes(turn, [znodes.CONTROLLER])

    def _elect(self, turn: Turn, event: ev.Elect) -> Transition[None]:
        """Become controller if nobody is, else remember who is."""
        while True:
            # the epoch first: who then deletes the holder on condition of that epoch deletes no later holder
            watch = Exists(znodes.CONTROLLER, watch=True)
            epoch, _, holder = yield from ask([GetData(znodes.CONTROLLER_EPOCH), watch, GetData(znodes.CONTROLLER)])
            self.controller_id = _holder(holder) if holder.ok else NOBODY
            self.seen = None
            if self.is_active and self.controller_id != self.config.broker_id:
                raise ControllerMoved(
                    f"broker {self.controller_id} is controller" if holder.ok else "nobody is controller"
                )
            if holder.ok and (self.is_active or holder.stat is None or holder.stat.ephemeral_owner != event.session_id):
                if not self.is_active and epoch.ok:
                    self.seen = yield from fast_failover.look_at(turn, self.controller_id, holder, epoch.version)
                if self._deposed != self.seen:
                    self._deposed = None
                return
            if not epoch.ok:
                yield from ask([Create(znodes.CONTROLLER_EPOCH, znodes.encode_controller_epoch(0))])
            elif holder.ok:  # mine, of this session: resigning, I could not reach ZooKeeper to remove it
                check = Check(znodes.CONTROLLER_EPOCH, epoch.version)
                yield from ask([Multi((check, Delete(znodes.CONTROLLER, holder.version)))])
            elif (yield from self._stand(epoch, event.wall_ms)):
                deposed, self._deposed = self._deposed, None
                yield from failover.take_over(turn, deposed)
                return

    def _stand(self, found: Result, wall_ms: int) -> Transition[bool]:
        """True when elected, which a reply that was lost may have hidden from the first attempt."""
        me = self.config.broker_id
        kraft_epoch = -1 if self.ibp.feature_versions else None
        epoch = znodes.decode_controller_epoch(found.data) + 1
        node = znodes.ControllerZnode(me, wall_ms, kraft_epoch).encode()
        raise_epoch = SetData(znodes.CONTROLLER_EPOCH, znodes.encode_controller_epoch(epoch), found.version)
        multi = Multi((Create(znodes.CONTROLLER, node, CreateMode.EPHEMERAL), raise_epoch))
        result = (yield from ask([multi]))[0]
        version = found.version + 1
        if not result.ok:
            if result.code not in (ZkCode.NODE_EXISTS, ZkCode.BAD_VERSION):
                result.or_raise()
            reads = [GetData(znodes.CONTROLLER), GetData(znodes.CONTROLLER_EPOCH)]
            holder, now = yield from ask(reads)
            if not (holder.ok and holder.data == node and now.ok and now.version == version):
                return False
        self.context.epoch, self.context.epoch_zk_version = epoch, version
        self.controller_id = me
        log.info("controller e%d: broker %d was elected", epoch, me)
        return True


def _holder(result: Result) -> int:
    try:
        return znodes.ControllerZnode.decode(result.data).broker_id
    except znodes.MalformedZnode as error:
        log.error("who is controller cannot be read: %s", error)
        return NOBODY


def _handle(turn: Turn, event: Event) -> Transition[None]:
    match event:
        case ev.BrokerChange():
            yield from brokers.on_broker_change(turn)
        case ev.BrokerModification():
            yield from brokers.on_broker_modification(turn, event.broker)
        case ev.TopicChange():
            yield from topics.on_topic_change(turn)
        case ev.PartitionModification():
            yield from topics.on_partition_modification(turn, event.topic)
        case ev.TopicDeletion():
            yield from deletion.on_topic_deletion(turn)
        case ev.IsrChange():
            yield from isr_changes.on_isr_change(turn)
        case ev.LogDirEvent():
            yield from brokers.on_log_dir_event(turn)
        case ev.PreferredElectionZnode():
            yield from elections.on_preferred_election_znode(turn)
        case ev.UncleanElectionEnabled():
            yield from partitions.elect_new_and_offline(turn, event.topic)
        case ev.AutoRebalance():
            yield from elections.auto_rebalance(turn)
        case ev.ControlReply():
            yield from fast_failover.on_control_reply(turn, event)
        case ev.BrokerUnreachable():
            yield from fast_failover.on_broker_unreachable(turn, event)
        case ev.ElectLeaders():
            yield from elections.elect_leaders(turn, event)
        case ev.ReassignPartitions():
            yield from reassignment.reassign_partitions(turn, event)
        case ev.ListReassignments():
            reassignment.list_reassignments(turn, event)
        case ev.ReassignmentZnode():
            yield from reassignment.on_reassignment_znode(turn)
        case ev.ControlledShutdown():
            yield from brokers.controlled_shutdown(turn, event)
        case ev.AlterPartition():
            yield from isr_changes.alter_partition(turn, event)
        case ev.AllocateProducerIds():
            yield from producer_ids.allocate_producer_ids(turn, event)
        case ev.Elect() | ev.ControllerUnreachable():
            raise AssertionError("elections are the machine's own")


def refusal(event: Event) -> Reply | None:
    """What a broker that is not controller answers to a request; None for what is none."""
    not_controller = ErrorCode.NOT_CONTROLLER
    match event:
        case ev.AlterPartition():
            return Reply(event.token, AlterPartitionResponse(error_code=not_controller))
        case ev.AllocateProducerIds():
            return Reply(event.token, AllocateProducerIdsResponse(error_code=not_controller))
        case ev.ElectLeaders() | ev.ControlledShutdown() | ev.ReassignPartitions() | ev.ListReassignments():
            return Reply(
                event.token, KafkaError(not_controller, "This is not the correct controller for this cluster.")
            )
        case _:
            return None
