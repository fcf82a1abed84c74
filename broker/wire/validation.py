"""Validation of a client's batch before it gets offsets (org.apache.kafka.storage.internals.log.LogValidator).

A batch whose count, lengths or deltas lie is refused, so every record is looked at: by columns where many are laid out
alike (``columns``), else by aiokafka's compiled reader (0.1 µs a record), or in Python where that is missing.
Compressed records are inflated here with a cap, never by the reader, which has none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from broker.wire import batch as batches
from broker.wire.batch import HEADER, HEADER_SIZE, BatchHeader, Buffer
from broker.wire.columns import largest_timestamp_delta
from broker.wire.compression import Codec, Damaged, TooLarge, announced_size, inflate
from broker.wire.errors import ErrorCode, KafkaError
from broker.wire.records import read_records

INLINE_INPUT = 64 * 1024
"""Compressed bytes above which a batch goes to a worker."""
INLINE_OUTPUT = 2 * 1024 * 1024
"""Inflated bytes above which a batch goes to a worker: about 2 ms of the event loop."""
WORKER_OUTPUT = 256 * 1024 * 1024
"""Inflated bytes above which a batch is refused altogether."""
NO_BOUND = (1 << 63) - 1


class Rules(NamedTuple):
    """What a topic demands of a batch; plain data, so that it can go to a worker. Bounds are in milliseconds.

    ``partition`` is its name, for what is said of records.
    """

    compacted: bool = False
    log_append_time: bool = False
    before_ms: int = NO_BOUND
    after_ms: int = NO_BOUND
    partition: str = ""


class Walked(NamedTuple):
    """What a walk found: number of records and their largest timestamp (-1: none)."""

    records: int
    max_timestamp: int


class InvalidRecords(KafkaError):
    """A refusal that names records: ``record_errors`` are (index in the batch, message), for Produce v8+ (KIP-467)."""

    def __init__(self, code: ErrorCode, message: str, record_errors: list[tuple[int, str]]) -> None:
        super().__init__(code, message)
        self.record_errors = record_errors

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.message, self.record_errors)


class NeedsWorker(Exception):
    """The batch inflates to more than may be done inline: validate it by ``workers.compute`` first."""


def needs_worker(batch: Buffer) -> bool:
    """Whether ``validate`` should run in a worker: compressed, and large before or (as far as it says) after.

    Where the compressed bytes do not say, the inline walk finds out and raises NeedsWorker.
    """
    codec = batch[batches.ATTRIBUTES_AT + 1] & batches.CODEC_MASK if len(batch) > HEADER_SIZE else 0
    if codec == Codec.NONE:
        return False
    if len(batch) > INLINE_INPUT:
        return True
    announced = announced_size(codec, memoryview(batch)[HEADER_SIZE:])
    return announced is not None and announced > INLINE_OUTPUT


def validate(batch: Buffer, rules: Rules, now_ms: int) -> Walked:
    """``walk`` with the worker's cap: module-level and picklable, for ``workers.compute(validate, bytes(batch), ...)``.

    Raises KafkaError (INVALID_RECORD, CORRUPT_MESSAGE, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE for too much output).
    """
    check_header(batches.header(batch), len(batch))
    if not batches.crc_matches(batch):
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, "record batch: CRC does not match")
    try:
        return walk(batch, batches.header(batch), rules, now_ms, WORKER_OUTPUT)
    except NeedsWorker:
        message = f"record batch inflates to more than {WORKER_OUTPUT} bytes"
        raise KafkaError(ErrorCode.MESSAGE_TOO_LARGE, message) from None


def check_header(head: BatchHeader, size: int) -> None:
    """What a client's batch must say of itself (facts E.2). Raises KafkaError."""
    if head.magic != 2:
        raise KafkaError(ErrorCode.INVALID_RECORD, f"record batch has magic {head.magic}, expected 2")
    if head.size != size:
        raise KafkaError(ErrorCode.INVALID_RECORD, f"expected one record batch of {size} bytes, found {head.size}")
    if head.base_offset != 0:
        raise KafkaError(ErrorCode.INVALID_RECORD, f"base offset of the record batch is {head.base_offset}, not 0")
    if head.record_count <= 0 or head.last_offset_delta != head.record_count - 1:
        message = f"record batch says {head.record_count} records and last offset delta {head.last_offset_delta}"
        raise KafkaError(ErrorCode.INVALID_RECORD, message)
    if head.attributes & batches.CONTROL:
        raise KafkaError(ErrorCode.INVALID_RECORD, "clients may not write control records")
    if head.producer_id >= 0 and (head.base_sequence < 0 or head.producer_epoch < 0):
        raise KafkaError(ErrorCode.INVALID_RECORD, f"producer {head.producer_id} without epoch or sequence")
    if head.producer_id < 0 and head.attributes & batches.TRANSACTIONAL:
        raise KafkaError(ErrorCode.INVALID_RECORD, "transactional record batch without producer id")


