"""What compaction makes of one batch: kept as it is, with fewer records, empty, or gone (Cleaner.cleanInto; facts E.7).

Offsets, sequences and leader epochs stay as they were, so a batch that loses records keeps its first and last offset.
A tombstone, or the marker of a transaction of which nothing is left, gets a horizon when it is first met (KIP-534:
attribute bit 6, the time in place of the base timestamp) and goes in the first clean after that time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from broker.storage.offset_map import OffsetMap
from broker.wire import batch as batches
from broker.wire.batch import HEADER, HEADER_SIZE, BatchHeader, Buffer
from broker.wire.compression import compress, inflate
from broker.wire.records import (
    OUTPUT_CAP,
    MalformedRecords,
    assemble,
    read_control,
    read_records,
    read_varint,
    write_varint,
)
from broker.wire.validation import compiled_reader

NEVER_WROTE = (-1, -1)


class Compaction:
    """The rules of one pass; ``rewrite`` is called for every batch from the log's first on, in order.

    ``markers``: offsets of abort markers that stay because data of their transactions was met in this pass; what the
    index of aborted transactions says of others must go with them.
    """

    def __init__(
        self,
        offsets: OffsetMap,
        aborted: frozenset[int],
        end: int,
        last: int,
        producers: Mapping[int, tuple[int, int]],
        now_ms: int,
        delete_retention_ms: int,
    ) -> None:
        """``aborted``: base offsets of batches of aborted transactions. ``end``: from there on nothing is judged.

        ``last``: where the last batch ends that is; so far a follower must get.
        ``producers``: of each active producer the last offset of its data (-1: none left) and its epoch.
        """
        self._offsets = offsets
        self._aborted = aborted
        self._end = end
        self._last = last
        self._producers = producers
        self._now_ms = now_ms
        self._new_horizon = now_ms + delete_retention_ms
        self._transactions: set[int] = set()
        self.markers: set[int] = set()

    def rewrite(self, whole: bytes, head: BatchHeader) -> Buffer | None:
        """What takes the place of the batch ``whole``: itself (the same object) where nothing changes, None to drop it.

        Raises MalformedRecords, compression.Damaged or TooLarge, or what the compiled reader raises.
        """
        if head.base_offset >= self._end:
            return whole
        if head.is_control:
            return self._control(whole, head)
        if head.is_transactional:
            self._transactions.add(head.producer_id)
        if head.base_offset in self._aborted or head.record_count == 0:
            return self._emptied(whole, head)
        return self._data(whole, head)

    def _control(self, whole: bytes, head: BatchHeader) -> Buffer | None:
        """A marker stays while data of its transaction was met in this pass, then until its horizon has passed."""
        if head.record_count == 0:
            return self._emptied(whole, head)
        marker = read_control(whole)
        if marker is None:
            return whole
        if head.producer_id in self._transactions:
            self._transactions.remove(head.producer_id)
            if not marker.commit:
                self.markers.add(head.last_offset)
            return whole
        if not head.attributes & batches.DELETE_HORIZON:
            return self._rebuilt(head, [whole[HEADER_SIZE:]], head.max_timestamp, sets_horizon=True)
        return whole if self._now_ms < head.base_timestamp else self._emptied(whole, head)

    def _data(self, whole: bytes, head: BatchHeader) -> Buffer | None:
        plain = _inflated(whole, head) if head.codec else whole
        has_horizon = bool(head.attributes & batches.DELETE_HORIZON)
        keeps_tombstones = not has_horizon or self._now_ms < head.base_timestamp
        newest, at, end = self._offsets.get, HEADER_SIZE, len(plain)
        kept: list[bytes] = []
        latest, tombstones = batches.NO_TIMESTAMP, False
        for record in _records(plain):
            start = at
            length, at = read_varint(plain, at)
            at += length
            if length < 0 or at > end:
                raise MalformedRecords(f"record of {length} bytes at {start} of a batch of {end}")
            key = record.key
            if record.offset < self._end and (key is None or record.offset < newest(key)):
                continue
            if record.value is None:
                if not keeps_tombstones:
                    continue
                tombstones = True
            kept.append(plain[start:at])
            if record.timestamp > latest:
                latest = record.timestamp
        if at != end:
            raise MalformedRecords(f"{end - at} bytes after the last record of the batch at {head.base_offset}")
        if not kept:
            return self._emptied(whole, head)
        sets_horizon = tombstones and not has_horizon
        if len(kept) == head.record_count and not sets_horizon:
            return whole
        return self._rebuilt(head, kept, latest, sets_horizon)

    def _rebuilt(self, head: BatchHeader, kept: list[bytes], latest: int, sets_horizon: bool) -> bytearray:
        made = head._replace(max_timestamp=latest, record_count=len(kept))
        if sets_horizon:
            shift = head.base_timestamp - self._new_horizon
            kept = [_shifted(record, shift) for record in kept]
            made = made._replace(base_timestamp=self._new_horizon, attributes=head.attributes | batches.DELETE_HORIZON)
        payload = b"".join(kept)
        return assemble(made, compress(head.codec, payload) if head.codec else payload)

    def _emptied(self, whole: bytes, head: BatchHeader) -> Buffer | None:
        """Nothing is left of the batch: gone, or only its header where that tells what would be lost."""
        if not self._must_stay(head):
            return None
        if head.record_count == 0:
            return whole
        attributes = head.attributes & ~(batches.CODEC_MASK | batches.DELETE_HORIZON)
        return assemble(head._replace(attributes=attributes, base_timestamp=-1, record_count=0), b"")

    def _must_stay(self, head: BatchHeader) -> bool:
        """The last of the pass, up to which a follower must get; or what tells an active producer's last sequence.

        Where none of a producer's data is left, its last marker tells the epoch that fences its elder selves.
        """
        if head.next_offset == self._last:
            return True
        if head.producer_id < 0:
            return False
        last_offset, epoch = self._producers.get(head.producer_id, NEVER_WROTE)
        if last_offset >= 0:
            return head.last_offset == last_offset
        return head.is_control and head.producer_epoch == epoch


def keys_of(whole: bytes, head: BatchHeader) -> Iterable[tuple[bytes, int]]:
    """(key, offset) of each record of a data batch that has a key."""
    plain = _inflated(whole, head) if head.codec else whole
    return [(record.key, record.offset) for record in _records(plain) if record.key is not None]


def _records(plain: bytes) -> Iterable[Any]:
    reader = compiled_reader()
    return reader(plain) if reader is not None else read_records(plain)


def _inflated(whole: bytes, head: BatchHeader) -> bytes:
    """The batch with its records inflated, as an uncompressed one (its CRC is not recomputed)."""
    plain = inflate(head.codec, memoryview(whole)[HEADER_SIZE:], OUTPUT_CAP, HEADER_SIZE)
    attributes = head.attributes & ~batches.CODEC_MASK
    HEADER.pack_into(plain, 0, *head._replace(length=len(plain) - batches.LOG_OVERHEAD, attributes=attributes))
    return bytes(plain)


def _shifted(record: bytes, shift: int) -> bytes:
    """The same record for a batch whose base timestamp is earlier by ``shift``."""
    _, start = read_varint(record, 0)
    delta, rest = read_varint(record, start + 1)
    body = bytearray(record[start : start + 1])
    write_varint(body, delta + shift)
    body += record[rest:]
    out = bytearray()
    write_varint(out, len(body))
    return bytes(out + body)
