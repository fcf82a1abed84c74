"""The files of a log directory, read offline: what is in them, and what is wrong with them (DumpLogSegments).

Works on Apache's files and on ours. A file is read as far as it can be; where it stops to make sense is a Flaw.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kops.errors import BadUsage, NotFound
from kops.local import internal_records
from kops.words import counted

LOG, INDEX, TIMEINDEX, TXNINDEX, SNAPSHOT, EPOCHS, CHECKPOINT, METADATA = (
    "log",
    "index",
    "timeindex",
    "txnindex",
    "snapshot",
    "leader epochs",
    "checkpoint",
    "metadata",
)
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_SUFFIXES = {".log": LOG, ".index": INDEX, ".timeindex": TIMEINDEX, ".txnindex": TXNINDEX, ".snapshot": SNAPSHOT}
_TEXTS = {
    "leader-epoch-checkpoint": EPOCHS,
    "partition.metadata": METADATA,
    "replication-offset-checkpoint": CHECKPOINT,
    "recovery-point-offset-checkpoint": CHECKPOINT,
    "log-start-offset-checkpoint": CHECKPOINT,
    "cleaner-offset-checkpoint": CHECKPOINT,
}
_SMALLEST = 26
"""Bytes of a message of format 0 with neither key nor value."""
_TXN = struct.Struct(">hqqqq")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a file. ``kind``: batch, record, message, or what the file is; ``at``: its byte, or its line."""

    file: str
    kind: str
    at: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong at a place of a file."""

    file: str
    at: int
    what: str


Found = Iterator[Entry | Flaw]


def files(paths: Sequence[str]) -> list[str]:
    """The files named, and those in the directories named, that are Kafka's. Raises NotFound, BadUsage for others."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path):
                folders.sort()
                found += [os.path.join(folder, name) for name in sorted(names) if kind_of(name)]
        elif not os.path.exists(path):
            raise NotFound(f"there is no file {path}", "Name a partition's directory, or files in it.")
        elif kind_of(os.path.basename(path)) is None:
            raise BadUsage(f"{path} is not a file of a Kafka log", f"Known: {' '.join((*_SUFFIXES, *_TEXTS))}.")
        else:
            found.append(path)
    return found


def kind_of(name: str) -> str | None:
    return _TEXTS.get(name) or _SUFFIXES.get(Path(name).suffix)


def dump(path: str, *, records: bool = True) -> Found:
    """Everything in a file, in order."""
    readers: dict[str, Callable[[str], Found]] = {
        LOG: lambda one: _log(one, records=records),
        INDEX: lambda one: _index(one, ">ii", ("relativeOffset", "position"), INDEX),
        TIMEINDEX: lambda one: _index(one, ">qi", ("timestamp", "relativeOffset"), TIMEINDEX),
        TXNINDEX: _aborted,
        SNAPSHOT: _snapshot,
        EPOCHS: _lines,
        CHECKPOINT: _lines,
        METADATA: _metadata,
    }
    yield from readers[kind_of(os.path.basename(path)) or LOG](path)


def verify(path: str) -> Iterator[Flaw]:
    """What is wrong with a file; an index is compared with its log."""
    kind = kind_of(os.path.basename(path))
    entries = []
    for found in dump(path):
        if isinstance(found, Flaw):
            yield found
        else:
            entries.append(found)
    if kind in (INDEX, TIMEINDEX):
        yield from _against_the_log(path, str(kind), entries)


def _log(path: str, *, records: bool) -> Found:
    from broker.wire import batch

    data, at, expected = Path(path).read_bytes(), 0, base_offset(path)
    topic = os.path.basename(os.path.dirname(os.path.abspath(path))).rpartition("-")[0]
    while at + batch.LOG_OVERHEAD + 5 <= len(data):
        size = batch.size_at(data, at)
        if size < _SMALLEST or at + size > len(data):
            break
        old = batch.magic_at(data, at) < 2
        if not old and size < batch.HEADER_SIZE:
            break
        head = _old_message(path, data, at, size) if old else _batch(path, data, at)
        yield head
        yield from _judged(head, data, expected)
        expected = max(expected, head.fields["lastOffset"] + 1)
        if records and head.fields["crcValid"] and head.fields["magic"] >= 2:
            yield from _records(path, topic, data, at)
        at += size
    if at < len(data):
        yield Flaw(path, at, f"{len(data) - at} bytes that are no batch")


