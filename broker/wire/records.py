"""The records inside v2 batches: reading, building, control records (DefaultRecord, ControlRecordType; facts E.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple

from broker.wire import batch as batches
from broker.wire.batch import HEADER, HEADER_SIZE, BatchHeader, Buffer
from broker.wire.compression import Codec, compress, inflate

OUTPUT_CAP = 256 * 1024 * 1024
"""Most bytes that one batch may inflate to."""

_CONTROL_KEY = Struct(">hh")
_CONTROL_VALUE = Struct(">hi")


class MalformedRecords(ValueError):
    """The records of a batch contradict their lengths or their header."""


class Record(NamedTuple):
    """``timestamp`` is wall milliseconds (-1: none); ``headers`` are (key, value) pairs, a value may be None."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class ControlRecord(NamedTuple):
    """A transaction marker: ``commit`` or abort, by the coordinator of that epoch."""

    commit: bool
    coordinator_epoch: int


def build_batch(
    records: Sequence[Record],
    *,
    base_offset: int | None = None,
    codec: int = Codec.NONE,
    level: int | None = None,
    leader_epoch: int = batches.NO_LEADER_EPOCH,
    producer_id: int = batches.NO_PRODUCER_ID,
    producer_epoch: int = batches.NO_PRODUCER_EPOCH,
    base_sequence: int = batches.NO_SEQUENCE,
    attributes: int = 0,
) -> bytearray:
    """One batch of ``records`` (at least one).

    ``base_offset`` None keeps the records' own offsets (gaps and all: what a cleaner writes); a number renumbers them
    from it. ``attributes`` adds bits such as ``batches.TRANSACTIONAL``.
    """
    keep = base_offset is None
    base = records[0].offset if base_offset is None else base_offset
    base_timestamp = records[0].timestamp
    body = bytearray()
    for index, record in enumerate(records):
        delta = record.offset - base if keep else index
        _append_record(body, record, delta, record.timestamp - base_timestamp)
    return assemble(
        BatchHeader(
            base_offset=base,
            length=0,
            leader_epoch=leader_epoch,
            magic=2,
            crc=0,
            attributes=attributes | codec,
            last_offset_delta=records[-1].offset - base if keep else len(records) - 1,
            base_timestamp=base_timestamp,
            max_timestamp=max(record.timestamp for record in records),
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            base_sequence=base_sequence,
            record_count=len(records),
        ),
        compress(codec, body, level) if codec else body,
    )


def assemble(head: BatchHeader, payload: Buffer) -> bytearray:
    """A batch of ``head`` and ``payload`` (compressed as the attributes say), its length and CRC computed."""
    whole = bytearray(HEADER_SIZE + len(payload))
    HEADER.pack_into(whole, 0, *head._replace(length=len(whole) - batches.LOG_OVERHEAD, crc=0))
    whole[HEADER_SIZE:] = payload
    crc = batches.computed_crc(whole, 0)
    whole[batches.CRC_AT : batches.CRC_AT + 4] = crc.to_bytes(4, "big")
    return whole


def recompress(batch: Buffer, codec: int, level: int | None = None, cap: int = OUTPUT_CAP) -> bytearray:
    """The same batch with its records under another codec (``compression.type``); the records are not parsed."""
    head = batches.header(batch)
    payload = compress(codec, records_payload(batch, cap=cap), level)
    return assemble(head._replace(attributes=(head.attributes & ~batches.CODEC_MASK) | codec), payload)


def control_batch(
    base_offset: int,
    producer_id: int,
    producer_epoch: int,
    marker: ControlRecord,
    timestamp: int,
    leader_epoch: int = -1,
) -> bytearray:
    """A transaction marker's batch: one record, transactional and control bits, no sequence."""
    key = _CONTROL_KEY.pack(0, 1 if marker.commit else 0)
    value = _CONTROL_VALUE.pack(0, marker.coordinator_epoch)
    return build_batch(
        [Record(0, timestamp, key, value)],
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        attributes=batches.TRANSACTIONAL | batches.CONTROL,
    )


