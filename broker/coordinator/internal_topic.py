"""An internal topic as its coordinator sees it: appends that end when they are replicated, and logs to load from.

The replication layer's side of ``coordinator/shards`` (ReplicaManager.appendRecords with AppendOrigin.COORDINATOR).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from broker.cluster.metadata_cache import MetadataCache
from broker.coordinator.shards import Done
from broker.host import Clock, LogDirFailed
from broker.replication.purgatory import WaitingProduce
from broker.replication.replicas import Replicas
from broker.storage.log import Log, Origin
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import Record, build_batch


@dataclass(slots=True)
class _Outcome:
    error_code: int = 0


@dataclass(slots=True)
class InternalTopicShards:
    """``default_partitions``: what the topic will be created with. ``dir_failed``: what to do about a broken disk."""

    topic: str
    replicas: Replicas
    metadata: MetadataCache
    clock: Clock
    acks: int
    timeout_ms: int
    default_partitions: int
    dir_failed: Callable[[LogDirFailed], None]

    def append(self, partition: int, leader_epoch: int, records: Sequence[Record], done: Done) -> None:
        """One batch. ``done`` is called once: at once when refused, else when replicated or timed out."""
        batch = build_batch(records, base_offset=0)
        try:
            hosted, info = self.replicas.append(
                self.topic, partition, batch, self.acks, epoch=leader_epoch, origin=Origin.COORDINATOR
            )
        except KafkaError as error:
            done(error.code, -1)
            return
        except LogDirFailed as failure:
            self.dir_failed(failure)
            done(ErrorCode.KAFKA_STORAGE_ERROR, -1)
            return
        if self.acks != -1:
            done(ErrorCode.NONE, info.first_offset)
            return
        outcome = _Outcome()
        waiting = WaitingProduce(lambda: done(outcome.error_code, info.first_offset))
        waiting.wait_for(hosted.acks, info.last_offset + 1, outcome)
        waiting.release()
        if waiting.is_waiting:
            waiting.park(self.clock, self.timeout_ms / 1000)
        else:
            done(outcome.error_code, info.first_offset)

    def log(self, partition: int) -> Log | None:
        hosted = self.replicas.get(self.topic, partition)
        return None if hosted is None else hosted.log

    def partition_count(self) -> int:
        """Of the existing topic: a change of offsets.topic.num.partitions moves no group."""
        return len(self.metadata.partitions(self.topic)) or self.default_partitions