def _batch(path: str, data: bytes, at: int) -> Entry:
    from broker.wire import batch

    head = batch.header(data, at)
    fields = {
        "baseOffset": head.base_offset,
        "lastOffset": head.last_offset,
        "count": head.record_count,
        "size": head.size,
        "magic": head.magic,
        "codec": _CODECS[head.codec] if head.codec < len(_CODECS) else str(head.codec),
        "leaderEpoch": head.leader_epoch,
        "producerId": head.producer_id,
        "producerEpoch": head.producer_epoch,
        "baseSequence": head.base_sequence,
        "lastSequence": head.last_sequence,
        "transactional": head.is_transactional,
        "control": head.is_control,
        "baseTimestamp": head.base_timestamp,
        "maxTimestamp": head.max_timestamp,
        "timestampType": "LogAppendTime" if head.has_log_append_time else "CreateTime",
        "crc": head.crc,
        "crcValid": batch.crc_matches(data, at),
    }
    return Entry(path, "batch", at, fields)


def _old_message(path: str, data: bytes, at: int, size: int) -> Entry:
    """A message of format 0 or 1: its CRC (of zlib) covers all after itself."""
    offset, _, crc, magic, attributes = struct.unpack_from(">qiIbb", data, at)
    valid = zlib.crc32(data[at + 16 : at + size]) == crc
    timestamp = struct.unpack_from(">q", data, at + 18)[0] if magic == 1 and size >= 26 else -1
    fields = {
        "baseOffset": offset,
        "lastOffset": offset,
        "size": size,
        "magic": magic,
        "codec": _CODECS[attributes & 7] if attributes & 7 < len(_CODECS) else str(attributes & 7),
        "maxTimestamp": timestamp,
        "crc": crc,
        "crcValid": valid,
    }
    return Entry(path, "message", at, fields)


def _judged(head: Entry, data: bytes, expected: int) -> Iterator[Flaw]:
    if not head.fields["crcValid"]:
        yield Flaw(head.file, head.at, f"offset {head.fields['baseOffset']}: the CRC does not match")
    elif head.fields["baseOffset"] < expected:
        yield Flaw(head.file, head.at, f"offset {head.fields['baseOffset']} comes after {expected - 1}")
    elif head.fields["magic"] >= 2 and head.fields["lastOffset"] < head.fields["baseOffset"]:
        yield Flaw(head.file, head.at, f"offset {head.fields['baseOffset']} ends before it begins")


def _records(path: str, topic: str, data: bytes, at: int) -> Found:
    from broker.wire import batch
    from broker.wire.errors import KafkaError
    from broker.wire.records import MalformedRecords, read_control, read_records

    head = batch.header(data, at)
    count = 0
    last = head.base_offset - 1
    try:
        marker = read_control(data, at) if head.is_control else None
        for record in read_records(data, at):
            fields: dict[str, Any] = {"offset": record.offset, "timestamp": record.timestamp}
            if marker is not None:
                fields |= {"endTxnMarker": "COMMIT" if marker.commit else "ABORT"}
                fields |= {"coordinatorEpoch": marker.coordinator_epoch}
            elif (words := internal_records.told(topic, record.key, record.value)) is not None:
                fields |= words
            else:
                fields |= {"key": _text(record.key), "value": _text(record.value)}
                fields |= {"headers": {name: _text(value) for name, value in record.headers}} if record.headers else {}
            yield Entry(path, "record", at, fields)
            if record.offset <= last:
                yield Flaw(path, at, f"record {record.offset} comes after {last}")
            count, last = count + 1, record.offset
    except (MalformedRecords, KafkaError) as error:
        yield Flaw(path, at, f"offset {head.base_offset}: {error}")
        return
    if count != head.record_count or last > head.last_offset:
        what = f"{counted(count, 'record')} up to {last}, its header says {head.record_count} up to {head.last_offset}"
        yield Flaw(path, at, f"offset {head.base_offset}: {what}")


def _text(data: bytes | None) -> str | None:
    """UTF-8 as it is, else ``0x...``."""
    if data is None:
        return None
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        return "0x" + bytes(data).hex()


def base_offset(path: str) -> int:
    """From the file's name; 0 where that is no number."""
    stem = os.path.basename(path).partition(".")[0]
    return int(stem) if stem.isdigit() else 0


def _index(path: str, form: str, names: tuple[str, str], kind: str) -> Found:
    """Entries up to the zeros that an active segment's index is filled up with."""
    entry, data, base = struct.Struct(form), Path(path).read_bytes(), base_offset(path)
    for at in range(0, len(data) - entry.size + 1, entry.size):
        fields = dict(zip(names, entry.unpack_from(data, at), strict=True))
        relative = fields.pop("relativeOffset")
        if not any(data[at:]) and (at or not any(data)):
            return
        yield Entry(path, kind, at, {"offset": base + relative, **fields})
    if len(data) % entry.size:
        yield Flaw(path, len(data) - len(data) % entry.size, f"{len(data) % entry.size} bytes that are no entry")