def read_control(batch: Buffer, at: int = 0) -> ControlRecord | None:
    """The marker in a control batch; None for control records of other types (KRaft's) or an emptied batch.

    Raises MalformedRecords.
    """
    for record in read_records(batch, at):
        try:
            _, kind = _CONTROL_KEY.unpack_from(record.key or b"")
            if kind not in (0, 1):
                return None
            _, coordinator_epoch = _CONTROL_VALUE.unpack_from(record.value or b"")
        except struct.error as error:
            raise MalformedRecords("control record too short") from error
        return ControlRecord(kind == 1, coordinator_epoch)
    return None


def records_payload(batch: Buffer, at: int = 0, cap: int = OUTPUT_CAP) -> Buffer:
    """The records' bytes of the batch at ``at``, inflated if need be. Raises compression.Damaged and TooLarge."""
    head = batches.header(batch, at)
    payload = memoryview(batch)[at + HEADER_SIZE : at + head.size]
    return inflate(head.codec, payload, cap) if head.codec else payload


def read_all(buffer: Buffer, cap: int = OUTPUT_CAP) -> Iterator[Record]:
    """Every data record of every whole batch in ``buffer``; control batches are left out."""
    for at, head in batches.headers(buffer):
        if not head.is_control:
            yield from read_records(buffer, at, cap)


def read_records(batch: Buffer, at: int = 0, cap: int = OUTPUT_CAP) -> Iterator[Record]:
    """The records of one batch. Raises MalformedRecords, compression.Damaged or TooLarge; the CRC is not looked at."""
    head = batches.header(batch, at)
    data = bytes(records_payload(batch, at, cap))
    stamp = head.max_timestamp if head.has_log_append_time else None
    position = 0
    try:
        for _ in range(head.record_count):
            record, position = _read_record(data, position, head.base_offset, head.base_timestamp, stamp)
            yield record
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedRecords(f"record at byte {position} is cut or garbled") from error
    if position != len(data):
        raise MalformedRecords(f"{len(data) - position} bytes after the last of {head.record_count} records")


def _read_record(data: bytes, at: int, base: int, base_timestamp: int, stamp: int | None) -> tuple[Record, int]:
    length, at = read_varint(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise MalformedRecords(f"record of {length} bytes in a batch of {len(data)}")
    timestamp, at = read_varint(data, at + 1)
    delta, at = read_varint(data, at)
    key, at = _read_bytes(data, at, end)
    value, at = _read_bytes(data, at, end)
    count, at = read_varint(data, at)
    if count < 0 or count > end - at:
        raise MalformedRecords(f"{count} headers")
    headers = []
    for _ in range(count):
        name, at = _read_bytes(data, at, end)
        if name is None:
            raise MalformedRecords("header without key")
        content, at = _read_bytes(data, at, end)
        headers.append((name.decode(), content))
    if at != end:
        raise MalformedRecords(f"record says {length} bytes, its fields take {length + at - end}")
    return Record(base + delta, base_timestamp + timestamp if stamp is None else stamp, key, value, tuple(headers)), end


def _read_bytes(data: bytes, at: int, end: int) -> tuple[bytes | None, int]:
    size, at = read_varint(data, at)
    if size < 0:
        if size != -1:
            raise MalformedRecords(f"length {size}")
        return None, at
    if at + size > end:
        raise MalformedRecords(f"field of {size} bytes in a record that ends before")
    return data[at : at + size], at + size


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, next position) of a zigzag varint of up to ten bytes. Raises IndexError at the end of the data."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at
    value, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise MalformedRecords("varint longer than ten bytes")


def write_varint(out: bytearray, value: int) -> None:
    """Append ``value`` as a zigzag varint (varlong alike)."""
    value = (value << 1) ^ (value >> 63)
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)


def _append_record(out: bytearray, record: Record, delta: int, timestamp_delta: int) -> None:
    body = bytearray(1)
    write_varint(body, timestamp_delta)
    write_varint(body, delta)
    _append_bytes(body, record.key)
    _append_bytes(body, record.value)
    write_varint(body, len(record.headers))
    for name, content in record.headers:
        _append_bytes(body, name.encode())
        _append_bytes(body, content)
    write_varint(out, len(body))
    out += body


def _append_bytes(out: bytearray, data: bytes | None) -> None:
    if data is None:
        out.append(1)
        return
    write_varint(out, len(data))
    out += data
