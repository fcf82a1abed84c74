"""Control requests of one transition, gathered per broker (kafka.controller.ControllerBrokerRequestBatch).

They go out in the order LeaderAndIsr, UpdateMetadata, StopReplica: a broker learns its new role before clients learn of
it, and a replica is stopped only after its leader was told. The parts that are the same for every broker are shared.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.controller.conversation import Turn
from broker.controller.events import Send
from broker.controller.state import (
    EPOCH_DURING_DELETE,
    LEADER_DURING_DELETE,
    NO_EPOCH,
    ControllerContext,
    Leadership,
    TopicPartition,
)
from broker.wire.messages.leader_and_isr import (
    LeaderAndIsrLiveLeader,
    LeaderAndIsrPartitionState,
    LeaderAndIsrRequest,
    LeaderAndIsrTopicState,
)
from broker.wire.messages.stop_replica import StopReplicaPartitionState, StopReplicaRequest, StopReplicaTopicState
from broker.wire.messages.update_metadata import (
    UpdateMetadataBroker,
    UpdateMetadataEndpoint,
    UpdateMetadataPartitionState,
    UpdateMetadataRequest,
    UpdateMetadataTopicState,
)
from broker.zk.znodes import BrokerZnode

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""By their number on the wire."""


class RequestBatch:
    """Opened by a transition, filled, and sent by :meth:`send`, which puts the requests among the turn's effects."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._leader_and_isr: dict[int, dict[TopicPartition, LeaderAndIsrPartitionState]] = {}
        self._metadata_to: dict[int, None] = {}
        self._metadata: dict[TopicPartition, UpdateMetadataPartitionState] = {}
        self._stop: dict[int, dict[TopicPartition, bool]] = {}

    def add_leader_and_isr(
        self, brokers: Iterable[int], partition: TopicPartition, leadership: Leadership, *, is_new: bool = False
    ) -> None:
        """LeaderAndIsr to those of ``brokers`` that are registered, and UpdateMetadata of it to all."""
        context = self._turn.context
        for broker in brokers:
            if broker not in context.live:
                continue
            states = self._leader_and_isr.setdefault(broker, {})
            was_new = partition in states and states[partition].is_new
            states[partition] = _leader_and_isr_state(context, partition, leadership, is_new or was_new)
        self.add_update_metadata(context.recipients(), [partition])

    def add_update_metadata(self, brokers: Iterable[int], partitions: Iterable[TopicPartition] = ()) -> None:
        """Without partitions: only who lives. Partitions without a known leadership are left out."""
        self._metadata_to.update(dict.fromkeys(broker for broker in brokers if broker in self._turn.context.live))
        for partition in partitions:
            leadership = self._turn.context.leadership.get(partition)
            if leadership is not None:
                self._metadata[partition] = _metadata_state(self._turn.context, partition, leadership)

    def add_stop_replica(self, broker: int, partition: TopicPartition, *, delete: bool) -> None:
        """Stop serving, and with ``delete`` remove the files. Once asked to delete, it stays so."""
        if broker in self._turn.context.live:
            stops = self._stop.setdefault(broker, {})
            stops[partition] = stops.get(partition, False) or delete

    def send(self) -> None:
        """Put everything gathered among the effects."""
        effects = self._turn.effects
        effects.extend(Send(broker, self._leader_and_isr_request(broker)) for broker in sorted(self._leader_and_isr))
        if self._metadata_to:
            topics = self._metadata_topics()
            brokers = [_metadata_broker(self._turn.context.live[it].znode) for it in self._turn.context.recipients()]
            effects.extend(Send(it, self._metadata_request(it, topics, brokers)) for it in sorted(self._metadata_to))
        effects.extend(Send(broker, self._stop_request(broker)) for broker in sorted(self._stop))
        self._leader_and_isr, self._metadata_to, self._metadata, self._stop = {}, {}, {}, {}

    def _leader_and_isr_request(self, broker: int) -> LeaderAndIsrRequest:
        context = self._turn.context
        topics: dict[str, LeaderAndIsrTopicState] = {}
        leaders: dict[int, None] = {}
        for partition, state in self._leader_and_isr[broker].items():
            topic = topics.get(partition.topic)
            if topic is None:
                topic = topics[partition.topic] = LeaderAndIsrTopicState(
                    topic_name=partition.topic, topic_id=context.topic_id(partition.topic), partition_states=[]
                )
            topic.partition_states.append(state)
            leaders[state.leader] = None
        return LeaderAndIsrRequest(
            controller_id=self._turn.config.broker_id,
            controller_epoch=context.epoch,
            broker_epoch=context.live[broker].epoch,
            topic_states=list(topics.values()),
            live_leaders=self._live_leaders(leaders),
        )

    def _live_leaders(self, leaders: Iterable[int]) -> list[LeaderAndIsrLiveLeader]:
        listener = self._turn.config.inter_broker_listener()
        found = []
        for broker in sorted(leaders):
            live = self._turn.context.live.get(broker)
            endpoint = live and next((end for end in live.znode.endpoints if end.listener == listener), None)
            if endpoint:
                found.append(LeaderAndIsrLiveLeader(broker_id=broker, host_name=endpoint.host, port=endpoint.port))
        return found

    def _metadata_topics(self) -> list[UpdateMetadataTopicState]:
        topics: dict[str, UpdateMetadataTopicState] = {}
        for partition, state in self._metadata.items():
            topic = topics.get(partition.topic)
            if topic is None:
                topic = topics[partition.topic] = UpdateMetadataTopicState(
                    topic_name=partition.topic,
                    topic_id=self._turn.context.topic_id(partition.topic),
                    partition_states=[],
                )
            topic.partition_states.append(state)
        return list(topics.values())

    def _metadata_request(
        self, broker: int, topics: list[UpdateMetadataTopicState], brokers: list[UpdateMetadataBroker]
    ) -> UpdateMetadataRequest:
        return UpdateMetadataRequest(
            controller_id=self._turn.config.broker_id,
            controller_epoch=self._turn.context.epoch,
            broker_epoch=self._turn.context.live[broker].epoch,
            topic_states=topics,
            live_brokers=brokers,
        )

    def _stop_request(self, broker: int) -> StopReplicaRequest:
        context = self._turn.context
        topics: dict[str, StopReplicaTopicState] = {}
        for partition, delete in self._stop[broker].items():
            topic = topics.get(partition.topic)
            if topic is None:
                topic = topics[partition.topic] = StopReplicaTopicState(topic_name=partition.topic, partition_states=[])
            topic.partition_states.append(
                StopReplicaPartitionState(
                    partition_index=partition.partition,
                    leader_epoch=_stop_epoch(context, partition),
                    delete_partition=delete,
                )
            )
        return StopReplicaRequest(
            controller_id=self._turn.config.broker_id,
            controller_epoch=context.epoch,
            broker_epoch=context.live[broker].epoch,
            topic_states=list(topics.values()),
        )


def greeting(turn: Turn, broker_epoch: int) -> UpdateMetadataRequest:
    """To a broker that is not live, without partitions: only the process of that broker epoch answers without error."""
    context = turn.context
    return UpdateMetadataRequest(
        controller_id=turn.config.broker_id,
        controller_epoch=context.epoch,
        broker_epoch=broker_epoch,
        live_brokers=[_metadata_broker(context.live[it].znode) for it in context.recipients()],
    )


def _leader_and_isr_state(
    context: ControllerContext, partition: TopicPartition, leadership: Leadership, is_new: bool
) -> LeaderAndIsrPartitionState:
    assignment = context.assignment(partition)
    return LeaderAndIsrPartitionState(
        topic_name=partition.topic,
        partition_index=partition.partition,
        controller_epoch=leadership.controller_epoch,
        leader=leadership.leader,
        leader_epoch=leadership.leader_epoch,
        isr=list(leadership.isr),
        partition_epoch=leadership.partition_epoch,
        replicas=list(assignment.replicas),
        adding_replicas=list(assignment.adding),
        removing_replicas=list(assignment.removing),
        is_new=is_new,
        leader_recovery_state=leadership.recovery_state,
    )


def _metadata_state(
    context: ControllerContext, partition: TopicPartition, leadership: Leadership
) -> UpdateMetadataPartitionState:
    replicas = context.assignment(partition).replicas
    is_deleting = context.is_to_be_deleted(partition.topic)
    return UpdateMetadataPartitionState(
        topic_name=partition.topic,
        partition_index=partition.partition,
        controller_epoch=leadership.controller_epoch,
        leader=LEADER_DURING_DELETE if is_deleting else leadership.leader,
        leader_epoch=leadership.leader_epoch,
        isr=list(leadership.isr),
        zk_version=leadership.partition_epoch,
        replicas=list(replicas),
        offline_replicas=[broker for broker in replicas if not context.is_online(broker, partition)],
    )


def _stop_epoch(context: ControllerContext, partition: TopicPartition) -> int:
    if context.is_to_be_deleted(partition.topic):
        return EPOCH_DURING_DELETE
    leadership = context.leadership.get(partition)
    return NO_EPOCH if leadership is None else leadership.leader_epoch


def _metadata_broker(znode: BrokerZnode) -> UpdateMetadataBroker:
    return UpdateMetadataBroker(
        id=znode.broker_id,
        rack=znode.rack,
        endpoints=[
            UpdateMetadataEndpoint(
                host=end.host,
                port=end.port,
                listener=end.listener,
                security_protocol=SECURITY_PROTOCOLS.index(end.protocol),
            )
            for end in znode.endpoints
        ],
    )


def send_metadata(turn: Turn, brokers: Iterable[int], partitions: Iterable[TopicPartition] = ()) -> None:
    """One UpdateMetadata to each broker (KafkaController.sendUpdateMetadataRequest)."""
    batch = RequestBatch(turn)
    batch.add_update_metadata(brokers, partitions)
    batch.send()
