"""What the controller tells replicas to be: LeaderAndIsr and StopReplica (ReplicaManager.becomeLeaderOrFollower).

The order within a request is Kafka's: epochs first, then all new leaders, then all new followers, so that what this
broker leads no longer is deposed, and what it leads now is not fetched, before anything else happens (facts C.4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from broker.cluster.metadata_cache import LEADER_DURING_DELETE, ZERO_UUID, Delta
from broker.host import LogDirFailed
from broker.replication.hosted import HostedPartition
from broker.replication.partition import Role
from broker.replication.replicas import Replicas
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.messages.leader_and_isr import LeaderAndIsrPartitionState, LeaderAndIsrRequest
from broker.wire.messages.stop_replica import StopReplicaRequest

logger = logging.getLogger(__name__)

_NO_EPOCH = -1
_MANY = 100
"""Roles in one request from which a line in the log for each would say less, and cost more, than one for all."""

Errors = dict[tuple[str, int], ErrorCode]


@dataclass(slots=True)
class Wanted:
    """One partition of a LeaderAndIsr; ``topic_id`` is None where the controller tells none."""

    topic: str
    topic_id: UUID | None
    state: LeaderAndIsrPartitionState

    @property
    def key(self) -> tuple[str, int]:
        return self.topic, self.state.partition_index


@dataclass(slots=True)
class Stop:
    """One partition of a StopReplica, in any version."""

    topic: str
    index: int
    leader_epoch: int
    delete: bool


def _ignore(leaders: list[HostedPartition], followers: list[HostedPartition]) -> None:
    return


@dataclass(slots=True)
class RoleChanges:
    """For the coordinators: ``on_roles_changed(leaders, followers)`` once all roles of a request have changed,
    ``on_topics_removed(topics)`` when the controller said that they are no more. ``on_controller()``: the first request
    of a controller has come.
    """

    replicas: Replicas
    on_roles_changed: Callable[[list[HostedPartition], list[HostedPartition]], None] = field(default=_ignore)
    on_topics_removed: Callable[[tuple[str, ...]], None] = field(default=lambda topics: None)
    on_controller: Callable[[], None] = field(default=lambda: None)
    _level: int = logging.INFO
    _refused: dict[tuple[str, int], str] = field(default_factory=dict)

    def become_leader_or_follower(self, request: LeaderAndIsrRequest) -> Errors:
        """Apply a LeaderAndIsr; an error code for each partition.

        Raises KafkaError STALE_BROKER_EPOCH and STALE_CONTROLLER_EPOCH for the whole.
        """
        self.check_epochs(request.controller_epoch, request.broker_epoch)
        errors: Errors = {}
        leading: list[Wanted] = []
        following: list[Wanted] = []
        for wanted in _wanted(request):
            error = self._judge(wanted)
            errors[wanted.key] = error or ErrorCode.NONE
            if error is None:
                (leading if wanted.state.leader == self._broker_id else following).append(wanted)
        many = len(leading) + len(following) > _MANY
        self._level = logging.DEBUG if many else logging.INFO
        for wanted in leading:
            self.replicas.fetchers.remove(*wanted.key)
        leaders = self._each(leading, errors, self._lead)
        followers = self._each(following, errors, self._follow)
        for hosted in (*leaders, *followers):
            self.replicas.moves.resume(hosted)
        if many:
            logger.info("leader of %d partitions anew, follower of %d", len(leaders), len(followers))
        self.replicas.fetchers.end_idle()
        self.replicas.expect_followers(leaders)
        self.on_roles_changed(leaders, followers)
        return errors

    def check_epochs(self, controller_epoch: int, broker_epoch: int) -> None:
        """Refuse a controller that was deposed, and a request that was meant for our former life (KIP-380)."""
        replicas = self.replicas
        if broker_epoch != _NO_EPOCH and broker_epoch < replicas.broker_epoch():
            raise KafkaError(ErrorCode.STALE_BROKER_EPOCH)
        if controller_epoch < replicas.controller_epoch:
            raise KafkaError(ErrorCode.STALE_CONTROLLER_EPOCH)
        is_new, replicas.controller_epoch = controller_epoch > replicas.controller_epoch, controller_epoch
        if is_new:
            self.on_controller()

    @property
    def _broker_id(self) -> int:
        return self.replicas.config.broker_id

    def _judge(self, wanted: Wanted) -> ErrorCode | None:
        """Why nothing is to be done (NONE: because all is well already), or None."""
        topic, index = wanted.key
        if self.replicas.is_offline(topic, index):
            return ErrorCode.KAFKA_STORAGE_ERROR
        hosted = self.replicas.get(topic, index)
        if hosted is not None:
            ours = hosted.topic_id
            if wanted.topic_id is not None and ours is not None and ours != wanted.topic_id:
                return ErrorCode.INCONSISTENT_TOPIC_ID
            if wanted.state.leader_epoch == hosted.partition.leader_epoch and ours is None and wanted.topic_id:
                return self._learn_topic_id(wanted)
            if wanted.state.leader_epoch <= hosted.partition.leader_epoch:
                return ErrorCode.STALE_CONTROLLER_EPOCH
        if self._broker_id not in wanted.state.replicas:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return None

    def _learn_topic_id(self, wanted: Wanted) -> ErrorCode:
        try:
            self._log_of(wanted)
        except KafkaError as error:
            return error.code
        return ErrorCode.NONE

    def _each(
        self, wanted: list[Wanted], errors: Errors, become: Callable[[Wanted], HostedPartition]
    ) -> list[HostedPartition]:
        """Those that changed; whoever's disk or log refuses gets its error and stops serving."""
        changed: list[HostedPartition] = []
        for each in wanted:
            try:
                changed.append(become(each))
            except KafkaError as error:
                errors[each.key] = error.code
                self.replicas.drop(*each.key, error.code)
            except LogDirFailed:
                errors[each.key] = ErrorCode.KAFKA_STORAGE_ERROR
        return changed

    def _lead(self, wanted: Wanted) -> HostedPartition:
        replicas, state = self.replicas, wanted.state
        hosted = self._log_of(wanted)
        self._check_complete(wanted, hosted)
        effects = hosted.partition.lead(state, hosted.log.log_end_offset, replicas.host.clock.monotonic())
        logger.log(
            self._level,
            "%s leader in epoch %d from offset %d, high watermark %d, isr %s",
            *(hosted, state.leader_epoch, hosted.log.log_end_offset, hosted.partition.high_watermark, state.isr),
        )
        replicas.perform(hosted, effects)
        hosted.role_changed()
        return hosted

    def _check_complete(self, wanted: Wanted, hosted: HostedPartition) -> None:
        """Do not lead with a log that lost records, as far as recovery can tell, while another is in sync.

        KAFKA_STORAGE_ERROR has the controller take this replica out of the ISR and elect another, whom it then follows.
        Kafka's brokers lead whatever they found.
        """
        if hosted.log.may_lack_committed and any(replica != self._broker_id for replica in wanted.state.isr):
            logger.error("%s is not led by this broker, whose log has lost records: others are in sync", hosted)
            self._refused[wanted.key] = hosted.log.log_dir
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)

    def _offer_again(self) -> None:
        """What was not led, because its log is not complete, has another leader now: it can be followed."""
        for key, directory in list(self._refused.items()):
            state = self.replicas.metadata.partition(*key)
            if state is None or state.leader not in (-1, self._broker_id):
                del self._refused[key]
                if state is not None and self.replicas.get(*key) is None:
                    self.replicas.tell_controller_of(directory)

    def _follow(self, wanted: Wanted) -> HostedPartition:
        replicas, state = self.replicas, wanted.state
        replicas.fetchers.remove(*wanted.key)
        hosted = self._log_of(wanted)
        if self._broker_id not in state.isr:
            hosted.log.may_lack_committed = False  # it will not be in the ISR before it has all
        effects = hosted.partition.follow(state)
        logger.log(self._level, "%s follows %d in epoch %d", hosted, state.leader, state.leader_epoch)
        replicas.perform(hosted, effects)
        hosted.role_changed()
        self._fetch(hosted)
        return hosted

    def _fetch(self, hosted: HostedPartition) -> None:
        """Fetch from a leader that UpdateMetadata has named alive; :meth:`metadata_updated` sees to the others.

        Not when this broker is stopping, and nobody waits for it: its leader would wait, once it had caught up.
        """
        if self.replicas.is_stopping and self._broker_id not in hosted.partition.isr:
            return
        if self.replicas.metadata.is_alive(hosted.partition.leader):
            self.replicas.fetchers.add(hosted)

    def _log_of(self, wanted: Wanted) -> HostedPartition:
        """The hosted partition, its log made if need be. Raises KafkaError (KAFKA_STORAGE_ERROR, ...)."""
        replicas, (topic, index) = self.replicas, wanted.key
        config = replicas.config_of(topic)
        self._set_strays_aside(wanted)
        log = replicas.logdirs.get_or_create(topic, index, wanted.topic_id, config, wanted.state.is_new, self._level)
        return replicas.host_partition(topic, index, log)

    def _set_strays_aside(self, wanted: Wanted) -> None:
        """What lies here of an earlier topic of that name must not come back under the one that has it now.

        Only what was not served in this life: of a served one the controller says what becomes of it.
        """
        logdirs, (topic, index), topic_id = self.replicas.logdirs, wanted.key, wanted.topic_id
        if topic_id is None or self.replicas.get(topic, index) is not None:
            return
        for log in (logdirs.get(topic, index), logdirs.futures.get(topic, index)):
            if log is not None and log.topic_id not in (None, topic_id):
                logdirs.set_aside(log, f"topic id {topic_id} was told, the directory is of {log.topic_id}")

    def metadata_updated(self, delta: Delta) -> None:
        """UpdateMetadata came: begin to fetch from leaders that are alive now and were not known to be.

        Who leads looks again whom to wait for: no fetch, and perhaps no append, comes that would make it look.
        """
        if delta.removed_topics:
            self.on_topics_removed(delta.removed_topics)
        if self._refused:
            self._offer_again()
        if not delta.brokers_changed:
            return
        now = self.replicas.host.clock.monotonic()
        for hosted in self.replicas.all():
            following = hosted.partition.role is Role.FOLLOWER
            if following and not self.replicas.fetchers.follows(hosted.topic, hosted.index):
                self._fetch(hosted)
            elif hosted.is_leader:
                self.replicas.perform(hosted, hosted.partition.reconsider(now))
                hosted.deletions.release()

    # StopReplica

    def stop_replicas(self, request: StopReplicaRequest, version: int) -> Errors:
        """Apply a StopReplica: stop serving, and delete where told. Raises KafkaError as above."""
        self.check_epochs(request.controller_epoch, request.broker_epoch)
        errors: Errors = {}
        for stop in _stops(request):
            errors[stop.topic, stop.index] = self._stop(stop, by_epoch=version >= 3)
        self.replicas.fetchers.end_idle()
        return errors

    def _stop(self, stop: Stop, *, by_epoch: bool) -> ErrorCode:
        replicas = self.replicas
        if replicas.is_offline(stop.topic, stop.index):
            return ErrorCode.KAFKA_STORAGE_ERROR
        hosted = replicas.get(stop.topic, stop.index)
        special = stop.leader_epoch in (_NO_EPOCH, LEADER_DURING_DELETE)
        if hosted is not None and by_epoch and not special and stop.leader_epoch < hosted.partition.leader_epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if not stop.delete:
            replicas.silence(stop.topic, stop.index)
            logger.info("%s-%d stopped", stop.topic, stop.index)
            return ErrorCode.NONE
        replicas.drop(stop.topic, stop.index, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        try:
            replicas.logdirs.delete(stop.topic, stop.index)
            logger.info("%s-%d stopped and deleted", stop.topic, stop.index)
        except LogDirFailed:
            return ErrorCode.KAFKA_STORAGE_ERROR
        return ErrorCode.NONE


def _wanted(request: LeaderAndIsrRequest) -> Iterator[Wanted]:
    for topic in request.topic_states:
        topic_id = None if topic.topic_id == ZERO_UUID else topic.topic_id
        for state in topic.partition_states:
            yield Wanted(topic.topic_name, topic_id, state)
    for state in request.ungrouped_partition_states:
        yield Wanted(state.topic_name, None, state)


def _stops(request: StopReplicaRequest) -> Iterator[Stop]:
    for state in request.topic_states:
        for each in state.partition_states:
            yield Stop(state.topic_name, each.partition_index, each.leader_epoch, each.delete_partition)
    for topic in request.topics:
        for index in topic.partition_indexes:
            yield Stop(topic.name, index, _NO_EPOCH, request.delete_partitions)
    for lone in request.ungrouped_partitions:
        yield Stop(lone.topic_name, lone.partition_index, _NO_EPOCH, request.delete_partitions)