def walk(batch: Buffer, head: BatchHeader, rules: Rules, now_ms: int, cap: int = INLINE_OUTPUT) -> Walked:
    """Walk all records: lengths, count, offset deltas; then keys and timestamps as ``rules`` say.

    Raises KafkaError, or NeedsWorker when more than ``cap`` bytes come out of a compressed batch.
    """
    plain = _inflated(batch, head, cap) if head.attributes & batches.CODEC_MASK else batch
    bounded = not rules.log_append_time and (rules.before_ms != NO_BOUND or rules.after_ms != NO_BOUND)
    if head.attributes & batches.LOG_APPEND_TIME:
        raise KafkaError(ErrorCode.INVALID_TIMESTAMP, "producers may not set the timestamp type LogAppendTime")
    if not rules.compacted and not bounded:
        delta = largest_timestamp_delta(memoryview(plain)[HEADER_SIZE:], head.record_count)
        if delta is not None:
            return Walked(head.record_count, head.base_timestamp + delta)
    reader = compiled_reader()
    records: Iterable[Any] = reader(plain) if reader is not None else read_records(plain)
    errors: list[tuple[int, str]] = []
    try:
        if rules.compacted or bounded:
            walked = _walk_by(rules, bounded, records, head.base_offset, now_ms, errors)
        else:
            walked = _walk_all(records, head.base_offset)
    except (KafkaError, MemoryError):
        raise
    except Exception as error:
        raise KafkaError(ErrorCode.INVALID_RECORD, f"a record of the batch: {error}") from error
    if walked.records != head.record_count:
        message = f"record batch says {head.record_count} records, holds {walked.records}"
        raise KafkaError(ErrorCode.INVALID_RECORD, message)
    if errors:
        _refuse(errors)
    return walked


def _walk_all(records: Iterable[Any], base: int) -> Walked:
    """Offsets and the largest timestamp: the loop that costs a broker most, so there is nothing more in it."""
    expected, largest = base, batches.NO_TIMESTAMP
    for record in records:
        if record.offset != expected:
            raise _wrong_delta(expected - base, record.offset - base)
        timestamp = record.timestamp
        if timestamp > largest:
            largest = timestamp
        expected += 1
    return Walked(expected - base, largest)


def _walk_by(
    rules: Rules, bounded: bool, records: Iterable[Any], base: int, now_ms: int, errors: list[tuple[int, str]]
) -> Walked:
    """As :func:`_walk_all`, and what ``rules`` demand of each record; those that break them go into ``errors``."""
    expected, largest = 0, batches.NO_TIMESTAMP
    for record in records:
        if record.offset - base != expected:
            raise _wrong_delta(expected, record.offset - base)
        timestamp = record.timestamp
        if timestamp > largest:
            largest = timestamp
        if rules.compacted and record.key is None:
            where = f"in topic partition {rules.partition}"
            errors.append((expected, f"Compacted topic cannot accept message without key {where}"))
        elif bounded and timestamp >= 0 and not -rules.after_ms <= now_ms - timestamp <= rules.before_ms:
            bounds = f"[{now_ms - rules.before_ms}, {now_ms + rules.after_ms}]"
            why = f"is out of range. The timestamp should be within {bounds}"
            errors.append((expected, f"Timestamp {timestamp} of message with offset {expected} {why}"))
        expected += 1
    return Walked(expected, largest)


def _wrong_delta(expected: int, delta: int) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_RECORD, f"record {expected} has offset delta {delta}")


def _refuse(errors: list[tuple[int, str]]) -> None:
    rejected = "One or more records have been rejected due to"
    if any(message.startswith("Timestamp") for _, message in errors):
        raise InvalidRecords(ErrorCode.INVALID_TIMESTAMP, f"{rejected} invalid timestamp", errors)
    shown = ", ".join(f"RecordError(batchIndex={index}, message='{message}')" for index, message in errors[:3])
    count = f"{len(errors)} record errors in total, and only showing the first three errors at most"
    raise InvalidRecords(ErrorCode.INVALID_RECORD, f"{rejected} {count}: [{shown}]", errors)


def _inflated(batch: Buffer, head: BatchHeader, cap: int) -> memoryview:
    """The batch with its records inflated, as an uncompressed batch (its CRC is not recomputed)."""
    try:
        plain = inflate(head.codec, memoryview(batch)[HEADER_SIZE:], cap, HEADER_SIZE)
    except TooLarge as error:
        raise NeedsWorker from error
    except Damaged as error:  # the CRC matched: it was sent so, and sending it again would not help
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, f"compressed records: {error}") from error
    size = len(plain)
    attributes = head.attributes & ~batches.CODEC_MASK
    HEADER.pack_into(plain, 0, *head._replace(length=size - batches.LOG_OVERHEAD, attributes=attributes))
    return plain


@functools.cache
def compiled_reader() -> Any:
    """aiokafka's compiled DefaultRecordBatch, or None where it was not built.

    Importing it costs 0.05 s, so a broker calls this once, from a thread, soon after its start.
    """
    try:
        from aiokafka.record._crecords.default_records import DefaultRecordBatch
    except ImportError:
        return None
    return DefaultRecordBatch
