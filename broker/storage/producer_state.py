"""What idempotent and transactional producers last wrote to a partition (ProducerStateManager; facts G.2, G.3)."""

from __future__ import annotations

from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

from broker.host.files import Files, write_atomically
from broker.wire.batch import NO_SEQUENCE, BatchHeader, checksum
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import ControlRecord

WINDOW = 5
"""Batches per producer in which a retry is recognised; clients keep no more than five in flight."""
MAX_SEQUENCE = 0x7FFFFFFF

_HEAD = Struct(">hIi")
_ENTRY = Struct(">qhiqiqiq")


class SnapshotCorrupt(ValueError):
    """A producer snapshot does not parse or fails its CRC; an older one, or the log itself, must do."""


class AppendedBatch(NamedTuple):
    """One batch of a producer. Sequences are -1 for batches without (written by a coordinator)."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int

    @property
    def first_offset(self) -> int:
        return self.last_offset - self.offset_delta

    @property
    def first_sequence(self) -> int:
        if self.last_sequence < 0:
            return NO_SEQUENCE
        return (self.last_sequence - self.offset_delta) & MAX_SEQUENCE


class Producer:
    """One producer id: its epoch, its last batches (oldest first), and its open transaction's first offset or -1.

    ``is_fresh``: it wrote, or was loaded, since ``expire`` last looked.
    """

    __slots__ = ("batches", "coordinator_epoch", "epoch", "is_fresh", "last_timestamp", "txn_first_offset")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.is_fresh = True
        self.coordinator_epoch = -1
        self.last_timestamp = -1
        self.txn_first_offset = -1
        self.batches: list[AppendedBatch] = []

    @property
    def last_sequence(self) -> int:
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def last_offset(self) -> int:
        return self.batches[-1].last_offset if self.batches else -1

    def begin_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch = epoch
            self.batches = []


class ProducerState:
    """Producers by id. ``check`` before an append, ``appended`` or ``ended`` after it, for every origin alike."""

    __slots__ = ("_directory", "_files", "producers")

    def __init__(self, files: Files, directory: str) -> None:
        self._files = files
        self._directory = directory
        self.producers: dict[int, Producer] = {}

    def moved_to(self, directory: str) -> None:
        self._directory = directory

    def check(self, head: BatchHeader) -> AppendedBatch | None:
        """May a client append this batch? None: yes. An AppendedBatch: it is a retry of that one, append nothing.

        Raises KafkaError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE.
        """
        known = self.producers.get(head.producer_id)
        if known is None:
            return None
        epoch, first, last = head.producer_epoch, head.base_sequence, head.last_sequence
        if epoch == known.epoch:
            for batch in known.batches:
                if batch.last_sequence == last and batch.first_sequence == first:
                    return batch
        if epoch < known.epoch:
            message = f"producer {head.producer_id} has epoch {known.epoch}, the batch {epoch}"
            raise KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH, message)
        expected = 0 if epoch > known.epoch else (known.last_sequence + 1) & MAX_SEQUENCE
        if first != expected:
            message = f"producer {head.producer_id} epoch {epoch}: sequence {first} came, {expected} was expected"
            raise KafkaError(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, message)
        if known.txn_first_offset >= 0 and not head.is_transactional:
            message = f"producer {head.producer_id} has an open transaction and wrote outside of it"
            raise KafkaError(ErrorCode.INVALID_TXN_STATE, message)
        return None

    def appended(self, head: BatchHeader, first_offset: int, timestamp: int) -> None:
        """A data batch with a producer id was written at ``first_offset``."""
        known = self._producer(head.producer_id, head.producer_epoch)
        known.last_timestamp = timestamp
        last_offset = first_offset + head.last_offset_delta
        known.batches.append(AppendedBatch(head.last_sequence, last_offset, head.last_offset_delta, timestamp))
        if len(known.batches) > WINDOW:
            del known.batches[0]
        if known.txn_first_offset < 0 and head.is_transactional:
            known.txn_first_offset = first_offset

    def ended(self, producer_id: int, epoch: int, marker: ControlRecord, timestamp: int) -> None:
        """A transaction marker was written: the producer's transaction is over."""
        known = self._producer(producer_id, epoch)
        known.txn_first_offset = -1
        known.coordinator_epoch = marker.coordinator_epoch
        known.last_timestamp = timestamp

    def _producer(self, producer_id: int, epoch: int) -> Producer:
        known = self.producers.get(producer_id)
        if known is None:
            known = self.producers[producer_id] = Producer(epoch)
        known.begin_epoch(epoch)
        known.is_fresh = True
        return known

    def expire(self, now_ms: int, expiration_ms: int) -> int:
        """Forget producers that wrote nothing for ``expiration_ms`` (producer.id.expiration.ms); how many.

        Not who wrote or was loaded since the last call: a wall clock that jumps by days, which has Kafka take a retry
        for a new producer's, does not. An open transaction never expires.
        """
        old = [
            producer_id
            for producer_id, known in self.producers.items()
            if known.txn_first_offset < 0 and not known.is_fresh and now_ms - known.last_timestamp >= expiration_ms
        ]
        for producer_id in old:
            del self.producers[producer_id]
        for known in self.producers.values():
            known.is_fresh = False
        return len(old)

    def roll_back(self, offset: int) -> bool:
        """Forget what was written at ``offset`` or after; False when only a replay can tell what was before."""
        touched = [known for known in self.producers.values() if known.last_offset >= offset]
        if any(known.coordinator_epoch >= 0 or known.txn_first_offset >= 0 for known in self.producers.values()):
            return False
        for known in touched:
            kept = [batch for batch in known.batches if batch.last_offset < offset]
            if not kept:
                return False
            known.batches = kept
            known.last_timestamp = kept[-1].timestamp
        return True

    def snapshot_path(self, offset: int) -> str:
        return f"{self._directory}/{offset:020d}.snapshot"

    def take_snapshot(self, offset: int) -> None:
        """Write the state as of ``offset``: when a segment is rolled (its base) and at a clean close (log end)."""
        write_atomically(self._files, self.snapshot_path(offset), self.encode())

    def encode(self) -> bytes:
        """The snapshot file's content; of each producer's window only the last batch is kept (G.3)."""
        parts = [bytearray(_HEAD.size)]
        for producer_id, known in self.producers.items():
            last = known.batches[-1] if known.batches else AppendedBatch(NO_SEQUENCE, -1, 0, known.last_timestamp)
            parts.append(
                bytearray(
                    _ENTRY.pack(
                        producer_id,
                        known.epoch,
                        last.last_sequence,
                        last.last_offset,
                        last.offset_delta,
                        known.last_timestamp,
                        known.coordinator_epoch,
                        known.txn_first_offset,
                    )
                )
            )
        content = bytearray().join(parts)
        _HEAD.pack_into(content, 0, 1, 0, len(self.producers))
        content[2:6] = checksum(memoryview(content)[6:]).to_bytes(4, "big")
        return bytes(content)

    def restore(self, offset: int) -> None:
        """Take over the snapshot at ``offset``. Raises SnapshotCorrupt."""
        self.producers = decode(self._files.read(self.snapshot_path(offset)))


def decode(content: bytes) -> dict[int, Producer]:
    """Producers of a snapshot file's content. Raises SnapshotCorrupt."""
    try:
        version, crc, count = _HEAD.unpack_from(content)
        if version != 1 or crc != checksum(memoryview(content)[6:]):
            raise SnapshotCorrupt(f"version {version}, or a CRC that does not match")
        loaded: dict[int, Producer] = {}
        for index in range(count):
            producer_id, epoch, sequence, offset, delta, timestamp, coordinator, txn = _ENTRY.unpack_from(
                content, _HEAD.size + index * _ENTRY.size
            )
            known = loaded[producer_id] = Producer(epoch)
            known.last_timestamp = timestamp
            known.coordinator_epoch = coordinator
            known.txn_first_offset = txn
            if offset >= 0:
                known.batches.append(AppendedBatch(sequence, offset, delta, timestamp))
    except struct_error as error:
        raise SnapshotCorrupt("cut short") from error
    return loaded