def _aborted(path: str) -> Found:
    data = Path(path).read_bytes()
    for at in range(0, len(data) - _TXN.size + 1, _TXN.size):
        version, producer, first, last, stable = _TXN.unpack_from(data, at)
        if version != 0:
            yield Flaw(path, at, f"version {version} of an aborted transaction is not known")
            return
        fields = {"producerId": producer, "firstOffset": first, "lastOffset": last, "lastStableOffset": stable}
        yield Entry(path, TXNINDEX, at, fields)
    if len(data) % _TXN.size:
        yield Flaw(path, len(data) - len(data) % _TXN.size, f"{len(data) % _TXN.size} bytes that are no entry")


def _snapshot(path: str) -> Found:
    from broker.storage.producer_state import SnapshotCorrupt, decode

    try:
        producers = decode(Path(path).read_bytes())
    except SnapshotCorrupt as error:
        yield Flaw(path, 0, str(error))
        return
    for producer, one in sorted(producers.items()):
        fields = {
            "producerId": producer,
            "producerEpoch": one.epoch,
            "lastSequence": one.last_sequence,
            "lastOffset": one.last_offset,
            "lastTimestamp": one.last_timestamp,
            "coordinatorEpoch": one.coordinator_epoch,
            "txnFirstOffset": one.txn_first_offset,
        }
        yield Entry(path, SNAPSHOT, 0, fields)


def _lines(path: str) -> Found:
    """Checkpoints: topic, partition and offset, or an epoch and where it starts."""
    from broker.host.files import RealFiles
    from broker.storage.checkpoints import CheckpointCorrupt, read_lines

    try:
        lines = read_lines(RealFiles(), path)
    except CheckpointCorrupt as error:
        yield Flaw(path, 0, str(error))
        return
    for number, line in enumerate(lines, start=3):
        if len(line) == 3 and line[1].isdigit():
            fields: dict[str, Any] = {"topic": line[0], "partition": int(line[1]), "offset": int(line[2])}
        elif len(line) == 2 and all(part.isdigit() for part in line):
            fields = {"epoch": int(line[0]), "startOffset": int(line[1])}
        else:
            yield Flaw(path, number, f"not an entry: {' '.join(line)}")
            continue
        yield Entry(path, kind_of(os.path.basename(path)) or CHECKPOINT, number, fields)


def _metadata(path: str) -> Found:
    from broker.host.files import RealFiles
    from broker.storage.checkpoints import CheckpointCorrupt, read_topic_id

    try:
        found = read_topic_id(RealFiles(), os.path.dirname(path) or ".")
    except CheckpointCorrupt as error:
        yield Flaw(path, 0, str(error))
        return
    yield Entry(path, METADATA, 0, {"topicId": str(found)})


def _against_the_log(path: str, kind: str, entries: Sequence[Entry]) -> Iterator[Flaw]:
    """Each offset entry points at the batch that ends with it; each time is that of the batch with its offset."""
    log = str(Path(path).with_suffix(".log"))
    if not os.path.exists(log):
        yield Flaw(path, 0, "it has no log")
        return
    heads = [found for found in dump(log, records=False) if isinstance(found, Entry)]
    by_position = {head.at: head.fields for head in heads}
    highest: tuple[int, int] = (-1, -1)
    for entry in entries:
        offset = entry.fields["offset"]
        if kind == INDEX:
            head = by_position.get(entry.fields["position"])
            if head is None or head["lastOffset"] != offset:
                yield Flaw(path, entry.at, f"offset {offset} is not the end of a batch at {entry.fields['position']}")
            now = (offset, entry.fields["position"])
        else:
            timestamp = entry.fields["timestamp"]
            if not any(one["baseOffset"] <= offset <= one["lastOffset"] for one in by_position.values()):
                yield Flaw(path, entry.at, f"offset {offset} is in no batch")
            elif not any(
                one["baseOffset"] <= offset <= one["lastOffset"] and one["maxTimestamp"] == timestamp
                for one in by_position.values()
            ):
                yield Flaw(path, entry.at, f"time {timestamp} is not that of the batch with offset {offset}")
            now = (timestamp, offset)
        if now < highest:
            yield Flaw(path, entry.at, f"entry {now} comes after {highest}")
        highest = max(highest, now)
